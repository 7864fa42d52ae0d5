#!/usr/bin/env python3
"""Writes tests/golden/jinja.json and templates_builtin.json: what Python's Jinja2 makes of small templates and of the built-in chat
templates (read from core/text/builtin_templates.cpp), in the set-up of transformers.

Needs jinja2 3.1 (a virtual environment will do: python3 -m venv DIR && DIR/bin/pip install jinja2).
Run: DIR/bin/python scripts/make_jinja_golden.py        writes the files
     DIR/bin/python scripts/make_jinja_golden.py --check  only says whether they are up to date
The set-up is that of transformers' chat_template_utils.py: the immutable sandbox, trim_blocks, lstrip_blocks, loop controls,
a tojson that does not escape, raise_exception, strftime_now (at a fixed time), and a generation tag that passes its content through.
"""
import copy
import datetime
import json
import pathlib
import re
import sys
import traceback

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = "2026-11-22T12:00:00"
ROOT = pathlib.Path(__file__).resolve().parent.parent
ORIGIN = "scripts/make_jinja_golden.py with Jinja2 " + ".".join(jinja2.__version__.split(".")[:2])


class Generation(jinja2.ext.Extension):
    """{% generation %}...{% endgeneration %} is its content."""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, Generation]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda fmt: datetime.datetime.fromisoformat(NOW).strftime(fmt)
    return env


def expectation(env, template, context):
    """{"text"} or {"error", "line"}: the message and the innermost template line of the failure."""
    try:
        return {"text": env.from_string(template).render(**context)}
    except jinja2.TemplateSyntaxError as error:
        return {"error": error.message, "line": error.lineno, "syntax": True}
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
        return {"error": str(error), "line": lines[-1]}


# Variables of the cases that name none.
SAMPLE = {
    "s": "Hello World",
    "u": "Zürich 你好 é́",
    "n": 7,
    "f": 2.5,
    "yes": True,
    "nothing": None,
    "l": [3, 1, 2],
    "words": ["b", "A", "c", "a"],
    "d": {"b": 1, "a": [1, {"x": None}], "C": "q"},
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi <b>\n"},
        {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": {"x": 1}}]},
    ],
}

GROUPS = {
    "white space": [
        "{% if yes %}\n  a\n{% endif %}\nb\n",
        "  {% if yes %}  x  {% endif %}  \n",
        "a  {%- if yes -%}  b  {%- endif -%}  c",
        "a\n  {%+ if yes +%}\n b{% endif %}",
        "a {{- ' b ' -}} c",
        "x\n   {# note #}\ny\n{#- gone -#}  z",
        "{# a #}{# b\nc #}d",
        "{% raw %}{{ not }} {% this %}{% endraw %}!",
        "a\n  {%- raw -%}  {{ x }}  {%- endraw -%}  b",
        "one\r\ntwo\rthree\n\n",
        "  {{ n }}\n  {% set x = 1 %}\n  {{ x }}",
        "{{ n }}\n\n{% if yes -%}\n\n  t\n{%- endif %}\n",
        "\t{% for i in l %}\n\t{{ i }}\n\t{% endfor %}\n",
        "a{% if yes %}\n\nb{% endif %}\n\n",
        "{% if yes %}{% endif %}\u00a0{% if yes %}x{% endif %}",
        "{ {n} }} %} #} {",
    ],
    "literals and operators": [
        "{{ 1 }} {{ -3 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1.5 }} {{ 1e3 }} {{ 1.5e-7 }} {{ 1e16 }} {{ 123456789.0 }}",
        "{{ 'a' \"b\" 'c\\n\\t\\x41\\u00e9\\\\' }}",
        "{{ [1, 'a', None, true, 2.0] }} {{ (1,) }} {{ (1, 2) }} {{ () }} {{ {'a': 1, 2: [3]} }} {{ {} }}",
        "{{ [\"it's\", 'say \"hi\"', 'it\\'s \"x\"', 'a\\nb\\\\', '\\u200b\\x7fé'] }}",
        "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }}",
        "{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1 + 2.0 }} {{ true + 1 }} {{ 0.1 + 0.2 }} {{ 1e308 * 10 }} {{ 3 * 'ab' }} {{ [1] * 2 + [2] }}",
        "{{ 1 ~ 'a' ~ none ~ 2.0 ~ [1] }} {{ 'a' + 'b' ~ 1 + 2|string }}",
        "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 == true }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 'a' != 'b' }} {{ 2 >= 2 }}",
        "{{ not true }} {{ not 0 and 1 }} {{ 0 or 'x' }} {{ '' and 1 }} {{ none or none }} {{ 1 and 2 or 3 }}",
        "{{ 'a' in 'abc' }} {{ 1 in l }} {{ 9 not in l }} {{ 'b' in d }} {{ 'zz' in missing }} {{ missing in l }} {{ not 1 in l }}",
        "{{ 'yes' if n > 5 else 'no' }} {{ 'x' if false }}| {{ 1 if false else 2 if false else 3 }}",
        "{{ -2|abs }} {{ -(2)|abs }} {{ 2 - -2 }} {{ +3 }} {{ (1 + 2) * 3 }}",
        "{{ {'a': 1}['a'] }} {{ [1, 2, 3][-1] }} {{ (4, 5)[0] }} {{ 'héllo'[1] }} {{ l[9] is defined }} {{ 'ab'.0 }} {{ [[1, 2]].0.1 }}",
        "{{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ 'Zürich'[::-1] }} {{ 'Zürich'[1:3] }} {{ 'abcdef'[-4:-1:2] }} {{ 'abc'[5:] }}| {{ l[2:0:-1] }} {{ (1, 2, 3)[1:] }}",
        "{{ 'abcdef'[4:1:-1] }} {{ range(10)[2:8:3]|list }} {{ 'abc'[none:2] }} {{ l[-99:99] }}",
        "{{ {1: 'a', 1.0: 'b', true: 'c'} }} {{ {(1, 2): 'x'}[(1, 2)] }}",
        "{{ True }} {{ False }} {{ None }} {{ true == True }}",
        "{{ 1.0 }} {{ 100000.0 }} {{ 1e15 }} {{ 0.0001 }} {{ 0.00001 }} {{ 1/3 }} {{ -0.0 }} {{ 5e-324 }}",
        "{{ d == {'C': 'q', 'a': [1, {'x': none}], 'b': 1} }} {{ [1] == (1,) }} {{ '1' == 1 }} {{ none == missing }} {{ missing == gone }}",
        "{{ '%s is %d and %.2f %5s|%-5s|%05d %x %r %%' % ('a', 3, 1.005, 'x', 'y', 42, 255, 'q') }} {{ 'n: %s' % 4 }} {{ '%(a)s' % {'a': 1} }}",
    ],
    "undefined": [
        "[{{ missing }}] {{ missing is defined }} {{ missing is undefined }} {{ missing|default('d') }} {{ d.zz is defined }} {{ d.zz|d(1) }}",
        "{{ missing ~ 'x' }} {{ missing|length }} {{ missing|list }} {{ missing|string }}| {{ missing|upper }}| {{ missing or 5 }}",
        "{% for x in missing %}x{% else %}none{% endfor %} {{ missing is iterable }} {{ missing is sequence }} {{ missing is callable }} {{ missing is mapping }}",
        "{{ missing.x }}",
        "a\nb {{ d.nope.deeper }}",
        "{{ missing() }}",
        "{{ missing + 1 }}",
        "{{ missing < 1 }}",
        "{{ d.zz['x'] }}",
        "{{ none.x is defined }} {{ n.x is defined }} {{ s.nope is defined }} {{ ''|default('e') }} {{ ''|default('e', true) }} {{ none|default('n', boolean=true) }}",
        "{{ nothing.x.y }}",
        "{{ messages[9].role }}",
        "{{ l['x'].y }}",
        "{{ 'a' if missing else 'b' }} {{ [missing] }} {{ {'a': missing}.a is defined }}",
        "{{ missing|tojson }}",
        "{{ -missing }}",
    ],
    "errors": [
        "line 1\n{% if yes %}\n{{ raise_exception('Stop: ' ~ n) }}{% endif %}",
        "{% macro m(x) %}\n{{ x.a.b }}\n{% endmacro %}\n\n{{ m({}) }}",
        "\n\n{{ 1 + 'a' }}",
        "{{ 'a' + 1 }}",
        "{{ s + d }}",
        "{{ [1] + 'a' }}",
        "{{ 1 // 0 }}",
        "{{ none|length }}",
        "{% for x in 5 %}{% endfor %}",
        "{{ 1 < 'a' }}",
        "{{ 1 in 'abc' }}",
        "{{ 'a' in none }}",
        "{{ l.append(4) }}",
        "{{ d.update({}) }}",
        "{{ s.__class__ }}|{{ s.__class__.__name__ }}",
        "{{ d() }}",
        "{% set a, b = [1, 2, 3] %}",
        "{% set a, b = [1] %}",
        "{% set d.x = 1 %}",
        "{{ n[1:] }}",
        "{{ {[1]: 2} }}",
        "{{ range(200000) }}",
        "{{ s.nope() }}",
        "{{ '%d' % 'x' }}",
        "{{ '%s %s' % (1,) }}",
        "{{ '{} {}'.format(1) }}",
        "{{ ''.split('') }}",
        "{{ [1, 'a']|sort }}",
        "{{ d|tojson(indent=2) }}{{ range|tojson }}",
        "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
        "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}",
        "{% if yes %}{{ 1|nosuch }}{% endif %}",
        "{% if not yes %}{{ 1|nosuch }}{% endif %}fine",
        "{{ (1|nosuch) if not yes else 'fine' }}",
        "{{ l|map('nosuch')|list }}",
        "{{ l|selectattr|list }}",
    ],
    "syntax errors": [
        "a\n{{ 1 + }}",
        "{% if yes %}\nx",
        "\n{% endif %}",
        "{% nosuch %}",
        "{{ 'open }}",
        "{{ (1 }}",
        "{{ 1 ) }}",
        "{% for in l %}{% endfor %}",
        "{% set 1 = 2 %}",
        "{% set none = 2 %}",
        "{{ 1|nosuch }}",
        "x\n{{ 1 is nosuch }}",
        "{# open",
        "{% raw %} open",
        "{{ f(a=1, 2) }}",
        "{% macro m(a=1, b) %}{% endmacro %}",
        "{{ a b }}",
        "{{ }}",
        "{{ ? }}",
        "{% if yes %}{% for i in l %}{{ i|nosuch }}{% endfor %}{% endif %}",
        "{% for i in l %}{% else %}\n{% endif %}",
    ],
    "blocks": [
        "{% if n == 1 %}a{% elif n == 7 %}b{% elif n == 8 %}c{% else %}d{% endif %}",
        "{% for i in l %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }};{% endfor %}",
        "{% for i in l %}{{ loop.previtem|default('-') }}{{ i }}{{ loop.nextitem|default('-') }} {{ loop.cycle('x', 'y') }} {{ loop.changed(i > 1) }};{% endfor %}",
        "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for c in u %}{{ c }}.{% endfor %}",
        "{% for i in range(10) if i is odd %}{{ loop.index }}:{{ i }}/{{ loop.length }} {% else %}none{% endfor %}",
        "{% for i in [] %}x{% else %}empty{% endfor %}{% for i in l if i > 9 %}x{% else %}filtered{% endfor %}",
        "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
        "{% for i in l %}{{ i }}{% set x %}a{% if i == 1 %}{% continue %}{% endif %}b{% endset %}{{ x }},{% endfor %}",
        "{% for i in l %}{{ i }}{% filter upper %}a{% if i == 1 %}{% break %}{% endif %}b{% endfilter %},{% endfor %}",
        "{% for i in l %}{% for j in l if j != i %}{{ i }}{{ j }}{{ loop.index }}{% if loop.last %}!{% endif %} {% endfor %}{{ loop.index }}{% endfor %}",
        "{% for n in [{'v': 1, 'c': [{'v': 2, 'c': [{'v': 3}]}]}, {'v': 4}] recursive %}{{ n.v }}@{{ loop.depth }}{% if n.c %}[{{ loop(n.c) }}]{% endif %}{% endfor %}",
        "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
        "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
        "{% set ns = namespace(x=1, found=false) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }} {{ ns.found }} {{ ns.zz is defined }} {{ namespace({'a': 2}).a }}",
        "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, %}{{ c }}",
        "{% set x %}  hi {{ n }} {% endset %}[{{ x }}]{% set y | upper | trim %} ab {% endset %}[{{ y }}]",
        "{% set x = 1 %}{% if yes %}{% set x = 2 %}{% endif %}{{ x }}{% set y %}{% set x = 3 %}{% endset %}{{ x }}",
        "{% macro m(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(c=9, a=8) }} {{ m() }}|{{ m.name }}",
        "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 'x', k=2) }}",
        "{% macro m(x) %}<{{ caller(x * 2) }}>{% endmacro %}{% call(y) m(4) %}y={{ y }}{% endcall %}",
        "{% macro m() %}{% if caller %}{{ caller() }}{% else %}no caller{% endif %}{% endmacro %}{{ m() }} {% call m() %}yes{% endcall %}",
        "{% macro fact(k) %}{% if k <= 1 %}1{% else %}{{ k * fact(k - 1)|int }}{% endif %}{% endmacro %}{{ fact(10) }}",
        "{% set t = 1 %}{% macro m() %}{{ t }}{% endmacro %}{% set t = 2 %}{{ m() }}{% for t in [9] %}{{ m() }}{% endfor %}",
        "{% macro m(l) %}{% for i in l %}{{ i }}{% endfor %}{% endmacro %}{{ m(l)|length }} {{ m(l) is string }} {{ m(*[l]) }} {{ m(**{'l': [7]}) }}",
        "{% filter upper|replace('A', 'b') %}a{{ s }}{% endfilter %}",
        "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
        "{% generation %}gen {{ n }}{% set q = 1 %}{% endgeneration %}{{ q }}",
        "{% block title %}t{{ n }}{% endblock %}{% block x %}{% endblock x %}",
        "{% print(n) %}{% print 1, 's' %}{% block c scoped %}c{% endblock %}",
        "{% macro m(caller=none) %}{{ caller is none }}{{ caller() if caller }}{% endmacro %}{{ m() }}{% call m() %}x{% endcall %}",
        "{{ dict(missing) }}",
        "{{ strftime_now('%d %b %Y, %A %H:%M:%S %j %y %B %a %p %I %-d %%') }}",
        "{% for k in dict(a=1, b=2) %}{{ k }}{% endfor %}{{ dict([('x', 1)]) }}{{ range(3) }}{{ range(5, 1, -2)|list }}{{ range(2, 4)|length }}",
        "{% for m in messages if m.role != 'system' %}{{ m['role'] }}:{{ m.content }}{% if m.tool_calls is defined %}{{ m.tool_calls[0].arguments|tojson }}{% endif %};{% endfor %}",
        "{% for i in l %}{% macro show(x) %}[{{ x }}{{ i }}]{% endmacro %}{{ show(i) }}{% endfor %}",
    ],
    "filters": [
        "{{ l|join(', ') }} {{ l|join }} {{ messages|join('|', attribute='role') }} {{ 'abc'|join('-') }}",
        "{{ d|tojson }} {{ d|tojson(indent=2) }} {{ []|tojson(indent=2) }} {{ {}|tojson }} {{ u|tojson }} {{ u|tojson(ensure_ascii=true) }} {{ '👍'|tojson(true) }} {{ '\\x7f'|tojson(true) }}",
        "{{ d|tojson(sort_keys=true, separators=(',', ':')) }} {{ '<a href=\"x\">&\\n\\t\\x01\\x7f/'|tojson }} {{ [1.0, 1e20, none, true]|tojson }} {{ {1: 2, none: 3, true: 4}|tojson }} {{ (1, 2)|tojson(indent='->') }}",
        "{{ ' a b '|trim }}| {{ 'xxaxx'|trim('x') }} {{ ' \u00a0\u2003a'|trim }}",
        "{{ u|length }} {{ l|count }} {{ d|length }} {{ ''|length }} {{ '👩‍👩‍👧'|length }}",
        "{{ s|upper }} {{ s|lower }} {{ 'hELLO wORLD-foo (bar)'|title }} {{ 'hELLO'|capitalize }} {{ u|upper }} {{ 'ΑΒΓ ÀÉ ЖЯ'|lower }} {{ 'straße ß'|upper }}",
        "{{ s|replace('o', '0') }} {{ s|replace('o', '0', 1) }} {{ 'abc'|replace('', '-') }} {{ 'aaa'|replace('aa', 'b') }}",
        "{{ l|first }} {{ l|last }} {{ []|first is defined }} {{ 'abc'|last }} {{ d|first }} {{ (l|map('string')|first) }}",
        "{{ l|sort }} {{ l|sort(reverse=true) }} {{ words|sort }} {{ words|sort(case_sensitive=true) }} {{ messages|sort(attribute='role')|map(attribute='role')|list }}",
        "{{ l|reverse|list }} {{ 'abc'|reverse }} {{ l|sum }} {{ l|min }} {{ l|max }} {{ words|min }} {{ [{'a': 2}, {'a': 5}]|sum(attribute='a') }} {{ []|max is defined }} {{ l|sum(start=10) }}",
        "{{ [1, 2, 1, 'a', 'A']|unique|list }} {{ [3, 1]|list }} {{ 'ab'|list }} {{ d|list }}",
        "{{ d|items|list }} {{ d|dictsort }} {{ d|dictsort(true) }} {{ {'a': 2, 'b': 1}|dictsort(by='value') }} {{ {'a': 2, 'b': 1}|dictsort(reverse=true) }}",
        "{{ messages|map(attribute='role')|join(',') }} {{ l|map('string')|list }} {{ words|map('upper')|join }} {{ messages|map(attribute='tool_calls', default='-')|list }} {{ messages|map(attribute='tool_calls.0.name')|list|last }}",
        "{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list }} {{ messages|rejectattr('content')|list|length }} {{ l|select('odd')|list }} {{ l|reject('gt', 1)|list }} {{ [0, 1, '']|select|list }} {{ messages|selectattr('tool_calls', 'defined')|list|length }}",
        "{{ messages|selectattr('role', 'in', ['user', 'system'])|list|length }} {% if messages|selectattr('role', 'eq', 'x') %}always{% endif %} {{ l|map('abs') is iterable }} {{ l|map('abs') is sequence }}",
        "{{ '42'|int }} {{ '4.7'|int }} {{ 'x'|int }} {{ 'x'|int(-1) }} {{ '0x1f'|int(base=16) }} {{ 3.9|int }} {{ none|int }} {{ '1.5'|float }} {{ 'x'|float }} {{ true|int }} {{ ' 12 '|int }}",
        "{{ 2.567|round }} {{ 2.567|round(2) }} {{ 2.5|round }} {{ 3.5|round }} {{ 2.1|round(0, 'ceil') }} {{ 2.9|round(method='floor') }} {{ 7|round }} {{ 1234.5|round(-2) }} {{ -5|abs }} {{ 2.675|round(2) }}",
        "{{ 1234567890123456789|round(-2) }} {{ 25|round(-1) }} {{ 35|round(-1) }} {{ -250|round(-2) }} {{ 7|round(-1) }} {{ 7|round(-25) }} {{ 4999999999999999999|round(-19) }} {{ 9223372036854775800|round(-2) }}",
        "{{ 'a\nb\n\nc'|indent }}| {{ 'a\nb'|indent(2, true) }}| {{ 'a\n\nb'|indent(1, blank=true) }}| {{ 'a\nb'|indent('> ') }}|",
        "{{ '<a & \"b\">'|escape }} {{ '<a>'|e|e }} {{ '<a>'|safe }} {{ ('<a>'|safe) + '<b>' }} {{ '<b>' + ('<a>'|safe) }} {{ ('<a>'|safe) ~ '<b>' }} {{ '<a>'|safe|forceescape }}",
        "{{ '%s-%s'|format(1, 'b') }} {{ '%(x)s'|format(x=3) }} {{ 5|string ~ 'x' }} {{ none|string }} {{ [1]|string }} {{ s|string|length }}",
        "{{ 'a b c d e f g'|truncate(5, leeway=0) }} {{ 'abcdefghij'|truncate(6, true, '..', 0) }} {{ 'short'|truncate }} {{ 'one two, three'|wordcount }} {{ 'a b/ü?&'|urlencode }}",
        "{% for row in range(7)|batch(3, 'x') %}{{ row }}{% endfor %} {{ [1, 2, 3]|batch(2)|list }}",
        "{{ 1|default(2) }} {{ false|default(2) }} {{ false|default(2, true) }} {{ d.zz|default(d.b) }} {{ missing|default }}|",
        "{% set g = l|map('string') %}{{ g|list }}{{ g|list }}{{ g|first is defined }}",
        "{{ d.keys()|list }} {{ d.values()|list|length }} {{ d.items()|list|first }} {{ d.keys() }} {{ {'a': 1}.items() }} {{ d.items()|length }}",
        "{{ [[1, 2], [3]]|sum(start=[]) }} {{ ['a', 'b']|map('replace', 'a', 'z')|list }} {{ [1, 2]|map('default', 3)|list }} {{ d|attr('b') is defined }}",
    ],
    "layout filters": [
        "{{ 'ab'|center(7) }}| {{ s|center }}| {{ 5|center(3) }}|",
        "{{ 'a b/ü?&'|urlencode }} {{ {'q': 'x y', 'é': 1}|urlencode }} {{ [('a', 'b c'), ('d', '/')]|urlencode }} {{ 5|urlencode }}",
        "{{ 'abcdefghij'|truncate(5, end='') }} {{ 'one two three'|truncate(9, leeway=0) }} {{ ('<b> two three four'|e)|truncate(9, false, '<', 0) }}",
        "{{ s|truncate(2) }}",
        "{{ 5|truncate }}",
    ],
    "groups": [
        "{% for g in messages|groupby('role') %}{{ g.grouper }}={{ g.list|length }}{{ g[0] == g.grouper }} {% endfor %}",
        "{% for key, items in [{'k': 'b', 'v': 1}, {'k': 'A', 'v': 2}, {'k': 'B', 'v': 3}, {'v': 4}]|groupby('k', default='z') %}{{ key }}:{{ items|map(attribute='v')|join(',') }} {% endfor %}",
        "{{ [{'k': 'b'}, {'k': 'A'}, {'k': 'B'}]|groupby('k', case_sensitive=true) }} {{ [(1, 'x'), (0, 'y'), (1, 'z')]|groupby(0) }} {{ []|groupby('k') }}",
        "{{ [{'k': 1}, {'k': 'a'}]|groupby('k') }}",
        "{{ range(7)|slice(3)|list }} {{ range(7)|slice(3, 'x')|list }} {{ [1]|slice(3)|list }} {{ 'abcd'|slice(2)|list }} {{ []|slice(2, 0)|list }}",
        "{{ [{'a': {'b': 2}}, {'a': {}}, {}]|map(attribute='a.b', default='-')|list }} {{ [[1, [2]], [3, [4]]]|map(attribute='1.0')|list }} {{ [[3], [1]]|sort(attribute=0) }}",
        "{{ ['b', 'a']|sort(attribute='zz') }} {{ [{'a': 2, 'b': 1}, {'a': 1, 'b': 2}, {'a': 1, 'b': 1}]|sort(attribute='a,b') }} {{ ['B', 'a']|max }} {{ ['B', 'a']|min(case_sensitive=true) }}",
        "{% set j = joiner() %}{% set k = joiner(' | ') %}{% for i in l %}{{ j() }}{{ i }}{% if i > 1 %}{{ k() }}{{ i }}{% endif %}{% endfor %}",
        "{% set c = cycler('odd', 'even', 3) %}{% for i in range(4) %}{{ c.next() }}-{{ c.current }} {% endfor %}{{ c.reset() }}{{ c.next() }} {{ c.pos }} {{ c.items }}",
        "{{ cycler() }}",
        "{% for i in l %}{{ i }}{% break %}{% else %}else after a break{% endfor %} {% for i in l %}{% continue %}{% else %}else after continue{% endfor %} {% for i in l %}{% if i == 2 %}{% break %}{% endif %}{% else %}no{% endfor %}",
        "{% macro m() %}{{ kwargs }}{% endmacro %}{% call m() %}x{% endcall %} {{ m }}",
        "{% macro m() %}{% endmacro %}{% call m() %}x{% endcall %}",
        "{{ '%s' % [1, 2] }} {{ 'no conversion' % l }} {{ 'x' % range(3) }}",
        "{{ l is filter }}",
        "{{ s|center(none) }}",
        "{{ s.split(none, none) }}",
        "{{ 'aB cÉ'.swapcase() }} {{ 'a\tbc\td'.expandtabs() }} {{ 'a\tb'.expandtabs(3) }} {{ 'é'.isascii() }} {{ ''.isascii() }} {{ 'a\nb\r\n'.splitlines(true) }} {{ '½'.isnumeric() }} {{ '你'.isalpha() }} {{ 'a→b c'|wordcount }}",
        "{{ 'ΑΣ ΟΔΟΣ, ΣΑΣ. Σ'.lower() }} {{ 'ΑΣ ΟΔΟΣ'.title() }} {{ 'ΟΔΟΣ'|capitalize }} {{ 'İ'|lower|length }} {{ 'ß x'|title }} {{ 'ß'.title() }} {{ 'ΣΑΣ ẞ ß'.casefold() }} {{ l|batch(2)|reverse }}",
        "{{ 5 is divisibleby(0) }}",
    ],
    "tests": [
        "{{ 1 is number }} {{ 1.5 is float }} {{ 1 is integer }} {{ true is integer }} {{ true is number }} {{ true is boolean }} {{ 's' is string }} {{ none is none }} {{ d is mapping }} {{ l is sequence }} {{ s is sequence }} {{ d is iterable }} {{ 1 is iterable }}",
        "{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is sameas true }} {{ true is sameas true }} {{ 1 is eq 1 }} {{ 1 is ne 1 }} {{ 1 is lt 2 }} {{ 1 is ge(2) }} {{ 2 is in [1, 2] }} {{ 2 is not in [1, 2] }}",
        "{{ 'ABC' is upper }} {{ 'abc' is lower }} {{ 'a1' is lower }} {{ '1' is upper }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ 'nope' is test }} {{ range is callable }} {{ s.upper is callable }} {{ s is callable }}",
        "{{ true is true }} {{ 1 is true }} {{ false is false }} {{ none is not defined }} {{ not n is string }} {{ n is number and n > 3 }} {{ '<'|safe is escaped }} {{ '<' is escaped }}",
        "{{ 1 is string or s is string }} {{ s is string and s is not none }} {{ x is defined and x is none }}",
    ],
    "methods": [
        "{{ '  a '.strip() }}| {{ 'xxaxx'.strip('x') }} {{ 'xya'.lstrip('yx') }} {{ 'a..'.rstrip('.') }} {{ '\\n a'.lstrip() }}",
        "{{ 'a,b,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a  b c '.split() }} {{ ' a  b c '.split(none, 1) }} {{ ' a b  c '.rsplit(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a</think>b'.split('</think>')[-1] }}",
        "{{ s.startswith('He') }} {{ s.endswith('ld') }} {{ s.startswith(('x', 'H')) }} {{ s.startswith('W', 6) }} {{ s.endswith('o', 0, 5) }}",
        "{{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('zz') }} {{ u.find('你') }} {{ s.index('W') }} {{ s.count('o') }} {{ s.find('o', 5) }} {{ 'aXbX'.rindex('X') }}",
        "{{ s.upper() }} {{ s.lower() }} {{ 'they\\'re bill\\'s'.title() }} {{ 'aBC'.capitalize() }} {{ s.replace('l', 'L', 2) }} {{ ', '.join(['a', 'b']) }} {{ '-'.join('abc') }} {{ 'É'.casefold() }}",
        "{{ '{} {}'.format('a', 1) }} {{ '{0}{1}{0}'.format('x', 'y') }} {{ '{a:>5}|{b:<4}|{c:^5}|{d:05.1f}|{e:,}|{f:x}|{g!r}|{{}}'.format(a='a', b='b', c='c', d=3.14159, e=1234567, f=255, g='q') }} {{ '{0[k]} {1.name}'.format({'k': 1}, range)|length > 0 }} {{ '{:*^7} {:+d} {:.3} {:%}'.format('m', 3, 'abcdef', 0.25) }}",
        "{{ 'abc'.isalpha() }} {{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'ab'.islower() }} {{ ''.isdigit() }} {{ 'héé'.isalpha() }}",
        "{{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('x') }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ 'a\\nb\\r\\nc\\n'.splitlines() }}",
        "{{ 'ab'.ljust(4) }}| {{ 'ab'.rjust(4, '*') }} {{ 'ab'.center(7, '-') }} {{ 'abc'.center(6, '-') }} {{ '-5'.zfill(4) }}",
        "{% set least = -9223372036854775807 - 1 %}{{ 'x'.ljust(least) }} {{ 'x'.center(least, 'é') }} {{ 'x'.zfill(least) }}",
        "{{ 'a'.rjust(3, 'é') }} {{ 'a'.center(3, 'ab') }}",
        "{{ 'a'.ljust(0, '') }}",
        "{{ 'a'.ljust(3, 1) }}",
        "{{ d.get('b') }} {{ d.get('zz') }} {{ d.get('zz', 5) }} {{ d.get('a')[1].x }} {{ d.items is callable }} {{ {'items': 3}.items is callable }} {{ {'items': 3}['items'] }} {{ d['get'] is callable }}",
        "{{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }} {{ d.copy() == d }} {{ (1, 2).index(2) }}",
        "{{ 'banana'.count('a', 2) }} {{ 'banana'.count('an', 0, -2) }} {{ 'abc'.count('', 1) }} {{ '{:,} {:,} {:,.1f} {:.3} {:.3}'.format(1e20, 1234567.5, 12345.67, 2.0, 0.0) }}",
        "{{ '{:.3} {:.4} {:.1} {:.3} {:,.5} {:.6} {:.0}'.format(123.0, 1234.0, 5.0, 99.99, 12345.0, 100000.0, 5.0) }} {{ '{:.1} {:#.3} {:#.1} {:#.3} {:08.2} {:.3} {:.3} {:.4}'.format(0.0, 123.0, 5.0, 1.0, -50.0, 0.00001, 995.0, 99.99) }}",
        "{{ u.split()[0] }} {{ u[0:6] }} {{ u|length }} {{ u.upper() }} {{ 'é' in u }} {{ u.replace('你', '您') }}",
    ],
}


CHATS = {
    "user": [("user", "Hi there!")],
    "system": [("system", "You are terse."), ("user", "What is Wi-Fi 6E?")],
    "turns": [("system", "Be kind."), ("user", "  Hello  "), ("assistant", " Hello!\n"), ("user", "<tags> & \"quotes\" 你好")],
    "not alternating": [("user", "a"), ("user", "b")],
    "empty": [],
}


# Templates as models publish them, by their typical idioms; rendered with each of CHATS.
SHAPES = {
    "SmolLM2-135M-Instruct": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "Llama 2": (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
        "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate "
        "user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}"
        "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}"
        "{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
    "Zephyr": (
        "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
    ),
}


def small_templates(env):
    rows = []
    for group, templates in GROUPS.items():
        for template in templates:
            rows.append({"group": group, "template": template} | expectation(env, template, copy.deepcopy(SAMPLE)))
    for name, template in SHAPES.items():
        for chat in CHATS:
            variables = chat_variables(chat, True)
            rows.append({"group": name, "template": template, "variables": variables} | expectation(env, template, variables))
    return {"origin": ORIGIN, "now": NOW, "variables": SAMPLE, "cases": rows}


def chat_variables(chat, prompt):
    return {
        "messages": [{"role": role, "content": content} for role, content in CHATS[chat]],
        "add_generation_prompt": prompt,
        "bos_token": "<s>",
        "eos_token": "</s>",
    }


def builtin_templates(env):
    """Every built-in chat template with every chat, with and without a generation prompt."""
    source = (ROOT / "core" / "text" / "builtin_templates.cpp").read_text(encoding="utf-8")
    texts = dict(re.findall(r'string_view (k\w+) = R"jinja\((.*?)\)jinja"', source, re.S))
    rows = []
    for name, constant in re.findall(r'\{"(\w+)", (k\w+)\}', source):
        for chat in CHATS:
            for prompt in (True, False):
                variables = chat_variables(chat, prompt)
                rows.append({"name": name, "chat": chat, "variables": variables} | expectation(env, texts[constant], variables))
    return {"origin": ORIGIN, "cases": rows}


def main():
    stale = 0
    for name, make in (("jinja.json", small_templates), ("templates_builtin.json", builtin_templates)):
        golden = make(environment())
        path = ROOT / "tests" / "golden" / name
        text = json.dumps(golden, ensure_ascii=False, indent=1) + "\n"
        if "--check" in sys.argv:
            same = path.exists() and path.read_text(encoding="utf-8") == text
            stale += not same
            print(f"{name}: " + ("up to date" if same else "out of date, run the script without --check"))
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{name}: {len(golden['cases'])} cases")
    return 1 if stale else 0


sys.exit(main())

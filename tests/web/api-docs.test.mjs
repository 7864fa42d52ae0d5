/** docs/api.md against web/tessera.d.ts, by names: what the page names is there, and no option or method is left out of the page. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (/** @type {string} */ path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const types = read('web/tessera.d.ts').replace(/\/\*[^]*?\*\/|\/\/.*/g, '');
const page = read('docs/api.md').replace(/^```[^]*?^```/gm, '');

/** @param {string} text @param {RegExp} pattern with one group */
const all = (text, pattern) => [...text.matchAll(pattern)].map(([, group]) => group);

/** Names of an interface's own members, as Prettier writes them. @param {string} name */
function membersOf(name) {
  const [, body] = new RegExp(`^export interface ${name}\\b[^{]*{\n([^]*?)\n}`, 'm').exec(types) ?? [];
  assert.ok(body, `tessera.d.ts has no interface ${name}`);
  return all(body, /^ {2}(?:readonly )?(\w+)\??[:(]/gm);
}

/** What stands in backticks; texts in quotes are values. @param {string} text */
const codeIn = (text) => all(text, /`([^`]+)`/g).map((code) => code.replace(/'[^']*'/g, ''));

/** @param {string} text @returns {string[]} */
const wordsOf = (text) => text.match(/[A-Za-z_]\w*/g) ?? [];

/** Names in the first column of the table below a heading. @param {string} heading */
function tableOf(heading) {
  const [, section] = page.split(`\n## ${heading}`);
  return all(section.split('\n## ')[0], /^\| ([^|]+)\|/gm)
    .flatMap(codeIn)
    .flatMap(wordsOf);
}

/** Options of answers that the text around their table may name instead; `tools` is there to be refused. */
const beside = ['messages', 'prompt', 'penalty_window', 'response_format', 'tools'];
const answerOptions = ['GenerateOptions', 'ChatOptions', 'PromptOptions'].flatMap(membersOf);

test('the tables of options have those of the types', () => {
  assert.deepEqual(tableOf('Tessera.load').sort(), membersOf('LoadOptions').sort());
  const rest = (/** @type {string[]} */ names) => [...new Set(names)].filter((name) => !beside.includes(name)).sort();
  assert.deepEqual(rest(tableOf('Answers')), rest([...answerOptions, 'stream']));
});

test('every option and every method is on the page', () => {
  const interfaces = all(types, /^export interface (\w+Options|LoraAdapter|Engine|Tessera|StoredModel)\b/gm);
  const inline = all(types, /options\?: \{([^}]*)\}/g).flatMap((body) => all(body, /(\w+)\?:/g));
  const said = new Set(codeIn(page).flatMap(wordsOf));
  assert.deepEqual(
    [...interfaces.flatMap(membersOf), ...inline].filter((name) => !said.has(name)),
    [],
  );
});

test('what the page names is in the types', () => {
  const known = new Set([...wordsOf(types), ...beside]);
  const [reference] = page.split('\n## Tessera.load')[1].split('\n## Errors');
  // A name, a path of names, a call, or a shape of names; no file.
  const named = codeIn(reference).filter(
    (code) => /^([\w.]+(\(.*\))?|\{[\w\s,?]*\})$/.test(code) && !/\.(gguf|js(on)?)$/.test(code),
  );
  assert.ok(named.length > 100, `${named.length} names were found`);
  assert.deepEqual(
    named.flatMap(wordsOf).filter((name) => !known.has(name)),
    [],
  );
});

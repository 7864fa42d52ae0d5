#!/usr/bin/env python3
"""Proves the one direction of dependencies: every #include of core/, wasm/ and tests/ and every import of web/ against the layers.

The layers of core/ and what each stands on are read from CMakeLists.txt (the tessera_layer lines), so the link line and the
includes obey the same table. Exit 1 with one line per breach: file:line: rule.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The front ends see the engine's headers (and base's types, which appear in them), nothing below.
FRONT_ENDS = {'core/cli': {'cli', 'engine', 'quantize', 'base'}, 'wasm': {'engine', 'quantize', 'base'}}
# Third-party headers that belong to one place only; the others may be used anywhere.
THIRD_PARTY_HOME = {'CLI': 'core/cli', 'doctest': 'tests'}
# web/: folder (or the public module tessera.js) -> what it may import.
WEB = {
    'base': set(),
    'store': {'base'},
    'engine': {'base', 'store'},
    'tessera.js': {'base', 'store', 'engine'},
    'page': {'base', 'tessera.js'},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
IMPORT = re.compile(r'''^\s*(?:import|export)\b[^'"]*?\bfrom\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]''')
# The end of an import statement that spans lines: `} from './x.js';`
IMPORT_END = re.compile(r'''^\s*\}\s*from\s*['"]([^'"]+)['"]''')


def layers():
    """Layer -> every layer it may include (itself and all that it stands on, directly or not)."""
    text = (ROOT / 'CMakeLists.txt').read_text()
    direct = {m[1]: m[2].split() for m in re.finditer(r'^\s*tessera_layer\((\w+)([^)]*)\)', text, re.M)}

    def closure(name):
        return {name}.union(*(closure(lower) for lower in direct[name]))

    return {name: closure(name) for name in direct}


def files(folder, *suffixes):
    return sorted(p for p in (ROOT / folder).rglob('*') if p.suffix in suffixes)


def cpp_breaches(allowed_of):
    for folder in ('core', 'wasm', 'tests'):
        for path in files(folder, '.cpp', '.h'):
            name = path.relative_to(ROOT).as_posix()
            layer = name.split('/')[1]
            front = next((f for f in FRONT_ENDS if name.startswith(f + '/')), None)
            allowed = None if folder == 'tests' else FRONT_ENDS[front] if front else allowed_of.get(layer)
            if folder == 'core' and allowed is None:
                yield f'{name}:1: core/{layer} is not a layer of CMakeLists.txt'
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                if match and (rule := cpp_rule(name, front or layer, match[1], allowed)):
                    yield f'{name}:{number}: {rule}'


def cpp_rule(name, where, target, allowed):
    """The rule that `name` (in layer or front end `where`) breaks by including `target`, or None."""
    parts = target.split('/')
    home = THIRD_PARTY_HOME.get(parts[0])
    if home and not name.startswith(home + '/'):
        return f'"{target}" is for {home} only'
    if parts[0] == 'core':
        if allowed is not None and parts[1] not in allowed:
            return f'{where} may not include "{target}"; it stands on: {", ".join(sorted(allowed - {where})) or "nothing"}'
    elif parts[0] == 'wasm':
        if not name.startswith(('wasm/', 'tests/')):
            return f'{where} may not include "{target}": wasm stands on core'
    elif not (ROOT / 'third_party' / target).exists() and not name.startswith('tests/'):
        return f'"{target}" is neither core/..., wasm/... nor in third_party: include by the path from the root'
    return None


def web_breaches():
    for path in files('web', '.js'):
        name = path.relative_to(ROOT).as_posix()
        layer = name.split('/')[1]
        if layer not in WEB:
            yield f'{name}:1: web/{layer} is not a layer: {", ".join(WEB)}'
            continue
        # Types of other layers are fine (they vanish): only code is read, block comments are blanked line by line.
        code = re.sub(r'/\*.*?\*/', lambda m: re.sub(r'[^\n]', ' ', m[0]), path.read_text(), flags=re.S)
        for number, line in enumerate(code.splitlines(), 1):
            match = IMPORT.search(line) or IMPORT_END.match(line)
            target = match and next(filter(None, match.groups()))
            if not target or not target.startswith('.'):
                continue
            to = (path.parent / target).resolve()
            if not to.is_relative_to(ROOT / 'web'):
                yield f'{name}:{number}: "{target}" leaves web/'
                continue
            other = to.relative_to(ROOT / 'web').parts[0]
            if other != layer and other not in WEB[layer]:
                yield f'{name}:{number}: web/{layer} may not import "{target}"; it stands on: {", ".join(sorted(WEB[layer])) or "nothing"}'


def main():
    breaches = [*cpp_breaches(layers()), *web_breaches()]
    print('\n'.join(breaches) or 'layers: every include and import points down')
    return 1 if breaches else 0


if __name__ == '__main__':
    sys.exit(main())

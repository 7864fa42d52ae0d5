/** The notices of other people's code that the built site contains. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const kRuntime = `The WebAssembly modules contain parts of:
- the Emscripten runtime, Copyright (c) 2010-2014 Emscripten authors, see AUTHORS file in its sources (MIT licence, below);
- musl libc, Copyright (c) 2005-2020 Rich Felker, et al. (MIT licence, below);
- LLVM libc++, libc++abi and compiler-rt, by the LLVM Project (Apache License 2.0 with LLVM exceptions).

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files
(the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify,
merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE
LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

/** Taken under the Mozilla Public License, of its two licences the one that asks for the address of the sources and not for its own text. */
const kMozilla = new Map([
  [
    'dompurify',
    `Copyright (c) Cure53 and other contributors. Used, unchanged but for minification, under the Mozilla Public License 2.0:
https://mozilla.org/MPL/2.0/. Its sources: https://github.com/cure53/DOMPurify and the npm package of this version.`,
  ],
]);

/**
 * @param {string} root of the repository
 * @param {Iterable<string>} bundled source paths that went into the bundles, relative to the root
 * @returns {Promise<string>}
 */
export async function notices(root, bundled) {
  const sections = [];
  for (const name of packagesOf(bundled)) {
    const folder = join(root, 'node_modules', name);
    const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    const mozilla = kMozilla.get(name);
    if (mozilla) {
      sections.push(`${name} ${version} (MPL-2.0)\n\n${mozilla}`);
      continue;
    }
    const file = (await readdir(folder)).filter((entry) => /^licen[cs]e/i.test(entry)).sort()[0];
    if (!file) throw new Error(`${name} ${version} has no licence file to include`);
    sections.push(`${name} ${version} (${license})\n\n${(await readFile(join(folder, file), 'utf8')).trim()}`);
  }
  const json = await readFile(join(root, 'third_party/licenses/nlohmann-json3-dev.txt'), 'utf8');
  sections.push(`nlohmann/json\n\n${json.trim()}`, kRuntime);
  const title = 'Tessera contains the following software of other people, under the terms given with each.';
  return `${[title, ...sections].join(`\n\n${'='.repeat(120)}\n\n`)}\n`;
}

/**
 * @param {Iterable<string>} paths
 * @returns {string[]} package names, sorted
 */
function packagesOf(paths) {
  const names = new Set();
  for (const path of paths) {
    const match = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
    if (match) names.add(match[1]);
  }
  return [...names].sort();
}

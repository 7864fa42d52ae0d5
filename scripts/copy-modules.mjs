/** The WebAssembly modules' way into the site: the core with Emscripten's glue, and the kernels of each variant. */
import { transform } from 'esbuild';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const kGlue = 'tessera-core.js';
const kModules = ['tessera-core.wasm', 'tessera-kernels-simd128.wasm', 'tessera-kernels-relaxed.wasm'];

/**
 * @param {string} site
 * @param {string} wasm folder of the WebAssembly build
 */
export async function copyModules(site, wasm) {
  const built = (/** @type {string} */ name) =>
    readFile(join(wasm, name)).catch(() => {
      const path = join(wasm, name);
      throw new Error(`${path} is missing: build the WebAssembly first (scripts/demo does), or use --without-wasm`);
    });
  for (const name of kModules) await writeFile(join(site, name), await built(name));
  // Emscripten leaves its glue readable; a third of it is comments and spaces.
  const { code } = await transform((await built(kGlue)).toString(), { minify: true, format: 'esm', target: 'es2022' });
  await writeFile(join(site, kGlue), code);
}

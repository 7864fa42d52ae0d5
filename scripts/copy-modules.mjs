/** The WebAssembly modules' way into the site: both variants, and one glue file for them. */
import { transform } from 'esbuild';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const kVariants = ['simd128', 'relaxed'];
/** Emscripten's glue, which is the same for every variant. */
const kGlue = 'tessera-module.js';

/**
 * The modules and the one glue file; whoever loads it says which module (locateFile).
 * @param {string} site
 * @param {string} wasm
 */
export async function copyModules(site, wasm) {
  const built = (/** @type {string} */ name) =>
    readFile(join(wasm, name)).catch(() => {
      const path = join(wasm, name);
      throw new Error(`${path} is missing: build the WebAssembly first (scripts/demo does), or use --without-wasm`);
    });
  const glues = new Set();
  for (const variant of kVariants) {
    await writeFile(join(site, `tessera-${variant}.wasm`), await built(`tessera-${variant}.wasm`));
    const glue = (await built(`tessera-${variant}.js`)).toString();
    glues.add(glue.replaceAll(`tessera-${variant}.js`, kGlue).replaceAll(`tessera-${variant}.wasm`, 'tessera.wasm'));
  }
  if (glues.size !== 1)
    throw new Error(`the glue of ${kVariants.join(' and ')} differs: build both from the same sources`);
  // Emscripten leaves its glue readable; a third of it is comments and spaces.
  const { code } = await transform([...glues][0], { minify: true, format: 'esm', target: 'es2022' });
  await writeFile(join(site, kGlue), code);
}

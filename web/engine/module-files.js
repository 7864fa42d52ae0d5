// Owns the files of the engine's WebAssembly: which belong together, fetching and compiling them.

/** @typedef {import('./wasm-runtime.js').ModuleFactory} ModuleFactory */

/**
 * The core, the kernels for this browser's instructions and the glue that joins them, ready to start.
 * @param {'relaxed' | 'simd128'} variant
 * @param {string} folder URL with a slash at the end, or of a file beside them
 * @param {(url: string) => Promise<WebAssembly.Module>} [compile] for tests, whose files lie on a disk
 * @returns {Promise<ModuleFactory>} rejects with whatever fetch, import or compilation say, and the name of the file
 */
export async function importModule(variant, folder, compile = fetchAndCompile) {
  const url = (/** @type {string} */ name) => new URL(name, folder).href;
  const [glue, core, kernels] = await Promise.all([
    import(/* @vite-ignore */ /* webpackIgnore: true */ url('./tessera-core.js')),
    compile(url('./tessera-core.wasm')),
    compile(url(`./tessera-kernels-${variant}.wasm`)),
  ]);
  return (module) => glue.default({ ...module, modules: { core, kernels } });
}

/** @param {string} url @returns {Promise<WebAssembly.Module>} */
async function fetchAndCompile(url) {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    // Compiling while the bytes arrive needs the right type, which some hosts do not send.
    const typed = response.headers.get('Content-Type')?.startsWith('application/wasm');
    return await (typed ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer()));
  } catch (error) {
    throw new Error(`${url}: ${error}`, { cause: error });
  }
}

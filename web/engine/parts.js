// Owns the loading of a model into as many memories as it needs: each gets some of its layers (core/engine/parts.h).
import { TesseraError } from '../base/errors.js';

/** @typedef {import('./wasm-runtime.js').WasmRuntime} WasmRuntime */

/**
 * @typedef {object} Loading
 * @property {import('./wasm-border.js').SyncReader[]} files
 * @property {import('./wasm-runtime.js').LoadOptions} options
 * @property {(done: number, total: number) => void} onProgress
 * @property {AbortSignal} signal heeded between two parts
 */

/**
 * @param {WasmRuntime} runtime gets the model, or its last layers; after a failure it has none
 * @param {() => Promise<WasmRuntime>} startAnother for the layers before
 * @param {Loading} loading
 * @returns {Promise<Record<string, any>>} the core's EngineInfo, with the sums over all parts and their number
 */
export async function loadInParts(runtime, startAnother, { files, options, onProgress, signal }) {
  /** @type {unknown} */
  let tooLarge;
  try {
    return { ...runtime.load(files, options, onProgress), parts: 1 };
  } catch (error) {
    if (TesseraError.from(error).code !== 'out_of_memory' || runtime.dead) throw error;
    tooLarge = error;
  }
  const plan = runtime.plan(files, options);
  if (plan.length === 1) throw tooLarge; // it fits, but the browser had no memory for it
  const total = plan.reduce((sum, { read_bytes }) => sum + read_bytes, 0);
  const sums = { weight_bytes: 0, kv_bytes: 0, load_ms: 0 };
  let read = 0;
  /** @type {WasmRuntime | undefined} */
  let before;
  const loadPart = (/** @type {WasmRuntime} */ into, /** @type {import('./wasm-runtime.js').Part} */ part) => {
    const core = into.load(files, { ...options, ...part }, (done) => onProgress(read + done, total), before);
    read += part.read_bytes;
    for (const key of /** @type {(keyof typeof sums)[]} */ (Object.keys(sums))) sums[key] += core[key];
    return core;
  };
  try {
    for (const part of plan.slice(0, -1)) {
      signal.throwIfAborted();
      const next = await startAnother();
      try {
        loadPart(next, part);
      } finally {
        before = next; // with those before it
      }
    }
    signal.throwIfAborted();
    const core = loadPart(runtime, plan[plan.length - 1]);
    return { ...core, ...sums, parts: plan.length };
  } catch (error) {
    before?.dispose();
    throw error;
  }
}

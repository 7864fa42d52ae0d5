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
  try {
    return { ...runtime.load(files, options, onProgress), parts: 1 };
  } catch (error) {
    if (TesseraError.from(error).code !== 'out_of_memory' || runtime.dead) throw error;
  }
  const plan = runtime.plan(files, options);
  const total = plan.reduce((sum, { read_bytes }) => sum + read_bytes, 0);
  let [read, weights, kv, ms] = [0, 0, 0, 0];
  /** @type {WasmRuntime | undefined} */
  let before;
  /** @type {WasmRuntime | undefined} */
  let next;
  try {
    for (const part of plan) {
      signal.throwIfAborted();
      const last = part === plan[plan.length - 1];
      next = last ? runtime : await startAnother();
      const own = read;
      const core = next.load(files, { ...options, ...part }, (done) => onProgress(own + done, total), before);
      read += part.read_bytes;
      weights += core.weight_bytes;
      kv += core.kv_bytes;
      ms += core.load_ms;
      if (last) return { ...core, weight_bytes: weights, kv_bytes: kv, load_ms: ms, parts: plan.length };
      before = next;
    }
  } catch (error) {
    before?.dispose();
    if (next !== runtime && next !== before) next?.dispose();
    throw error;
  }
  throw new TesseraError('internal', 'A model was cut into no parts.');
}

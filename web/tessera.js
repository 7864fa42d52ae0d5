// Owns the public module of the package: Tessera.load, Tessera.models and TesseraError. Types: tessera.d.ts.
import { TesseraError } from './base/errors.js';
import { loadEngine } from './engine/client.js';
import { estimateModel, planQuantization, quantizeModel, verifyModel } from './engine/errands.js';
import { text } from './engine/option-checks.js';
import * as models from './store/models.js';

/** @param {string | URL | undefined} url */
function engineWorker(url) {
  try {
    // Bundlers look for exactly this expression, so the default is not put into a variable.
    return url
      ? new Worker(url, { type: 'module' })
      : new Worker(new URL('./tessera-worker.js', import.meta.url), { type: 'module' });
  } catch (error) {
    const hint = 'The worker must come from the same origin as the page: see workerUrl.';
    throw new TesseraError('network', `The engine worker could not be created: ${error}`, hint, error);
  }
}

const kWorkers = {
  engine: engineWorker,
  thread: (/** @type {string} */ url, /** @type {string} */ name) => new Worker(url, { type: 'module', name }),
};

/** What relative URLs are relative to. */
const base = () => globalThis.document?.baseURI ?? globalThis.location?.href ?? import.meta.url;

/**
 * @template Result
 * @param {Promise<Result>} work
 * @returns {Promise<Result>} rejects with a TesseraError, whatever the browser throws
 */
const inStore = (work) =>
  work.catch((error) => {
    throw TesseraError.from(error, 'io');
  });

export const Tessera = Object.freeze({
  load: async (/** @type {unknown} */ options) => loadEngine(options, base(), kWorkers),
  estimate: async (/** @type {unknown} */ model, /** @type {unknown} */ options) =>
    estimateModel(model, options, base(), kWorkers),
  quantizePlan: async (/** @type {unknown} */ model, /** @type {unknown} */ options) =>
    planQuantization(model, options, base(), kWorkers),
  quantize: async (/** @type {unknown} */ model, /** @type {unknown} */ options) =>
    quantizeModel(model, options, base(), kWorkers),
  models: Object.freeze({
    list: () => inStore(models.list()),
    remove: async (/** @type {unknown} */ id) => inStore(models.remove(text(id, 'id'))),
    verify: async (/** @type {unknown} */ id, /** @type {unknown} */ options) =>
      verifyModel(text(id, 'id'), options, base(), kWorkers),
    exportFiles: async (/** @type {unknown} */ id) => inStore(models.exportFiles(text(id, 'id'))),
  }),
});
export { TesseraError };
export default Tessera;

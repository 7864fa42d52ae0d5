// Owns the calls that need no loaded model. Each is done by a worker of its own that is gone afterwards, with all its memory.
import { TesseraError } from '../base/errors.js';
import { Connection } from './connection.js';
import { knownOptions, urlOf } from './option-checks.js';
import { checkEstimateOptions } from './options.js';
import { checkPlanOptions, checkQuantizeOptions } from './quantize-options.js';

/** @typedef {import('./client.js').WorkerMaker} WorkerMaker */

/**
 * What a model would take, from its first bytes.
 * @param {unknown} model
 * @param {unknown} given options of Tessera.estimate
 * @param {string} base what relative URLs are relative to
 * @param {WorkerMaker} makers
 * @returns {Promise<import('./protocol.js').ModelEstimate>}
 */
export async function estimateModel(model, given, base, makers) {
  const { request, signal, workerUrl } = checkEstimateOptions(model, given, base);
  return run({ type: 'estimate', request }, { signal }, workerUrl, makers);
}

/**
 * What each type would make of a model, from its first bytes.
 * @param {unknown} model
 * @param {unknown} given options of Tessera.quantizePlan
 * @param {string} base
 * @param {WorkerMaker} makers
 * @returns {Promise<import('./protocol.js').QuantizePlan>}
 */
export async function planQuantization(model, given, base, makers) {
  const { request, signal, workerUrl } = checkPlanOptions(model, given, base);
  return run({ type: 'quantizePlan', request }, { signal }, workerUrl, makers);
}

/**
 * A copy of a model in another type, into the store.
 * @param {unknown} model
 * @param {unknown} given options of Tessera.quantize
 * @param {string} base
 * @param {WorkerMaker} makers
 * @returns {Promise<import('./protocol.js').QuantizeResult>}
 */
export async function quantizeModel(model, given, base, makers) {
  const { request, workerUrl, ...watch } = checkQuantizeOptions(model, given, base);
  return run({ type: 'quantize', request }, watch, workerUrl, makers);
}

/**
 * Checks a stored model, so that the page goes on while it is hashed.
 * @param {string} id of Tessera.models.list()
 * @param {unknown} given options of Tessera.models.verify
 * @param {string} base
 * @param {WorkerMaker} makers
 * @returns {Promise<{ok: boolean, badShards: string[], missingShards: string[]}>}
 */
export async function verifyModel(id, given, base, makers) {
  const options = knownOptions(given, new Set(['workerUrl']), 'Tessera.models.verify');
  return run({ type: 'verify', model: id }, {}, urlOf(options, 'workerUrl', base) || undefined, makers);
}

/**
 * @param {import('./connection.js').Call} call
 * @param {import('./connection.js').CallOptions} options
 * @param {string | URL | undefined} workerUrl
 * @param {WorkerMaker} makers
 * @returns {Promise<any>}
 */
async function run(call, options, workerUrl, makers) {
  const connection = new Connection(makers.engine(workerUrl), makers.thread);
  try {
    return await connection.call(call, options);
  } finally {
    connection.end(new TesseraError('disposed', 'The call is over.'));
  }
}

// Owns what a caller may ask of quantize and quantizePlan, and its translation into requests to the worker.
import { bearerToken, integer, knownOptions, oneOf, progressOf, signalOf, urlOf } from './option-checks.js';
import { sourceOf } from './sources.js';

/** @typedef {import('./protocol.js').QuantizeRequest} QuantizeRequest */

/** Those of core/quantize/plan.h, the default first. */
export const kQuantizeTypes = /** @type {const} */ ([
  'Q4_K_M',
  'F32',
  'F16',
  'BF16',
  'Q8_0',
  'Q6_K',
  'Q5_K_M',
  'Q5_K_S',
  'Q5_1',
  'Q5_0',
  'Q4_K_S',
  'Q4_1',
  'Q4_0',
  'IQ4_NL',
  'IQ4_XS',
  'Q3_K_L',
  'Q3_K_M',
  'Q3_K_S',
  'Q2_K',
  'Q2_K_S',
]);
const planFields = ['token', 'signal', 'workerUrl', 'wasmUrl'];
const kMostThreads = 64;

/**
 * @param {unknown} model
 * @param {unknown} given
 * @param {string} base what relative URLs are relative to
 */
export function checkPlanOptions(model, given, base) {
  const options = knownOptions(given, new Set(planFields), 'Tessera.quantizePlan');
  return { request: requestOf(model, options, base), ...portsOf(options, base) };
}

/**
 * @param {unknown} model
 * @param {unknown} given
 * @param {string} base
 */
export function checkQuantizeOptions(model, given, base) {
  const known = new Set(['type', 'threads', 'importance', 'onProgress', ...planFields]);
  const options = knownOptions(given, known, 'Tessera.quantize');
  return { request: requestOf(model, options, base), ...portsOf(options, base), onProgress: progressOf(options) };
}

/**
 * @param {unknown} model
 * @param {import('./option-checks.js').Options} options
 * @param {string} base
 * @returns {QuantizeRequest}
 */
function requestOf(model, options, base) {
  return {
    model: sourceOf(model, 'model', base),
    type: oneOf(options, 'type', kQuantizeTypes),
    importance: options.importance === undefined ? null : sourceOf(options.importance, 'importance', base),
    threads: integer(options, 'threads', { from: 1, to: kMostThreads, otherwise: 0 }),
    token: bearerToken(options.token ?? '', 'token'),
    wasmUrl: urlOf(options, 'wasmUrl', base),
  };
}

/**
 * @param {import('./option-checks.js').Options} options
 * @param {string} base
 */
function portsOf(options, base) {
  return { signal: signalOf(options), workerUrl: urlOf(options, 'workerUrl', base) || undefined };
}

// Owns what a caller may ask for: the options of load and of completions, and their translation into requests to the worker.
// What is unknown or not supported is an error, never ignored.
import { TesseraError } from '../base/errors.js';
import {
  bearerToken,
  boolean,
  integer,
  invalid,
  kindOf,
  knownOptions,
  oneOf,
  progressOf,
  signalOf,
  text,
  textOr,
  urlOf,
} from './option-checks.js';
import { answerFormat } from './answer-format.js';
import { messagesOf } from './messages.js';
import { adaptersOf, sourceOf } from './sources.js';

/** @typedef {import('./protocol.js').LoadRequest} LoadRequest */
/** @typedef {import('./protocol.js').GenerateRequest} GenerateRequest */
/** @typedef {import('./option-checks.js').Options} Options */

/** As the command line's (core/cli/options.h), so that both give the same answers. What is not here has the core's defaults. */
const samplerDefaults = { temperature: 0.7, top_k: 40, top_p: 0.95, min_p: 0.05 };

/** Fields of SamplerOptions (core/sample/sampler.h) that are numbers; the core checks their ranges. */
const samplerNumbers = [
  'temperature',
  'top_k',
  'top_p',
  'min_p',
  'typical_p',
  'repeat_penalty',
  'frequency_penalty',
  'presence_penalty',
  'penalty_window',
];
const generateFields = [
  ...samplerNumbers,
  'seed',
  'logit_bias',
  'max_tokens',
  'stop',
  'logprobs',
  'prompt_lookup',
  'stream',
  'signal',
  'onProgress',
  'response_format',
  'tools',
];
const chatFields = new Set([...generateFields, 'messages', 'top_logprobs', 'chat_template']);
const promptFields = new Set([...generateFields, 'prompt']);
const estimateFields = new Set(['contextSize', 'kvType', 'token', 'signal', 'workerUrl', 'wasmUrl']);
const loadFields = new Set([
  'model',
  'threads',
  'lora',
  'chatTemplate',
  'variant',
  'kernels',
  'cache',
  'onProgress',
  ...estimateFields,
]);

/** Ids of one token's alternatives that may be asked for. */
const kMostAlternatives = 20;
const kMostThreads = 64;

/**
 * @param {unknown} given
 * @param {string} base
 * @returns {{ request: LoadRequest, signal?: AbortSignal, onProgress?: (progress: any) => void, workerUrl?: string | URL }}
 */
export function checkLoadOptions(given, base) {
  const options = knownOptions(given, loadFields, 'Tessera.load');
  const request = {
    ...modelOptions(options.model, options, base),
    lora: adaptersOf(options.lora ?? [], base),
    threads: integer(options, 'threads', { from: 1, to: kMostThreads, otherwise: 0 }),
    variant: oneOf(options, 'variant', /** @type {const} */ (['auto', 'relaxed', 'simd128'])),
    kernels: kernelsOf(options),
    cache: boolean(options, 'cache', true),
    chatTemplate: textOr(options, 'chatTemplate', ''),
  };
  return {
    request,
    signal: signalOf(options),
    onProgress: progressOf(options),
    workerUrl: urlOf(options, 'workerUrl', base) || undefined,
  };
}

/** @param {Options} options */
function kernelsOf(options) {
  const names = /** @type {const} */ (['auto', 'wasm_relaxed', 'wasm_relaxed_i32', 'wasm_simd128']);
  const kernels = oneOf(options, 'kernels', names);
  return kernels === 'auto' ? '' : kernels;
}

/**
 * @param {unknown} model
 * @param {unknown} given
 * @param {string} base
 */
export function checkEstimateOptions(model, given, base) {
  const options = knownOptions(given, estimateFields, 'Tessera.estimate');
  const workerUrl = urlOf(options, 'workerUrl', base) || undefined;
  return { request: modelOptions(model, options, base), signal: signalOf(options), workerUrl };
}

/**
 * @param {unknown} model
 * @param {Options} options
 * @param {string} base
 */
function modelOptions(model, options, base) {
  return {
    model: sourceOf(model, 'model', base),
    contextSize: integer(options, 'contextSize', { to: 0x7fffffff, otherwise: 0 }),
    kvType: oneOf(options, 'kvType', /** @type {const} */ (['auto', 'q16_8', 'f32', 'f16', 'q8_0'])),
    token: bearerToken(options.token ?? '', 'token'),
    wasmUrl: urlOf(options, 'wasmUrl', base),
  };
}

/**
 * @param {unknown} lora
 * @param {unknown} given
 * @param {string} base
 */
export function checkLoraOptions(lora, given, base) {
  const options = knownOptions(given, new Set(['cache', 'signal', 'onProgress']), 'setLora');
  return {
    request: { lora: adaptersOf(lora, base), cache: boolean(options, 'cache', true) },
    signal: signalOf(options),
    onProgress: progressOf(options),
  };
}

/**
 * @param {'chat' | 'prompt'} kind
 * @param {unknown} given
 * @returns {{ request: GenerateRequest, stream: boolean, signal?: AbortSignal, onProgress?: (progress: any) => void }}
 */
export function checkGenerateOptions(kind, given) {
  const options = knownOptions(
    given,
    kind === 'chat' ? chatFields : promptFields,
    kind === 'chat' ? 'chat.completions' : 'completions',
  );
  if (options.tools !== undefined)
    throw new TesseraError('unsupported', 'tools: calling tools is not supported yet', 'Leave it out.');
  const input =
    kind === 'chat'
      ? { messages: messagesOf(options.messages), chat_template: textOr(options, 'chat_template', '') }
      : { prompt: text(options.prompt, 'prompt') };
  const stop = typeof options.stop === 'string' ? [options.stop] : (options.stop ?? []);
  if (!Array.isArray(stop)) throw invalid('stop', stop, 'a string or an array of strings');
  const alternatives = alternativesOf(kind, options);
  const request = {
    ...input,
    max_tokens: integer(options, 'max_tokens', { otherwise: -1, to: 0x7fffffff }),
    stop: stop.map((value, index) => text(value, `stop[${index}]`)),
    logprobs: alternatives !== undefined,
    top_logprobs: alternatives ?? 0,
    prompt_lookup: boolean(options, 'prompt_lookup', true),
    ...answerFormat(options.response_format),
    sampler: samplerOf(options),
  };
  return {
    request,
    stream: boolean(options, 'stream', false),
    signal: signalOf(options),
    onProgress: progressOf(options),
  };
}

/**
 * How many alternatives a token comes with; undefined when no log-probabilities are asked for. Chat says it in two options,
 * completions (as OpenAI's older interface) in one number.
 * @param {'chat' | 'prompt'} kind
 * @param {Options} options
 */
function alternativesOf(kind, options) {
  const range = { to: kMostAlternatives, otherwise: 0 };
  if (kind === 'prompt') return options.logprobs === undefined ? undefined : integer(options, 'logprobs', range);
  const wanted = boolean(options, 'logprobs', false);
  if (!wanted && options.top_logprobs !== undefined)
    throw invalid('top_logprobs', options.top_logprobs, 'logprobs: true beside it');
  return wanted ? integer(options, 'top_logprobs', range) : undefined;
}

/** @param {Options} options */
function samplerOf(options) {
  /** @type {Record<string, unknown> & { seed: number }} */
  const sampler = { ...samplerDefaults, seed: integer(options, 'seed', { otherwise: randomSeed() }) };
  for (const field of samplerNumbers) {
    const value = options[field];
    if (value === undefined) continue;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw invalid(field, value, 'a number');
    sampler[field] = value;
  }
  if (options.logit_bias !== undefined) sampler.logit_bias = biasOf(options.logit_bias);
  return sampler;
}

/** Within 2^53, so that it can be given back as a number. */
function randomSeed() {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high >>> 11) * 2 ** 32 + low;
}

/**
 * @param {unknown} bias {token id: added value}, as OpenAI writes it
 * @returns {[number, number][]}
 */
function biasOf(bias) {
  if (kindOf(bias) !== 'Object') throw invalid('logit_bias', bias, 'an object {token id: number}');
  return Object.entries(/** @type {object} */ (bias)).map(([key, value]) => {
    if (!/^\d{1,9}$/.test(key)) throw invalid('logit_bias', key, 'token ids as keys');
    if (typeof value !== 'number' || !Number.isFinite(value)) throw invalid(`logit_bias[${key}]`, value, 'a number');
    return [Number(key), value];
  });
}

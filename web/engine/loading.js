// Owns the way from a model source to a warm engine inside the worker: open, start the module, load, warm up, describe.
import { TesseraError } from '../base/errors.js';
import { loadInParts } from './parts.js';
import { tuneHere } from './tuning.js';
import { chooseThreads, chooseVariant, currentDevice } from './variant.js';
import { kMostAdapterBytes, kMostModelBytes } from './wasm-memory.js';
import { WasmRuntime } from './wasm-runtime.js';

/** @typedef {import('./protocol.js').LoadRequest} LoadRequest */
/** @typedef {import('./protocol.js').LoadProgress} LoadProgress */
/** @typedef {import('./protocol.js').EngineInfo} EngineInfo */
/** @typedef {import('./wasm-border.js').SyncReader} SyncReader */
/** @typedef {import('./wasm-runtime.js').ModuleFactory} ModuleFactory */

/**
 * A model whose bytes can be read; `mark` is for the list of what is stored.
 * @typedef {{ name: string, parts: SyncReader[], close(): Promise<void>, mark(kind: 'model' | 'adapter'): Promise<void> }} OpenedModel
 */

/** @typedef {{ signal: AbortSignal, onProgress: (progress: LoadProgress) => void }} Watch */

/**
 * What loading needs from its surroundings.
 * @typedef {object} LoadPorts
 * @property {(source: string | File | File[], options: { cache: boolean, token?: string, mostBytes: number, kind?: 'adapter' } & Watch) => Promise<OpenedModel>} openModel
 * @property {(id: string) => Promise<unknown>} verifyModel
 * @property {(source: string | File | File[], enough: import('../store/header-bytes.js').Enough,
 *   options: { token?: string, signal: AbortSignal }) => Promise<import('../store/header-bytes.js').ModelHeaders>} readHeaders
 * @property {typeof import('../store/made-model.js').keepingBackend} keepingBackend
 * @property {typeof import('../store/made-model.js').storeMade} storeMade
 * @property {(variant: 'relaxed' | 'simd128', wasmUrl: string) => Promise<ModuleFactory>} importModule
 * @property {import('./tuning.js').Notes} notes
 */

const kProgressIntervalMs = 50;

export function abortedError() {
  return new TesseraError('aborted', 'The call was aborted.');
}

/**
 * @param {LoadRequest} request
 * @param {LoadPorts} ports
 * @param {Watch} watch
 * @returns {Promise<{ runtime: WasmRuntime, info: EngineInfo }>}
 */
export async function loadEngine(request, ports, { signal, onProgress }) {
  const device = currentDevice();
  const { variant, reason: variantReason } = chooseVariant(request.variant);
  const { threads, reason: threadReason } = chooseThreads(request.threads, device);
  const stop = new AbortController();
  signal.addEventListener('abort', () => stop.abort());
  // The module compiles while the model downloads; the first failure of the two is the answer.
  const starting = startModule(ports, variant, request.wasmUrl, async (factory) => {
    const startAnother = () => WasmRuntime.start(factory, threads);
    return { runtime: await startAnother(), startAnother };
  });
  const opening = ports.openModel(request.model, {
    cache: request.cache,
    token: request.token,
    mostBytes: kMostModelBytes,
    signal: stop.signal,
    onProgress,
  });
  try {
    const [{ runtime, startAnother }, model] = await Promise.all([starting, opening]);
    if (signal.aborted) throw abortedError();
    const { contextSize: context_size, kvType: kv_type, chatTemplate: chat_template } = request;
    const options = { threads, context_size, kv_type, chat_template };
    const report = inIntervals((done, total) => onProgress({ stage: 'load', loadedBytes: done, totalBytes: total }));
    const core = await loadInParts(runtime, startAnother, { files: model.parts, options, onProgress: report, signal });
    await model.mark('model');
    if (request.lora.length > 0) await setAdapters(runtime, request, ports, { signal, onProgress });
    onProgress({ stage: 'warmup', loadedBytes: 0, totalBytes: 0 });
    // More threads than processors wait for each other, so such a number is only the most that is tried.
    const tryThreads = threads > 1 && (request.threads === 0 || threads > device.processors);
    const usualThreads = Math.min(threads, device.processors);
    const wanted = { kernels: request.kernels, threads: tryThreads ? 0 : threads, usualThreads, streams: 0 };
    const subject = [variant, threads, core.quantization, core.parameters, globalThis.navigator?.userAgent].join(' ');
    Object.assign(core, await tuneHere(runtime, wanted, subject, request.cache ? ports.notes : undefined));
    const fallbackReason = [threadReason, variantReason].filter(Boolean).join(' ');
    const around = { name: core.name || model.name, variant, isolated: device.isolated, fallbackReason };
    return { runtime, info: describe(core, runtime.heapBytes, around) };
  } finally {
    stop.abort();
    const model = await opening.catch(() => undefined);
    await model?.close();
  }
}

/**
 * Puts LoRA adapters in place of those before; when one of them cannot be had or does not fit, everything stays as it was.
 * @param {WasmRuntime} runtime
 * @param {Pick<LoadRequest, 'lora' | 'cache'>} request
 * @param {LoadPorts} ports
 * @param {Watch} watch
 */
export async function setAdapters(runtime, { lora, cache }, ports, watch) {
  /** @type {(OpenedModel & { scale: number })[]} */
  const opened = [];
  try {
    for (const { source, scale, token } of lora) {
      const options = { cache, token, mostBytes: kMostAdapterBytes, kind: /** @type {const} */ ('adapter'), ...watch };
      const adapter = await ports.openModel(source, options);
      opened.push({ ...adapter, scale });
    }
    if (watch.signal.aborted) throw abortedError();
    runtime.setAdapters(opened);
    for (const adapter of opened) await adapter.mark('adapter');
  } finally {
    await Promise.all(opened.map((adapter) => adapter.close()));
  }
}

/**
 * @template Started
 * @param {Pick<LoadPorts, 'importModule'>} ports
 * @param {'relaxed' | 'simd128'} variant
 * @param {string} wasmUrl
 * @param {(factory: ModuleFactory) => Promise<Started>} start
 * @returns {Promise<Started>}
 */
export async function startModule(ports, variant, wasmUrl, start) {
  /** @type {ModuleFactory} */
  let factory;
  try {
    factory = await ports.importModule(variant, wasmUrl);
  } catch (cause) {
    const hint =
      'Serve tessera-core.{js,wasm} and tessera-kernels-*.wasm beside tessera-worker.js, or set wasmUrl to their folder; ' +
      "the page's Content-Security-Policy needs 'wasm-unsafe-eval'.";
    throw new TesseraError('network', `The engine's modules could not be loaded: ${cause}`, hint, cause);
  }
  try {
    return await start(factory);
  } catch (cause) {
    if (cause instanceof TesseraError) throw cause;
    const hint = 'Check that all of tessera-*.{js,wasm} are of one build.';
    throw new TesseraError('network', `The engine's modules did not start: ${cause}`, hint, cause);
  }
}

/**
 * Passes on what comes at most every kProgressIntervalMs, and the end.
 * @param {(done: number, total: number) => void} report
 */
export function inIntervals(report) {
  let next = 0;
  return (/** @type {number} */ done, /** @type {number} */ total) => {
    const now = performance.now();
    if (now < next && done < total) return;
    next = now + kProgressIntervalMs;
    report(done, total);
  };
}

/**
 * @param {Record<string, any>} core EngineInfo of core/engine/engine.h
 * @param {number} heap linear memory, bytes
 * @param {Pick<EngineInfo, 'name' | 'variant' | 'isolated' | 'fallbackReason'>} around
 * @returns {EngineInfo}
 */
function describe(core, heap, around) {
  return {
    ...around,
    architecture: core.architecture,
    quantization: core.quantization,
    parameters: core.parameters,
    contextSize: core.context_size,
    trainedContext: core.trained_context,
    vocabularySize: core.vocab_size,
    chatTemplate: core.has_chat_template,
    chatTemplateError: core.template_error,
    kvType: core.kv_type,
    threads: core.threads,
    kernels: core.kernels,
    streams: core.streams,
    tuned: core.tuned,
    addressBits: 32,
    parts: core.parts,
    loadMs: core.load_ms,
    memory: { weights: core.weight_bytes, kv: core.kv_bytes, heap },
  };
}

// Owns the engine in the WebAssembly module: its start and its calls.
import { WasmBorder } from './wasm-border.js';
import { createMemory, kBesideBytes } from './wasm-memory.js';
import { upstreamOf } from './upstream.js';

/** @typedef {import('./upstream.js').Upstream} Upstream */
/** @typedef {import('./wasm-memory.js').Granted} Granted */
/** @typedef {import('./protocol.js').GenerateRequest} GenerateRequest */
/** @typedef {import('./protocol.js').GenerateStep} GenerateStep */

/** @typedef {import('./wasm-border.js').SyncReader} SyncReader */

/**
 * The Embind class of wasm/bindings.cpp. WasmBorder opens the strings it returns.
 * @typedef {object} NativeRuntime
 * @property {(readers: object[], options: string, upstream: Upstream | null, onProgress: (done: number, total: number) => void) => string} load
 * @property {(readers: object[], options: string) => string} plan
 * @property {(count: number) => number} passTokens
 * @property {(position: number) => void} beginPass
 * @property {() => void} stepPass
 * @property {(count: number) => number} readPass
 * @property {(readers: object[], options: string) => string} estimate
 * @property {(adapters: { readers: object[], scale: number }[]) => string} loadAdapters
 * @property {() => string} useAdapters
 * @property {() => string} warmup
 * @property {(kernels: string, threads: number, streams: number) => string} tune
 * @property {(text: string, special: boolean, bos: boolean) => string} tokenize
 * @property {(ids: string) => string} detokenize
 * @property {(request: string) => string} start
 * @property {(milliseconds: number) => string} steps
 * @property {() => void} stop
 * @property {(ids: string, top: number) => string} logits
 * @property {(options: string) => string} bench
 * @property {() => void} delete
 */

/** @typedef {{ threads: number, context_size: number, kv_type: string, chat_template?: string }} LoadOptions */

/**
 * Layers that go into one memory, as core/engine/parts.h cuts a model.
 * @typedef {{ first_layer: number, end_layer: number, read_bytes: number }} Part
 */

/**
 * Starts a module: the factory that Emscripten exports from tessera-core.js, with the compiled modules (module-files.js).
 * @typedef {(module: Record<string, unknown>) => Promise<{
 *   Runtime: new () => NativeRuntime,
 *   Quantization: new () => import('./wasm-quantizer.js').NativeQuantization,
 * }>} ModuleFactory
 */

/**
 * Starts the module with `threads - 1` workers in its pool.
 * @param {ModuleFactory} factory
 * @param {number} threads
 * @param {WebAssembly.Memory} memory
 */
export function startFactory(factory, threads, memory) {
  return factory({ wasmMemory: memory, poolSize: threads - 1, print: () => {}, printErr: () => {} });
}

/**
 * One instance of the module with at most one model in it, or its last layers and the instances that have the others. Not reusable after a
 * trap: `dead` says so.
 */
export class WasmRuntime {
  /** @type {NativeRuntime} */
  #native;
  #border;
  #granted;
  /** With the layers before those of this one. @type {WasmRuntime | undefined} */
  #before;

  /**
   * @param {NativeRuntime} native
   * @param {Granted} granted
   */
  constructor(native, granted) {
    this.#native = native;
    this.#granted = granted;
    this.#border = new WasmBorder(granted.memory, 'Load the model again with a smaller contextSize.');
  }

  /**
   * @param {ModuleFactory} factory
   * @param {number} threads
   * @param {Granted} [granted]
   * @returns {Promise<WasmRuntime>}
   */
  static async start(factory, threads, granted = createMemory()) {
    const module = await startFactory(factory, threads, granted.memory);
    return new WasmRuntime(new module.Runtime(), granted);
  }

  /** The error that ended the module, if one did. */
  get dead() {
    return this.#border.dead;
  }

  /** Linear memory in use, bytes. @type {number} */
  get heapBytes() {
    return this.#border.heapBytes + (this.#before?.heapBytes ?? 0);
  }

  /**
   * Fails with out_of_memory, before anything is read, if the memory does not hold it; then plan() says how to go on.
   * @param {SyncReader[]} files
   * @param {LoadOptions & Partial<Part>} options with a Part: only its layers
   * @param {(done: number, total: number) => void} onProgress
   * @param {WasmRuntime} [before] has the layers before those; from now on it goes with this one, also if this fails
   * @returns {Record<string, any>} the core's EngineInfo
   */
  load(files, options, onProgress, before) {
    const upstream = before ? upstreamOf(before.#native, before.#granted.memory, this.#granted.memory) : null;
    const json = this.#optionsJson(options);
    this.#before = before;
    return this.#border.call((readers) => this.#native.load(readers(files), json, upstream, onProgress));
  }

  /** @param {object} options */
  #optionsJson(options) {
    return JSON.stringify({ ...options, most_bytes: this.#granted.maximum - kBesideBytes });
  }

  /**
   * How to cut a model that one memory does not hold.
   * @param {SyncReader[]} files
   * @param {LoadOptions} options
   * @returns {Part[]}
   */
  plan(files, options) {
    return this.#border.call((readers) => this.#native.plan(readers(files), this.#optionsJson(options)));
  }

  /**
   * What loading will take; the files need to hold only their headers.
   * @param {SyncReader[]} files
   * @param {{ context_size: number, kv_type: string }} options
   * @returns {Record<string, any>} the core's Estimate
   */
  estimate(files, options) {
    return this.#border.call((readers) => this.#native.estimate(readers(files), this.#optionsJson(options)));
  }

  /**
   * From now on these adapters are part of the model, and no others. After a failure everything is as it was.
   * @param {{ parts: SyncReader[], scale: number }[]} adapters
   */
  setAdapters(adapters) {
    for (const each of this.#chain()) {
      each.#border.call((readers) =>
        each.#native.loadAdapters(adapters.map(({ parts, scale }) => ({ readers: readers(parts), scale }))),
      );
    }
    for (const each of this.#chain()) each.#border.call(() => each.#native.useAdapters());
  }

  /** This instance and those before it. @returns {WasmRuntime[]} */
  #chain() {
    return this.#before === undefined ? [this] : [this, ...this.#before.#chain()];
  }

  /** Runs the model a little, so that the browser has compiled it well before the first question. */
  warmup() {
    this.#border.call(() => this.#native.warmup());
  }

  /**
   * Sets what is given and tries out the rest; returns what is in use.
   * @param {import('./tuning.js').Settings} settings
   * @returns {import('./tuning.js').Settings}
   */
  tune({ kernels, threads, streams }) {
    const settings = this.#border.call(() => this.#native.tune(kernels, threads, streams));
    this.#before?.tune(settings);
    return settings;
  }

  /** @returns {number[]} */
  tokenize(/** @type {string} */ text, /** @type {boolean} */ special, /** @type {boolean} */ bos) {
    return this.#border.call(() => this.#native.tokenize(text, special, bos));
  }

  /** @returns {string} */
  detokenize(/** @type {number[]} */ ids) {
    return this.#border.call(() => this.#native.detokenize(JSON.stringify(ids)));
  }

  /** Begins an answer; steps() go on with it. */
  startAnswer(/** @type {GenerateRequest} */ request) {
    this.#border.call(() => this.#native.start(JSON.stringify(request)));
  }

  /**
   * Tokens until `milliseconds` are over, or another step.
   * @param {number} milliseconds
   * @returns {GenerateStep[]}
   */
  steps(milliseconds) {
    return this.#border.call(() => this.#native.steps(milliseconds));
  }

  /** Drops the answer in progress, if any; the session stays consistent. */
  stopAnswer() {
    if (!this.dead) this.#native.stop();
  }

  /** @returns {{ hash: string, top: [number, number][][] }} */
  logits(/** @type {number[]} */ ids, /** @type {number} */ top) {
    return this.#border.call(() => this.#native.logits(JSON.stringify(ids), top));
  }

  /** @returns {Record<string, any>} */
  bench(/** @type {Record<string, number>} */ options) {
    return this.#border.call(() => this.#native.bench(JSON.stringify(options)));
  }

  /** Frees the model and ends its threads. */
  dispose() {
    if (this.dead) return;
    for (const each of this.#chain()) each.#native.delete();
  }
}

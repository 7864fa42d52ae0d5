// Owns the engine in the WebAssembly module: its memory, its start and its calls.
import { TesseraError } from '../base/errors.js';
import { WasmBorder } from './wasm-border.js';

/** @typedef {import('./protocol.js').GenerateRequest} GenerateRequest */
/** @typedef {import('./protocol.js').GenerateStep} GenerateStep */

/** @typedef {import('./wasm-border.js').SyncReader} SyncReader */

/**
 * The Embind class of wasm/bindings.cpp. WasmBorder opens the strings it returns.
 * @typedef {object} NativeRuntime
 * @property {(readers: object[], options: string, onProgress: (done: number, total: number) => void) => string} load
 * @property {(readers: object[], options: string) => string} estimate
 * @property {(adapters: { readers: object[], scale: number }[]) => string} setAdapters
 * @property {() => string} warmup
 * @property {(kernels: string, threads: number) => string} tune
 * @property {(text: string, special: boolean, bos: boolean) => string} tokenize
 * @property {(ids: string) => string} detokenize
 * @property {(request: string) => string} start
 * @property {() => string} step
 * @property {() => void} stop
 * @property {(ids: string, top: number) => string} logits
 * @property {(options: string) => string} bench
 * @property {() => void} delete
 */

/**
 * Starts a module: the factory that Emscripten exports from tessera-core.js, with the compiled modules (module-files.js).
 * @typedef {(module: Record<string, unknown>) => Promise<{
 *   Runtime: new () => NativeRuntime,
 *   Quantization: new () => import('./wasm-quantizer.js').NativeQuantization,
 * }>} ModuleFactory
 */

const kPageBytes = 65536;
/** As INITIAL_MEMORY in wasm/CMakeLists.txt. */
const kInitialBytes = 16 << 20;
/** Some browsers refuse to reserve much address space, so ask for less and less. */
const kMaximumBytes = [4 * 2 ** 30, 2 * 2 ** 30, 2 ** 30, 512 * 2 ** 20];

/** Weights that leave a 32-bit memory no room for all else are refused before they are downloaded. */
export const kMostModelBytes = kMaximumBytes[0] - (64 << 20);

/**
 * A shared memory with the highest maximum that the browser grants.
 * @param {(descriptor: WebAssembly.MemoryDescriptor) => WebAssembly.Memory} [create] for tests
 * @returns {WebAssembly.Memory}
 */
export function createMemory(create = (descriptor) => new WebAssembly.Memory(descriptor)) {
  let refusal;
  for (const maximum of kMaximumBytes) {
    try {
      return create({ initial: kInitialBytes / kPageBytes, maximum: maximum / kPageBytes, shared: true });
    } catch (error) {
      refusal = error;
    }
  }
  throw new TesseraError(
    'out_of_memory',
    'The browser refuses even 512 MiB of memory.',
    'Close other tabs and try again.',
    refusal,
  );
}

/**
 * Starts the module with `threads - 1` workers in its pool.
 * @param {ModuleFactory} factory
 * @param {number} threads
 * @param {WebAssembly.Memory} memory
 */
export function startFactory(factory, threads, memory) {
  return factory({ wasmMemory: memory, poolSize: threads - 1, print: () => {}, printErr: () => {} });
}

/** One instance of the module with at most one model in it. Not reusable after a trap: `dead` says so. */
export class WasmRuntime {
  /** @type {NativeRuntime} */
  #native;
  #border;

  /**
   * @param {NativeRuntime} native
   * @param {WebAssembly.Memory} memory
   */
  constructor(native, memory) {
    this.#native = native;
    this.#border = new WasmBorder(memory);
  }

  /**
   * @param {ModuleFactory} factory
   * @param {number} threads
   * @param {WebAssembly.Memory} [memory]
   * @returns {Promise<WasmRuntime>}
   */
  static async start(factory, threads, memory = createMemory()) {
    const module = await startFactory(factory, threads, memory);
    return new WasmRuntime(new module.Runtime(), memory);
  }

  /** The error that ended the module, if one did. */
  get dead() {
    return this.#border.dead;
  }

  /** Linear memory in use, bytes. */
  get heapBytes() {
    return this.#border.heapBytes;
  }

  /**
   * @param {SyncReader[]} parts
   * @param {{ threads: number, context_size: number, kv_type: string, chat_template?: string }} options
   * @param {(done: number, total: number) => void} onProgress
   * @returns {Record<string, any>} the core's EngineInfo
   */
  load(parts, options, onProgress) {
    return this.#border.call((readers) => this.#native.load(readers(parts), JSON.stringify(options), onProgress));
  }

  /**
   * What loading will take; the parts need to hold only their headers.
   * @param {SyncReader[]} parts
   * @param {{ context_size: number, kv_type: string }} options
   * @returns {Record<string, any>} the core's Estimate
   */
  estimate(parts, options) {
    return this.#border.call((readers) => this.#native.estimate(readers(parts), JSON.stringify(options)));
  }

  /** From now on these adapters are part of the model, and no others. @param {{ parts: SyncReader[], scale: number }[]} adapters */
  setAdapters(adapters) {
    this.#border.call((readers) =>
      this.#native.setAdapters(adapters.map(({ parts, scale }) => ({ readers: readers(parts), scale }))),
    );
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
  tune({ kernels, threads }) {
    return this.#border.call(() => this.#native.tune(kernels, threads));
  }

  /** @returns {number[]} */
  tokenize(/** @type {string} */ text, /** @type {boolean} */ special, /** @type {boolean} */ bos) {
    return this.#border.call(() => this.#native.tokenize(text, special, bos));
  }

  /** @returns {string} */
  detokenize(/** @type {number[]} */ ids) {
    return this.#border.call(() => this.#native.detokenize(JSON.stringify(ids)));
  }

  /** Begins an answer; step() goes on with it. */
  startAnswer(/** @type {GenerateRequest} */ request) {
    this.#border.call(() => this.#native.start(JSON.stringify(request)));
  }

  /** @returns {GenerateStep} */
  step() {
    return this.#border.call(() => this.#native.step());
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
    if (!this.dead) this.#native.delete();
  }
}

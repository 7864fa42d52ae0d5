// Owns the border to the WebAssembly module: its memory, its start, its JSON answers and its death.
import { TesseraError } from '../base/errors.js';

/** @typedef {import('./protocol.js').GenerateRequest} GenerateRequest */
/** @typedef {import('./protocol.js').GenerateStep} GenerateStep */

/**
 * Synchronous, random-access bytes of one file; read() throws when they cannot be had. `target` may lie in shared memory.
 * @typedef {{ size: number, read(target: Uint8Array, offset: number): void }} SyncReader
 */

/**
 * The Embind class of wasm/bindings.cpp. Every string it returns is {"value": …} or {"error": {code, message, hint}}.
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
 * @typedef {(module: Record<string, unknown>) => Promise<{ Runtime: new () => NativeRuntime }>} ModuleFactory
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

/** One instance of the module with at most one model in it. Not reusable after a trap: `dead` says so. */
export class WasmRuntime {
  /** @type {NativeRuntime} */
  #native;
  #memory;
  /** The error that ended the module, if one did. @type {TesseraError | undefined} */
  dead;

  /**
   * @param {NativeRuntime} native
   * @param {WebAssembly.Memory} memory
   */
  constructor(native, memory) {
    this.#native = native;
    this.#memory = memory;
  }

  /**
   * Starts the module with `threads - 1` workers in its pool.
   * @param {ModuleFactory} factory
   * @param {number} threads
   * @param {WebAssembly.Memory} [memory]
   * @returns {Promise<WasmRuntime>}
   */
  static async start(factory, threads, memory = createMemory()) {
    const module = await factory({ wasmMemory: memory, poolSize: threads - 1, print: () => {}, printErr: () => {} });
    return new WasmRuntime(new module.Runtime(), memory);
  }

  /** Linear memory in use, bytes. */
  get heapBytes() {
    return this.#memory.buffer.byteLength;
  }

  /**
   * @param {SyncReader[]} parts
   * @param {{ threads: number, context_size: number, kv_type: string, chat_template?: string }} options
   * @param {(done: number, total: number) => void} onProgress
   * @returns {Record<string, any>} the core's EngineInfo
   */
  load(parts, options, onProgress) {
    return this.#call((readers) => this.#native.load(readers(parts), JSON.stringify(options), onProgress));
  }

  /**
   * What loading will take; the parts need to hold only their headers.
   * @param {SyncReader[]} parts
   * @param {{ context_size: number, kv_type: string }} options
   * @returns {Record<string, any>} the core's Estimate
   */
  estimate(parts, options) {
    return this.#call((readers) => this.#native.estimate(readers(parts), JSON.stringify(options)));
  }

  /** From now on these adapters are part of the model, and no others. @param {{ parts: SyncReader[], scale: number }[]} adapters */
  setAdapters(adapters) {
    this.#call((readers) =>
      this.#native.setAdapters(adapters.map(({ parts, scale }) => ({ readers: readers(parts), scale }))),
    );
  }

  /** Runs the model a little, so that the browser has compiled it well before the first question. */
  warmup() {
    this.#call(() => this.#native.warmup());
  }

  /**
   * Sets what is given and tries out the rest; returns what is in use.
   * @param {import('./tuning.js').Settings} settings
   * @returns {import('./tuning.js').Settings}
   */
  tune({ kernels, threads }) {
    return this.#call(() => this.#native.tune(kernels, threads));
  }

  /** @returns {number[]} */
  tokenize(/** @type {string} */ text, /** @type {boolean} */ special, /** @type {boolean} */ bos) {
    return this.#call(() => this.#native.tokenize(text, special, bos));
  }

  /** @returns {string} */
  detokenize(/** @type {number[]} */ ids) {
    return this.#call(() => this.#native.detokenize(JSON.stringify(ids)));
  }

  /** Begins an answer; step() goes on with it. */
  startAnswer(/** @type {GenerateRequest} */ request) {
    this.#call(() => this.#native.start(JSON.stringify(request)));
  }

  /** @returns {GenerateStep} */
  step() {
    return this.#call(() => this.#native.step());
  }

  /** Drops the answer in progress, if any; the session stays consistent. */
  stopAnswer() {
    if (!this.dead) this.#native.stop();
  }

  /** @returns {{ hash: string, top: [number, number][][] }} */
  logits(/** @type {number[]} */ ids, /** @type {number} */ top) {
    return this.#call(() => this.#native.logits(JSON.stringify(ids), top));
  }

  /** @returns {Record<string, any>} */
  bench(/** @type {Record<string, number>} */ options) {
    return this.#call(() => this.#native.bench(JSON.stringify(options)));
  }

  /** Frees the model and ends its threads. */
  dispose() {
    if (!this.dead) this.#native.delete();
  }

  /**
   * Runs one native call and opens its answer. Whatever the module throws is a trap: its memory can no longer be trusted.
   * @param {(readers: (parts: SyncReader[]) => object[]) => string} run gets what makes files readable for the module
   * @returns {any}
   */
  #call(run) {
    if (this.dead) throw this.dead;
    /** The JavaScript error underneath a native one. @type {unknown} */
    let cause;
    const readers = (/** @type {SyncReader[]} */ parts) =>
      parts.map((part) => ({
        size: part.size,
        /** Fills heap bytes; '' or what went wrong, because an exception must not cross the module's frames. */
        readInto: (/** @type {number} */ address, /** @type {number} */ length, /** @type {number} */ offset) => {
          try {
            part.read(new Uint8Array(this.#memory.buffer, address, length), offset);
            return '';
          } catch (error) {
            cause = error;
            return error instanceof Error ? error.message : String(error);
          }
        },
      }));
    let answer;
    try {
      answer = run(readers);
    } catch (error) {
      this.dead = trapError(error);
      throw this.dead;
    }
    const { value, error } = JSON.parse(answer || '{}');
    if (!error) return value;
    if (cause instanceof TesseraError) throw cause;
    throw new TesseraError(error.code, error.message, error.hint, cause);
  }
}

/** @param {unknown} error */
function trapError(error) {
  const message = error instanceof Error ? error.message : String(error);
  if (/out of memory|OOM|bad_alloc|operator new/i.test(message)) {
    const hint = 'Load the model again with a smaller contextSize.';
    return new TesseraError('out_of_memory', 'The engine ran out of memory.', hint, error);
  }
  const hint = 'Load the model again; if this repeats, please report it.';
  return new TesseraError('internal', `The engine stopped: ${message}`, hint, error);
}

// Owns the border to the WebAssembly module: the files it reads, the bytes it gives, its JSON answers and its death.
import { TesseraError } from '../base/errors.js';

/**
 * Synchronous, random-access bytes of one file; read() throws when they cannot be had. `target` may lie in shared memory.
 * @typedef {{ size: number, read(target: Uint8Array, offset: number): void }} SyncReader
 */

/** Calls into one instance of the module, whose answers are {"value": …} or {"error": {code, message, hint}}. */
export class WasmBorder {
  #memory;
  #lessMemory;
  /** The JavaScript error underneath a native one; the module may keep readers for later calls. @type {unknown} */
  #cause;
  /** The error that ended the module, if one did. @type {TesseraError | undefined} */
  dead;

  /**
   * @param {WebAssembly.Memory} memory
   * @param {string} lessMemory what to do when the module has run out of it
   */
  constructor(memory, lessMemory) {
    this.#memory = memory;
    this.#lessMemory = lessMemory;
  }

  /** Linear memory in use, bytes. */
  get heapBytes() {
    return this.#memory.buffer.byteLength;
  }

  /**
   * Runs one native call and opens its answer. Whatever the module throws is a trap: its memory can no longer be trusted.
   * @param {(readers: (parts: SyncReader[]) => object[], sink: (take: (bytes: Uint8Array) => void) => object) => string} run gets what
   *   makes files readable for the module, and what lets it give bytes away; `take` must copy them
   * @returns {any}
   */
  call(run) {
    if (this.dead) throw this.dead;
    this.#cause = undefined;
    /** Runs what the module calls; '' or what went wrong, because an exception must not cross the module's frames. */
    const guarded = (/** @type {() => void} */ action) => {
      try {
        action();
        return '';
      } catch (error) {
        this.#cause = error;
        return error instanceof Error ? error.message : String(error);
      }
    };
    /** @returns {Uint8Array} bytes of the heap as it is now */
    const heap = (/** @type {number} */ address, /** @type {number} */ length) =>
      new Uint8Array(this.#memory.buffer, address, length);
    const readers = (/** @type {SyncReader[]} */ parts) =>
      parts.map((part) => ({
        size: part.size,
        readInto: (/** @type {number} */ address, /** @type {number} */ length, /** @type {number} */ offset) =>
          guarded(() => part.read(heap(address, length), offset)),
      }));
    const sink = (/** @type {(bytes: Uint8Array) => void} */ take) => ({
      write: (/** @type {number} */ address, /** @type {number} */ length) =>
        guarded(() => take(heap(address, length))),
    });
    let answer;
    try {
      answer = run(readers, sink);
    } catch (error) {
      this.dead = trapError(error, this.#lessMemory);
      throw this.dead;
    }
    const { value, error } = JSON.parse(answer || '{}');
    if (!error) return value;
    if (this.#cause instanceof TesseraError) throw this.#cause;
    throw new TesseraError(error.code, error.message, error.hint, this.#cause);
  }
}

/**
 * @param {unknown} error
 * @param {string} lessMemory
 */
function trapError(error, lessMemory) {
  const message = error instanceof Error ? error.message : String(error);
  if (/out of memory|OOM|bad_alloc|operator new/i.test(message)) {
    return new TesseraError('out_of_memory', 'The engine ran out of memory.', lessMemory, error);
  }
  const hint = 'Load the model again; if this repeats, please report it.';
  return new TesseraError('internal', `The engine stopped: ${message}`, hint, error);
}

// Owns the quantiser in the WebAssembly module: its start and its calls.
import { WasmBorder } from './wasm-border.js';
import { createMemory } from './wasm-memory.js';
import { startFactory } from './wasm-runtime.js';

/** @typedef {import('./wasm-border.js').SyncReader} SyncReader */

/**
 * The Embind class of wasm/quantization.cpp. WasmBorder opens the strings it returns.
 * @typedef {object} NativeQuantization
 * @property {(readers: object[]) => string} sizes
 * @property {(readers: object[], type: string, threads: number, importance: object[], importanceName: string) => string} open
 * @property {(sink: object) => string} step
 */

/** One instance of the module with at most one model on its way into another type. */
export class WasmQuantizer {
  /** @type {NativeQuantization} */
  #native;
  #border;

  /**
   * @param {NativeQuantization} native
   * @param {WebAssembly.Memory} memory
   */
  constructor(native, memory) {
    this.#native = native;
    this.#border = new WasmBorder(memory, 'Close other tabs and programs and try again, with one thread.');
  }

  /**
   * @param {import('./wasm-runtime.js').ModuleFactory} factory
   * @param {number} threads
   * @returns {Promise<WasmQuantizer>}
   */
  static async start(factory, threads) {
    const { memory } = createMemory();
    const module = await startFactory(factory, threads, memory);
    return new WasmQuantizer(new module.Quantization(), memory);
  }

  /**
   * @param {SyncReader[]} parts may hold only their headers
   * @returns {{ format: string, parameters: number, types: Record<string, number> }} bytes of a file of each type
   */
  sizes(parts) {
    return this.#border.call((readers) => this.#native.sizes(readers(parts)));
  }

  /**
   * Plans the work; step() does it.
   * @param {SyncReader[]} parts
   * @param {string} type
   * @param {number} threads
   * @param {{ parts: SyncReader[], name: string }} importance no part, or an importance file and its name
   * @returns {Record<string, any>} the core's QuantizeReport of what will be written
   */
  open(parts, type, threads, { parts: importance, name }) {
    return this.#border.call((readers) => this.#native.open(readers(parts), type, threads, readers(importance), name));
  }

  /**
   * @param {(bytes: Uint8Array) => void} take the next bytes of the output, at most some megabytes; they must be copied
   * @returns {{ done: number, total: number, more: boolean }} bytes of the input
   */
  step(take) {
    return this.#border.call((_, sink) => this.#native.step(sink(take)));
  }
}

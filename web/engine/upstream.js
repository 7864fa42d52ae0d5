// Owns the way of a batch from one instance of the module, which has the first layers of a model, to the one with those that follow.

/**
 * The layers before those of a module, as wasm/js_upstream.h knows them: addresses in the memory of that module, counts of tokens and floats.
 * @typedef {object} Upstream
 * @property {(position: number, address: number, count: number) => void} begin
 * @property {() => void} step
 * @property {(address: number, count: number) => void} read
 */

/**
 * @param {import('./wasm-runtime.js').NativeRuntime} native with the first layers
 * @param {WebAssembly.Memory} own its memory
 * @param {WebAssembly.Memory} next of the instance with the layers that follow, in whose calls these run: a trap ends both
 * @returns {Upstream}
 */
export function upstreamOf(native, own, next) {
  // The buffers are taken anew each time: a memory that has grown has another.
  const words = (
    /** @type {WebAssembly.Memory} */ memory,
    /** @type {number} */ address,
    /** @type {number} */ count,
  ) => new Uint32Array(memory.buffer, address, count);
  return {
    begin(position, address, count) {
      const place = native.passTokens(count);
      words(own, place, count).set(words(next, address, count));
      native.beginPass(position);
    },
    step: () => native.stepPass(),
    read(address, count) {
      const place = native.readPass(count);
      words(next, address, count).set(words(own, place, count));
    },
  };
}

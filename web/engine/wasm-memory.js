// Owns the WebAssembly memories: how large they may become, and what of that a model may take.
import { TesseraError } from '../base/errors.js';

const kPageBytes = 65536;
/** As INITIAL_MEMORY in wasm/CMakeLists.txt. */
const kInitialBytes = 16 << 20;
/** Some browsers refuse to reserve much address space, so ask for less and less. */
const kMaximumBytes = [4 * 2 ** 30, 2 * 2 ** 30, 2 ** 30, 512 * 2 ** 20];

/** Of a memory, for the vocabulary, the program and loading. */
export const kBesideBytes = 64 << 20;
/** As in core/engine/parts.h. */
const kMostParts = 8;

/** Files that leave no room for all else are refused before they are downloaded. An adapter goes into each of the memories. */
export const kMostAdapterBytes = kMaximumBytes[0] - kBesideBytes;
export const kMostModelBytes = kMostParts * kMostAdapterBytes;

/**
 * A memory and the bytes to which it may grow.
 * @typedef {{ memory: WebAssembly.Memory, maximum: number }} Granted
 */

/**
 * A shared memory with the highest maximum that the browser grants.
 * @param {(descriptor: WebAssembly.MemoryDescriptor) => WebAssembly.Memory} [create] for tests
 * @returns {Granted}
 */
export function createMemory(create = (descriptor) => new WebAssembly.Memory(descriptor)) {
  let refusal;
  for (const maximum of kMaximumBytes) {
    try {
      const memory = create({ initial: kInitialBytes / kPageBytes, maximum: maximum / kPageBytes, shared: true });
      return { memory, maximum };
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

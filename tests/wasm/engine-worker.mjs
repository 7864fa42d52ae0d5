// Owns the engine worker of the node tests: the real host over worker_threads, with files of this machine instead of the model store.
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { EngineHost } from '../../web/engine/host.js';
import { readHeaders } from '../../web/store/header-bytes.js';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import { importModule } from '../../web/engine/module-files.js';
import { compileFile, openFile, writeCopy } from './model-file.mjs';

// Node 20 has no navigator, which tells how many processors there are.
globalThis.navigator ??= /** @type {any} */ ({ hardwareConcurrency: availableParallelism() });

const { Memory } = WebAssembly;
if (workerData.grantedBytes) {
  WebAssembly.Memory = /** @type {any} */ (
    function (/** @type {WebAssembly.MemoryDescriptor} */ descriptor) {
      if (Number(descriptor.maximum) * 65536 > workerData.grantedBytes) throw new RangeError('too much');
      return new Memory(descriptor);
    }
  );
  WebAssembly.Memory.prototype = Memory.prototype;
}

/** @type {Map<string, string>} */
const notes = new Map();
const host = new EngineHost({
  notes: { read: async (key) => notes.get(key), write: async (key, text) => void notes.set(key, text) },
  post: (message) => parentPort?.postMessage(message),
  // node's message ports let their own messages pass before those of other ports.
  nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
  openModel: async (source) => openFile(fileURLToPath(String(source)), workerData),
  readHeaders: (source, enough, options) =>
    readHeaders(source, enough, options, { network: { retries: 2, backoffMs: 5 } }),
  keepingBackend: async () => createMemoryBackend(),
  storeMade: (model, produce) => writeCopy(workerData.copy, model.bytes, produce),
  verifyModel: () => Promise.reject(new Error('there is no model store here')),
  importModule: (variant, wasmUrl) => importModule(variant, wasmUrl, compileFile),
});
parentPort?.on('message', (message) => host.receive(message));

// Owns the engine worker's entry: joins the engine host to this worker's message port, the model store and the module files.
import { readHeaders } from '../store/header-bytes.js';
import { serveLane } from '../store/lane-worker.js';
import { keepingBackend, storeMade } from '../store/made-model.js';
import { openModel } from '../store/open-model.js';
import { verify } from '../store/verify-model.js';
import { EngineHost } from './host.js';
import { importModule } from './module-files.js';
import { ThreadOrders } from './threads.js';
import { cachedNotes } from './tuning.js';
import { TesseraError } from '../base/errors.js';

/**
 * The worker's own global, as far as it is used.
 * @type {{ postMessage(message: unknown, options?: { transfer?: Transferable[] }): void, addEventListener(type: string, listener: (event: any) => void): void }}
 */
const scope = globalThis;

// A message channel and no timer: those are held to 4 ms.
const turns = new MessageChannel();
/** @type {(() => void)[]} */
const waiting = [];
turns.port1.onmessage = () => waiting.shift()?.();

// The module's glue takes this for the global Worker.
const threads = new ThreadOrders((order, transfer) => scope.postMessage(order, { transfer }));
Object.assign(globalThis, { Worker: threads.workerClass() });

const host = new EngineHost({
  post: (message) => scope.postMessage(message),
  nextTurn: () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      turns.port2.postMessage(null);
    }),
  // A second one of these workers takes half of a download: no other file of the site would be kept for it, or found by a bundler.
  openModel: (source, options) => openModel(source, options, { startLane: () => threads.startLane(location.href) }),
  readHeaders,
  keepingBackend,
  storeMade,
  notes: cachedNotes(),
  verifyModel: (id) => verify(id),
  importModule: (variant, wasmUrl) => importModule(variant, wasmUrl || import.meta.url),
});

/** @param {unknown} error */
const die = (error) => scope.postMessage({ type: 'fatal', error: TesseraError.from(error).toPlain() });

scope.addEventListener('message', ({ data }) => {
  if (data?.type === 'thread') threads.receive(data);
  else if (data?.type === 'lane') serveLane(data.port);
  else host.receive(data);
});
// A failing thread of the module surfaces here, not in any call.
scope.addEventListener('error', (event) => die(event.error ?? event.message));
scope.addEventListener('unhandledrejection', (event) => die(event.reason));

// Owns the workers of the module's threads and the one that takes half of a download, on both sides. The page makes them and passes the
// threads' messages on, because `new Worker` inside a worker never returns about once in 150 times in Firefox (ESR 153), and is missing
// in older Safaris.
import { TesseraError } from '../base/errors.js';

/** @typedef {import('./protocol.js').ThreadOrder} ThreadOrder */
/** @typedef {import('./protocol.js').ThreadMessage} ThreadMessage */

/** The part of Worker that the page uses; tests bring another. @typedef {import('./connection.js').WorkerLike} WorkerLike */

/** Engine worker's side: orders go out with `post`, messages of threads come in. */
export class ThreadOrders {
  #post;
  /** @type {Map<number, (message: unknown) => void>} */
  #receivers = new Map();

  /** @param {(order: ThreadOrder, transfer?: Transferable[]) => void} post */
  constructor(post) {
    this.#post = post;
  }

  /**
   * A stand-in for the global Worker, as far as Emscripten's glue uses one.
   * @returns {new (url: string | URL, options: WorkerOptions) => object}
   */
  workerClass() {
    const post = this.#post;
    const receivers = this.#receivers;
    return class {
      #thread = receivers.size + 1;
      /** @type {(event: { data: unknown }) => void} */
      onmessage = () => {};

      constructor(/** @type {string | URL} */ url, /** @type {WorkerOptions} */ { name } = {}) {
        receivers.set(this.#thread, (data) => this.onmessage({ data }));
        post({ type: 'thread', thread: this.#thread, action: 'start', url: String(url), name: name ?? '' });
      }
      postMessage(/** @type {unknown} */ message) {
        post({ type: 'thread', thread: this.#thread, action: 'post', message });
      }
      terminate() {
        post({ type: 'thread', thread: this.#thread, action: 'end' });
      }
    };
  }

  /**
   * What comes through the port goes straight to the worker, whatever the page is doing. If the worker cannot be made nobody answers.
   * @param {string} url of the engine worker's script
   * @returns {import('../store/second-lane.js').LaneWorker}
   */
  startLane(url) {
    const thread = this.#receivers.size + 1;
    this.#receivers.set(thread, () => {});
    const { port1, port2 } = new MessageChannel();
    this.#post({ type: 'thread', thread, action: 'start', url, name: 'lane', port: port2 }, [port2]);
    return { port: port1, end: () => this.#post({ type: 'thread', thread, action: 'end' }) };
  }

  /** @param {ThreadMessage} message */
  receive({ thread, message }) {
    this.#receivers.get(thread)?.(message);
  }
}

/** Page's side: one set for each engine worker. */
export class ThreadWorkers {
  #makeWorker;
  #reply;
  #fail;
  /** @type {Map<number, WorkerLike>} */
  #workers = new Map();

  /**
   * @param {(url: string, name: string) => WorkerLike} makeWorker
   * @param {(message: ThreadMessage) => void} reply to the engine worker
   * @param {(error: TesseraError) => void} fail a thread broke, and with it the engine
   */
  constructor(makeWorker, reply, fail) {
    this.#makeWorker = makeWorker;
    this.#reply = reply;
    this.#fail = fail;
  }

  /** @param {ThreadOrder} order */
  carryOut(order) {
    const { thread, action } = order;
    if (action === 'start') return this.#start(order);
    if (action === 'post') return this.#workers.get(thread)?.postMessage(order.message);
    this.#workers.get(thread)?.terminate();
    this.#workers.delete(thread);
  }

  /** @param {Extract<ThreadOrder, { action: 'start' }>} order */
  #start({ thread, url, name, port }) {
    const worker = this.#made(url, name);
    if (!worker) return;
    this.#workers.set(thread, worker);
    // Nobody depends on this one: a failure of it is no failure of the engine.
    if (port) return worker.postMessage({ type: 'lane', port }, [port]);
    worker.addEventListener('message', ({ data }) => this.#reply({ type: 'thread', thread, message: data }));
    worker.addEventListener('error', (event) => {
      const why = event.message ?? 'its script could not be loaded';
      this.#fail(new TesseraError('internal', `A thread of the engine failed: ${why}`, 'Load the model again.'));
    });
  }

  /**
   * The engine would wait for a thread that cannot be made for ever.
   * @param {string} url
   * @param {string} name
   */
  #made(url, name) {
    try {
      return this.#makeWorker(url, name);
    } catch (error) {
      const hint = 'Serve tessera-core.js from the origin of the page (see wasmUrl), or load with threads: 1.';
      this.#fail(new TesseraError('network', `A thread of the engine could not be created: ${error}`, hint, error));
    }
  }

  /** Terminates all. */
  end() {
    for (const worker of this.#workers.values()) worker.terminate();
    this.#workers.clear();
  }
}

// Owns the page's end of the line to one engine worker: calls, their answers, aborts, and what happens when the worker dies.
import { TesseraError } from '../base/errors.js';
import { kGraceMs } from './protocol.js';
import { ThreadWorkers } from './threads.js';

/** @typedef {import('./protocol.js').ToWorker} ToWorker */
/** @typedef {import('./protocol.js').ToCall} ToCall */
/** @typedef {import('./protocol.js').FromWorker} FromWorker */
/** @typedef {import('./protocol.js').GenerateStep} GenerateStep */
/** @typedef {import('./protocol.js').LoadProgress} LoadProgress */

/**
 * The part of Worker that is used; tests bring another.
 * @typedef {object} WorkerLike
 * @property {(message: any, transfer?: Transferable[]) => void} postMessage
 * @property {(type: 'message' | 'error' | 'messageerror', listener: (event: any) => void) => void} addEventListener
 * @property {() => void} terminate
 */

/** @typedef {{ signal?: AbortSignal, onStep?: (step: GenerateStep) => void, onProgress?: (progress: LoadProgress) => void }} CallOptions */

/** @typedef {CallOptions & { resolve: (value: any) => void, reject: (error: TesseraError) => void }} PendingCall */

/** A call without its number. @typedef {ToCall extends infer M ? (M extends { id: number } ? Omit<M, 'id'> : never) : never} Call */

export class Connection {
  #worker;
  #threads;
  #nextId = 1;
  /** @type {Map<number, PendingCall>} */
  #pending = new Map();
  /** Why no more calls are possible. @type {TesseraError | undefined} */
  #ended;
  /** Settles when everything is freed. @type {Promise<void> | undefined} */
  #closing;
  /** Linear memory of the module when it last answered, bytes. */
  heapBytes = 0;

  /**
   * @param {WorkerLike} worker
   * @param {(url: string, name: string) => WorkerLike} makeThread
   */
  constructor(worker, makeThread) {
    this.#worker = worker;
    this.#threads = new ThreadWorkers(
      makeThread,
      (message) => this.#post(message),
      (error) => this.end(error),
    );
    worker.addEventListener('message', (event) => this.#receive(event.data));
    worker.addEventListener('error', (event) => this.end(startError(event)));
    worker.addEventListener('messageerror', () =>
      this.end(new TesseraError('internal', 'A message of the engine worker was unreadable.')),
    );
  }

  /**
   * @param {Call} call
   * @param {CallOptions} [options]
   * @returns {Promise<any>} rejects with a TesseraError; 'aborted' when the signal fires first
   */
  call(call, options = {}) {
    const { signal } = options;
    if (this.#ended) return Promise.reject(this.#ended);
    if (signal?.aborted) return Promise.reject(abortError(signal));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const onAbort = () => this.#post({ type: 'abort', id: 0, target: id });
      const settle = (/** @type {() => void} */ how) => {
        signal?.removeEventListener('abort', onAbort);
        this.#pending.delete(id);
        how();
      };
      this.#pending.set(id, {
        ...options,
        resolve: (value) => settle(() => resolve(value)),
        reject: (error) =>
          settle(() => reject(error.code === 'aborted' && signal?.aborted ? abortError(signal) : error)),
      });
      signal?.addEventListener('abort', onAbort);
      try {
        this.#post(/** @type {ToWorker} */ ({ ...call, id }));
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        const hint = 'Pass plain values, File objects and URLs only.';
        this.#pending
          .get(id)
          ?.reject(
            new TesseraError('invalid_argument', `The options cannot be sent to the engine: ${why}`, hint, error),
          );
      }
    });
  }

  /**
   * Asks the worker to free everything, then terminates it; one that is busy or dead is terminated after a grace period. Asked again, it waits for the same end.
   * @param {TesseraError} reason what calls that are still waiting, and later ones, are rejected with
   */
  close(reason) {
    return (this.#closing ??= this.#close(reason));
  }

  /** @param {TesseraError} reason */
  async #close(reason) {
    if (this.#ended) return;
    const freed = this.call({ type: 'dispose' }).catch(() => {});
    this.#ended = reason;
    await Promise.race([freed, new Promise((resolve) => setTimeout(resolve, kGraceMs))]);
    this.end(reason);
  }

  /**
   * Terminates the worker at once and rejects what is waiting.
   * @param {TesseraError} reason
   */
  end(reason) {
    this.#ended ??= reason;
    this.#worker.terminate();
    this.#threads.end();
    for (const call of [...this.#pending.values()]) call.reject(reason);
  }

  /** @param {ToWorker} message */
  #post(message) {
    this.#worker.postMessage(message);
  }

  /** @param {FromWorker} message */
  #receive(message) {
    if (message.type === 'fatal') return this.end(TesseraError.fromPlain(message.error));
    if (message.type === 'thread') return this.#ended ? undefined : this.#threads.carryOut(message);
    const call = this.#pending.get(message.id);
    if (!call) return;
    switch (message.type) {
      case 'progress':
        return call.onProgress?.(message.progress);
      case 'steps':
        for (const step of message.steps) call.onStep?.(step);
        return;
      case 'result':
        this.heapBytes = message.heapBytes;
        return call.resolve(message.value);
      case 'failure':
        // Disposing aborts what is running; the caller shall learn why.
        return call.reject(this.#ended ?? TesseraError.fromPlain(message.error));
    }
  }
}

/** @param {AbortSignal} signal */
export function abortError(signal) {
  return new TesseraError('aborted', 'The call was aborted.', '', signal.reason);
}

/** @param {{ message?: string }} event a worker's error event; without a message its script could not be fetched */
function startError(event) {
  if (event.message)
    return new TesseraError('internal', `The engine worker failed: ${event.message}`, 'Load the model again.');
  const hint = 'Serve tessera-worker.js from the same origin as the page, or set workerUrl.';
  return new TesseraError('network', 'The engine worker could not be started.', hint);
}

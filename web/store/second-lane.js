/**
 * A lane of a download on a thread of its own: it fetches, hashes, writes and waits for the disk while the store's thread does the same
 * in the other lane. Requests and what becomes of them go through a port, the bytes of the model never do. The page makes the worker,
 * as it makes those of the module's threads (web/engine/threads.js). Until that one says that it is ready, and after it was silent for
 * too long, the store's thread runs both lanes.
 */
import { TesseraError } from '../base/errors.js';
import { Changed } from './fetch-span.js';
import { afterSilence, kStallMs } from './network.js';
import { chunkSize } from './records.js';

/** @typedef {import('./records.js').Source} Source */
/** @typedef {{source: Source, first: number, last: number}} Run chunks of one source that are fetched with one request */

/** @typedef {{port: MessagePort, end: () => void}} LaneWorker port: to a worker that calls serveLane; end: it is not needed any more */

/**
 * @typedef {Run & {number: number, id: string, kind: 'opfs' | 'cache', resume: boolean,
 *   network: import('./network.js').NetworkOptions}} Request id: of the model; kind: of the store; resume: the first chunk is begun
 */

/**
 * What becomes of a request; in a message with its number.
 * @typedef {{working: true} | {added: number} | {stored: {index: number, hash: string}} | {arrived: true}
 *   | {ended: {whole: boolean, validator: string}}
 *   | {failed: 'changed' | 'quota' | 'other', error: import('../base/errors.js').PlainError}} News
 */

/** A worker that was told to stop closes its file, which takes it some milliseconds. Nobody waits long for one that hangs. */
const kStopMs = 2000;

/** The store's side. */
export class SecondLane {
  #worker;
  #place;
  /** Whether it may be asked. */
  ready = false;
  #asked = 0;
  /** Number of a request → whoever waits for it. @type {Map<number, (news: News) => void>} */
  #waiting = new Map();

  /**
   * @param {LaneWorker} worker
   * @param {Pick<Request, 'id' | 'kind'>} place where the chunks go
   */
  constructor(worker, place) {
    this.#worker = worker;
    this.#place = place;
    worker.port.onmessage = ({ data }) => {
      if (data.ready) this.ready = true;
      else this.#waiting.get(data.number)?.(data);
    };
  }

  /**
   * @param {Run} run of a source whose size is known; what the server tells of it is noted there
   * @param {object} context
   * @param {import('./model-folder.js').ModelFolder} context.folder hears of the chunks that are stored
   * @param {import('./begun-chunks.js').BegunChunks} context.begun
   * @param {{add: (bytes: number) => void}} context.progress
   * @param {AbortSignal} context.signal
   * @param {import('./network.js').NetworkOptions} context.network
   * @param {() => void} context.arrived
   * @returns {Promise<boolean>} false: the worker is lost; what it had not stored is still to be fetched. Rejects as fetchInto does.
   */
  async fetch({ source, first, last }, { folder, begun, progress, signal, network, arrived }) {
    const { port } = this.#worker;
    const number = ++this.#asked;
    const resume = begun.has(source, first);
    // What lies there is not right, and the other thread does not know of it.
    for (let index = first; index <= last; ++index) await folder.drop(source, index);
    let stop = () => {};
    let added = 0;
    let stored = 0;
    try {
      return await new Promise((resolve, reject) => {
        const { stallMs = kStallMs } = network;
        const silence = () => afterSilence(signal.aborted ? Math.min(kStopMs, stallMs) : stallMs, () => resolve(false));
        let heard = silence();
        stop = () => {
          port.postMessage({ number, stop: true });
          heard();
          heard = silence();
        };
        signal.addEventListener('abort', stop);
        this.#waiting.set(number, (news) => {
          heard();
          if ('failed' in news) return reject(errorOf(news, source));
          if ('ended' in news) {
            source.whole = news.ended.whole;
            source.validator ||= news.ended.validator;
            return resolve(true);
          }
          heard = silence();
          if ('arrived' in news) arrived();
          if ('stored' in news) {
            folder.adopt(source, news.stored.index, news.stored.hash);
            stored += chunkSize(source, news.stored.index);
          }
          if (!('added' in news)) return;
          added += news.added;
          progress.add(news.added);
        });
        port.postMessage({ number, ...this.#place, source, first, last, resume, network });
        if (signal.aborted) stop();
      });
    } finally {
      signal.removeEventListener('abort', stop);
      this.#waiting.delete(number);
      if (!signal.aborted && stored < added) progress.add(stored - added); // only of a worker that was lost
    }
  }

  /** The worker ends. */
  end() {
    this.ready = false;
    this.#worker.end();
  }
}

/**
 * @param {Extract<News, {failed: string}>} news
 * @param {Source} source
 */
function errorOf({ failed, error }, source) {
  if (failed === 'changed') return new Changed(source);
  if (failed === 'quota') return new DOMException(error.message, 'QuotaExceededError');
  return TesseraError.fromPlain(error);
}

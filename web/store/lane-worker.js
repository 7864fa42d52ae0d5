/** The worker's side of second-lane.js: fetches what it is asked for into the store that both threads see. */
import { TesseraError } from '../base/errors.js';
import { BegunChunks } from './begun-chunks.js';
import { createCacheBackend } from './cache-backend.js';
import { Changed, fetchInto } from './fetch-span.js';
import { ModelFolder } from './model-folder.js';
import { kStallMs } from './network.js';
import { createOpfsBackend } from './opfs-backend.js';
import { isQuotaError } from './quota.js';

/** @typedef {import('./contract.js').Backend} Backend */
/** @typedef {import('./second-lane.js').Request} Request */
/** @typedef {import('./second-lane.js').News} News */

const kReportMs = 20;
/** Of the time after which a connection counts as broken: so often it says that it is still there. */
const kSignPart = 8;

/**
 * Carries out the requests that come through the port.
 * @param {MessagePort} port
 * @param {(kind: Request['kind']) => Promise<Backend | null>} [open] for tests
 */
export function serveLane(port, open = openBackend) {
  /** @type {Promise<Backend | null> | null} */
  let opened = null;
  /** @type {Map<number, AbortController>} */
  const running = new Map();
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const spare = [];
  port.onmessage = async ({ data }) => {
    const { number, stop } = data;
    if (stop) return running.get(number)?.abort();
    const controller = new AbortController();
    running.set(number, controller);
    const report = (/** @type {News} */ news) => port.postMessage({ number, ...news });
    const signs = setInterval(() => report({ working: true }), (data.network.stallMs ?? kStallMs) / kSignPart);
    try {
      opened ??= open(data.kind);
      await carryOut(data, { backend: await opened, signal: controller.signal, spare, report });
      report({ ended: { whole: data.source.whole, validator: data.source.validator } });
    } catch (error) {
      const failed = error instanceof Changed ? 'changed' : isQuotaError(error) ? 'quota' : 'other';
      report({ failed, error: TesseraError.from(error).toPlain() });
    } finally {
      clearInterval(signs);
      running.delete(number);
    }
  };
  port.postMessage({ ready: true });
}

/** @param {Request['kind']} kind */
function openBackend(kind) {
  return kind === 'opfs' ? createOpfsBackend() : createCacheBackend();
}

/**
 * @param {Request} request
 * @param {{backend: Backend | null, signal: AbortSignal, spare: Uint8Array<ArrayBuffer>[], report: (news: News) => void}} context
 */
async function carryOut({ id, source, first, last, resume, network }, { backend, signal, spare, report }) {
  if (!backend) throw new TesseraError('internal', 'the second worker of the download cannot open the store');
  const folder = new ModelFolder(backend, id); // empty: what it would find is not fetched
  const begun = new BegunChunks(backend, id);
  if (resume) begun.add(source, first);
  const reported = {
    /** @type {ModelFolder['commit']} */
    async commit(of, index, writer, hash) {
      await folder.commit(of, index, writer, hash);
      progress.tell();
      report({ stored: { index, hash } });
    },
  };
  const progress = new Reports((added) => report({ added }));
  const learned = async () => {}; // its size is known
  const arrived = () => report({ arrived: true });
  try {
    await fetchInto(source, first, last, {
      folder: reported,
      begun,
      spare,
      progress,
      signal,
      network,
      learned,
      arrived,
    });
  } finally {
    progress.tell();
  }
}

/** Bytes that came, told in sums: a message for each piece would take the other thread's time. */
class Reports {
  #tell;
  #added = 0;
  #told = 0;

  /** @param {(added: number) => void} tell */
  constructor(tell) {
    this.#tell = tell;
  }

  /** @param {number} bytes */
  add(bytes) {
    this.#added += bytes;
    if (performance.now() - this.#told >= kReportMs) this.tell();
  }

  tell() {
    this.#told = performance.now();
    if (this.#added !== 0) this.#tell(this.#added);
    this.#added = 0;
  }
}

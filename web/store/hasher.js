/**
 * SHA-256 of whole shards in a worker beside the store's. Chromium hashes on the thread that asks, and the one thread of the store
 * receives, cuts and writes for all lanes: while it hashes 16 MB, nothing comes in. Firefox hashes elsewhere anyway, and copies what goes
 * through a port, so it is not done there. The page makes the worker, as it makes those of threads (web/engine/threads.js). Until it
 * says that it is ready, and after it was silent for too long, the store hashes itself.
 */
import { sha256 } from './hash.js';
import { afterSilence } from './network.js';

/** @typedef {{port: MessagePort, end: () => void}} HashWorker port: to a worker that calls serveHashes; end: it is not needed any more */
/** @typedef {{hash: string, memory: Uint8Array<ArrayBuffer>}} Hashed memory: what was sent to be hashed */

/** @returns {Promise<boolean>} whether this browser hashes on the thread that asks: the hash is there before a message sent earlier */
export async function hashesHere() {
  const { port1, port2 } = new MessageChannel();
  const elsewhere = new Promise((resolve) => {
    port1.onmessage = () => resolve(false);
  });
  port2.postMessage(null);
  const here = sha256(new Uint8Array(1)).then(() => true);
  const first = await Promise.race([here, elsewhere]);
  port1.close();
  return first;
}

export class Hasher {
  #worker;
  #silenceMs;
  /** Whether it may be asked. */
  ready = false;
  #sent = 0;
  /** @type {Map<number, (hashed?: Hashed) => void>} */
  #waiting = new Map();

  /**
   * @param {HashWorker} worker
   * @param {number} silenceMs a worker that takes longer for a hash is given up
   */
  constructor(worker, silenceMs) {
    this.#worker = worker;
    this.#silenceMs = silenceMs;
    worker.port.onmessage = ({ data }) => {
      if (data.ready) this.ready = true;
      else this.#waiting.get(data.id)?.(data);
    };
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} memory all of its buffer; it goes to the worker without a copy and comes back with the answer
   * @param {number} bytes at its front that are hashed
   * @returns {Promise<Hashed | undefined>} undefined: the worker is lost, and the memory with it
   */
  async sha256(memory, bytes) {
    const id = ++this.#sent;
    const hashed = await new Promise((resolve) => {
      const heard = afterSilence(this.#silenceMs, () => resolve(undefined));
      this.#waiting.set(id, (answer) => {
        heard();
        resolve(answer);
      });
      this.#worker.port.postMessage({ id, memory, bytes }, [memory.buffer]);
    });
    this.#waiting.delete(id);
    if (!hashed) this.ready = false;
    return hashed;
  }

  /** The worker ends. */
  end() {
    this.#worker.end();
  }
}

/** The worker's side: answers all that comes through the port. @param {MessagePort} port */
export function serveHashes(port) {
  port.onmessage = async ({ data: { id, memory, bytes } }) => {
    const hash = await sha256(memory.subarray(0, bytes));
    port.postMessage({ id, hash, memory }, [memory.buffer]);
  };
  port.postMessage({ ready: true });
}

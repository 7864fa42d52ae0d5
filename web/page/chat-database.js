/** Owns the connection to the chats in IndexedDB, which the browser may refuse or close. */

const kStore = 'conversations';

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
export function finished(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export class ChatDatabase {
  /** @type {IDBDatabase | null} */
  #database = null;
  /** Where it was closed behind the page's back. @type {(() => Promise<void>) | null} */
  reopen = null;
  /** What is gone then has not been deleted by the reader. */
  wasClosed = false;
  #onRefused;

  /** @param {() => void} onRefused */
  constructor(onRefused) {
    this.#onRefused = onRefused;
  }

  async open() {
    try {
      const request = indexedDB.open('tessera-chats', 1);
      request.onupgradeneeded = () => request.result.createObjectStore(kStore, { keyPath: 'id' });
      this.#database = await finished(request);
      this.#database.onclose = () => this.#closed();
    } catch {
      this.#onRefused();
    }
    this.reopen = null;
  }

  /** The browser did that: the site's data was cleared, or the disk failed. It opens none yet, so that waits until one is needed. */
  #closed() {
    this.#database = null;
    this.wasClosed = true;
    /** @type {Promise<void> | undefined} */
    let opened;
    this.reopen = () => (opened ??= this.open());
  }

  /** @param {IDBTransactionMode} mode */
  objects(mode) {
    return this.#database?.transaction(kStore, mode).objectStore(kStore);
  }
}

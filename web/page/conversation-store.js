/** Owns keeping conversations in IndexedDB, so that a reload or a crash loses nothing. */

import { keep, kept } from './kept.js';

/** @typedef {import('./conversation.js').Conversation} Conversation */

const kStore = 'conversations';
const kCurrent = 'tessera.current-chat';
const kSaveEveryMs = 400;

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function finished(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export class ConversationStore {
  /** @type {IDBDatabase | null} */
  #database = null;
  /** Where the database was closed behind the page's back. @type {(() => Promise<void>) | null} */
  #reopen = null;
  /** What IndexedDB did not take (private windows, a full disk): the page works on until it is closed. @type {Map<string, Conversation>} */
  #memory = new Map();
  #onLoss;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Conversation | null} */
  #pending = null;

  /** @param {() => void} onLoss called when conversations will be gone with the tab */
  constructor(onLoss) {
    this.#onLoss = onLoss;
  }

  async open() {
    await this.#connect();
    // A tab that goes away, or to the background of a phone, may not come back.
    addEventListener('pagehide', () => void this.flush());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) void this.flush();
    });
  }

  async #connect() {
    try {
      const request = indexedDB.open('tessera-chats', 1);
      request.onupgradeneeded = () => request.result.createObjectStore(kStore, { keyPath: 'id' });
      this.#database = await finished(request);
      this.#database.onclose = () => this.#closed();
    } catch {
      this.#onLoss();
    }
    this.#reopen = null;
  }

  /** The browser did that: the site's data was cleared, or the disk failed. It opens none yet, so that waits until one is needed. */
  #closed() {
    this.#database = null;
    /** @type {Promise<void> | undefined} */
    let opened;
    this.#reopen = () => (opened ??= this.#connect());
  }

  /** @param {IDBTransactionMode} mode */
  #objects(mode) {
    return this.#database?.transaction(kStore, mode).objectStore(kStore);
  }

  /** @returns {Promise<Conversation[]>} newest first */
  async list() {
    if (this.#reopen) await this.#reopen();
    const objects = this.#objects('readonly');
    /** @type {Conversation[]} */
    const stored = objects ? await finished(objects.getAll()) : [];
    const all = new Map([...stored.map((one) => /** @type {const} */ ([one.id, one])), ...this.#memory]);
    return [...all.values()].sort((a, b) => b.updated - a.updated);
  }

  /** @returns {Promise<Conversation | null>} the one that was open last */
  async current() {
    const id = kept(kCurrent);
    return (await this.list()).find((conversation) => conversation.id === id) ?? null;
  }

  /**
   * A conversation as another tab has stored it since, or else as it is.
   * @param {Conversation} conversation
   * @returns {Promise<Conversation>}
   */
  async newest(conversation) {
    try {
      const objects = this.#objects('readonly');
      const stored = objects && (await finished(objects.get(conversation.id)));
      return stored?.updated > conversation.updated ? stored : conversation;
    } catch {
      return conversation; // the browser has closed the database: this tab's is all there is
    }
  }

  /** @param {Conversation} conversation */
  setCurrent(conversation) {
    keep(kCurrent, conversation.id);
  }

  /**
   * Saves soon, and often enough while an answer streams. An empty conversation is not kept.
   * @param {Conversation} conversation
   */
  saveSoon(conversation) {
    if (this.#pending && this.#pending.id !== conversation.id) void this.flush();
    this.#pending = conversation;
    this.#timer ??= setTimeout(() => void this.flush(), kSaveEveryMs);
  }

  /** Writes what is waiting. */
  async flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const conversation = this.#pending;
    this.#pending = null;
    if (conversation) await this.save(conversation);
  }

  /** @param {Conversation} conversation */
  async save(conversation) {
    // What cannot be deleted stays; nothing is lost by that.
    if (conversation.messages.length === 0) return this.#forget(conversation.id).catch(() => {});
    if (this.#reopen) await this.#reopen();
    const copy = structuredClone(conversation);
    try {
      const objects = this.#objects('readwrite');
      const put = objects?.put(copy);
      objects?.transaction.commit(); // without an answer from the database: the page may be on its way out
      if (!put) return void this.#memory.set(copy.id, copy);
      this.#memory.delete(copy.id); // of a time when it was not taken
      await finished(put);
    } catch {
      this.#memory.set(copy.id, copy);
      this.#onLoss();
    }
  }

  /** @param {string} id */
  async remove(id) {
    if (this.#pending?.id === id) this.#pending = null;
    await this.#forget(id);
  }

  /** @param {string} id */
  async #forget(id) {
    this.#memory.delete(id);
    if (this.#reopen) await this.#reopen();
    const objects = this.#objects('readwrite');
    const gone = objects?.delete(id);
    objects?.transaction.commit();
    if (gone) await finished(gone);
  }
}

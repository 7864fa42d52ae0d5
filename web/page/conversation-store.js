/** Owns keeping conversations in IndexedDB, so that a reload, a crash or another tab loses nothing. */

import { ChatDatabase, finished } from './chat-database.js';
import { newConversation } from './conversation.js';
import { keep, kept } from './kept.js';

/** @typedef {import('./conversation.js').Conversation} Conversation */

const kCurrent = 'tessera.current-chat';
const kSaveEveryMs = 400;

/**
 * The last answer has come to its end, and is not in what another tab has made of the chat.
 * @param {Conversation} conversation
 * @param {Conversation} stored
 */
function hasOwnAnswer({ messages }, stored) {
  const last = messages.at(-1);
  if (last?.finish === undefined || last.finish === 'stopped' || last.finish === 'lost') return false;
  return !stored.messages.some(({ content }) => content === last.content);
}

/**
 * Several tabs may have the same chat open. Each overwrites only what it has read or written itself: what became of the chat in another
 * tab since is found out in the transaction that would replace it.
 */
export class ConversationStore {
  /** What IndexedDB did not take (private windows, a full disk): the page works on until it is closed. @type {Map<string, Conversation>} */
  #memory = new Map();
  /** `updated` of what is stored, as this tab last read or wrote it. @type {WeakMap<Conversation, number>} */
  #seen = new WeakMap();
  /** Whose answers are not stored, as another tab has deleted the chat or gone on with it. @type {WeakSet<Conversation>} */
  #refused = new WeakSet();
  /** Of which the database has not yet said what is stored. @type {Set<{conversation: Conversation, copy: Conversation, transaction: IDBTransaction}>} */
  #asking = new Set();
  #database;
  #onLoss;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Conversation | null} */
  #pending = null;

  /** @param {() => void} onLoss called when conversations will be gone with the tab */
  constructor(onLoss) {
    this.#onLoss = onLoss;
    this.#database = new ChatDatabase(onLoss);
  }

  async open() {
    await this.#database.open();
    // A tab that goes away, or to the background of a phone, may not come back.
    addEventListener('pagehide', () => this.#leave());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) void this.flush();
    });
  }

  /**
   * @param {Conversation} [open] stands for itself, as a copy would stand still, unless another tab has gone on with it
   * @returns {Promise<Conversation[]>} newest first
   */
  async list(open) {
    const all = new Map((await this.#stored()).map((one) => [one.id, one]));
    for (const [id, one] of this.#memory) all.set(id, one);
    const listed = open && all.get(open.id);
    if (listed && !this.#isNewer(listed, open)) all.set(open.id, open);
    return [...all.values()].sort((a, b) => b.updated - a.updated);
  }

  /** @returns {Promise<Conversation[]>} */
  async #stored() {
    try {
      if (this.#database.reopen) await this.#database.reopen();
      const objects = this.#database.objects('readonly');
      return objects ? (await finished(objects.getAll())).map((one) => this.#read(one)) : [];
    } catch {
      this.#onLoss(); // it is damaged: what this tab has is all there is
      return [];
    }
  }

  /** @param {Conversation} stored that this tab may use, and overwrite, from now on */
  #read(stored) {
    this.#seen.set(stored, stored.updated);
    return stored;
  }

  /**
   * Another tab has stored it since this one read or wrote it.
   * @param {Conversation} stored
   * @param {Conversation} conversation
   */
  #isNewer(stored, conversation) {
    return stored.updated > (this.#seen.get(conversation) ?? 0);
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
      const objects = this.#database.objects('readonly');
      const stored = objects && (await finished(objects.get(conversation.id)));
      return stored && this.#isNewer(stored, conversation) ? this.#read(stored) : conversation;
    } catch {
      return conversation; // the browser has closed the database: this tab's is all there is
    }
  }

  /** @param {Conversation} conversation */
  setCurrent(conversation) {
    keep(kCurrent, conversation.id);
  }

  /**
   * Saves an answer soon, and often enough while it streams; not where another tab has deleted the chat. Where one has gone on with it,
   * only a whole answer is kept, as `save` does.
   * @param {Conversation} conversation
   */
  saveSoon(conversation) {
    if (this.#pending && this.#pending !== conversation) void this.flush();
    this.#pending = conversation;
    this.#timer ??= setTimeout(() => void this.flush(), kSaveEveryMs);
  }

  /** Writes what is waiting. */
  async flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const conversation = this.#pending;
    this.#pending = null;
    if (conversation) await this.#write(conversation, false);
  }

  /**
   * Saves what the reader has done, whatever other tabs did: a chat that was deleted is there again, and where one has gone on with it, this
   * tab's becomes a chat of its own. An empty conversation is not kept.
   * @param {Conversation} conversation
   */
  async save(conversation) {
    this.#refused.delete(conversation);
    await this.#write(conversation, true);
  }

  /**
   * @param {Conversation} conversation
   * @param {boolean} byReader
   */
  async #write(conversation, byReader) {
    const copy = structuredClone(conversation); // what comes next may not be to be stored yet (Chat.regenerate)
    let left = false;
    try {
      if (this.#database.reopen) await this.#database.reopen();
      const objects = this.#database.objects('readwrite');
      if (!objects) return this.#remember(conversation);
      const answer = finished(objects.get(copy.id));
      const asked = { conversation, copy, transaction: objects.transaction };
      this.#asking.add(asked);
      const stored = await answer.finally(() => (left = !this.#asking.delete(asked)));
      const renewed = copy.id !== conversation.id; // by a write before this one
      const newer = stored && !renewed && this.#isNewer(stored, conversation);
      const gone = !stored && this.#seen.has(conversation) && !this.#database.wasClosed;
      const refused = !byReader && (newer ? !hasOwnAnswer(copy, stored) : gone);
      if (refused) return void this.#refused.add(conversation);
      this.#memory.delete(copy.id); // of a time when it was not taken
      copy.id = newer ? this.#renew(conversation) : conversation.id;
      const put = this.#put(objects, copy);
      objects.transaction.commit(); // without an answer from the database: the page may be on its way out
      await finished(put);
      this.#seen.set(conversation, copy.updated);
      this.#refused.delete(conversation);
    } catch {
      if (left) return; // and stored without asking
      this.#remember(conversation);
      this.#onLoss();
    }
  }

  /** The page is on its way out and will hear no answer from the database: what another tab did is not asked any more. */
  #leave() {
    /** @type {{conversation: Conversation, copy: Conversation}[]} */
    const unsaved = [...this.#asking];
    if (this.#pending) unsaved.push({ conversation: this.#pending, copy: this.#pending });
    try {
      for (const { transaction } of this.#asking) transaction.abort(); // the next one would wait for it
      this.#asking.clear();
      const objects = this.#database.objects('readwrite');
      for (const { conversation, copy } of unsaved) {
        if (!objects || this.#refused.has(conversation)) continue;
        this.#put(objects, copy);
        this.#seen.set(conversation, copy.updated); // pages may come back
      }
      objects?.transaction.commit();
    } catch {
      // The browser has closed the database.
    }
  }

  /**
   * @param {IDBObjectStore} objects
   * @param {Conversation} conversation
   * @returns {IDBRequest}
   */
  #put(objects, conversation) {
    return conversation.messages.length > 0 ? objects.put(conversation) : objects.delete(conversation.id);
  }

  /** @param {Conversation} conversation that the database does not take */
  #remember(conversation) {
    if (conversation.messages.length > 0) this.#memory.set(conversation.id, conversation);
    else this.#memory.delete(conversation.id);
  }

  /** Leaves the chat to the other tab. @param {Conversation} conversation from now on a chat of its own @returns {string} its id */
  #renew(conversation) {
    const { id } = conversation;
    conversation.id = newConversation().id;
    if (kept(kCurrent) === id) this.setCurrent(conversation);
    return conversation.id;
  }

  /** @param {string} id */
  async remove(id) {
    if (this.#pending?.id === id) this.#pending = null;
    this.#memory.delete(id);
    if (this.#database.reopen) await this.#database.reopen();
    const objects = this.#database.objects('readwrite');
    const gone = objects?.delete(id);
    objects?.transaction.commit();
    if (gone) await finished(gone);
  }
}

// Owns one streamed answer: an async iterable that the worker fills and the caller empties, and that ends the work when it is left.

/**
 * The generator does not wait for the reader, so other calls of the engine get their turn even when nobody reads.
 * @template T
 * @implements {AsyncIterableIterator<T>}
 */
export class AnswerStream {
  /** @type {T[]} */
  #items = [];
  /** @type {{ resolve: (result: IteratorResult<T, undefined>) => void, reject: (error: unknown) => void }[]} */
  #readers = [];
  /** @type {{ error?: unknown } | undefined} */
  #end;
  #onLeave;
  #tooLate;

  /**
   * @param {() => void} onLeave called when the reader stops before the end
   * @param {() => unknown} [tooLate] asked when the reader comes to the end: an error instead of it, of who stopped what was over, but unread
   */
  constructor(onLeave, tooLate = () => undefined) {
    this.#onLeave = onLeave;
    this.#tooLate = tooLate;
  }

  /** @param {T} item */
  push(item) {
    if (this.#end) return;
    const reader = this.#readers.shift();
    if (reader) reader.resolve({ value: item, done: false });
    else this.#items.push(item);
  }

  /** No more items; with an error the reader gets it after the items. @param {unknown} [error] */
  finish(error) {
    if (this.#end) return;
    this.#end = { error };
    for (const reader of this.#readers.splice(0)) this.#settle(reader.resolve, reader.reject);
  }

  /** @returns {Promise<IteratorResult<T, undefined>>} */
  next() {
    return new Promise((resolve, reject) => {
      if (this.#items.length > 0) resolve({ value: /** @type {T} */ (this.#items.shift()), done: false });
      else if (this.#end) this.#settle(resolve, reject);
      else this.#readers.push({ resolve, reject });
    });
  }

  /** Leaving a for-await loop early comes here. @returns {Promise<IteratorResult<T, undefined>>} */
  return() {
    this.#items = [];
    if (!this.#end) {
      this.finish();
      this.#onLeave();
    }
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  /**
   * An error is reported once; after it the stream is simply at its end.
   * @param {(result: IteratorResult<T, undefined>) => void} resolve
   * @param {(error: unknown) => void} reject
   */
  #settle(resolve, reject) {
    const error = this.#end?.error ?? this.#tooLate();
    this.#end = {};
    this.#tooLate = () => undefined;
    if (error === undefined) resolve({ value: undefined, done: true });
    else reject(error);
  }
}

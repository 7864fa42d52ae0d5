/**
 * The one error type of the web side: a stable code for programs, a message and a hint for people,
 * and a plain form that survives a worker boundary.
 */

/**
 * @typedef {object} PlainError an error as a structured-cloneable value
 * @property {string} code
 * @property {string} message
 * @property {string} [hint]
 * @property {PlainError} [cause]
 */

export class TesseraError extends Error {
  /**
   * @param {string} code stable, snake_case, e.g. 'hash_mismatch'
   * @param {string} message what happened: names the field, what was found and what was expected
   * @param {string} [hint] what the reader can do about it
   * @param {unknown} [cause]
   */
  constructor(code, message, hint = '', cause = undefined) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TesseraError';
    this.code = code;
    this.hint = hint;
  }

  /** @returns {PlainError} */
  toPlain() {
    /** @type {PlainError} */
    const plain = { code: this.code, message: this.message };
    if (this.hint) plain.hint = this.hint;
    if (this.cause !== undefined) plain.cause = TesseraError.from(this.cause).toPlain();
    return plain;
  }

  /**
   * @param {PlainError} plain
   * @returns {TesseraError}
   */
  static fromPlain(plain) {
    const cause = plain.cause && TesseraError.fromPlain(plain.cause);
    return new TesseraError(plain.code, plain.message, plain.hint, cause);
  }

  /**
   * Any thrown value as a TesseraError: one already is, an abort keeps its meaning, the rest is wrapped.
   * @param {unknown} value
   * @param {string} [code] the code for a value that carries none
   * @returns {TesseraError}
   */
  static from(value, code = 'internal') {
    if (value instanceof TesseraError) return value;
    if (!(value instanceof Error)) return new TesseraError(code, String(value));
    const known = value.name === 'AbortError' ? 'aborted' : code;
    return new TesseraError(known, value.message || value.name, '', value.cause);
  }
}

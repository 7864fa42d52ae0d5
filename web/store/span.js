/** A run of chunks of one source as they arrive in order: cut, hashed, compared and stored one by one. It does no networking. */
import { TesseraError } from '../base/errors.js';
import { sha256 } from './hash.js';
import { Transient } from './network.js';
import { chunkSize, expectedHash } from './records.js';

/** @typedef {import('./records.js').Source} Source */

/**
 * @typedef {object} SpanPorts
 * @property {import('./model-folder.js').ModelFolder} folder
 * @property {import('./progress.js').ProgressMeter} progress
 */

const kMagic = 'GGUF';
/** A chunk that arrives wrong is fetched once more; a second time means that the server has it wrong. */
const kMostDamaged = 1;

export class Span {
  #source;
  #first;
  #last;
  #ports;
  /** @type {Uint8Array<ArrayBuffer>} */
  #buffer = new Uint8Array(0);
  #damaged = 0;
  /** Offset in the source of the next byte to come. */
  position;

  /**
   * @param {Source} source
   * @param {number} first chunk
   * @param {number | null} last chunk; null: to the end of the source
   * @param {SpanPorts} ports
   */
  constructor(source, first, last, ports) {
    this.#source = source;
    this.#first = first;
    this.#last = last;
    this.#ports = ports;
    this.position = first * source.chunkBytes;
  }

  /** Offset behind its last byte; null while the source's size is unknown and it goes to the end. */
  get end() {
    const { chunkBytes, bytes } = this.#source;
    if (this.#last === null) return bytes;
    return this.#last * chunkBytes + chunkSize(this.#source, this.#last);
  }

  get done() {
    return this.position === this.end;
  }

  /** From now on it covers the source from start to end: the server sends nothing less. */
  widen() {
    this.rewind(0);
    this.#first = 0;
    this.#last = null;
  }

  /** What came since that offset is to come again. @param {number} offset */
  rewind(offset = this.#first * this.#source.chunkBytes) {
    this.#ports.progress.add(offset - this.position);
    this.position = offset;
  }

  /** @param {Uint8Array} piece the bytes that follow */
  async take(piece) {
    const { chunkBytes, path } = this.#source;
    for (let done = 0; done < piece.length;) {
      if (this.position === this.end) throw this.#damage('size_mismatch', path, `${this.end} bytes`, 'more');
      const index = Math.floor(this.position / chunkBytes);
      const inside = this.position - index * chunkBytes;
      const size = chunkSize(this.#source, index);
      if (this.#buffer.length < size) this.#buffer = new Uint8Array(size);
      const count = Math.min(size - inside, piece.length - done);
      this.#buffer.set(piece.subarray(done, done + count), inside);
      done += count;
      this.position += count;
      this.#ports.progress.add(count);
      if (index === 0 && inside < kMagic.length) this.#checkMagic(inside + count);
      if (inside + count === size) await this.#finishChunk(index, size);
    }
  }

  /** The body ended. A source whose size nobody knew has it now. */
  async ended() {
    const source = this.#source;
    if (this.end === null) {
      source.bytes = this.position;
      const index = Math.floor(this.position / source.chunkBytes);
      if (this.position > index * source.chunkBytes) await this.#finishChunk(index, chunkSize(source, index));
    }
    if (this.end === 0) this.#checkMagic(0);
    if (this.position !== this.end) {
      throw new Transient(mismatch('size_mismatch', source.path, `${this.end} bytes`, `${this.position}`));
    }
  }

  /**
   * @param {number} index
   * @param {number} size
   */
  async #finishChunk(index, size) {
    const source = this.#source;
    const bytes = this.#buffer.subarray(0, size);
    const found = await sha256(bytes);
    const expected = expectedHash(source, index);
    if (expected !== null && found !== expected) {
      this.rewind(index * source.chunkBytes);
      throw this.#damage('hash_mismatch', source.path, expected, found);
    }
    this.#damaged = 0;
    await this.#ports.folder.store(source, index, bytes, found);
  }

  /**
   * A web page that answers in place of a model is found out before it is stored.
   * @param {number} filled bytes at the front of the buffer; 0 when there are none in the file
   */
  #checkMagic(filled) {
    if (this.#source.sha256 !== null) return;
    const seen = String.fromCharCode(...this.#buffer.subarray(0, Math.min(filled, kMagic.length)));
    if (filled > 0 && kMagic.startsWith(seen)) return;
    const message = `${this.#source.path}: expected a file that begins with '${kMagic}', found ${JSON.stringify(seen)}`;
    throw new TesseraError('not_gguf', message, 'The address must name the GGUF file itself, not a page about it.');
  }

  /**
   * @param {'hash_mismatch' | 'size_mismatch'} code
   * @param {string} path
   * @param {string} expected
   * @param {string} found
   */
  #damage(code, path, expected, found) {
    const error = mismatch(code, path, expected, found);
    if (this.#damaged++ === kMostDamaged) return error;
    if (code === 'size_mismatch') this.rewind();
    return new Transient(error, 0);
  }
}

/**
 * @param {'hash_mismatch' | 'size_mismatch'} code
 * @param {string} path
 * @param {string} expected
 * @param {string} found
 */
export function mismatch(code, path, expected, found) {
  const what = code === 'hash_mismatch' ? 'SHA-256' : 'size';
  const hint =
    'The file on the server differs from what was announced, or from what it was when it was first downloaded. Try again, ' +
    'ask its publisher, or remove the stored model and download it anew.';
  return new TesseraError(code, `${path}: ${what}: expected ${expected}, found ${found}`, hint);
}

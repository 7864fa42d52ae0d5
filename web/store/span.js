/** A run of chunks of one source as they arrive in order: cut, compared and stored one by one. It does no networking. */
import { TesseraError } from '../base/errors.js';
import { ArrivingChunk } from './arriving-chunk.js';
import { Transient } from './network.js';
import { chunkSize, expectedHash } from './records.js';

/** @typedef {import('./records.js').Source} Source */

/** @typedef {import('./arriving-chunk.js').ChunkPorts & {progress: Pick<import('./progress.js').ProgressMeter, 'add'>}} SpanPorts */

const kMagic = 'GGUF';
/** A chunk that arrives wrong is fetched once more; a second time means that the server has it wrong. */
const kMostDamaged = 1;

export class Span {
  #source;
  #first;
  #last;
  /** The first chunk that it has not stored. */
  #fresh;
  #ports;
  /** That is arriving, or will be next. @type {ArrivingChunk | null} */
  #chunk = null;
  #damaged = 0;
  /** The chunk that is whole is hashed and stored. @type {Promise<void> | null} */
  #finishing = null;
  /** Of that chunk. @type {{index: number, error: unknown} | null} */
  #failure = null;
  /** The first bytes of the source, as far as they came. */
  #front = '';
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
    this.#fresh = first;
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
    this.#first = this.#fresh = 0;
    this.#last = null;
  }

  /** What came since that offset is to come again; without one, what is not stored. @param {number} offset */
  rewind(offset = this.#fresh * this.#source.chunkBytes) {
    this.#ports.progress.add(offset - this.position);
    this.position = offset;
  }

  /** @param {Uint8Array} piece the bytes that follow */
  async take(piece) {
    const source = this.#source;
    if (this.position < kMagic.length) {
      const seen = this.position === 0 ? '' : this.#front;
      this.#front = seen + String.fromCharCode(...piece.subarray(0, kMagic.length - this.position));
      this.#checkMagic(this.#front);
    }
    for (let done = 0; done < piece.length;) {
      if (this.#failure) await this.settle();
      if (this.position === this.end) throw this.#damage('size_mismatch', source.path, `${this.end} bytes`, 'more');
      const chunk = await this.#chunkHere();
      const count = await chunk.take(piece.subarray(done));
      done += count;
      this.position += count;
      this.#ports.progress.add(count);
      if (chunk.whole) await this.#finishChunk(chunk);
    }
  }

  /** The body ended. A source whose size nobody knew has it now. */
  async ended() {
    const source = this.#source;
    if (this.end === null) {
      source.bytes = this.position;
      if (this.#chunk && this.#chunk.bytes > 0) await this.#finishChunk(this.#chunk);
    }
    if (this.end === 0) this.#checkMagic('');
    await this.settle();
    if (this.position !== this.end) {
      throw new Transient(mismatch('size_mismatch', source.path, `${this.end} bytes`, `${this.position}`));
    }
  }

  /** To be called before the request: the file of the first chunk is made meanwhile. Where that one is begun it starts behind it. */
  async prepare() {
    const source = this.#source;
    if (source.bytes === null) return;
    const begun = !source.whole && this.#ports.begun.has(source, this.#first);
    const chunk = new ArrivingChunk(source, this.#first, this.#ports, begun);
    this.#chunk = chunk;
    if (!begun) return;
    try {
      await chunk.resume();
      this.position += chunk.bytes;
      this.#ports.progress.add(chunk.bytes);
    } catch {
      await this.close('abort'); // it cannot be read any more, and comes once more
    }
  }

  /** Nothing more comes. @param {'leave' | 'abort'} [how] */
  async close(how = 'leave') {
    const chunk = this.#chunk;
    this.#chunk = null;
    await chunk?.end(how);
    await this.#finishing;
  }

  /** @returns {Promise<ArrivingChunk>} the one that the next byte belongs to */
  async #chunkHere() {
    const index = Math.floor(this.position / this.#source.chunkBytes);
    const chunk = this.#chunk;
    if (chunk?.index === index && chunk.bytes === this.position - index * this.#source.chunkBytes) return chunk;
    await this.close('abort');
    await this.settle();
    this.#chunk = new ArrivingChunk(this.#source, index, this.#ports);
    return this.#chunk;
  }

  /**
   * What comes next need not wait until this one is hashed and its file is in place.
   * @param {ArrivingChunk} chunk that is whole
   */
  async #finishChunk(chunk) {
    await this.settle();
    const { index } = chunk;
    this.#chunk = this.position < Number(this.end) ? new ArrivingChunk(this.#source, index + 1, this.#ports) : null;
    this.#finishing = this.#finish(chunk).then(
      () => {},
      (error) => void (this.#failure = { index, error }),
    );
  }

  /** @param {ArrivingChunk} chunk */
  async #finish(chunk) {
    const { path } = this.#source;
    const expected = expectedHash(this.#source, chunk.index);
    try {
      const found = await chunk.finish();
      if (expected !== null && found !== expected) throw this.#damage('hash_mismatch', path, expected, found);
      await chunk.commit(found);
      this.#fresh = Math.max(this.#fresh, chunk.index + 1);
      this.#damaged = 0;
    } catch (error) {
      await chunk.end('abort');
      throw error;
    }
  }

  /** Waits for the chunk before the one that arrives. If that one failed, it and all behind it are to come again. */
  async settle() {
    await this.#finishing;
    this.#finishing = null;
    if (!this.#failure) return;
    const { index, error } = this.#failure;
    this.#failure = null;
    await this.close('abort');
    this.rewind(index * this.#source.chunkBytes);
    throw error;
  }

  /**
   * A web page that answers in place of a model is found out before it is stored.
   * @param {string} seen the first bytes of the source, as far as there are some
   */
  #checkMagic(seen) {
    if (this.#source.sha256 !== null) return;
    if (seen !== '' && kMagic.startsWith(seen)) return;
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
    if (code === 'size_mismatch') this.rewind(this.#first * this.#source.chunkBytes);
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

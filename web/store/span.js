/** A run of chunks of one source as they arrive in order: cut, hashed, compared and stored one by one. It does no networking. */
import { TesseraError } from '../base/errors.js';
import { ChunkHash } from './hash.js';
import { Transient } from './network.js';
import { blocksOf, chunkSize, expectedHash } from './records.js';

/** @typedef {import('./records.js').Source} Source */
/** @typedef {import('./model-folder.js').ChunkWriter} ChunkWriter */
/** @typedef {{index: number, used: boolean, ready: Promise<ChunkWriter>}} ChunkFile used: something was written */

/**
 * @typedef {object} SpanPorts
 * @property {import('./model-folder.js').ModelFolder} folder
 * @property {Pick<import('./progress.js').ProgressMeter, 'add'>} progress
 * @property {Uint8Array<ArrayBuffer>[]} spare memory that others have used: fresh memory costs more than what is done with it
 */

const kMagic = 'GGUF';
/** Written while they are in the processor's cache, and while the rest of the chunk is on its way. */
const kWriteBytes = 512 << 10;
/** A chunk that arrives wrong is fetched once more; a second time means that the server has it wrong. */
const kMostDamaged = 1;

export class Span {
  #source;
  #first;
  #last;
  #ports;
  /** What is hashed at once, as far as it has come. @type {Uint8Array<ArrayBuffer>} */
  #block = new Uint8Array(0);
  /** Of the chunk that is arriving. */
  #hash = new ChunkHash();
  /** @type {ChunkFile | null} */
  #writer = null;
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
    const source = this.#source;
    const block = blocksOf(source);
    for (let done = 0; done < piece.length;) {
      if (this.position === this.end) throw this.#damage('size_mismatch', source.path, `${this.end} bytes`, 'more');
      const index = Math.floor(this.position / source.chunkBytes);
      const inside = this.position - index * source.chunkBytes;
      const size = chunkSize(source, index);
      if (inside === 0) await this.#startChunk(index, Math.min(block.bytes, size));
      const filled = inside % block.bytes;
      const unwritten = filled % kWriteBytes;
      const count = Math.min(kWriteBytes - unwritten, block.bytes - filled, size - inside, piece.length - done);
      this.#block.set(piece.subarray(done, done + count), filled);
      done += count;
      this.position += count;
      this.#ports.progress.add(count);
      if (index === 0 && inside < kMagic.length) this.#checkMagic(inside + count);
      const whole = filled + count === block.bytes || inside + count === size;
      if (whole) this.#hash.add(this.#block.subarray(0, filled + count));
      if (whole || unwritten + count === kWriteBytes) await this.#write(filled - unwritten, filled + count);
      if (inside + count === size) await this.#finishChunk(index);
    }
  }

  /** The body ended. A source whose size nobody knew has it now. */
  async ended() {
    const source = this.#source;
    if (this.end === null) {
      source.bytes = this.position;
      const index = Math.floor(this.position / source.chunkBytes);
      const size = this.position - index * source.chunkBytes;
      const filled = size % blocksOf(source).bytes;
      if (filled > 0) {
        this.#hash.add(this.#block.subarray(0, filled));
        if (filled % kWriteBytes > 0) await this.#write(filled - (filled % kWriteBytes), filled);
      }
      if (size > 0) await this.#finishChunk(index);
    }
    if (this.end === 0) this.#checkMagic(0);
    if (this.position !== this.end) {
      throw new Transient(mismatch('size_mismatch', source.path, `${this.end} bytes`, `${this.position}`));
    }
  }

  /** To be called before the request: the browser takes some milliseconds to make a file, and can do so meanwhile. */
  prepare() {
    if (this.#source.bytes !== null) this.#open(this.#first);
  }

  /** Nothing more comes: what is no whole chunk is not kept. */
  async close() {
    if (this.#block.length > 0) this.#ports.spare.push(this.#block);
    this.#block = new Uint8Array(0);
    await this.#abort();
  }

  async #abort() {
    const writer = await this.#writer?.ready.catch(() => null); // whoever writes hears of the failure
    this.#writer = null;
    await writer?.abort();
  }

  /** @param {number} index */
  #open(index) {
    const ready = this.#ports.folder.createWriter(this.#source, index);
    ready.catch(() => {}); // heard of when it is used
    this.#writer = { index, used: false, ready };
  }

  /**
   * @param {number} index
   * @param {number} blockBytes at most
   */
  async #startChunk(index, blockBytes) {
    if (this.#writer?.index !== index || this.#writer.used) {
      await this.#abort();
      this.#open(index);
    }
    if (this.#block.length < blockBytes) this.#block = this.#ports.spare.pop() ?? this.#block;
    if (this.#block.length < blockBytes) this.#block = new Uint8Array(blockBytes);
    this.#hash = new ChunkHash();
  }

  /**
   * @param {number} start in the block
   * @param {number} end
   */
  async #write(start, end) {
    const writer = /** @type {ChunkFile} */ (this.#writer);
    writer.used = true;
    await (await writer.ready).write(this.#block.subarray(start, end));
  }

  /** @param {number} index */
  async #finishChunk(index) {
    const source = this.#source;
    const found = await this.#hash.finish(blocksOf(source).cut);
    const expected = expectedHash(source, index);
    if (expected !== null && found !== expected) {
      this.rewind(index * source.chunkBytes);
      throw this.#damage('hash_mismatch', source.path, expected, found);
    }
    this.#damaged = 0;
    const writer = await this.#writer?.ready;
    this.#writer = null;
    if (this.position < Number(this.end)) this.#open(index + 1);
    try {
      await writer?.commit(found);
    } catch (error) {
      await writer?.abort();
      throw error;
    }
  }

  /**
   * A web page that answers in place of a model is found out before it is stored.
   * @param {number} filled bytes at the front of the block; 0 when there are none in the file
   */
  #checkMagic(filled) {
    if (this.#source.sha256 !== null) return;
    const seen = String.fromCharCode(...this.#block.subarray(0, Math.min(filled, kMagic.length)));
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

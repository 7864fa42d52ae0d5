/** One chunk on its way into the store: gathered in blocks, hashed and written while it arrives, or gone on with where it was left. */
import { BlocksHash, sha256 } from './hash.js';
import { arrivingBlocksOf, chunkSize } from './records.js';

/** @typedef {import('./records.js').Source} Source */

/**
 * @typedef {object} ChunkPorts
 * @property {Pick<import('./model-folder.js').ModelFolder, 'commit'>} folder
 * @property {import('./begun-chunks.js').BegunChunks} begun
 * @property {Uint8Array<ArrayBuffer>[]} spare memory that others have used: fresh memory costs more than what is done with it
 */

/** Written while they are in the processor's cache, and while the rest of the chunk is on its way. */
const kWriteBytes = 512 << 10;

export class ArrivingChunk {
  #source;
  #ports;
  #writer;
  #hash = new BlocksHash();
  /** What is hashed at once, as far as it has come. @type {Uint8Array<ArrayBuffer>} */
  #block = new Uint8Array(0);
  #written = 0;
  index;
  /** That have come so far. */
  bytes = 0;

  /**
   * The browser takes some milliseconds to make the file: whoever knows which chunk comes next makes it before it does.
   * @param {Source} source
   * @param {number} index
   * @param {ChunkPorts} ports
   * @param {boolean} [resume] it is begun, and `resume` will be called
   */
  constructor(source, index, ports, resume = false) {
    this.#source = source;
    this.#ports = ports;
    this.index = index;
    this.#writer = ports.begun.createWriter(source, index, resume);
    this.#writer.catch(() => {}); // heard of when it is used
  }

  get whole() {
    return this.bytes === chunkSize(this.#source, this.index);
  }

  /** Takes what is on the disk: it is read and hashed as if it came once more. */
  async resume() {
    const { cut, bytes: block } = arrivingBlocksOf(this.#source);
    const { resumed, readBack } = await this.#writer;
    if (resumed > 0) this.#takeMemory(Math.min(block, chunkSize(this.#source, this.index)));
    while (this.bytes < resumed) {
      const piece = this.#block.subarray(0, Math.min(block, resumed - this.bytes));
      await readBack(piece, this.bytes);
      if (cut && piece.length === block) this.#hash.add(piece);
      this.bytes += piece.length;
    }
    this.#written = resumed;
  }

  /**
   * @param {Uint8Array} piece the bytes that follow
   * @returns {Promise<number>} how many of them it took
   */
  async take(piece) {
    const block = arrivingBlocksOf(this.#source).bytes;
    const size = chunkSize(this.#source, this.index);
    if (this.#block.length === 0) this.#takeMemory(Math.min(block, size));
    const filled = this.bytes % block;
    const unwritten = this.bytes - this.#written;
    const count = Math.min(kWriteBytes - unwritten, block - filled, size - this.bytes, piece.length);
    this.#block.set(piece.subarray(0, count), filled);
    this.bytes += count;
    if (filled + count === block || unwritten + count === kWriteBytes) await this.#endPiece(filled + count);
    return count;
  }

  /**
   * All of it came.
   * @returns {Promise<string>} its hash
   */
  async finish() {
    const { cut, bytes } = arrivingBlocksOf(this.#source);
    if (this.#written < this.bytes) await this.#endPiece(this.bytes % bytes || bytes);
    const hash = cut ? await this.#hashInBlocks() : await sha256(this.#block.subarray(0, this.bytes));
    this.#giveMemory();
    return hash;
  }

  /** A manifest's hash of blocks has its sha256 in it: where both fit, the bytes have that one. Where not, the sha256 alone counts. */
  async #hashInBlocks() {
    const { sha256: announced, sha256Blocks } = this.#source;
    if (announced === null || !sha256Blocks) return this.#hash.finish();
    if ((await this.#hash.finish(announced)) === sha256Blocks) return announced;
    this.#giveMemory();
    this.#takeMemory(this.bytes);
    const all = this.#block.subarray(0, this.bytes);
    await (await this.#writer).readBack(all, 0);
    return sha256(all);
  }

  /** It has this hash, and is right. @param {string} hash */
  async commit(hash) {
    const writer = await this.#writer;
    try {
      await this.#ports.folder.commit(this.#source, this.index, writer, hash);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** @param {'leave' | 'abort'} how leave: what can be gone on with is kept; abort: nothing is */
  async end(how) {
    this.#giveMemory();
    const writer = await this.#writer.catch(() => null); // whoever writes hears of the failure
    await writer?.[how]();
  }

  /** @param {number} filled bytes of the block, which end here for the disk, and if they are all of it, for the hash */
  async #endPiece(filled) {
    const { cut, bytes } = arrivingBlocksOf(this.#source);
    const piece = this.#block.subarray(filled - (this.bytes - this.#written), filled);
    if (cut && (filled === bytes || this.whole)) this.#hash.add(this.#block.subarray(0, filled));
    this.#written = this.bytes;
    await (await this.#writer).write(piece);
  }

  /** @param {number} bytes at least */
  #takeMemory(bytes) {
    const spare = this.#ports.spare.pop();
    this.#block = spare && spare.length >= bytes ? spare : new Uint8Array(bytes);
  }

  #giveMemory() {
    if (this.#block.length > 0) this.#ports.spare.push(this.#block);
    this.#block = new Uint8Array(0);
  }
}

/**
 * Chunks of one model that a killed tab or a stopped download left in the middle. When half of a chunk came it is on the disk before
 * the other half begins, so a longer file has its first half right. Its name says which chunk of which version of the source it is
 * of: KEY.INDEX.VERSION.
 */
import { arrivingBlocksOf, chunkSize } from './records.js';

/** @typedef {import('./records.js').Source} Source */
/** @typedef {{source: Source, index: number}} Place */

export class BegunChunks {
  #backend;
  #id;
  /** Names of those that may be gone on with. @type {Set<string>} */
  #names = new Set();

  /**
   * @param {import('./contract.js').Backend} backend
   * @param {string} id of the model
   */
  constructor(backend, id) {
    this.#backend = backend;
    this.#id = id;
  }

  /** Looks what there is, and deletes what is not of these chunks. @param {Place[]} wanted */
  async find(wanted) {
    const names = new Set(wanted.map(({ source, index }) => nameOf(source, index)));
    this.#names.clear();
    for (const path of await this.#backend.unfinished(this.#id)) {
      const name = path.slice(this.#id.length + 1);
      if (names.has(name)) {
        this.#names.add(name);
      } else {
        const writer = await this.#backend.createWriter(path).catch(() => null); // a tab that ends may still hold it
        await writer?.abort();
      }
    }
  }

  /** Another thread has found it. @param {Source} source @param {number} index */
  add(source, index) {
    this.#names.add(nameOf(source, index));
  }

  /** @param {Source} source @param {number} index */
  has(source, index) {
    return this.#names.has(nameOf(source, index));
  }

  /**
   * @param {Source} source
   * @param {number} index
   * @param {boolean} resume
   */
  async createWriter(source, index, resume) {
    const name = nameOf(source, index);
    this.#names.delete(name);
    const mark = markOf(source, chunkSize(source, index));
    const writer = await this.#backend.createWriter(`${this.#id}/${name}`, { mark, resume });
    const leave = async () => {
      this.#names.add(name);
      await writer.leave();
    };
    return { ...writer, leave };
  }
}

/**
 * Half of a chunk, in whole blocks where it has some: one that is laid across the mark would be written in two parts.
 * @param {Source} source
 * @param {number} bytes of the chunk
 */
function markOf(source, bytes) {
  const half = source.chunkBytes >> 1;
  const block = arrivingBlocksOf(source).bytes;
  return Math.min(half - (half % block) || half, bytes);
}

/**
 * @param {Source} source
 * @param {number} index
 */
function nameOf({ key, sha256, validator, bytes, chunkBytes }, index) {
  const version = (sha256 ?? validator).replace(/\W/g, '').slice(0, 99);
  // Names of files have a limit.
  return `${key}.${index}.${bytes}-${chunkBytes}-${version}`;
}

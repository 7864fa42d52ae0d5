/**
 * One model's folder in a backend: its record, its chunks and when it was last used. A chunk's file exists only when its bytes were
 * checked. Records are never overwritten: record-2.json is there before record-1.json goes, so a crash leaves one that is whole.
 */
import { isRecord, chunkCount, chunkSize, expectedHash } from './records.js';
import { TesseraError } from '../base/errors.js';

const kUsedFile = 'used.json';
const kRecordName = /^record-(\d+)\.json$/;
const kChunkName = /^([0-9a-z]+\.\d+)\.([0-9a-f]{64})$/;

/** @typedef {import('./contract.js').Backend} Backend */
/** @typedef {import('./records.js').ModelRecord} ModelRecord */
/** @typedef {import('./records.js').Source} Source */
/** @typedef {{path: string, bytes: number, hash: string}} StoredChunk */

export class ModelFolder {
  #backend;
  #id;
  #serial = 0;
  /** null when there is none, or none that this version can read. @type {ModelRecord | null} */
  record = null;
  /** 'KEY.INDEX' → chunk. @type {Map<string, StoredChunk>} */
  #chunks = new Map();
  /** What is none of ours: an older version kept its files under other names. @type {import('./contract.js').StoredFile[]} */
  #strays = [];

  /**
   * @param {Backend} backend
   * @param {string} id
   */
  constructor(backend, id) {
    this.#backend = backend;
    this.#id = id;
  }

  /**
   * @param {Backend} backend
   * @param {string} id
   * @param {import('./contract.js').StoredFile[]} [files] of this folder, when they are known already
   */
  static async read(backend, id, files) {
    const folder = new ModelFolder(backend, id);
    /** @type {number[]} */
    const serials = [];
    for (const { path, bytes } of files ?? (await backend.list(id))) {
      const name = path.slice(id.length + 1);
      const [, place, hash] = kChunkName.exec(name) ?? [];
      const [, serial] = kRecordName.exec(name) ?? [];
      if (place) folder.#chunks.set(place, { path, bytes, hash });
      else if (serial) serials.push(Number(serial));
      else if (name !== kUsedFile) folder.#strays.push({ path, bytes });
    }
    for (const serial of serials.sort((a, b) => b - a)) {
      folder.#serial = Math.max(folder.#serial, serial);
      const value = await readJson(backend, `${id}/record-${serial}.json`);
      if (folder.record === null && isRecord(value)) folder.record = value;
    }
    return folder;
  }

  get storedBytes() {
    return [...this.#chunks.values(), ...this.#strays].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Bytes that are there of the sources of this record. @param {Source} source */
  storedBytesOf(source) {
    let sum = 0;
    for (let i = 0; i < chunkCount(source); ++i) if (this.has(source, i)) sum += chunkSize(source, i);
    return sum;
  }

  /**
   * @param {Source} source
   * @param {number} index
   * @returns {StoredChunk | undefined}
   */
  chunk(source, index) {
    return this.#chunks.get(`${source.key}.${index}`);
  }

  /**
   * Whether the chunk is there with the right size, and under the hash it must have.
   * @param {Source} source
   * @param {number} index
   */
  has(source, index) {
    const chunk = this.chunk(source, index);
    const expected = expectedHash(source, index);
    return chunk?.bytes === chunkSize(source, index) && (expected === null || expected === chunk.hash);
  }

  /** @param {Source} source @returns {boolean} all of it is there and was found right */
  hasAll(source) {
    return source.pins !== null && source.pins.every((_, index) => this.has(source, index));
  }

  /** A source stays cut and hashed as its stored chunks are, which an older version may have done otherwise. @param {Source} source */
  recall(source) {
    const known = this.record?.sources.find(({ key, bytes }) => key === source.key && bytes === source.bytes);
    if (!known) return;
    const { chunkBytes, blockBytes = 0, pins } = known;
    // Of such a source the manifest had a hash in blocks once; the one that it has now cannot be compared with it.
    if (pins === null && blockBytes > 0 && chunkCount(known) === 1) return;
    Object.assign(source, { chunkBytes, blockBytes, pins });
    if (blockBytes > 0) delete source.sha256Blocks; // its pins are of another kind
  }

  get complete() {
    return this.record !== null && this.record.sources.every((source) => this.hasAll(source));
  }

  /** @param {ModelRecord} record */
  async save(record) {
    const older = this.#serial;
    await this.#write(`record-${++this.#serial}.json`, new TextEncoder().encode(JSON.stringify(record)));
    this.record = record;
    if (older > 0) await this.#backend.delete(`${this.#id}/record-${older}.json`);
  }

  /**
   * @param {Source} source
   * @param {number} index
   * @param {import('./contract.js').FileWriter} writer all of the chunk was written
   * @param {string} hash was found right
   */
  async commit(source, index, writer, hash) {
    const old = this.chunk(source, index);
    if (old?.hash === hash && old.bytes === chunkSize(source, index)) return writer.abort();
    await this.drop(source, index);
    await writer.commit(`${source.key}.${index}.${hash}`);
    this.adopt(source, index, hash);
  }

  /**
   * The chunk's file is there: another thread may have made it.
   * @param {Source} source
   * @param {number} index of a chunk that was not there
   * @param {string} hash
   */
  adopt(source, index, hash) {
    const place = `${source.key}.${index}`;
    this.#chunks.set(place, { path: `${this.#id}/${place}.${hash}`, bytes: chunkSize(source, index), hash });
  }

  /**
   * @param {Source} source
   * @param {number} index
   */
  async drop(source, index) {
    const chunk = this.chunk(source, index);
    if (!chunk) return;
    this.#chunks.delete(`${source.key}.${index}`);
    await this.#backend.delete(chunk.path);
  }

  /**
   * @param {Source} source
   * @param {number} index of a chunk that is there
   */
  blob(source, index) {
    return this.#backend.blob(this.#pathOf(source, index));
  }

  /**
   * @param {Source} source
   * @param {number} index of a chunk that is there
   */
  open(source, index) {
    return this.#backend.open(this.#pathOf(source, index));
  }

  /**
   * @param {Source} source
   * @param {number} index
   */
  #pathOf(source, index) {
    const chunk = this.chunk(source, index);
    if (!chunk) throw new TesseraError('not_found', `${source.path}: part ${index} is not stored`);
    return chunk.path;
  }

  /** Deletes the chunks that the predicate does not want, and what is no chunk. @param {(key: string, index: number) => boolean} wanted */
  async keepOnly(wanted) {
    for (const { path } of this.#strays.splice(0)) await this.#backend.delete(path);
    for (const [place, { path }] of [...this.#chunks]) {
      const [key, index] = place.split('.');
      if (wanted(key, Number(index))) continue;
      this.#chunks.delete(place);
      await this.#backend.delete(path);
    }
  }

  /** A full disk must not keep a stored model from opening: only the order of the list suffers. */
  async touch() {
    await this.#write(kUsedFile, new TextEncoder().encode(String(Date.now()))).catch(() => {});
  }

  /** @returns {Promise<number | null>} milliseconds since 1970 */
  async lastUsed() {
    const value = await readJson(this.#backend, `${this.#id}/${kUsedFile}`);
    return typeof value === 'number' ? value : null;
  }

  /**
   * @param {string} name
   * @param {Uint8Array} bytes
   */
  async #write(name, bytes) {
    const writer = await this.#backend.createWriter(`${this.#id}/${name}`);
    try {
      await writer.write(bytes);
      await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }
}

/**
 * @param {Backend} backend
 * @param {string} path
 * @returns {Promise<unknown>} undefined when it is missing or torn
 */
async function readJson(backend, path) {
  try {
    return JSON.parse(await (await backend.blob(path)).text());
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof TesseraError && error.code === 'not_found')) return undefined;
    throw error;
  }
}

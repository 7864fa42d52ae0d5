/**
 * What a model in the store is: where its bytes come from and what they must be. A record is plain JSON; model-folder.js keeps it.
 *
 * A model has one source a file on the server (a GGUF file, a part of a split one, a shard), and a source is kept in chunks. A
 * chunk is fetched, checked and stored as one, under a name that says what it is: KEY.INDEX.HASH. So the names in the folder are
 * the journal of a download: there is no second account of it that a crash could leave in disagreement with the bytes.
 */
import { fileNameOf } from './addresses.js';

/**
 * @typedef {object} Source
 * @property {string} key begins the names of its chunks
 * @property {string} path its name for people: the shard's path in the manifest, or the file name
 * @property {string[]} urls absolute; mirrors of one file, the preferred one first
 * @property {number | null} bytes null until learned
 * @property {string | null} sha256 of the whole source, or of its one chunk's blocks; null when nobody announced it
 * @property {string} [sha256Blocks] of a source of one chunk, where the manifest has it: tells in blocks whether it has that sha256
 * @property {number} chunkBytes size of all chunks but the last
 * @property {number} [blockBytes] of what a chunk's hash is made (hash.js); 0, or none in old records: the chunk's own SHA-256
 * @property {string} validator ETag or Last-Modified of the file that the chunks are of; '' when unknown
 * @property {boolean} whole the server cannot send ranges of it
 * @property {string[] | null} pins hash of each chunk, once all have been there and right
 */

/**
 * @typedef {object} ModelRecord
 * @property {2} version
 * @property {string} url the manifest or GGUF file it came from
 * @property {string} name
 * @property {'adapter'} [kind] what else than a model it is, or was fetched as and never used
 * @property {boolean} split whether each source is a GGUF file of its own; else they make one, laid end to end
 * @property {Source[]} sources in file order
 */

export const kVersion = 2;
/** To make a file costs the browser as much time as some megabytes in it. Shards up to this size are one chunk, with the manifest's hash. */
const kChunkBytes = 16 << 20;
/** Blocks of 512 KB: browsers take larger ones to fresh memory each time. */
const kBlocks = 32;
/** Of a manifest's sha256_blocks. */
const kShardBlockBytes = 512 << 10;
const kShaBytes = 64; // what SHA-256 works on

/**
 * @param {string} url
 * @param {import('./manifest.js').Manifest} manifest
 * @param {string[][]} shardUrls of each shard
 * @param {number} [chunkBytes]
 * @returns {ModelRecord}
 */
export function recordOfManifest(url, manifest, shardUrls, chunkBytes) {
  const sources = manifest.shards.map(({ path, bytes, sha256, sha256_blocks: sha256Blocks }, i) => {
    const size = chunkBytes ?? Math.min(bytes, kChunkBytes);
    const source = { ...emptySource(sha256.slice(0, 32), path, shardUrls[i], size), bytes, sha256 };
    if (chunkCount(source) > 1) return source;
    // The hash of its one chunk is announced.
    return { ...source, blockBytes: 0, ...(sha256Blocks && { sha256Blocks }) };
  });
  return { version: kVersion, url, name: manifest.name, split: false, sources };
}

/**
 * @param {string} url
 * @param {string[]} files addresses of the GGUF file, or of all parts of a split one
 * @param {number} [chunkBytes]
 * @returns {ModelRecord} sizes and hashes still to be learned
 */
export function recordOfFiles(url, files, chunkBytes = kChunkBytes) {
  const nameOf = (/** @type {string} */ address) => fileNameOf(address) || 'model.gguf';
  const sources = files.map((file, i) => emptySource(`f${i}`, nameOf(file), [file], chunkBytes));
  return { version: kVersion, url, name: nameOf(url), split: files.length > 1, sources };
}

/**
 * @param {string} key
 * @param {string} path
 * @param {string[]} urls
 * @param {number} chunkBytes
 * @returns {Source}
 */
function emptySource(key, path, urls, chunkBytes) {
  const blockBytes = kShaBytes * Math.ceil(chunkBytes / kBlocks / kShaBytes);
  return {
    key,
    path,
    urls,
    bytes: null,
    sha256: null,
    chunkBytes,
    blockBytes,
    validator: '',
    whole: false,
    pins: null,
  };
}

/** @param {Source} source @returns {number} chunks it has; 0 while its size is unknown */
export function chunkCount({ bytes, chunkBytes }) {
  return bytes === null ? 0 : Math.ceil(bytes / chunkBytes);
}

/**
 * @param {Source} source
 * @param {number} index
 * @returns {number} bytes of that chunk, as far as the source's size is known
 */
export function chunkSize({ bytes, chunkBytes }, index) {
  return bytes === null ? chunkBytes : Math.min(chunkBytes, bytes - index * chunkBytes);
}

/**
 * @param {Source} source
 * @returns {{cut: boolean, bytes: number}} how its chunks are hashed: whole, or cut into blocks of that many bytes
 */
export function blocksOf({ blockBytes = 0, chunkBytes }) {
  return blockBytes === 0 ? { cut: false, bytes: chunkBytes } : { cut: true, bytes: blockBytes };
}

/**
 * @param {Source} source
 * @returns {{cut: boolean, bytes: number}} how its chunks are hashed while they arrive
 */
export function arrivingBlocksOf(source) {
  return source.sha256Blocks ? { cut: true, bytes: kShardBlockBytes } : blocksOf(source);
}

/**
 * @param {Source} source
 * @param {number} index
 * @returns {string | null} the hash that the chunk must have; null when it will be learned
 */
export function expectedHash(source, index) {
  return source.pins?.[index] ?? (chunkCount(source) === 1 ? source.sha256 : null);
}

/**
 * Whether a value read back from the store is a record that this version understands.
 * @param {unknown} value
 * @returns {value is ModelRecord}
 */
export function isRecord(value) {
  const record = /** @type {ModelRecord | undefined | null} */ (value);
  if (record?.version !== kVersion || typeof record.url !== 'string' || typeof record.name !== 'string') return false;
  return Array.isArray(record.sources) && record.sources.length > 0 && record.sources.every(isSource);
}

/** @param {Partial<Source> | null} source */
function isSource(source) {
  if (typeof source?.key !== 'string' || typeof source.path !== 'string' || !Array.isArray(source.urls)) return false;
  const size = source.bytes === null || Number.isSafeInteger(source.bytes);
  const pins = source.pins === null || Array.isArray(source.pins);
  const { chunkBytes = 0, blockBytes = 0 } = source;
  return (
    size &&
    pins &&
    Number.isSafeInteger(chunkBytes) &&
    chunkBytes > 0 &&
    Number.isSafeInteger(blockBytes) &&
    blockBytes >= 0
  );
}

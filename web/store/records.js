/**
 * How a model lies in a backend: a folder per source URL with `record.json` (what the files are), `used.json` (when it was last
 * opened) and the data files. A data file exists only when it was verified, so the files themselves are the state: no journal.
 */
import { TesseraError } from '../base/errors.js';
import { hashText } from './hash.js';

const kRecordFile = 'record.json';
const kUsedFile = 'used.json';
const kVersion = 1;

/** @typedef {import('./contract.js').Backend} Backend */

/**
 * @typedef {object} RecordPart
 * @property {string} file its name in the model's folder
 * @property {string} path its name for people: the shard's path in the manifest, or the file name
 * @property {number | null} bytes null until learned
 * @property {string | null} sha256 null until learned
 */

/**
 * @typedef {object} ModelRecord
 * @property {1} version
 * @property {string} url the manifest or GGUF file it came from
 * @property {string} name
 * @property {import('./manifest.js').Manifest | null} manifest null for a plain GGUF file
 * @property {RecordPart[]} parts in file order
 */

/**
 * @param {string} url absolute
 * @returns {Promise<string>} the model's folder: the same for the same URL
 */
export async function modelId(url) {
  return (await hashText(url)).slice(0, 16);
}

/**
 * @param {string} url
 * @param {import('./manifest.js').Manifest} manifest
 * @returns {ModelRecord}
 */
export function recordOfManifest(url, manifest) {
  const parts = manifest.shards.map(({ path, bytes, sha256 }) => ({ file: sha256, path, bytes, sha256 }));
  return { version: kVersion, url, name: manifest.name, manifest, parts };
}

/**
 * @param {string} url
 * @param {string} name
 * @returns {ModelRecord} size and hash still to be learned
 */
export function recordOfFile(url, name) {
  return {
    version: kVersion,
    url,
    name,
    manifest: null,
    parts: [{ file: 'model.gguf', path: name, bytes: null, sha256: null }],
  };
}

/**
 * @param {Backend} backend
 * @param {string} id
 * @returns {Promise<ModelRecord | null>} null when there is none, or none that this version can read
 */
export async function readRecord(backend, id) {
  const value = await readJson(backend, `${id}/${kRecordFile}`);
  return isRecord(value) ? value : null;
}

/**
 * @param {Backend} backend
 * @param {string} id
 * @param {ModelRecord} record
 */
export function writeRecord(backend, id, record) {
  return writeJson(backend, `${id}/${kRecordFile}`, record);
}

/**
 * @param {Backend} backend
 * @param {string} id
 * @returns {Promise<number | null>} milliseconds since 1970
 */
export async function readLastUsed(backend, id) {
  const value = await readJson(backend, `${id}/${kUsedFile}`);
  return typeof value === 'number' ? value : null;
}

/**
 * @param {Backend} backend
 * @param {string} id
 */
export async function writeLastUsed(backend, id) {
  // A full disk must not keep a stored model from opening; only the order of the list suffers.
  await writeJson(backend, `${id}/${kUsedFile}`, Date.now()).catch(() => {});
}

/**
 * @param {Backend} backend
 * @returns {Promise<Map<string, Map<string, number>>>} model id → data file → bytes
 */
export async function storedFiles(backend) {
  /** @type {Map<string, Map<string, number>>} */
  const models = new Map();
  for (const { path, bytes } of await backend.list()) {
    const [id, file] = path.split('/');
    const files = models.get(id) ?? new Map();
    models.set(id, files);
    if (file !== kRecordFile && file !== kUsedFile) files.set(file, bytes);
  }
  return models;
}

/**
 * @param {RecordPart} part
 * @param {Map<string, number> | undefined} files of its model
 */
export function isStored(part, files) {
  return part.bytes !== null && part.sha256 !== null && files?.get(part.file) === part.bytes;
}

/**
 * @param {Backend} backend
 * @param {string} path
 * @returns {Promise<unknown>} undefined when it is missing or torn
 */
async function readJson(backend, path) {
  try {
    return await new Response(await backend.stream(path)).json();
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof TesseraError && error.code === 'not_found')) return undefined;
    throw error;
  }
}

/**
 * @param {Backend} backend
 * @param {string} path
 * @param {unknown} value
 */
async function writeJson(backend, path, value) {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  const writer = await backend.createWriter(path, bytes.length);
  try {
    await writer.write(bytes);
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/**
 * @param {unknown} value
 * @returns {value is ModelRecord}
 */
function isRecord(value) {
  const record = /** @type {ModelRecord | undefined | null} */ (value);
  if (record?.version !== kVersion || typeof record.url !== 'string' || typeof record.name !== 'string') return false;
  return Array.isArray(record.parts) && record.parts.length > 0 && record.parts.every(isPart);
}

/** @param {Partial<RecordPart> | null} part */
function isPart(part) {
  return (
    typeof part?.file === 'string' &&
    typeof part.path === 'string' &&
    (part.bytes === null || Number.isSafeInteger(part.bytes))
  );
}

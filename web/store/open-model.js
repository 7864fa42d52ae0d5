/** From what the caller names (a URL, a file, several files) to readers of GGUF bytes, downloading and storing what is missing. */
import { TesseraError } from '../base/errors.js';
import { chooseBackend } from './choose-backend.js';
import { download, downloadAll } from './download.js';
import { openFiles } from './local-files.js';
import { withModelLock } from './locks.js';
import { parseManifest, shardUrl } from './manifest.js';
import { fetchText } from './network.js';
import { ProgressMeter } from './progress.js';
import { checkSpace, isQuotaError, quotaError } from './quota.js';
import { joinedReader } from './readers.js';
import {
  isStored,
  modelId,
  readRecord,
  recordOfFile,
  recordOfManifest,
  storedFiles,
  writeLastUsed,
  writeRecord,
} from './records.js';

/** @typedef {import('./contract.js').Backend} Backend */
/** @typedef {import('./contract.js').SyncReader} SyncReader */
/** @typedef {import('./records.js').ModelRecord} ModelRecord */

/**
 * @typedef {object} OpenedModel
 * @property {string} name
 * @property {SyncReader[]} parts one per GGUF file: more than one only for a GGUF that was split by gguf-split
 * @property {'opfs' | 'cache' | 'memory' | 'file'} storedIn
 * @property {() => Promise<void>} close frees the file handles
 */

/**
 * @typedef {object} OpenOptions
 * @property {boolean} [cache] false: keep nothing, neither on this visit nor for the next one
 * @property {AbortSignal} [signal]
 * @property {(progress: import('./progress.js').Progress) => void} [onProgress] loadedBytes never goes down within a stage
 */

/**
 * @typedef {object} Environment what tests replace
 * @property {Backend} [backend]
 * @property {import('./network.js').NetworkOptions & {parallel?: number}} [network]
 */

/**
 * @typedef {object} Job one call of openModel on a URL
 * @property {string} url
 * @property {string} id
 * @property {Backend} backend
 * @property {import('./network.js').NetworkOptions & {parallel?: number}} network
 * @property {AbortSignal} [signal]
 * @property {OpenOptions['onProgress']} onProgress
 */

const kMaxManifestBytes = 16 << 20;

/**
 * Worker only. A model that is stored completely is opened without any request.
 * @param {string | File | File[]} source absolute URL of a .gguf or manifest.json; a GGUF file; the files of a split GGUF or its shards
 * @param {OpenOptions} [options]
 * @param {Environment} [environment]
 * @returns {Promise<OpenedModel>} rejects with TesseraError 'aborted', 'http', 'network', 'hash_mismatch', 'size_mismatch',
 *   'manifest_invalid', 'not_gguf', 'quota_exceeded', 'invalid_argument', 'read_failed'
 */
export async function openModel(source, options = {}, environment = {}) {
  try {
    options.signal?.throwIfAborted();
    if (typeof source !== 'string') return openFiles(source);
    return await openUrl(checkUrl(source), options, environment);
  } catch (error) {
    if (options.signal?.aborted) throw new TesseraError('aborted', 'the loading of the model was stopped');
    throw isQuotaError(error) ? await quotaError(null, error) : TesseraError.from(error);
  }
}

/**
 * @param {string} source
 * @returns {string}
 */
function checkUrl(source) {
  const url = URL.canParse(source) ? new URL(source) : null;
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw new TesseraError(
      'invalid_argument',
      `model: expected an absolute http(s) URL, found '${source.slice(0, 80)}'`,
    );
  }
  url.hash = '';
  return url.href;
}

/**
 * @param {string} url
 * @param {OpenOptions} options
 * @param {Environment} environment
 * @returns {Promise<OpenedModel>}
 */
async function openUrl(url, { cache, signal, onProgress }, environment) {
  const backend = environment.backend ?? (await chooseBackend({ cache }));
  /** @type {Job} */
  const job = { url, id: await modelId(url), backend, network: environment.network ?? {}, signal, onProgress };
  const action = async () => {
    const record = (await completeRecord(job)) ?? (await fetchModel(job));
    await writeLastUsed(backend, job.id);
    return openParts(record, job);
  };
  return backend.persistent ? withModelLock(job.id, { signal, wait: true }, action) : action();
}

/**
 * @param {Job} job
 * @returns {Promise<ModelRecord | null>} null when anything is missing
 */
async function completeRecord({ backend, id }) {
  const record = await readRecord(backend, id);
  const files = (await storedFiles(backend)).get(id);
  return record?.parts.every((part) => isStored(part, files)) ? record : null;
}

/**
 * @param {Job} job
 * @returns {Promise<ModelRecord>}
 */
async function fetchModel(job) {
  const record = new URL(job.url).pathname.endsWith('.json') ? await fetchShards(job) : await fetchFile(job);
  const bytes = record.parts.reduce((sum, part) => sum + Number(part.bytes), 0);
  const verified = new ProgressMeter('verify', bytes, job.onProgress);
  verified.add(bytes); // every hash was compared while its bytes arrived
  return record;
}

/**
 * @param {Job} job
 * @returns {Promise<ModelRecord>}
 */
async function fetchShards({ url, id, backend, network, signal, onProgress }) {
  const manifest = parseManifest(await fetchText(url, signal, network, kMaxManifestBytes));
  const record = recordOfManifest(url, manifest);
  const files = (await storedFiles(backend)).get(id) ?? new Map();
  const wanted = new Map(manifest.shards.map((shard) => [shard.sha256, shard])); // equal shards are fetched and kept once
  for (const file of files.keys()) if (!wanted.has(file)) await backend.delete(`${id}/${file}`); // of an older manifest

  const progress = new ProgressMeter('download', manifest.file.bytes, onProgress);
  const tasks = [...wanted.values()]
    .filter((shard) => files.get(shard.sha256) !== shard.bytes)
    .map((shard) => ({ ...shard, url: shardUrl(shard, url), path: `${id}/${shard.sha256}` }));
  const missing = tasks.reduce((sum, task) => sum + task.bytes, 0);
  if (backend.persistent) await checkSpace(missing);
  await writeRecord(backend, id, record);
  progress.add(manifest.file.bytes - missing);
  await downloadAll(tasks, { backend, progress, signal, network });
  progress.report();
  return record;
}

/**
 * A plain GGUF file: one stream, whose size and hash become the record. A hash once learned is the one expected from then on.
 * @param {Job} job
 * @returns {Promise<ModelRecord>}
 */
async function fetchFile({ url, id, backend, network, signal, onProgress }) {
  const name = new URL(url).pathname.split('/').pop() || 'model.gguf';
  const record = (await readRecord(backend, id)) ?? recordOfFile(url, name);
  const [part] = record.parts;
  await writeRecord(backend, id, record);
  const progress = new ProgressMeter('download', part.bytes, onProgress);
  const task = { url, path: `${id}/${part.file}`, bytes: part.bytes, sha256: part.sha256, magic: 'GGUF' };
  Object.assign(part, await download(task, { backend, progress, signal, network }));
  progress.totalBytes = part.bytes;
  progress.report();
  await writeRecord(backend, id, record);
  return record;
}

/**
 * @param {ModelRecord} record
 * @param {Job} job
 * @returns {Promise<OpenedModel>}
 */
async function openParts(record, { backend, id }) {
  /** @type {import('./contract.js').OpenFile[]} */
  const opened = [];
  const close = () => opened.forEach((file) => file.close());
  try {
    /** @type {Map<string, import('./contract.js').OpenFile>} */
    const byName = new Map();
    for (const { file } of record.parts) {
      const reader = byName.get(file) ?? (await backend.open(`${id}/${file}`));
      if (!byName.has(file)) opened.push(reader);
      byName.set(file, reader);
    }
    const parts = record.parts.map(({ file }) => /** @type {import('./contract.js').OpenFile} */ (byName.get(file)));
    return { name: record.name, parts: [joinedReader(parts)], storedIn: backend.kind, close: async () => close() };
  } catch (error) {
    close();
    throw error;
  }
}

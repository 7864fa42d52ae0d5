/** From what the caller names (a URL, a file, several files) to readers of GGUF bytes, downloading and storing what is missing. */
import { TesseraError } from '../base/errors.js';
import { checkFetchable, modelAddress, modelId, partAddresses } from './addresses.js';
import { BegunChunks } from './begun-chunks.js';
import { chooseBackend } from './choose-backend.js';
import { downloadModel, knownBytes } from './download.js';
import { openFiles } from './local-files.js';
import { withModelLock } from './locks.js';
import { parseManifest, shardUrls } from './manifest.js';
import { ModelFolder } from './model-folder.js';
import { fetchText } from './network.js';
import { ProgressMeter } from './progress.js';
import { checkLoadable, checkSpace, isQuotaError, quotaError } from './quota.js';
import { joinedReader } from './readers.js';
import { chunkCount, expectedHash, recordOfFiles, recordOfManifest } from './records.js';

/** @typedef {import('./contract.js').Backend} Backend */
/** @typedef {import('./contract.js').SyncReader} SyncReader */
/** @typedef {import('./contract.js').OpenFile} OpenFile */

/**
 * @typedef {object} OpenedModel
 * @property {string} name
 * @property {SyncReader[]} parts one per GGUF file: more than one only for a GGUF that was split by gguf-split
 * @property {'opfs' | 'cache' | 'memory' | 'file'} storedIn
 * @property {() => Promise<void>} close frees the file handles
 * @property {(kind: 'model' | 'adapter') => Promise<void>} mark what it turned out to be, which the list of what is stored says
 */

/**
 * @typedef {object} OpenOptions
 * @property {boolean} [cache] false: keep nothing, neither on this visit nor for the next one
 * @property {string} [token] for a server that asks who reads; it goes into a header to the model's own origin and nowhere else
 * @property {number} [mostBytes] a larger model is refused as soon as its size is known, before any of it is stored
 * @property {'adapter'} [kind] how the list shows what is fetched now, until it is marked
 * @property {AbortSignal} [signal]
 * @property {(progress: import('./progress.js').Progress) => void} [onProgress] loadedBytes never goes down within a stage
 */

/**
 * @typedef {object} Environment what the worker brings, and what tests replace
 * @property {Backend} [backend]
 * @property {() => import('./second-lane.js').LaneWorker} [startLane] without it one thread does all the work of a download
 * @property {import('./network.js').NetworkOptions} [network]
 */

/**
 * @typedef {object} Job one call of openModel on a URL
 * @property {string} url
 * @property {string} id
 * @property {Backend} backend
 * @property {ModelFolder} folder
 * @property {import('./network.js').NetworkOptions} network
 * @property {AbortSignal} signal
 * @property {OpenOptions['onProgress']} onProgress
 * @property {number} [mostBytes]
 * @property {'adapter'} [kind]
 * @property {Environment['startLane']} startLane
 */

const kMaxManifestBytes = 16 << 20;
const kNotKept =
  'Some of what was stored is of no use any more, because the model has changed or an older version of this program stored it, so ' +
  'it is fetched again.';

/**
 * Worker only. A model that is stored completely is opened without any request.
 * @param {string | File | File[]} source absolute URL of a .gguf or manifest.json, or hf:owner/repo/file.gguf; a GGUF file; the files
 *   of a split GGUF or its shards
 * @param {OpenOptions} [options]
 * @param {Environment} [environment]
 * @returns {Promise<OpenedModel>} rejects with TesseraError 'aborted', 'http', 'network', 'hash_mismatch', 'size_mismatch',
 *   'manifest_invalid', 'not_gguf', 'quota_exceeded', 'invalid_argument', 'read_failed', 'changed', 'out_of_memory'
 */
export async function openModel(source, options = {}, environment = {}) {
  try {
    options.signal?.throwIfAborted();
    if (typeof source !== 'string') return openLocal(source, options);
    return await openUrl(modelAddress(source), options, environment);
  } catch (error) {
    if (options.signal?.aborted) throw new TesseraError('aborted', 'the loading of the model was stopped');
    throw isQuotaError(error) ? await quotaError(null, error) : TesseraError.from(error);
  }
}

/**
 * @param {File | File[]} source
 * @param {OpenOptions} options
 */
function openLocal(source, { mostBytes }) {
  const model = openFiles(source);
  checkLoadable(
    model.parts.reduce((sum, { size }) => sum + size, 0),
    mostBytes,
  );
  return model;
}

/**
 * @param {string} url
 * @param {OpenOptions} options
 * @param {Environment} environment
 * @returns {Promise<OpenedModel>}
 */
async function openUrl(url, options, environment) {
  const { cache, token, signal = new AbortController().signal, onProgress, mostBytes, kind } = options;
  const backend = environment.backend ?? (await chooseBackend({ cache }));
  const id = await modelId(url);
  const authorization = token ? { origin: new URL(url).origin, value: `Bearer ${token}` } : undefined;
  const network = { ...environment.network, authorization };
  const action = async () => {
    const folder = await ModelFolder.read(backend, id);
    const { startLane } = environment;
    const job = { url, id, backend, folder, network, signal, onProgress, mostBytes, kind, startLane };
    if (!folder.complete) await fetchModel(job).catch((error) => forgetEmpty(job, error));
    await folder.touch();
    return { ...(await openSources(folder, backend)), mark: marking(folder) };
  };
  /** @param {ModelFolder} opened */
  const marking = (opened) => async (/** @type {'model' | 'adapter'} */ as) => {
    if (as === (opened.record?.kind ?? 'model')) return;
    // As in touch, a full disk changes nothing but the list.
    await alone(() => markFolder(backend, id, as)).catch(() => {});
  };
  const alone = (/** @type {() => Promise<any>} */ change) =>
    backend.persistent ? withModelLock(id, { signal, wait: true }, change) : change();
  return alone(action);
}

/**
 * @param {Backend} backend
 * @param {string} id
 * @param {'model' | 'adapter'} as
 */
async function markFolder(backend, id, as) {
  const folder = await ModelFolder.read(backend, id); // another tab may have changed it since it was opened
  if (folder.record) await folder.save({ ...folder.record, kind: as === 'adapter' ? as : undefined });
}

/** @param {Job} job */
async function fetchModel(job) {
  checkFetchable(job.url);
  const { url, id, backend, folder, network, signal, onProgress, mostBytes, startLane } = job;
  const stored = folder.storedBytes;
  const record = new URL(url).pathname.endsWith('.json') ? await manifestRecord(job) : await filesRecord(job);
  const progress = new ProgressMeter('download', knownBytes(record), onProgress);
  if (folder.storedBytes < stored) progress.note = kNotKept;
  const { kind, persistent } = backend;
  const begun = new BegunChunks(backend, id);
  const place = { id, kind, persistent, folder, begun };
  await downloadModel(record, { ...place, progress, signal, network, mostBytes, startLane });
  const bytes = Number(knownBytes(record));
  const verified = new ProgressMeter('verify', bytes, onProgress);
  verified.add(bytes); // every hash was compared while its bytes arrived
}

/**
 * A model of which nothing came, as from a mistyped address, would stay in the list for ever.
 * @param {Job} job
 * @param {unknown} error why it ended
 * @returns {Promise<never>}
 */
async function forgetEmpty({ id, backend, folder }, error) {
  const hadSome = folder.record?.sources.some(({ pins }) => pins !== null);
  if (!hadSome && folder.storedBytes === 0 && (await backend.unfinished(id)).length === 0)
    await backend.deleteFolder(id).catch(() => {});
  throw error;
}

/**
 * The manifest is asked for anew, because it may have been repaired since; what of the model is right already stays.
 * @param {Job} job
 */
async function manifestRecord({ url, backend, folder, network, signal, mostBytes, kind }) {
  const manifest = parseManifest(await fetchText(url, signal, network, kMaxManifestBytes));
  checkLoadable(manifest.file.bytes, mostBytes);
  const record = {
    ...recordOfManifest(url, manifest, shardUrls(manifest, url), network.chunkBytes),
    kind: folder.record ? folder.record.kind : kind, // what is stored already stays what it is
  };
  for (const source of record.sources) folder.recall(source);
  const wanted = new Map(record.sources.map((source) => [source.key, source]));
  await folder.keepOnly((key, index) => {
    const source = wanted.get(key);
    // Without the record nobody knows in which way a chunk of a larger shard was hashed.
    if (!source || (folder.record === null && expectedHash(source, index) === null)) return false;
    return folder.has(source, index);
  });
  const missing = record.sources.reduce((sum, source) => sum + Number(source.bytes) - folder.storedBytesOf(source), 0);
  if (backend.persistent) await checkSpace(missing);
  await folder.save(record);
  return record;
}

/** @param {Job} job */
async function filesRecord({ url, folder, network, kind }) {
  if (folder.record) return folder.record;
  // Without the record nobody knows which file the chunks are of.
  await folder.keepOnly(() => false);
  const record = { ...recordOfFiles(url, partAddresses(url), network.chunkBytes), ...(kind && { kind }) };
  await folder.save(record);
  return record;
}

/**
 * @param {ModelFolder} folder
 * @param {Backend} backend
 * @returns {Promise<Omit<OpenedModel, 'mark'>>}
 */
async function openSources(folder, backend) {
  const { name, split, sources } = /** @type {import('./records.js').ModelRecord} */ (folder.record);
  /** @type {Map<string, Promise<OpenFile>>} */
  const byName = new Map(); // equal shards are kept once
  const close = async () => {
    for (const file of await Promise.allSettled(byName.values())) if (file.status === 'fulfilled') file.value.close();
  };
  try {
    // All at once: each takes the browser some milliseconds, most of them waiting.
    const readers = await Promise.all(
      sources.map(async (source) => {
        const chunks = Array.from({ length: chunkCount(source) }, (_, i) => {
          const chunk = `${source.key}.${i}`;
          const file = byName.get(chunk) ?? folder.open(source, i);
          byName.set(chunk, file);
          return file;
        });
        return joinedReader(await Promise.all(chunks));
      }),
    );
    const parts = split ? readers : [joinedReader(readers)];
    return { name, parts, storedIn: backend.kind, close };
  } catch (error) {
    await close();
    throw error;
  }
}

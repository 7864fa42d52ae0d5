/**
 * From the network into a model's folder: what is missing, several chunks side by side. What is complete stays, whatever happens to
 * the rest; a file that changed on the server is begun anew.
 */
import { Changed, changedError, fetchSpan, NoRanges } from './fetch-span.js';
import { startSha256 } from './hash.js';
import { Hasher, hashesHere } from './hasher.js';
import { kParallel, missingChunks, missingOf, runs } from './missing-chunks.js';
import { kStallMs, stopped } from './network.js';
import { checkLoadable, checkSpace, isQuotaError, quotaError } from './quota.js';
import { chunkCount, chunkSize } from './records.js';
import { mismatch, Span } from './span.js';

/** @typedef {import('./records.js').Source} Source */
/** @typedef {import('./records.js').ModelRecord} ModelRecord */

/**
 * @typedef {object} DownloadContext
 * @property {import('./model-folder.js').ModelFolder} folder
 * @property {import('./begun-chunks.js').BegunChunks} begun
 * @property {import('./progress.js').ProgressMeter} progress
 * @property {Hasher | null} hasher
 * @property {Uint8Array<ArrayBuffer>[]} spare memory of earlier spans
 * @property {AbortSignal} signal
 * @property {import('./network.js').NetworkOptions} network
 * @property {number} [mostBytes] of a model that can be loaded
 * @property {() => import('./hasher.js').HashWorker} [startHasher] where the browser has workers
 * @property {boolean} persistent whether the folder is on a disk that may be full
 * @property {Set<string>} suspects keys of sources that arrived complete but wrong
 */

const kMostRestarts = 2;

/**
 * @param {ModelRecord} record completed as sizes and hashes become known, and saved
 * @param {Omit<DownloadContext, 'suspects' | 'spare' | 'hasher'>} options
 */
export async function downloadModel(record, options) {
  const { folder, begun, progress } = options;
  const chunks = missingChunks(record, folder);
  await begun.find(chunks);
  const context = { ...options, suspects: new Set(), spare: [], hasher: await makeHasher(options) };
  const missing = chunks.reduce((sum, { source, index }) => sum + chunkSize(source, index), 0);
  progress.add(record.sources.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0) - missing);
  try {
    for (let restarts = 0; !folder.complete; ++restarts) {
      try {
        await round(record, context);
      } catch (error) {
        if (!(error instanceof Changed)) throw error;
        if (error.source.pins !== null || restarts === kMostRestarts) throw changedError(error.source);
        await startOver(error.source, record, context);
      }
    }
    await begun.find([]); // of other versions, if any
  } catch (error) {
    if (context.signal.aborted) throw stopped();
    throw isQuotaError(error) ? await quotaError(missingBytes(record, folder), error) : error;
  } finally {
    context.hasher?.end();
  }
  progress.totalBytes = knownBytes(record);
  progress.report();
}

/** @param {Pick<DownloadContext, 'startHasher' | 'network'>} options */
async function makeHasher({ startHasher, network }) {
  if (!startHasher || !(await hashesHere())) return null;
  return new Hasher(startHasher(), network.stallMs ?? kStallMs);
}

/**
 * One pass over everything that is missing.
 * @param {ModelRecord} record
 * @param {DownloadContext} context
 */
async function round(record, context) {
  const { folder, progress, persistent, mostBytes } = context;
  const learned = async () => {
    progress.totalBytes = knownBytes(record);
    checkLoadable(knownBytes(record), mostBytes);
    if (persistent) await checkSpace(missingBytes(record, folder) ?? 0);
    await folder.save(record);
  };
  for (const source of record.sources) {
    if (source.bytes === null) await fetchInto(source, 0, source.whole ? null : 0, { ...context, learned });
  }
  const requests = runs(missingChunks(record, folder), context.begun, context.network);
  await inLanes(requests, context, ({ source, first, last }, lane) =>
    source.whole ? undefined : fetchInto(source, first, last, { ...lane, learned }),
  );
  for (const source of record.sources) {
    if (source.whole && missingOf(source, folder).length > 0) {
      progress.add(-folder.storedBytesOf(source)); // it all comes once more
      await fetchInto(source, 0, null, { ...context, learned });
    }
    if (source.pins === null) await pin(source, context);
  }
  await folder.save(record);
}

/**
 * @param {Source} source
 * @param {number} first
 * @param {number | null} last
 * @param {DownloadContext & {learned: () => Promise<void>}} context
 */
async function fetchInto(source, first, last, context) {
  const span = new Span(source, first, last, context);
  try {
    await span.prepare();
    await fetchSpan(source, span, context);
  } catch (error) {
    if (!span.done) span.rewind();
    if (!(error instanceof NoRanges)) throw error;
    if (source.bytes === null) await fetchInto(source, 0, null, context);
  } finally {
    await span.close();
  }
}

/**
 * @template Item
 * @param {Item[]} items
 * @param {DownloadContext} context
 * @param {(item: Item, lane: DownloadContext) => Promise<void> | undefined} run
 * @returns {Promise<void>} rejects with the first error, after all connections and unfinished files are closed
 */
async function inLanes(items, context, run) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  context.signal.addEventListener('abort', stop);
  if (context.signal.aborted) stop();
  const queue = items.values();
  /** @type {unknown[]} */
  const errors = [];
  const lane = async () => {
    try {
      for (const item of queue) {
        if (controller.signal.aborted) return;
        await run(item, { ...context, signal: controller.signal });
      }
    } catch (error) {
      errors.push(error);
      stop();
    }
  };
  await Promise.all(Array.from({ length: context.network.parallel ?? kParallel }, lane));
  context.signal.removeEventListener('abort', stop);
  if (context.signal.aborted) throw stopped();
  if (errors.length > 0) throw errors[0];
}

/**
 * All chunks are there: if their source's hash was announced and is not the hash of its one chunk, they are read once more. Which
 * of them is wrong nobody can tell, so all come again, once.
 * @param {Source} source
 * @param {DownloadContext} context
 */
async function pin(source, { folder, progress, suspects }) {
  const count = chunkCount(source);
  if (source.sha256 !== null && count > 1) {
    const hash = startSha256();
    for (let i = 0; i < count; ++i) hash.update(new Uint8Array(await (await folder.blob(source, i)).arrayBuffer()));
    const found = hash.digest();
    if (found !== source.sha256) {
      for (let i = 0; i < count; ++i) await folder.drop(source, i);
      if (suspects.has(source.key)) throw mismatch('hash_mismatch', source.path, source.sha256, found);
      suspects.add(source.key);
      progress.add(-Number(source.bytes));
      return;
    }
  }
  source.pins = Array.from({ length: count }, (_, i) => String(folder.chunk(source, i)?.hash));
}

/**
 * @param {Source} source
 * @param {ModelRecord} record
 * @param {DownloadContext} context
 */
async function startOver(source, record, { folder, begun, progress }) {
  progress.add(-folder.storedBytesOf(source));
  await folder.keepOnly((key) => key !== source.key);
  Object.assign(source, { bytes: null, validator: '', whole: false });
  await folder.save(record);
  await begun.find(missingChunks(record, folder));
  progress.note = `${source.path} changed on the server, so its download began anew.`;
}

/** @param {ModelRecord} record @returns {number | null} */
export function knownBytes({ sources }) {
  return sources.some(({ bytes }) => bytes === null)
    ? null
    : sources.reduce((sum, { bytes }) => sum + Number(bytes), 0);
}

/**
 * @param {ModelRecord} record
 * @param {import('./model-folder.js').ModelFolder} folder
 * @returns {number | null} bytes still to be stored
 */
function missingBytes(record, folder) {
  const whole = knownBytes(record);
  return whole === null ? null : whole - record.sources.reduce((sum, source) => sum + folder.storedBytesOf(source), 0);
}

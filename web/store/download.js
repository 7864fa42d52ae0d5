/**
 * From the network into a model's folder: what is missing, several chunks side by side. What is complete stays, whatever happens to
 * the rest; a file that changed on the server is begun anew.
 */
import { TesseraError } from '../base/errors.js';
import { Changed, changedError, fetchInto } from './fetch-span.js';
import { startSha256 } from './hash.js';
import { kParallel, missingChunks, missingOf, runs } from './missing-chunks.js';
import { fetchBody, stopped } from './network.js';
import { checkLoadable, checkSpace, isQuotaError, quotaError } from './quota.js';
import { chunkCount, chunkSize } from './records.js';
import { SecondLane } from './second-lane.js';
import { mismatch } from './span.js';

/** @typedef {import('./records.js').Source} Source */
/** @typedef {import('./records.js').ModelRecord} ModelRecord */
/** @typedef {import('./second-lane.js').Run} Run */

/**
 * @typedef {object} DownloadContext
 * @property {string} id of the model
 * @property {import('./model-folder.js').ModelFolder} folder
 * @property {import('./begun-chunks.js').BegunChunks} begun
 * @property {import('./progress.js').ProgressMeter} progress
 * @property {SecondLane | null} second
 * @property {Uint8Array<ArrayBuffer>[]} spare memory of earlier spans
 * @property {AbortSignal} signal
 * @property {import('./network.js').NetworkOptions} network
 * @property {number} [mostBytes] of a model that can be loaded
 * @property {import('./contract.js').Backend['kind']} kind of the store
 * @property {boolean} persistent whether the folder is on a disk that may be full
 * @property {() => import('./second-lane.js').LaneWorker} [startLane] where the browser has workers
 * @property {Set<string>} suspects keys of sources that arrived complete but wrong
 */

const kMostRestarts = 2;

/**
 * @param {ModelRecord} record completed as sizes and hashes become known, and saved
 * @param {Omit<DownloadContext, 'suspects' | 'spare' | 'second'>} options
 */
export async function downloadModel(record, options) {
  const { folder, begun, progress } = options;
  const chunks = missingChunks(record, folder);
  await begun.find(chunks);
  const context = { ...options, suspects: new Set(), spare: [], second: makeSecond(options) };
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
    context.second?.end();
  }
  progress.totalBytes = knownBytes(record);
  progress.report();
}

/** What is only in this thread's memory cannot be added to by another. @param {Pick<DownloadContext, 'startLane' | 'id' | 'kind'>} options */
function makeSecond({ startLane, id, kind }) {
  return startLane && kind !== 'memory' ? new SecondLane(startLane(), { id, kind }) : null;
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
    if (source.bytes === null) await fetchFront(source, { ...context, learned });
  }
  const requests = runs(missingChunks(record, folder), context.begun, context.network);
  await inLanes(requests, context, (run, lane) => fetchRun(run, { ...context, ...lane, learned }));
  for (const source of record.sources) {
    if (source.whole && missingOf(source, folder).length > 0) {
      progress.add(-folder.storedBytesOf(source)); // it all comes once more
      await fetchInto(source, 0, null, { ...context, learned });
    }
  }
  for (const source of record.sources) {
    if (source.pins === null && missingOf(source, folder).length === 0) await pin(source, context);
  }
  await folder.save(record);
}

/**
 * Of a source of unknown size as much as tells it. Where a server packs even ranges, which nobody asked for, Chromium says no more than of
 * a broken connection: if the server answers otherwise, all of the source is asked for.
 * @param {Source} source
 * @param {DownloadContext & {learned: () => Promise<void>}} context
 */
async function fetchFront(source, context) {
  try {
    await fetchInto(source, 0, source.whole ? null : 0, context);
  } catch (error) {
    const unheard = error instanceof TesseraError && error.code === 'network' && source.bytes === null;
    const { signal, network } = context;
    const isThere = () => fetchBody({ url: source.urls[0], method: 'HEAD' }, signal, network, async () => true);
    if (!unheard || source.whole || !(await isThere().catch(() => false))) throw error;
    source.whole = true;
    await fetchInto(source, 0, null, context);
  }
}

/**
 * @param {Run} run
 * @param {DownloadContext & Lane & {learned: () => Promise<void>}} context
 */
async function fetchRun(run, context) {
  const { source, last } = run;
  const { folder, second } = context;
  if (source.whole) return;
  let { first } = run;
  if (second?.ready) {
    if (await second.fetch(run, context)) return;
    second.end();
    while (first <= last && folder.has(source, first)) ++first;
  }
  if (first <= last) await fetchInto(source, first, last, context);
}

/** @typedef {{signal: AbortSignal, second: SecondLane | null, arrived: () => void}} Lane second: where this lane is its own */

/**
 * While the last chunk of a request is hashed and stored, the next request is on its way.
 * @param {Run[]} items
 * @param {DownloadContext} context
 * @param {(item: Run, lane: Lane) => Promise<void>} fetch
 * @returns {Promise<void>} rejects with the first error, after all connections and unfinished files are closed
 */
async function inLanes(items, context, fetch) {
  const controller = new AbortController();
  const { signal } = controller;
  const stop = () => controller.abort();
  context.signal.addEventListener('abort', stop);
  if (context.signal.aborted) stop();
  const queue = items.values();
  /** @type {unknown[]} */
  const errors = [];
  const lane = async (/** @type {SecondLane | null} */ second) => {
    let before = Promise.resolve();
    for (const item of queue) {
      if (signal.aborted) break;
      /** @type {Promise<void>} */
      let ended = before;
      await new Promise((arrived) => {
        ended = fetch(item, { signal, second, arrived: () => arrived(undefined) }).catch((error) => {
          errors.push(error);
          stop();
        });
        ended.then(arrived);
      });
      await before;
      before = ended;
    }
    await before;
  };
  const { parallel = kParallel } = context.network;
  await Promise.all(Array.from({ length: parallel }, (_, number) => lane(number === 1 ? context.second : null)));
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

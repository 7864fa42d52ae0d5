/**
 * From the network into a backend: files side by side, each hashed while it arrives and committed only when its size and SHA-256
 * are right. What is committed stays, whatever happens to the rest.
 */
import { TesseraError } from '../base/errors.js';
import { createHash } from './hash.js';
import { bodyBytes, fetchBody, pathOf } from './network.js';
import { checkSpace, isQuotaError, quotaError } from './quota.js';

/**
 * @typedef {object} DownloadTask
 * @property {string} url absolute
 * @property {string} path where the backend keeps it
 * @property {number | null} bytes expected; null: whatever comes
 * @property {string | null} sha256 expected; null: learned
 * @property {string} [magic] ASCII characters the file must begin with
 */

/**
 * @typedef {object} DownloadContext
 * @property {import('./contract.js').Backend} backend
 * @property {import('./progress.js').ProgressMeter} progress
 * @property {AbortSignal} [signal]
 * @property {import('./network.js').NetworkOptions & {parallel?: number}} network
 */

const kParallel = 3;
const kDamaged = ['hash_mismatch', 'size_mismatch'];

/**
 * @param {DownloadTask[]} tasks
 * @param {DownloadContext} context
 * @returns {Promise<void>} rejects with the first error, after all connections and unfinished files are closed
 */
export async function downloadAll(tasks, context) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  context.signal?.addEventListener('abort', stop);
  const queue = tasks.values();
  /** @type {unknown[]} */
  const errors = [];
  const lane = async () => {
    for (const task of queue) {
      if (context.signal?.aborted || controller.signal.aborted) return;
      await download(task, { ...context, signal: controller.signal });
    }
  };
  const guardedLane = () =>
    lane().catch((error) => {
      errors.push(error);
      stop();
    });
  await Promise.all(Array.from({ length: context.network.parallel ?? kParallel }, guardedLane));
  context.signal?.removeEventListener('abort', stop);
  if (context.signal?.aborted) throw new TesseraError('aborted', 'the download was stopped');
  if (errors.length > 0) throw errors[0];
}

/**
 * One file; a damaged one is fetched once more.
 * @param {DownloadTask} task
 * @param {DownloadContext} context
 * @returns {Promise<{bytes: number, sha256: string}>}
 */
export async function download(task, context) {
  try {
    return await attempt(task, context);
  } catch (error) {
    if (!(error instanceof TesseraError) || !kDamaged.includes(error.code)) throw error;
    return attempt(task, context);
  }
}

/**
 * @param {DownloadTask} task
 * @param {DownloadContext} context
 */
function attempt(task, { backend, progress, signal, network }) {
  return fetchBody(task.url, signal, network, async (consume, response) => {
    if (task.bytes === null) {
      progress.totalBytes = bodyBytes(response);
      if (backend.persistent) await checkSpace(progress.totalBytes ?? 0);
    }
    const hash = await createHash();
    let bytes = 0;
    let counted = 0;
    /** @type {import('./contract.js').FileWriter | null} */
    let writer = null;
    try {
      writer = await backend.createWriter(task.path, task.bytes ?? undefined);
      const check = magicCheck(task);
      await consume(async (chunk) => {
        check(chunk);
        bytes += chunk.length;
        if (task.bytes !== null && bytes > task.bytes)
          throw damaged(task, 'size_mismatch', `${task.bytes} bytes`, 'more');
        progress.add(chunk.length);
        counted += chunk.length;
        hash.update(chunk);
        await writer?.write(chunk);
      });
      const sha256 = hash.digest();
      if (task.bytes !== null && bytes !== task.bytes) {
        throw damaged(task, 'size_mismatch', `${task.bytes} bytes`, `${bytes}`);
      }
      if (task.sha256 !== null && sha256 !== task.sha256) throw damaged(task, 'hash_mismatch', task.sha256, sha256);
      await writer.commit();
      return { bytes, sha256 };
    } catch (error) {
      await writer?.abort();
      progress.add(-counted);
      throw isQuotaError(error) ? await quotaError(remaining(progress.totalBytes, task, bytes), error) : error;
    }
  });
}

/**
 * @param {number | null} totalBytes
 * @param {DownloadTask} task
 * @param {number} bytes
 */
function remaining(totalBytes, task, bytes) {
  const whole = task.bytes ?? totalBytes;
  return whole === null ? null : whole - bytes;
}

/**
 * A web page that answers in place of a model is found out before it is stored.
 * @param {DownloadTask} task
 * @returns {(chunk: Uint8Array) => void}
 */
function magicCheck({ url, magic = '' }) {
  let seen = '';
  return (chunk) => {
    if (seen.length >= magic.length) return;
    seen += String.fromCharCode(...chunk.subarray(0, magic.length - seen.length));
    if (magic.startsWith(seen)) return;
    const message = `${pathOf(url)}: expected a file that begins with '${magic}', found ${JSON.stringify(seen)}`;
    throw new TesseraError('not_gguf', message, 'The address must name the GGUF file itself, not a page about it.');
  };
}

/**
 * @param {DownloadTask} task
 * @param {'hash_mismatch' | 'size_mismatch'} code
 * @param {string} expected
 * @param {string} found
 */
function damaged(task, code, expected, found) {
  const what = code === 'hash_mismatch' ? 'SHA-256' : 'size';
  const hint =
    'The file on the server differs from what was announced: it was changed or damaged on the way. Try again, or ask its publisher.';
  return new TesseraError(code, `${pathOf(task.url)}: ${what}: expected ${expected}, found ${found}`, hint);
}

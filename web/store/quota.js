/** What the browser lets this site keep, and the error when a model does not fit. */
import { TesseraError } from '../base/errors.js';

const kHint = 'Remove a stored model, free disk space, or load with cache: false (then it is downloaded every time).';

/**
 * @param {number} neededBytes
 * @param {string} [hint] what can be done about it
 * @returns {Promise<void>} rejects with 'quota_exceeded' when the browser says beforehand that they cannot fit
 */
export async function checkSpace(neededBytes, hint) {
  const { quota, usage } = await storageEstimate();
  if (quota !== undefined && usage !== undefined && quota - usage < neededBytes)
    throw await quotaError(neededBytes, undefined, hint);
}

/**
 * @param {number | null} bytes of the model; null while unknown
 * @param {number | undefined} mostBytes that can be loaded here
 * @throws {TesseraError} 'out_of_memory', so that nothing is downloaded for nothing
 */
export function checkLoadable(bytes, mostBytes = Infinity) {
  if (bytes === null || bytes <= mostBytes) return;
  const message = `the model has ${megabytes(bytes)}; at most ${megabytes(mostBytes)} can be loaded in a tab`;
  throw new TesseraError('out_of_memory', message, 'Use a smaller model, or one of fewer bits a weight.');
}

/**
 * @param {number | null} neededBytes what was still to be stored; null when unknown
 * @param {unknown} [cause]
 * @param {string} [hint]
 * @returns {Promise<TesseraError>}
 */
export async function quotaError(neededBytes, cause, hint = kHint) {
  const { quota, usage } = await storageEstimate();
  const need = neededBytes === null ? 'the model needs more space' : `the model needs ${megabytes(neededBytes)} more`;
  const have =
    quota === undefined || usage === undefined
      ? 'the browser is out of storage'
      : `the browser lets this site keep ${megabytes(quota)} and ${megabytes(usage)} are in use`;
  return new TesseraError('quota_exceeded', `${need}, but ${have}`, hint, cause);
}

/** @param {unknown} error */
export function isQuotaError(error) {
  return error instanceof Error && error.name === 'QuotaExceededError';
}

/** @returns {Promise<StorageEstimate>} empty where the browser tells nothing */
export async function storageEstimate() {
  try {
    return (await navigator.storage.estimate()) ?? {};
  } catch {
    return {}; // no storage manager here, or it refuses: there are no numbers to show
  }
}

/** @returns {Promise<{quota: number | null, free: number | null}>} bytes this site may keep, and of them what is free; null: nobody says */
export async function storageRoom() {
  const { quota, usage } = await storageEstimate();
  return quota === undefined ? { quota: null, free: null } : { quota, free: Math.max(0, quota - (usage ?? 0)) };
}

/** @param {number} bytes */
function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

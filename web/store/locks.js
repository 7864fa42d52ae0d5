/** One tab at a time changes a stored model. */
import { TesseraError } from '../base/errors.js';

/**
 * @template Result
 * @param {string} id of the model
 * @param {{signal?: AbortSignal, wait: boolean}} options wait: false rejects with 'in_use' when another tab holds the lock
 * @param {() => Promise<Result>} action
 * @returns {Promise<Result>}
 */
export async function withModelLock(id, { signal, wait }, action) {
  // Without Web Locks (no secure context) there is no store to share between tabs either.
  if (!globalThis.navigator?.locks) return action();
  const options = wait ? { signal } : { ifAvailable: true };
  let asked = true;
  try {
    return await navigator.locks.request(`tessera-model-${id}`, options, async (lock) => {
      asked = false;
      if (lock) return action();
      const hint = 'Wait until the other tab has finished, or close it.';
      throw new TesseraError('in_use', 'another tab is downloading or checking this model', hint);
    });
  } catch (error) {
    // Nor where the browser refuses both, with cookies blocked.
    if (asked && /** @type {any} */ (error)?.name === 'SecurityError') return action();
    throw error;
  }
}

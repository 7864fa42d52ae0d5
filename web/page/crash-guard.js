/** Owns the mark that a model is being put into memory: found again at the next start, it says that the tab was killed then. */

import { engineRuns } from './engine-lock.js';
import { keep, kept } from './kept.js';

const kKey = 'tessera.loading';

/** @param {string} name of the model */
export function noteLoading(name) {
  keep(kKey, name);
  // A reader who reloads or leaves meanwhile is no crash; a killed tab sends no such event.
  addEventListener('pagehide', forgetLoading, { once: true });
}

export function forgetLoading() {
  removeEventListener('pagehide', forgetLoading);
  keep(kKey, null);
}

/** @returns {Promise<string | null>} the model that was being loaded when the tab ended; told once */
export async function crashedLoad() {
  const name = kept(kKey);
  if (name === null || (await engineRuns())) return null; // another tab may be loading it now
  keep(kKey, null);
  return name;
}

/** Owns the mark that a model is being put into memory: found again at the next start, it says that the tab was killed then. */

const kKey = 'tessera.loading';

/** @param {string} name of the model */
export function noteLoading(name) {
  keep(name);
  // A reader who reloads or leaves meanwhile is no crash; a killed tab sends no such event.
  addEventListener('pagehide', forgetLoading, { once: true });
}

export function forgetLoading() {
  removeEventListener('pagehide', forgetLoading);
  keep(null);
}

/** @returns {string | null} the model that was being loaded when the tab ended; told once */
export function crashedLoad() {
  try {
    const name = localStorage.getItem(kKey);
    keep(null);
    return name;
  } catch {
    return null;
  }
}

/** @param {string | null} name */
function keep(name) {
  try {
    if (name === null) localStorage.removeItem(kKey);
    else localStorage.setItem(kKey, name);
  } catch {
    // No storage, no guard.
  }
}

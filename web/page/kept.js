/** Owns what the page keeps in localStorage. Where the browser does not allow that or has no room, the page works without. */

/**
 * @param {string} key
 * @returns {string | null}
 */
export function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @returns {any} the object that was kept as JSON; a damaged entry is the same as none: {}
 */
export function keptObject(key) {
  try {
    return Object(JSON.parse(kept(key) ?? '{}'));
  } catch {
    return {};
  }
}

/**
 * @param {string} key
 * @param {string | null} value null keeps nothing
 */
export function keep(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // It is gone with the tab.
  }
}

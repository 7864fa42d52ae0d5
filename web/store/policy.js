/**
 * Requests that the page's policy (CSP) does not allow, or that lead to where it does not. They fail like any other; an event tells
 * which of them, at once in Chromium and some milliseconds later in Firefox.
 */
import { TesseraError } from '../base/errors.js';

const kEventMs = 100;

/**
 * fetch, which rejects with TesseraError 'blocked' where the policy is why.
 * @param {string} url
 * @param {RequestInit & {signal: AbortSignal}} settings
 * @returns {Promise<Response>}
 */
export async function fetchAllowed(url, settings) {
  /** @type {() => void} */
  let refuse = () => {};
  const refused = new Promise((resolve) => (refuse = () => resolve(true)));
  const note = (/** @type {SecurityPolicyViolationEvent} */ { blockedURI }) => {
    if (blockedURI === url) refuse();
  };
  globalThis.addEventListener?.('securitypolicyviolation', note); // node has none
  try {
    return await fetch(url, settings);
  } catch (cause) {
    const late = new Promise((resolve) => setTimeout(resolve, kEventMs, false));
    if (!settings.signal.aborted && (await Promise.race([refused, late]))) throw blockedError(url, cause);
    throw cause;
  } finally {
    globalThis.removeEventListener?.('securitypolicyviolation', note);
  }
}

/**
 * @param {string} url
 * @param {unknown} cause
 */
function blockedError(url, cause) {
  const { origin, pathname } = new URL(url);
  const message = `${pathname}: the policy of this site (connect-src) does not allow ${origin}, or a host that it leads to`;
  const hint = `The owner of this site has to list ${origin} and where it leads to. Or download the file yourself, and open it from your device.`;
  return new TesseraError('blocked', message, hint, cause);
}

/** SHA-256 of a whole buffer, by the browser's own code where it may be used. */
import { Sha256 } from './sha256.js';

/**
 * @param {Uint8Array<ArrayBuffer>} bytes not to be changed before the promise resolves
 * @returns {Promise<string>} 64 lower-case hex digits
 */
export async function sha256(bytes) {
  const { subtle } = globalThis.crypto ?? {};
  if (subtle) {
    const digest = new Uint8Array(await subtle.digest('SHA-256', bytes));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
  const hash = new Sha256();
  hash.update(bytes);
  return hash.digest();
}

/**
 * @param {string} text
 * @returns {Promise<string>} of its UTF-8 bytes
 */
export function hashText(text) {
  return sha256(new TextEncoder().encode(text));
}

/** SHA-256: of a whole buffer by the browser's own code, of a stream in pieces by a library. Not for the page: the library is large. */
import { createSHA256 } from 'hash-wasm';

/**
 * @typedef {object} StreamingHash
 * @property {(chunk: Uint8Array) => void} update
 * @property {() => string} digest 64 lower-case hex digits; ends the hash
 */

/** @returns {Promise<StreamingHash>} */
export async function createHash() {
  const hasher = (await createSHA256()).init();
  return {
    update: (chunk) => void hasher.update(chunk),
    digest: () => hasher.digest('hex'),
  };
}

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
  const hash = await createHash(); // a plain http page has no crypto.subtle
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

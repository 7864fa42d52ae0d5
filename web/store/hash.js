/** SHA-256 of bytes that arrive in pieces. */
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
 * @param {string} text
 * @returns {Promise<string>} of its UTF-8 bytes
 */
export async function hashText(text) {
  const hash = await createHash();
  hash.update(new TextEncoder().encode(text));
  return hash.digest();
}

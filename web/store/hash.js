/** SHA-256: of a whole buffer by the browser's own code where it may be used; of bytes in pieces by @noble/hashes, as WebCrypto cannot. */
import { sha256 as noble } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';

/**
 * @param {Uint8Array<ArrayBuffer>} bytes not to be changed before the promise resolves
 * @returns {Promise<string>} 64 lower-case hex digits
 */
export async function sha256(bytes) {
  const { subtle } = globalThis.crypto ?? {}; // not on plain http pages
  return bytesToHex(subtle ? new Uint8Array(await subtle.digest('SHA-256', bytes)) : noble(bytes));
}

/** @returns {{update: (bytes: Uint8Array<ArrayBuffer>) => unknown, digest: () => string}} digest: 64 lower-case hex digits, once */
export function startSha256() {
  const hash = noble.create();
  return { update: (bytes) => hash.update(bytes), digest: () => bytesToHex(hash.digest()) };
}

/**
 * @param {string} text
 * @returns {Promise<string>} of its UTF-8 bytes
 */
export function hashText(text) {
  return sha256(new TextEncoder().encode(text));
}

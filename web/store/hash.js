/** SHA-256: of a whole buffer by the browser's own code where it may be used; of bytes in pieces by @noble/hashes, as WebCrypto cannot. */
import { sha256 as noble } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';

/**
 * @param {Uint8Array<ArrayBuffer>} bytes may change as soon as this returns: WebCrypto's own rule
 * @returns {Promise<string>} 64 lower-case hex digits
 */
export async function sha256(bytes) {
  const { subtle } = globalThis.crypto ?? {}; // not on plain http pages
  return bytesToHex(subtle ? new Uint8Array(await subtle.digest('SHA-256', bytes)) : noble(bytes));
}

/**
 * The hash of bytes that arrive block after block: the SHA-256 of the text of the blocks' SHA-256s, 64 hex digits each. Firefox hashes on
 * a thread of its own while the next block arrives, Chromium on the one that asks. Of a block beyond 512 KB either first makes a copy in
 * fresh memory, which takes about half as long as to hash it.
 */
export class BlocksHash {
  /** @type {Promise<string>[]} */
  #blocks = [];

  /** @param {Uint8Array<ArrayBuffer>} block may change as soon as this returns */
  add(block) {
    this.#blocks.push(sha256(block));
  }

  /**
   * @param {string} [front] text before that of the blocks
   * @returns {Promise<string>} 64 lower-case hex digits
   */
  async finish(front = '') {
    return hashText(front + (await Promise.all(this.#blocks)).join(''));
  }
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

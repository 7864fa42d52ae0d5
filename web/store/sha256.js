/** SHA-256 (FIPS 180-4) in plain JavaScript, for where the browser's own cannot be used: bytes that come in pieces, plain http pages. */

/** Fractional parts of the roots of the first primes, as the standard defines its constants. */
const primes = Array.from({ length: 311 }, (_, n) => n + 2).filter((n) => {
  for (let d = 2; d * d <= n; ++d) if (n % d === 0) return false;
  return true;
});
const fraction = (/** @type {number} */ x) => Math.floor((x - Math.floor(x)) * 2 ** 32) | 0;
const kRound = Int32Array.from(primes.slice(0, 64), (p) => fraction(Math.cbrt(p)));
const kStart = Int32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p)));
const kBlock = 64;

export class Sha256 {
  #state = kStart.slice();
  #words = new Int32Array(64);
  #block = new Uint8Array(kBlock);
  #length = 0;

  /** @param {Uint8Array} bytes */
  update(bytes) {
    let done = 0;
    const filled = this.#length % kBlock;
    this.#length += bytes.length;
    if (filled > 0) {
      done = Math.min(kBlock - filled, bytes.length);
      this.#block.set(bytes.subarray(0, done), filled);
      if (filled + done < kBlock) return;
      this.#compress(this.#block, 0);
    }
    for (; done + kBlock <= bytes.length; done += kBlock) this.#compress(bytes, done);
    this.#block.set(bytes.subarray(done), 0);
  }

  /** @returns {string} 64 lower-case hex digits; ends the hash */
  digest() {
    const bits = BigInt(this.#length) * 8n;
    const filled = this.#length % kBlock;
    const tail = new Uint8Array(filled < 56 ? kBlock - filled : 2 * kBlock - filled);
    tail[0] = 0x80;
    new DataView(tail.buffer).setBigUint64(tail.length - 8, bits);
    this.update(tail);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /**
   * @param {Uint8Array} bytes
   * @param {number} at
   */
  #compress(bytes, at) {
    const w = this.#words;
    for (let i = 0; i < 16; ++i, at += 4) {
      w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < 64; ++i) {
      const x = w[i - 15];
      const y = w[i - 2];
      const low = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const high = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = w[i - 16] + low + w[i - 7] + high;
    }
    let [a, b, c, d, e, f, g, h] = this.#state;
    for (let i = 0; i < 64; ++i) {
      const high = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const first = (h + high + ((e & f) ^ (~e & g)) + kRound[i] + w[i]) | 0;
      const low = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const second = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e] = [g, f, e, (d + first) | 0];
      [d, c, b, a] = [c, b, a, (first + second) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (this.#state[i] += word));
  }
}

/** Progress reports that only ever grow, and not more of them than a screen can show. */

const kIntervalMs = 50;

/**
 * @typedef {object} Progress
 * @property {'download' | 'verify'} stage
 * @property {number} loadedBytes
 * @property {number} totalBytes 0 while unknown
 * @property {string} [note] what the reader should know about it, in a sentence
 */

export class ProgressMeter {
  #onProgress;
  #loaded = 0;
  #shown = 0;
  #lastReport = -Infinity;
  #stage;
  /** @type {number | null} */
  totalBytes;
  note = '';

  /**
   * @param {'download' | 'verify'} stage
   * @param {number | null} totalBytes
   * @param {((progress: Progress) => void) | undefined} onProgress
   */
  constructor(stage, totalBytes, onProgress) {
    this.#stage = stage;
    this.totalBytes = totalBytes;
    this.#onProgress = onProgress;
  }

  /** @param {number} bytes negative when an attempt is thrown away; the reader's bar waits instead of going back */
  add(bytes) {
    this.#loaded += bytes;
    const now = performance.now();
    if (this.#loaded <= this.#shown || now - this.#lastReport < kIntervalMs) return;
    this.#lastReport = now;
    this.report();
  }

  /** Reports now: call it when all has arrived, so that the last report is the whole. */
  report() {
    this.#shown = this.#loaded;
    // A total that proves too small (a compressed body whose header was hidden) is worse than none.
    if (this.totalBytes !== null && this.#shown > this.totalBytes) this.totalBytes = null;
    const progress = { stage: this.#stage, loadedBytes: this.#shown, totalBytes: this.totalBytes ?? 0 };
    this.#onProgress?.(this.note ? { ...progress, note: this.note } : progress);
  }
}

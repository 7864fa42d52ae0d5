/** Owns how numbers look on the page: bytes, speeds, times, counts. */

/**
 * Decimal units, as browsers and operating systems show downloads.
 * @param {number} bytes
 */
export function formatBytes(bytes) {
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** @param {number} count */
export function formatCount(count) {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} billion`;
  if (count >= 1e6) return `${Math.round(count / 1e6)} million`;
  return count.toLocaleString('en');
}

/**
 * A duration as a person would say it.
 * @param {number} seconds
 */
export function formatDuration(seconds) {
  if (seconds < 1.5) return '1 second';
  if (seconds < 60) return `${Math.round(seconds)} seconds`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return minutes === 1 ? '1 minute' : `${minutes} minutes`;
  const hours = Math.round(minutes / 60);
  return hours === 1 ? '1 hour' : `${hours} hours`;
}

/**
 * @param {number} when milliseconds since 1970
 * @param {number} [now]
 */
export function formatDay(when, now = Date.now()) {
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(when).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days <= 0) return 'today';
  if (days === 1) return 'yesterday';
  return days < 30 ? `${days} days ago` : new Date(when).toLocaleDateString();
}

/** @param {number} perSecond */
export function formatRate(perSecond) {
  return perSecond >= 100 ? String(Math.round(perSecond)) : perSecond.toFixed(1);
}

/**
 * A file name from free text.
 * @param {string} text
 */
export function fileSlug(text) {
  const slug = text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '');
  return [...slug].slice(0, 48).join('') || 'chat';
}

/** Speed and remaining time of a transfer, over a sliding window so that a pause shows and a resume does not lie. */
export class RateMeter {
  /** @type {{at: number, bytes: number}[]} */
  #samples = [];
  #windowMs;

  /** @param {number} windowMs */
  constructor(windowMs = 4000) {
    this.#windowMs = windowMs;
  }

  /**
   * @param {number} bytes so far
   * @param {number} at milliseconds, any origin
   */
  add(bytes, at) {
    this.#samples.push({ at, bytes });
    while (this.#samples.length > 2 && at - this.#samples[1].at > this.#windowMs) this.#samples.shift();
  }

  /** @returns {number} bytes per second; 0 until half a second has been seen */
  get rate() {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.at - first.at < 500) return 0;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000;
  }
}

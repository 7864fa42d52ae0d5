/** Owns the picture of work that goes on: what is done now, percent, bar, and how far it is in words. */

import { h } from './dom.js';
import { formatBytes, formatDuration } from './format.js';

export class ProgressBar {
  #title = h('p', {}, 'Preparing');
  #percent = h('span.progress-percent', { 'aria-hidden': 'true' });
  #bar;
  nodes;

  /** @param {string} label of the whole work */
  constructor(label) {
    this.#bar = /** @type {HTMLProgressElement} */ (h('progress.progress-bar', { max: 1, 'aria-label': label }));
    this.nodes = [h('div.progress-head', {}, this.#title, this.#percent), this.#bar];
  }

  /**
   * @param {string} title what is done now
   * @param {number} loadedBytes
   * @param {number} totalBytes 0: nobody knows
   */
  show(title, loadedBytes, totalBytes) {
    this.#title.textContent = title;
    if (totalBytes > 0) {
      const part = Math.min(1, loadedBytes / totalBytes);
      this.#bar.value = part;
      this.#percent.textContent = `${Math.floor(part * 100)} %`;
    } else {
      this.#bar.removeAttribute('value');
      this.#percent.textContent = '';
    }
  }
}

/**
 * @param {number} loadedBytes
 * @param {number} totalBytes 0: nobody knows
 * @param {number} rate bytes a second; 0 is not said
 */
export function wayText(loadedBytes, totalBytes, rate) {
  if (totalBytes === 0) return formatBytes(loadedBytes);
  const parts = [`${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)}`];
  if (rate > 0) parts.push(`${formatBytes(rate)}/s`, `${formatDuration((totalBytes - loadedBytes) / rate)} left`);
  return parts.join(' · ');
}

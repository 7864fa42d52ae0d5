/** Owns the picture of a copy that is being made: bytes, speed, remaining time, percent, stop. */

import { announce, h } from './dom.js';
import { formatBytes, formatDuration, RateMeter } from './format.js';

/** @typedef {import('../tessera.js').QuantizeProgress} Progress */

const kStageText = {
  download: 'Downloading the model',
  verify: 'Checking that every byte is right',
  quantize: 'Making the copy',
};

export class QuantizeProgress {
  #title = h('p', {}, 'Preparing');
  #percent = h('span.progress-percent', { 'aria-hidden': 'true' });
  #bar = /** @type {HTMLProgressElement} */ (h('progress.progress-bar', { max: 1 }));
  #text = h('span', {}, '');
  #stop;
  /** @type {Progress | null} */
  #last = null;
  #rate = new RateMeter();
  #frame = 0;

  /**
   * @param {string} name of the model
   * @param {() => void} stop
   */
  constructor(name, stop) {
    this.#bar.setAttribute('aria-label', `Making a smaller copy of ${name}`);
    this.#stop = h('button.button.button-quiet', { type: 'button', onclick: stop }, 'Stop');
    this.node = h(
      'div.quantize-progress',
      {},
      h('p.quantize-model', {}, name),
      h('div.progress-head', {}, this.#title, this.#percent),
      this.#bar,
      h('div.progress-foot', {}, this.#text, this.#stop),
    );
  }

  focus() {
    this.#stop.focus();
  }

  /** @param {Progress} event */
  update(event) {
    if (event.stage !== this.#last?.stage) {
      announce(kStageText[event.stage]);
      this.#rate = new RateMeter();
    }
    this.#last = event;
    this.#rate.add(event.loadedBytes, performance.now());
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render(event.stage);
    });
  }

  end() {
    cancelAnimationFrame(this.#frame);
  }

  /** @param {Progress['stage']} stage */
  #render(stage) {
    const { loadedBytes, totalBytes } = /** @type {Progress} */ (this.#last);
    const { rate } = this.#rate;
    this.#title.textContent = kStageText[stage];
    const parts = [formatBytes(loadedBytes)];
    if (totalBytes > 0) {
      const part = Math.min(1, loadedBytes / totalBytes);
      this.#bar.value = part;
      this.#percent.textContent = `${Math.floor(part * 100)} %`;
      parts[0] += ` of ${formatBytes(totalBytes)}`;
      if (rate > 0) parts.push(`${formatBytes(rate)}/s`, `${formatDuration((totalBytes - loadedBytes) / rate)} left`);
    } else {
      this.#bar.removeAttribute('value');
      this.#percent.textContent = '';
    }
    this.#text.textContent = parts.join(' · ');
  }
}

/** Owns the picture of a copy that is being made: bytes, speed, remaining time, percent, stop. */

import { announce, h } from './dom.js';
import { RateMeter } from './format.js';
import { ProgressBar, wayText } from './progress-bar.js';
import { Redraw } from './redraw.js';

/** @typedef {import('../tessera.js').QuantizeProgress} Progress */

const kStageText = {
  download: 'Downloading the model',
  verify: 'Checking that every byte is right',
  quantize: 'Making the copy',
};

export class QuantizeProgress {
  #bar;
  #text = h('span', {}, '');
  #stop;
  /** @type {Progress | null} */
  #last = null;
  #rate = new RateMeter();
  #redraw = new Redraw(() => this.#render());

  /**
   * @param {string} name of the model
   * @param {() => void} stop
   */
  constructor(name, stop) {
    this.#bar = new ProgressBar(`Making a smaller copy of ${name}`);
    this.#stop = h('button.button.button-quiet', { type: 'button', onclick: stop }, 'Stop');
    this.node = h(
      'div.quantize-progress',
      {},
      h('p.quantize-model', {}, name),
      ...this.#bar.nodes,
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
    this.#redraw.soon();
  }

  end() {
    this.#redraw.cancel();
  }

  #render() {
    const { stage, loadedBytes, totalBytes } = /** @type {Progress} */ (this.#last);
    this.#bar.show(kStageText[stage], loadedBytes, totalBytes);
    this.#text.textContent = wayText(loadedBytes, totalBytes, this.#rate.rate);
  }
}

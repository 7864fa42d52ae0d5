/** Owns the card that shows a model on its way: stage, bytes, speed, remaining time, percent, cancel. */

import { announce, h } from './dom.js';
import { formatBytes, RateMeter } from './format.js';
import { notice } from './notices.js';
import { ProgressBar, wayText } from './progress-bar.js';
import { Redraw } from './redraw.js';

/** @typedef {import('../tessera.js').LoadProgress} LoadEvent */

const kStageText = {
  download: 'Downloading',
  verify: 'Checking that every byte is right',
  load: 'Putting the tiles in place',
  warmup: 'Warming up',
};

export class LoadProgress {
  #bar;
  #text = h('span', {}, '');
  #note = h('p.hint', { role: 'status' });
  #cancel;
  #name;
  #local;
  #bytes;
  /** @type {LoadEvent | null} */
  #last = null;
  #rate = new RateMeter();
  #redraw = new Redraw(() => this.#render());
  loadedBytes = 0;

  /** @param {{name: string, bytes: number, local: boolean, cancel: () => void}} options */
  constructor({ name, bytes, local, cancel }) {
    this.#name = name;
    this.#local = local;
    this.#bytes = bytes;
    this.#bar = new ProgressBar(`Loading ${name}`);
    this.#cancel = h('button.button.button-plain', { type: 'button', onclick: cancel }, local ? 'Cancel' : 'Pause');
    this.node = h(
      'article.model-card',
      { id: 'progress-card', 'aria-label': `Loading ${name}` },
      h('p.hint', {}, name),
      ...this.#bar.nodes,
      h('div.progress-foot', {}, this.#text, this.#cancel),
      this.#note,
    );
  }

  focus() {
    this.#cancel.focus();
  }

  /** Part of the whole way, for the mosaic: the download is most of it. */
  get fraction() {
    const event = this.#last;
    if (!event) return 0;
    const part = event.totalBytes > 0 ? event.loadedBytes / event.totalBytes : 0;
    if (event.stage === 'warmup') return 1;
    if (event.stage === 'download') return part * 0.9;
    return this.#local || event.stage === 'verify' ? part : 0.9 + part * 0.1;
  }

  /** @param {LoadEvent} event */
  update(event) {
    if (event.stage !== this.#last?.stage) announce(`${this.#stageText(event.stage)}: ${this.#name}`);
    this.#last = event;
    if (event.stage === 'download') {
      this.loadedBytes = event.loadedBytes;
      this.#rate.add(event.loadedBytes, performance.now());
    }
    this.#redraw.soon();
  }

  /** The reader ended it. */
  stoppedNotice() {
    const text = `${formatBytes(this.loadedBytes)} had arrived. What is complete is kept, only the rest is fetched next time.`;
    return !this.#local && this.loadedBytes > 0
      ? notice({ kind: 'info', title: 'Paused.', text })
      : notice({ kind: 'info', title: 'Cancelled.', text: 'Nothing was changed on your device.' });
  }

  stop() {
    this.#redraw.cancel();
  }

  /** @param {LoadEvent['stage']} stage */
  #stageText(stage) {
    return stage === 'download' && this.#local ? 'Reading the file' : kStageText[stage];
  }

  #render() {
    const event = /** @type {LoadEvent} */ (this.#last);
    const total = event.totalBytes || (event.stage === 'download' ? this.#bytes : 0);
    this.#bar.show(this.#stageText(event.stage), event.loadedBytes, total);
    if (event.stage !== 'download') this.#cancel.textContent = 'Cancel';
    this.#text.textContent = this.#detail(event, total);
    this.#note.textContent = event.note ?? '';
  }

  /**
   * @param {LoadEvent} event
   * @param {number} total
   */
  #detail(event, total) {
    if (total === 0 && event.stage !== 'download') return event.stage === 'warmup' ? 'One moment' : '';
    const rate = event.stage === 'download' && !this.#local ? this.#rate.rate : 0;
    return wayText(event.loadedBytes, total, rate);
  }
}

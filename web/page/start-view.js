/** Owns the first view: one card a model with its one button, the progress of loading, and what went wrong. */

import { byId, h } from './dom.js';
import { loadCatalog, removeStored, storedState } from './catalog.js';
import { formatBytes } from './format.js';
import { LoadProgress } from './load-progress.js';
import { Mosaic } from './mosaic.js';
import { errorNotice, isAbort, notice } from './notices.js';

/**
 * @typedef {import('./catalog.js').CatalogModel} CatalogModel
 * @typedef {{model: string | File | File[], name: string, onProgress: (event: import('../tessera.js').LoadProgress) => void, signal: AbortSignal}} LoadJob
 */

export class StartView {
  #list = byId('model-list');
  #notices = byId('start-notices');
  #mosaic = new Mosaic(byId('start-picture'));
  #load;
  /** @type {CatalogModel[]} */
  #models = [];
  /** @type {AbortController | null} */
  #running = null;

  /** @param {(job: LoadJob) => Promise<void>} load resolves when the engine is ready and the chat is on screen */
  constructor(load) {
    this.#load = load;
    const input = /** @type {HTMLInputElement} */ (byId('file-input'));
    byId('choose-file').addEventListener('click', () => input.click());
    input.addEventListener('change', () => {
      const files = [...(input.files ?? [])];
      input.value = '';
      if (files.length > 0) this.openFiles(files);
    });
  }

  /** Fills the list; called again whenever the view is shown. */
  async show() {
    byId('start').hidden = false;
    try {
      if (this.#models.length === 0) this.#models = await loadCatalog();
    } catch (error) {
      this.#notices.replaceChildren(
        notice({
          kind: 'warn',
          title: 'The list of models of this site cannot be read.',
          text: 'You can still open a .gguf file from your device.',
          detail: String(error),
        }),
      );
    }
    await this.#renderCards();
  }

  hide() {
    byId('start').hidden = true;
  }

  /**
   * Opens a model from the reader's device; parts of a split model come together.
   * @param {File[]} files
   */
  openFiles(files) {
    if (this.#running) return;
    const wrong = files.find((file) => !file.name.toLowerCase().endsWith('.gguf'));
    if (wrong) {
      const text = `“${wrong.name}” does not end in .gguf. Choose a model in the GGUF format.`;
      this.#notices.replaceChildren(notice({ kind: 'error', title: 'This is not a model file.', text }));
      return;
    }
    files.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    const name = files[0].name.replace(/\.gguf$/i, '');
    void this.#start({ model: files.length === 1 ? files[0] : files, name, bytes });
  }

  async #renderCards() {
    const cards = [];
    let mostStored = 0;
    for (const [index, model] of this.#models.entries()) {
      const { state, storedBytes, storeId } = await storedState(model);
      mostStored = Math.max(mostStored, state === 'stored' ? 1 : storedBytes / Math.max(1, model.bytes));
      cards.push(this.#card(model, { state, storedBytes, storeId, main: index === 0 }));
    }
    this.#mosaic.set(mostStored);
    this.#list.replaceChildren(...cards);
    this.#list.setAttribute('aria-busy', 'false');
  }

  /**
   * @param {CatalogModel} model
   * @param {{state: string, storedBytes: number, storeId: string, main: boolean}} stored
   */
  #card(model, { state, storedBytes, storeId, main }) {
    const label = {
      absent: `Download and start (${formatBytes(model.bytes)})`,
      partial: `Resume download (${formatBytes(Math.max(0, model.bytes - storedBytes))} left)`,
      stored: 'Start',
    }[state];
    const facts = [formatBytes(model.bytes), model.license && `Licence ${model.license}`].filter(Boolean);
    const start = () => void this.#start({ model: model.manifest, name: model.name, bytes: model.bytes });
    const remove = async () => {
      await removeStored(storeId).catch((error) => this.#notices.replaceChildren(errorNotice(error)));
      await this.#renderCards();
      this.#list.querySelector('button')?.focus();
    };
    return h(
      'article.model-card',
      { 'aria-labelledby': `model-${model.id}` },
      h(
        'div.model-head',
        {},
        h('h3.model-name', { id: `model-${model.id}` }, model.name),
        h(
          'ul.model-facts',
          {},
          ...facts.map((fact) => h('li', {}, fact)),
          state === 'stored' && h('li.stored', {}, 'On this device'),
        ),
      ),
      h('p.model-description', {}, model.description),
      h(
        'div.button-row',
        {},
        h(
          `button.button.${main ? 'button-main' : 'button-quiet'}`,
          { type: 'button', onclick: start, 'data-start': model.id },
          label,
        ),
        state !== 'absent' &&
          h('button.button.button-plain', { type: 'button', onclick: remove }, 'Remove from device'),
      ),
    );
  }

  /** @param {{model: string | File | File[], name: string, bytes: number}} choice */
  async #start({ model, name, bytes }) {
    if (this.#running) return;
    const running = new AbortController();
    this.#running = running;
    this.#notices.replaceChildren();
    const local = typeof model !== 'string';
    const progress = new LoadProgress({ name, bytes, local, cancel: () => running.abort() });
    this.#list.replaceChildren(progress.node);
    progress.focus();
    this.#setFileButton(true);
    /** @type {unknown} */
    let failure = null;
    try {
      await this.#load({
        model,
        name,
        signal: running.signal,
        onProgress: (event) => {
          progress.update(event);
          this.#mosaic.set(progress.fraction);
        },
      });
    } catch (error) {
      failure = error;
    } finally {
      progress.stop();
      this.#running = null;
      this.#setFileButton(false);
    }
    if (failure === null) return;
    await this.#renderCards();
    if (isAbort(failure)) this.#notices.replaceChildren(this.#pausedNotice(progress, local));
    else this.#notices.replaceChildren(errorNotice(failure));
    this.#list.querySelector('button')?.focus();
  }

  /**
   * @param {LoadProgress} progress
   * @param {boolean} local
   */
  #pausedNotice(progress, local) {
    const kept = !local && progress.loadedBytes > 0;
    const text = kept
      ? `${formatBytes(progress.loadedBytes)} had arrived. Complete parts are kept, only the rest is fetched next time.`
      : 'Nothing was changed on your device.';
    return notice({ kind: 'info', title: 'Cancelled.', text });
  }

  /** @param {boolean} disabled */
  #setFileButton(disabled) {
    /** @type {HTMLButtonElement} */ (byId('choose-file')).disabled = disabled;
  }
}

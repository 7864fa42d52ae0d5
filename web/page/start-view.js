/** Owns the first view: one card a model with its one button, the progress of loading, and what went wrong. */

import { byId } from './dom.js';
import { loadCatalog, withStored } from './catalog.js';
import { formatBytes } from './format.js';
import { LoadProgress } from './load-progress.js';
import { modelCard } from './model-card.js';
import { Mosaic } from './mosaic.js';
import { crashedLoad, forgetLoading, noteLoading } from './crash-guard.js';
import { EngineElsewhere } from './engine-lock.js';
import { elsewhereNotice, errorNotice, isAbort, notice } from './notices.js';
import { askToKeep, showStorage } from './storage-line.js';

/**
 * @typedef {import('./catalog.js').CatalogModel} CatalogModel
 * @typedef {{model: string | File | File[], name: string, takeOver: boolean, onProgress: (event: import('../tessera.js').LoadProgress) => void, signal: AbortSignal}} LoadJob
 * @typedef {{model: string | File | File[], name: string, bytes: number, takeOver?: boolean}} Choice
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
  /** Of the last loading. @type {Promise<void>} */
  #ended = Promise.resolve();

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
    byId('address-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const address = /** @type {HTMLInputElement} */ (byId('address')).value.trim();
      if (address !== '') this.#start({ model: address, name: address.split('/').pop() || address, bytes: 0 });
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
    const crashed = crashedLoad();
    if (crashed) this.say(this.#crashNotice(crashed));
    await this.#renderCards();
  }

  /** @param {string} name of the model with which the tab ended last time */
  #crashNotice(name) {
    const title = `The tab ended while ${name} was starting.`;
    const text =
      'It may need more memory than this device gives a tab. Close other tabs before you try again, or choose a smaller ' +
      'model. If it keeps happening, check the model for damage below.';
    return notice({ kind: 'warn', title, text });
  }

  /** Whether a model is being loaded. */
  get busy() {
    return this.#running !== null;
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
    this.#start({ model: files.length === 1 ? files[0] : files, name, bytes });
  }

  async #renderCards() {
    const choices = await withStored(this.#models);
    const cards = choices.map((choice, index) => {
      const { model } = choice;
      return modelCard(choice, index === 0, {
        start: () => this.#start({ model: model.manifest, name: model.name, bytes: model.bytes }),
        say: (title, text, good) => this.say(notice({ kind: good ? 'info' : 'warn', title, text })),
        fail: (error) => this.say(errorNotice(error)),
        refresh: async () => {
          await this.#renderCards();
          this.#list.querySelector('button')?.focus();
        },
      });
    });
    const parts = choices.map(({ model, entry, state }) =>
      state === 'stored' ? 1 : (entry?.storedBytes ?? 0) / Math.max(1, model.bytes),
    );
    this.#mosaic.set(Math.max(0, ...parts.slice(0, this.#models.length)));
    this.#list.replaceChildren(...cards);
    this.#list.setAttribute('aria-busy', 'false');
    void showStorage(byId('storage'));
  }

  /** @param {Node[]} notices in place of those that are shown */
  say(...notices) {
    this.#notices.replaceChildren(...notices);
    this.#notices.firstElementChild?.scrollIntoView({ block: 'nearest' });
  }

  /** Ends the loading of a model, if there is any; resolves when nothing of it is left. */
  async stop() {
    this.#running?.abort();
    await this.#ended;
  }

  /** @param {Choice} choice */
  #start(choice) {
    if (!this.#running) this.#ended = this.#run(choice);
  }

  /** @param {Choice} choice */
  async #run({ model, name, bytes, takeOver = false }) {
    const running = new AbortController();
    this.#running = running;
    this.say();
    const local = typeof model !== 'string';
    if (!local) void askToKeep();
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
        takeOver,
        signal: running.signal,
        onProgress: (event) => {
          if (event.stage === 'load') noteLoading(name);
          progress.update(event);
          this.#mosaic.set(progress.fraction);
        },
      });
    } catch (error) {
      failure = error;
    } finally {
      forgetLoading();
      progress.stop();
      this.#running = null;
      this.#setFileButton(false);
    }
    if (failure === null) return;
    await this.#renderCards();
    if (isAbort(failure)) this.say(this.#pausedNotice(progress, local));
    else if (!(failure instanceof EngineElsewhere)) this.say(errorNotice(failure));
    else this.say(elsewhereNotice(() => this.#start({ model, name, bytes, takeOver: true })));
    this.#list.querySelector('button')?.focus();
  }

  /**
   * @param {LoadProgress} progress
   * @param {boolean} local
   */
  #pausedNotice(progress, local) {
    const kept = !local && progress.loadedBytes > 0;
    const text = `${formatBytes(progress.loadedBytes)} had arrived. What is complete is kept, only the rest is fetched next time.`;
    return kept
      ? notice({ kind: 'info', title: 'Paused.', text })
      : notice({ kind: 'info', title: 'Cancelled.', text: 'Nothing was changed on your device.' });
  }

  /** @param {boolean} disabled */
  #setFileButton(disabled) {
    /** @type {HTMLButtonElement} */ (byId('choose-file')).disabled = disabled;
  }
}

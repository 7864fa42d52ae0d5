/** Owns the first view: one card a model with its one button, the progress of loading, and what went wrong. */

import { initAddressField, notAnAddress } from './address-field.js';
import { byId } from './dom.js';
import { loadCatalog, withStored } from './catalog.js';
import { LoadProgress } from './load-progress.js';
import { localModel, onFilesChosen, whyNoModel } from './local-files.js';
import { estimateOf, headline, needsView, showNeeds } from './memory-needs.js';
import { modelCard } from './model-card.js';
import { Mosaic } from './mosaic.js';
import { crashedLoad, forgetLoading, noteLoading } from './crash-guard.js';
import { EngineElsewhere } from './engine-lock.js';
import { crashNotice, elsewhereNotice, errorNotice, isAbort, notice } from './notices.js';
import { askToKeep, showStorage } from './storage-line.js';
import { showStoredAdapters } from './stored-adapters.js';

/**
 * @typedef {import('./catalog.js').CatalogModel} CatalogModel
 * @typedef {{model: string | File | File[], name: string, takeOver: boolean, onProgress: (event: import('../tessera.js').LoadProgress) => void, signal: AbortSignal}} LoadJob
 * @typedef {{model: string | File | File[], name: string, bytes: number, takeOver?: boolean}} Choice
 */

export class StartView {
  #list = byId('model-list');
  #notices = byId('start-said');
  #mosaic = new Mosaic(byId('start-picture'));
  #load;
  #shrink;
  /** @type {CatalogModel[]} */
  #models = [];
  /** @type {AbortController | null} */
  #running = null;
  /** Ends what is being found out about the models. */
  #estimating = new AbortController();
  /** Ends what is being found out about an address that was given. */
  #asking = new AbortController();
  /** Of the last loading. @type {Promise<void>} */
  #ended = Promise.resolve();

  /**
   * @param {(job: LoadJob) => Promise<void>} load resolves when the engine is ready and the chat is on screen
   * @param {(source: import('./quantize-dialog.js').Source) => void} shrink the reader wants a smaller copy
   */
  constructor(load, shrink) {
    this.#load = load;
    this.#shrink = shrink;
    const input = /** @type {HTMLInputElement} */ (byId('file-input'));
    onFilesChosen(byId('choose-file'), input, (files) => void this.openFiles(files));
    initAddressField((address) => void this.#openAddress(address));
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
    const crashed = await crashedLoad();
    if (crashed) this.say(crashNotice(crashed));
    await this.refresh();
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
  async openFiles(files) {
    if (this.#running) return;
    const problem = await whyNoModel(files);
    if (problem) return this.say(problem);
    files.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    this.start({ ...localModel(files), bytes });
  }

  /** The list as the store is now; while a model is being loaded its progress is there. */
  async refresh() {
    const choices = await withStored(this.#models);
    if (this.#running) return;
    const cards = choices.map((choice, index) => {
      const { model } = choice;
      return modelCard(choice, index === 0, {
        start: () => this.start({ model: model.manifest, name: model.name, bytes: model.bytes }),
        shrink: () => this.#shrink({ model: model.manifest, name: model.name }),
        say: (title, text, good) => this.say(notice({ kind: good ? 'info' : 'warn', title, text })),
        fail: (error) => this.say(errorNotice(error)),
        refresh: async () => {
          await this.refresh();
          this.#list.querySelector('button')?.focus();
        },
      });
    });
    const parts = choices.map(({ model, entry, state }) =>
      state === 'stored' ? 1 : (entry?.storedBytes ?? 0) / Math.max(1, model.bytes),
    );
    this.#mosaic.set(Math.max(0, ...parts.slice(0, this.#models.length)));
    this.#list.replaceChildren(...cards);
    this.#estimate(choices.map(({ model: { manifest, bytes } }) => ({ url: manifest, bytes })));
    this.#list.setAttribute('aria-busy', 'false');
    void showStorage(byId('storage'));
    void showStoredAdapters(byId('stored-adapters'));
  }

  /** @param {{ url: string, bytes: number }[]} models */
  #estimate(models) {
    this.#estimating.abort();
    this.#estimating = new AbortController();
    const places = [...this.#list.querySelectorAll('[data-needs]')];
    const bytesOf = new Map(models.map(({ url, bytes }) => [url, bytes]));
    const cards = places.map((place) => {
      const url = place.getAttribute('data-needs') ?? '';
      return { place, url, bytes: bytesOf.get(url) ?? 0 };
    });
    void showNeeds(cards, this.#estimating.signal);
  }

  /**
   * A model that this device cannot be expected to run is not downloaded unasked. Whatever else may be wrong with it, starting says.
   * A server may take its time: what is chosen meanwhile ends the reading.
   * @param {string} model
   */
  async #openAddress(model) {
    const name = model.split(/[?#]/, 1)[0].split('/').pop() || model;
    const start = () => void this.start({ model, name, bytes: 0 });
    if (this.#running) return;
    this.#asking.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    this.say(
      notice({ kind: 'info', title: 'Reading the beginning of the file.', text: 'It says what the model needs.' }),
    );
    /** @type {any} */
    let failure = null;
    const estimate = await estimateOf(model, 0, signal).catch((error) => void (failure = error));
    if (signal.aborted) return;
    if (failure?.code === 'invalid_argument') return this.say(notAnAddress(failure));
    if (!estimate || estimate.fits) return start();
    const title = 'This device can probably not run this model.';
    const actions = [{ label: 'Download and try', run: start }];
    this.say(notice({ kind: 'warn', title, text: headline(estimate), controls: [needsView(estimate)], actions }));
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

  /** Loads a model, unless one is being loaded. @param {Choice} choice */
  start(choice) {
    if (!this.#running) this.#ended = this.#run(choice);
  }

  /** @param {Choice} choice */
  async #run({ model, name, bytes, takeOver = false }) {
    const running = new AbortController();
    this.#running = running;
    this.#estimating.abort();
    this.#asking.abort();
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
    await this.refresh();
    if (isAbort(failure)) this.say(progress.stoppedNotice());
    else if (!(failure instanceof EngineElsewhere)) this.say(this.#failureNotice(failure, { model, name }));
    else this.say(elsewhereNotice(() => this.start({ model, name, bytes, takeOver: true })));
    this.#list.querySelector('button')?.focus();
  }

  /**
   * @param {any} failure
   * @param {import('./quantize-dialog.js').Source} source
   */
  #failureNotice(failure, source) {
    const smaller = { label: 'Make a smaller copy', run: () => this.#shrink(source) };
    return errorNotice(failure, failure.code === 'out_of_memory' ? [smaller] : []);
  }

  /** @param {boolean} disabled */
  #setFileButton(disabled) {
    /** @type {HTMLButtonElement} */ (byId('choose-file')).disabled = disabled;
  }
}

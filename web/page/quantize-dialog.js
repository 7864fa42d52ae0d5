/** Owns the dialog that makes a smaller copy of a model: choosing a type, the progress of the work, and what to do with the copy. */

import { Tessera } from '../tessera.js';
import { saveModel } from './catalog.js';
import { openDialog } from './dialog.js';
import { announce, byId, h } from './dom.js';
import { formatBytes } from './format.js';
import { errorNotice, isAbort, notice } from './notices.js';
import { importanceChoice } from './quantize-importance.js';
import { QuantizeProgress } from './quantize-progress.js';
import { firstChoice, isQuantised, typeChoice } from './quantize-types.js';

/**
 * @typedef {import('../tessera.js').QuantizePlan} QuantizePlan
 * @typedef {import('../tessera.js').QuantizeResult} QuantizeResult
 * @typedef {{model: string | File | File[], name: string}} Source
 * @typedef {object} CopyPorts
 * @property {(copy: QuantizeResult) => void} start loads it
 * @property {() => Promise<void>} refresh the list of models has changed
 * @property {(box: HTMLElement | null) => void} say in the view on screen, while the dialog is closed; null takes it away
 */

const kTitle = 'Make a smaller copy';

/** One copy is made at a time; the dialog may be closed meanwhile. */
export class QuantizeDialog {
  #ports;
  /** The work that goes on. @type {{ source: Source, progress: QuantizeProgress } | null} */
  #running = null;
  /** Ends what is being found out about a model. */
  #planning = new AbortController();
  /** The way back to the work while the dialog is closed; its place is in the view on screen. */
  wayBack = h('div.way-back');

  /** @param {CopyPorts} ports */
  constructor(ports) {
    this.#ports = ports;
    byId('quantize-dialog').addEventListener('close', () => this.#closed());
  }

  /** @param {Source} source */
  async open(source) {
    if (this.#running) return this.#showProgress(this.#running);
    this.#planning.abort();
    const planning = (this.#planning = new AbortController());
    const reading = h('p.hint', { role: 'status' }, 'Reading the beginning of the file…');
    this.#show([h('p.quantize-model', {}, source.name), reading]);
    try {
      const plan = await Tessera.quantizePlan(source.model, { signal: planning.signal });
      if (!planning.signal.aborted) this.#showChoice(source, plan);
    } catch (error) {
      if (!isAbort(error)) this.#show([errorNotice(error)]);
    }
  }

  /**
   * @param {(Node | string)[]} body
   * @param {Node[]} [foot]
   */
  #show(body, foot) {
    openDialog('quantize', kTitle, body, foot);
  }

  /** Whether a copy is being made. */
  get busy() {
    return this.#running !== null;
  }

  get #isOpen() {
    return /** @type {HTMLDialogElement} */ (byId('quantize-dialog')).open;
  }

  /**
   * @param {Source} source
   * @param {QuantizePlan} plan
   */
  #showChoice(source, plan) {
    let chosen = firstChoice(plan);
    /** @type {File | undefined} */
    let importance;
    const sizes = h('output.quantize-sizes', {});
    const start = /** @type {HTMLButtonElement} */ (h('button.button.button-main', { type: 'button' }, 'Start'));
    const update = () => {
      const bytes = plan.types[chosen];
      const fits = plan.storageFree === null || bytes <= plan.storageFree;
      sizes.replaceChildren(...sizeLines(plan, bytes));
      sizes.classList.toggle('too-large', !fits);
      start.disabled = !fits;
    };
    const choice = typeChoice(plan, (type) => {
      chosen = type;
      update();
    });
    update();
    start.addEventListener('click', () => void this.#run(source, { type: chosen, importance }));
    const text =
      'The copy has fewer bits for each number of the model: it takes less room and memory and answers faster. ' +
      'The original stays as it is, and nothing leaves this device.';
    this.#show(
      [
        h('p.quantize-model', {}, `${source.name} · now ${plan.quantization}`),
        h('p.hint', {}, text),
        ...(isQuantised(plan) ? [lossNotice(plan)] : []),
        choice,
        importanceChoice((file) => (importance = file)),
      ],
      [sizes, start],
    );
  }

  /**
   * @param {Source} source
   * @param {Pick<import('../tessera.js').QuantizeOptions, 'type' | 'importance'>} options
   */
  async #run(source, options) {
    const stop = new AbortController();
    const progress = new QuantizeProgress(source.name, () => stop.abort());
    this.#running = { source, progress };
    this.#ports.say(null); // what led here
    this.#showProgress(this.#running);
    /** @type {HTMLElement} */
    let shown;
    try {
      const onProgress = progress.update.bind(progress);
      const copy = await Tessera.quantize(source.model, { ...options, signal: stop.signal, onProgress });
      announce(`The copy is ready: ${copy.name}`);
      shown = this.#doneNotice(copy);
    } catch (error) {
      shown = this.#failureNotice(error, source, options.importance !== undefined);
    }
    progress.end();
    this.#running = null;
    this.wayBack.replaceChildren();
    await this.#ports.refresh();
    if (!this.#isOpen) return this.#ports.say(shown);
    this.#show([shown]);
    byId('quantize-dialog').querySelector('.dialog-body')?.querySelector('button')?.focus();
  }

  /** @param {{ progress: QuantizeProgress }} running */
  #showProgress({ progress }) {
    const text = 'You can close this and use the page meanwhile; the tab must stay open.';
    this.wayBack.replaceChildren();
    this.#show([progress.node, h('p.hint', {}, text)]);
    progress.focus();
  }

  #closed() {
    if (this.#isOpen) return; // the event comes late, and the dialog may be open again
    this.#planning.abort();
    if (!this.#running) return;
    const running = this.#running;
    const title = `A smaller copy of ${running.source.name} is being made.`;
    const actions = [{ label: 'Show', run: () => this.#showProgress(running) }];
    this.wayBack.append(notice({ kind: 'info', title, text: 'It goes on while this tab is open.', actions }));
    this.wayBack.scrollIntoView({ block: 'nearest' });
  }

  /**
   * @param {any} error
   * @param {Source} source
   * @param {boolean} withImportance an importance file was chosen
   */
  #failureNotice(error, source, withImportance) {
    const actions = [{ label: 'Choose again', run: () => void this.open(source) }];
    if (withImportance && ['bad_file', 'not_gguf'].includes(error.code)) {
      // Either of the two files: the message says which.
      const text = `${error.message}: ${error.hint}`;
      return notice({ kind: 'error', title: 'The copy was not made.', text, actions });
    }
    if (!isAbort(error)) return errorNotice(error, actions);
    const text = 'Nothing of the copy was kept.';
    announce(`Stopped. ${text}`);
    return notice({ kind: 'info', title: 'Stopped.', text, actions });
  }

  /** @param {QuantizeResult} copy */
  #doneNotice(copy) {
    const { id, name, bytes, inputBytes, bitsPerWeight } = copy;
    const percent = Math.round((100 * bytes) / Math.max(1, inputBytes));
    const text =
      `${name} is on this device: ${formatBytes(bytes)}, ${percent} % of the original, ` +
      `${bitsPerWeight.toFixed(1)} bits for each number. It is in the list of models from now on.`;
    const load = () => {
      /** @type {HTMLDialogElement} */ (byId('quantize-dialog')).close();
      this.#ports.start(copy);
    };
    const actions = [
      { label: 'Load it', main: true, run: load },
      { label: 'Save as a file', run: () => void saveModel(id).catch((error) => this.#show([errorNotice(error)])) },
    ];
    return notice({ kind: 'info', title: 'The copy is ready.', text, actions });
  }
}

/**
 * @param {QuantizePlan} plan
 * @param {number} bytes of the copy
 */
function sizeLines({ fileBytes, storageFree }, bytes) {
  const now = fileBytes === null ? '' : `${formatBytes(fileBytes)} now, `;
  const room = storageFree === null ? '' : `${formatBytes(storageFree)} of storage are free`;
  const fits = storageFree === null || bytes <= storageFree;
  const larger = fileBytes !== null && bytes >= fileBytes ? ': no smaller' : '';
  return [
    h('strong', {}, `${now}${formatBytes(bytes)} then${larger}`),
    h('span', {}, fits ? room : `Too large: only ${room}`),
  ];
}

/** @param {QuantizePlan} plan */
function lossNotice({ quantization }) {
  const text =
    'What its first rounding lost does not come back, and each further one loses a little more. Where there is a file in F16 or ' +
    'BF16, begin with that one.';
  return notice({ kind: 'warn', title: `This model is already rounded (${quantization}).`, text });
}

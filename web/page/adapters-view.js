/** Owns the list of adapters in the engine dialog: adding files, switching them on and off, their scales, what went wrong. */

import { announce, h, icon } from './dom.js';
import { formatBytes } from './format.js';
import { isAdapter, kMostAdapters } from './adapters.js';
import { onFilesChosen } from './local-files.js';
import { notice } from './notices.js';

/** @typedef {import('./adapters.js').Adapter} Adapter */

export class AdaptersView {
  #adapters;
  #onChange;
  #rows = h('ul.adapter-list');
  #problems = h('div');
  #status = h('p.hint', { role: 'status' });
  #input = /** @type {HTMLInputElement} */ (
    h('input.visually-hidden', { type: 'file', accept: '.gguf', multiple: true, tabindex: -1, 'aria-hidden': 'true' })
  );
  #choose = h('button.button.button-quiet', { type: 'button' }, icon('plus'), 'Add adapter files');
  /** Ends with the last change that was asked for. @type {Promise<void>} */
  #changed = Promise.resolve();

  /**
   * @param {import('./adapters.js').Adapters} adapters
   * @param {() => void} onChange after a change has taken effect
   */
  constructor(adapters, onChange) {
    this.#adapters = adapters;
    this.#onChange = onChange;
    onFilesChosen(this.#choose, this.#input, (files) => void this.add(files));
    const hint = h(
      'p.hint',
      {},
      'Small files that teach the model something more. Choose them, or drop them on the page.',
    );
    this.node = h('div.adapters', {}, hint, this.#rows, this.#problems, this.#status, this.#input, this.#choose);
    this.#render();
  }

  /** @param {File[]} files */
  add(files) {
    return this.#change(async () => {
      for (const file of files) {
        if (await isAdapter(file)) continue;
        const text = 'An adapter is a GGUF file that says so in its head. A model is opened on the start page instead.';
        return this.#say({ title: `“${file.name}” is not a LoRA adapter.`, text });
      }
      if (files.length > 0)
        await this.#apply([...this.#adapters.list, ...files.map((file) => ({ file, scale: 1, on: true }))]);
    });
  }

  /**
   * One change at a time, as each begins from the list that the one before has left; files may be dropped during one.
   * What went wrong is on screen until something else is asked for.
   * @param {() => Promise<void>} change does not reject
   */
  #change(change) {
    this.#problems.replaceChildren();
    return (this.#changed = this.#changed.then(change));
  }

  /** @param {Adapter[]} list */
  async #apply(list) {
    if (list.length > kMostAdapters) {
      this.#render();
      return this.#say({ title: 'These are too many.', text: `At most ${kMostAdapters} adapters can be in the list.` });
    }
    this.#status.textContent = 'Changing the model…';
    this.node.toggleAttribute('inert', true);
    try {
      await this.#adapters.replace(list);
      const { active } = this.#adapters;
      announce(active === 1 ? 'One adapter is on.' : `${active} adapters are on.`);
      this.#onChange();
    } catch (error) {
      this.#say(this.#adapters.explain(error, list));
    }
    this.node.toggleAttribute('inert', false);
    this.#status.textContent = '';
    this.#render();
  }

  /** @param {{ title: string, text: string, detail?: string }} problem */
  #say(problem) {
    this.#problems.append(notice({ kind: 'error', ...problem }));
  }

  #render() {
    const focused = document.activeElement?.id;
    this.#rows.replaceChildren(...this.#adapters.list.map((adapter, index) => this.#row(adapter, index)));
    this.#rows.hidden = this.#adapters.list.length === 0;
    if (focused && this.node.isConnected) document.getElementById(focused)?.focus();
  }

  /**
   * @param {Adapter} adapter
   * @param {number} index
   */
  #row(adapter, index) {
    const { file, scale, on } = adapter;
    const change = (/** @type {Partial<Adapter>} */ part) =>
      void this.#change(() =>
        this.#apply(this.#adapters.list.map((one) => (one === adapter ? { ...one, ...part } : one))),
      );
    const toggle = /** @type {HTMLInputElement} */ (
      h('input', { type: 'checkbox', id: `adapter-${index}-on`, checked: on })
    );
    toggle.addEventListener('change', () => change({ on: toggle.checked }));
    const strength = /** @type {HTMLInputElement} */ (
      h('input', { type: 'number', id: `adapter-${index}-scale`, step: 'any', value: scale, inputmode: 'decimal' })
    );
    strength.setAttribute('aria-label', `Scale of ${file.name}`);
    strength.addEventListener('change', () => {
      if (Number.isFinite(strength.valueAsNumber)) change({ scale: strength.valueAsNumber });
      else strength.value = String(scale);
    });
    const remove = h('button.tool.tool-icon', { type: 'button', 'aria-label': `Remove ${file.name}` }, icon('trash'));
    remove.addEventListener('click', async () => {
      await this.#change(() => this.#apply(this.#adapters.list.filter((one) => one !== adapter)));
      this.#choose.focus();
    });
    const name = h(
      'label.adapter-name',
      { for: toggle.id },
      toggle,
      h('span', {}, file.name, ` · ${formatBytes(file.size)}`),
    );
    return h('li.adapter', {}, name, h('span.adapter-scale', {}, '×', strength), remove);
  }
}

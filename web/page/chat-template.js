/** Owns how what is written becomes a prompt: by the model's own chat template, by a built-in one, or not at all. The choice is kept per model. */

import { h } from './dom.js';
import { keep, keptObject } from './kept.js';
import { notice } from './notices.js';

/** @typedef {import('../tessera.js').EngineInfo} EngineInfo */

const kKept = 'tessera.chat-templates';
/** The model's own template. */
const kOwn = '';
/** No template: the model continues the text. */
const kContinue = 'continue';

/** The engine's built-in templates, and whose they are. @type {[string, string][]} */
export const kBuiltIn = [
  ['chatml', 'ChatML (Qwen, SmolLM and many others)'],
  ['llama3', 'Llama 3'],
  ['llama2', 'Llama 2'],
  ['gemma', 'Gemma'],
  ['mistral', 'Mistral'],
  ['phi3', 'Phi-3'],
  ['zephyr', 'Zephyr'],
  ['alpaca', 'Alpaca (### Instruction, ### Response)'],
];

/** Architectures whose chat models all share one. @type {Record<string, string>} */
const kUsual = { gemma: 'gemma', gemma2: 'gemma', gemma3: 'gemma', phi3: 'phi3', mistral3: 'mistral' };

/**
 * What the choice is kept under: where the model came from.
 * @param {string | File | File[]} model
 */
function keyOf(model) {
  if (typeof model === 'string') return model;
  const [first, ...others] = Array.isArray(model) ? model : [model];
  return `file:${first.name}:${others.reduce((sum, { size }) => sum + size, first.size)}`;
}

/** How messages reach one model. */
export class PromptFormat {
  #key;
  #info;
  #choice;

  /**
   * @param {EngineInfo} info engine.info
   * @param {string | File | File[]} model
   */
  constructor(info, model) {
    this.#info = info;
    this.#key = keyOf(model);
    const kept = keptObject(kKept)[this.#key];
    this.#choice = kept === kContinue || kBuiltIn.some(([name]) => name === kept) ? kept : kOwn;
  }

  /** Whether the file brings a template that can be used. */
  get hasOwn() {
    return this.#info.chatTemplate && this.#info.chatTemplateError === '';
  }

  /** Nothing can be sent before the reader has chosen. */
  get missing() {
    return this.#choice === kOwn && !this.hasOwn;
  }

  get continues() {
    return this.#choice === kContinue;
  }

  /** What a chat request says of it. @returns {{ chat_template?: string }} */
  get options() {
    return this.#choice === kOwn || this.continues ? {} : { chat_template: this.#choice };
  }

  /** @param {string} choice */
  choose(choice) {
    this.#choice = choice;
    const kept = keptObject(kKept);
    if (choice === kOwn) delete kept[this.#key];
    else kept[this.#key] = choice;
    keep(kKept, JSON.stringify(kept));
  }

  /** A list to choose from. @param {() => void} onChange after the choice has changed */
  field(onChange) {
    const own = this.hasOwn ? 'The model’s own' : 'None yet: choose one';
    const all = [[kOwn, own], [kContinue, 'None: the model continues the text'], ...kBuiltIn];
    const select = selectOf(all, this.#choice, 'choose-template');
    select.setAttribute('aria-describedby', 'choose-template-hint');
    select.addEventListener('change', () => {
      this.choose(select.value);
      onChange();
    });
    const hint = 'Says how a conversation is written down for the model. The choice is remembered for this model.';
    return h(
      'div.field',
      {},
      h('label', { for: 'choose-template' }, 'Chat template'),
      h('p.hint', { id: 'choose-template-hint' }, hint),
      select,
    );
  }

  /**
   * What to do about a template that is missing or fails.
   * @param {{ message: string } | null} failure null: the file's own is missing or damaged
   * @param {() => void} onChosen
   */
  offer(failure, onChosen) {
    const select = selectOf(kBuiltIn, kUsual[this.#info.architecture] ?? kBuiltIn[0][0], 'offered-template');
    const use = (/** @type {string} */ choice) => () => {
      this.choose(choice);
      onChosen();
    };
    const base = !this.#info.chatTemplate;
    const kinds = base ? ['quiet', 'main'] : ['main', 'quiet'];
    const button = (/** @type {string} */ kind, /** @type {string} */ text, /** @type {() => void} */ onclick) =>
      h(`button.button.button-${kind}`, { type: 'button', onclick }, text);
    const stand = button(kinds[0], 'Use this template', () => use(select.value)());
    const go = button(kinds[1], 'Continue my text', use(kContinue));
    const title = base
      ? 'This model has no chat template.'
      : 'The chat template of this model cannot be used for this conversation.';
    const text = base
      ? 'It is probably a base model, which continues a text rather than answering. Let it continue what you write, or put ' +
        'your messages into one of the usual templates.'
      : 'One of the usual templates can stand in for it; that of the model’s family works best.';
    return notice({
      kind: 'warn',
      title,
      text,
      detail: failure?.message || this.#info.chatTemplateError,
      controls: [h('label.visually-hidden', { for: 'offered-template' }, 'Chat template'), select, stand, go],
    });
  }
}

/**
 * @param {string[][]} choices value and name
 * @param {string} chosen
 * @param {string} id
 */
function selectOf(choices, chosen, id) {
  const options = choices.map(([value, name]) => h('option', { value, selected: value === chosen }, name));
  return /** @type {HTMLSelectElement} */ (h('select', { id }, ...options));
}

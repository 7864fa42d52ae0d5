/** Owns the block of an answer that shows what the model thought first: open while it grows, closed once the answer begins. */

import { announce, h } from './dom.js';
import { formatDuration } from './format.js';
import { MarkdownView } from './markdown.js';

/** @typedef {import('./conversation.js').Message} Message */

export class ReasoningView {
  #summary = h('summary', {});
  #text = h('div.prose');
  #markdown = new MarkdownView(this.#text);
  #announced = false;
  /** The reader has opened or closed it: from then on it is left alone. */
  #touched = false;

  constructor() {
    this.node = /** @type {HTMLDetailsElement} */ (h('details.reasoning', {}, this.#summary, this.#text));
    this.#summary.addEventListener('click', () => (this.#touched = true));
  }

  /** Draws what there is so far. @param {Message} message */
  update({ content, reasoning = '', reasoningMs = 0, reasoningTokens = 0, finish }) {
    const thinking = content === '' && finish === undefined;
    if (thinking && !this.#announced) announce('Thinking');
    this.#announced = true;
    if (!this.#touched) this.node.open = content === '';
    const time = formatDuration(reasoningMs / 1000);
    const size = `${reasoningTokens.toLocaleString('en')} ${reasoningTokens === 1 ? 'token' : 'tokens'}`;
    this.#summary.textContent = `${thinking ? 'Thinking for' : 'Thought for'} ${time} · ${size}`;
    this.#markdown.update(reasoning);
  }
}

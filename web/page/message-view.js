/** Owns one message on screen: the reader's as they wrote it, an answer as Markdown with its tools and figures. */

import { copyButton, directionOf, h, toolButton } from './dom.js';
import { formatRate } from './format.js';
import { MarkdownView } from './markdown.js';
import { ReasoningView } from './reasoning-view.js';

/** @typedef {import('./conversation.js').Message} Message */

/** Why an answer ended, where the reader should know. @type {Record<string, string>} */
const kFinishNotes = {
  length: 'The answer reached the longest length of the settings.',
  context: 'The answer was cut: the model’s memory for this conversation is full.',
  stopped: 'Stopped.',
  lost: 'The page was closed while this was being written.',
};

const kThoughtTooLong = 'Thinking took the longest length of the settings; a larger one leaves room for the answer.';

/** @param {Message} message */
export function userMessage(message) {
  const dir = directionOf(message.content);
  return h('article.message.message-user', { dir }, h('h2.visually-hidden', {}, 'You'), message.content);
}

export class AnswerView {
  #message;
  #reasoning = new ReasoningView();
  #prose = h('div.prose');
  #foot = h('div');
  #markdown = new MarkdownView(this.#prose);
  #thinkingText = h('span', {}, 'Reading');
  #thinking = h(
    'p.thinking',
    {},
    h('span.thinking-tiles', { 'aria-hidden': 'true' }, h('i'), h('i'), h('i')),
    this.#thinkingText,
  );

  /** @param {Message} message kept and read again on each update */
  constructor(message) {
    this.#message = message;
    const title = h('h2.visually-hidden', {}, 'Answer');
    this.node = h('article.message.message-answer', {}, title, this.#prose, this.#foot);
  }

  /** @param {string} text what the engine does before the first word */
  setThinking(text) {
    this.#thinkingText.textContent = text;
  }

  /** Draws the text so far. */
  update() {
    const { content, reasoning, finish } = this.#message;
    this.#thinking.remove();
    if (reasoning) {
      if (!this.#reasoning.node.parentNode) this.#prose.before(this.#reasoning.node);
      this.#reasoning.update(this.#message);
    }
    if (content === '' && !reasoning && finish === undefined) this.#prose.before(this.#thinking);
    else this.#markdown.update(content);
  }

  /**
   * Draws a finished answer with its tools.
   * @param {{regenerate: (() => void) | null}} actions null where there is a newer message
   */
  finish({ regenerate }) {
    this.update();
    const { content, reasoning, finish = '', tokens, rate } = this.#message;
    const cut = finish === 'length' && content === '' && reasoning;
    const empty = content === '' ? 'The model gave no answer.' : '';
    const note = cut ? kThoughtTooLong : (kFinishNotes[finish] ?? empty);
    const stats = tokens && rate ? `${tokens} tokens · ${formatRate(rate)} a second` : '';
    this.#foot.replaceChildren(
      ...(note ? [h('p.message-note', {}, note)] : []),
      h(
        'div.message-tools',
        {},
        content !== '' && copyButton('Copy', () => this.#message.content),
        regenerate && toolButton('redo', 'Regenerate', regenerate),
        stats !== '' && h('span.message-stats', {}, stats),
      ),
    );
  }
}

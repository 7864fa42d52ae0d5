/** Owns one message on screen: the reader's as they wrote it, an answer as Markdown with its tools and figures. */

import { copyButton, h, toolButton } from './dom.js';
import { formatRate } from './format.js';
import { MarkdownView } from './markdown.js';

/** @typedef {import('./conversation.js').Message} Message */

/** Why an answer ended, where the reader should know. @type {Record<string, string>} */
const kFinishNotes = {
  length: 'The answer reached the longest length of the settings.',
  context: 'The answer was cut: the model’s memory for this conversation is full.',
  stopped: 'Stopped.',
  lost: 'The page was closed while this was being written.',
};

/** @param {Message} message */
export function userMessage(message) {
  return h('article.message.message-user', {}, h('h2.visually-hidden', {}, 'You'), message.content);
}

export class AnswerView {
  #message;
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
    this.node = h('article.message.message-answer', {}, h('h2.visually-hidden', {}, 'Answer'), this.#prose, this.#foot);
  }

  /** @param {string} text what the engine does before the first word */
  setThinking(text) {
    this.#thinkingText.textContent = text;
  }

  /** Draws the text so far. */
  update() {
    const { content, finish } = this.#message;
    this.#thinking.remove();
    if (content === '' && finish === undefined) this.#prose.before(this.#thinking);
    else this.#markdown.update(content);
  }

  /**
   * Draws a finished answer with its tools.
   * @param {{regenerate: (() => void) | null}} actions null where there is a newer message
   */
  finish({ regenerate }) {
    this.update();
    const { content, finish = '', tokens, rate } = this.#message;
    const note = kFinishNotes[finish] ?? (content === '' ? 'The model gave no answer.' : '');
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

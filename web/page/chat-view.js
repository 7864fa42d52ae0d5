/** Owns the conversation on screen: the list of messages, drawing once a frame while one grows, scrolling, the empty state. */

import { byId, h } from './dom.js';
import { AnswerView, userMessage } from './message-view.js';
import { ScrollFollow } from './scroll-follow.js';

/**
 * @typedef {import('./conversation.js').Conversation} Conversation
 * @typedef {import('./conversation.js').Message} Message
 */

/** Small models do these well. */
const kSuggestions = [
  'What is a mosaic? Give a short answer.',
  'List three reasons to walk every day.',
  'Write a short thank-you note to a neighbour.',
  'Write a Python function that reverses a string.',
];

export class ChatView {
  #messages = byId('messages');
  #notices = byId('chat-notices');
  #empty = byId('chat-empty');
  #follow;
  /** @type {AnswerView | null} the last message, if it is an answer */
  #last = null;
  #frame = 0;
  #onRegenerate;

  /** @param {{suggest: (text: string) => void, regenerate: () => void}} actions */
  constructor({ suggest, regenerate }) {
    this.#onRegenerate = regenerate;
    const jump = byId('jump');
    this.#follow = new ScrollFollow(byId('scroller'), (following) => (jump.hidden = following));
    jump.addEventListener('click', () => {
      this.#follow.toEnd();
      byId('prompt').focus();
    });
    byId('suggestions').append(
      ...kSuggestions.map((text) =>
        h('li', {}, h('button.suggestion', { type: 'button', onclick: () => suggest(text) }, text)),
      ),
    );
  }

  /** @param {string} text under the question of the empty view */
  setHint(text) {
    byId('empty-hint').textContent = text;
  }

  /**
   * Draws a whole conversation.
   * @param {Conversation} conversation
   */
  show({ messages, sentFrom }) {
    this.#last = null;
    this.#empty.hidden = messages.length > 0;
    this.#messages.replaceChildren();
    messages.forEach((message, index) => {
      if (index === sentFrom && index > 0) this.#messages.append(this.#cutLine());
      if (message.role === 'user') this.#messages.append(userMessage(message));
      else this.#appendAnswer(message).finish({ regenerate: this.#regenerateFor(index === messages.length - 1) });
    });
    this.#follow.toEnd();
  }

  /** @param {boolean} isLast */
  #regenerateFor(isLast) {
    return isLast ? this.#onRegenerate : null;
  }

  #cutLine() {
    return h('p.cut-line', {}, 'The model no longer sees what is above');
  }

  /** @param {Message} message */
  #appendAnswer(message) {
    const answer = new AnswerView(message);
    this.#messages.append(answer.node);
    this.#last = answer;
    return answer;
  }

  /**
   * Shows an answer that is about to grow.
   * @param {Message} message
   */
  beginAnswer(message) {
    this.#appendAnswer(message).update();
    this.#follow.toEnd();
  }

  /** @param {string} text what happens before the first word */
  setThinking(text) {
    this.#last?.setThinking(text);
  }

  /** The growing answer has new text: draws it with the next frame, however many tokens come before. */
  grew() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#last?.update();
      this.#follow.keep();
    });
  }

  /** The growing answer is complete. */
  endAnswer() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#last?.finish({ regenerate: this.#onRegenerate });
    this.#follow.keep();
  }

  /**
   * A notice about the last message, below it; null takes it away.
   * @param {HTMLElement | null} box
   */
  setProblem(box) {
    this.#messages.parentElement?.querySelector('.problem')?.remove();
    if (!box) return;
    box.classList.add('problem');
    this.#messages.after(box);
    this.#follow.toEnd();
  }

  /** @param {HTMLElement[]} boxes above the conversation */
  setNotices(boxes) {
    this.#notices.replaceChildren(...boxes);
  }
}

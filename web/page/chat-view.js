/** Owns the conversation on screen: the list of messages, drawing one that grows, scrolling, the empty state. */

import { byId, h } from './dom.js';
import { AnswerView, userMessage } from './message-view.js';
import { Redraw } from './redraw.js';
import { ScrollFollow } from './scroll-follow.js';

/**
 * @typedef {import('./conversation.js').Conversation} Conversation
 * @typedef {import('./conversation.js').Message} Message
 */

/** What the empty view says, and what small models do well: as a conversation, and for a model that only continues a text. */
const kInvitations = {
  chat: {
    title: 'What is on your mind?',
    placeholder: 'Write a message',
    suggestions: [
      'What is a mosaic? Give a short answer.',
      'List three reasons to walk every day.',
      'Write a short thank-you note to a neighbour.',
      'Write a Python function that reverses a string.',
    ],
  },
  text: {
    title: 'How does your text begin?',
    placeholder: 'Write a beginning',
    suggestions: [
      'Once upon a time there was a lighthouse keeper who',
      'A mosaic is a picture that',
      'To bake bread at home, you first',
      'def reverse(text):',
    ],
  },
};

export class ChatView {
  #messages = byId('messages');
  #notices = byId('chat-notices');
  #empty = byId('chat-empty');
  #follow;
  /** What is on screen. @type {{message: Message, node: HTMLElement, answer: AnswerView | null}[]} */
  #shown = [];
  /** @type {AnswerView | null} the last message, if it is an answer */
  #last = null;
  #cutLine = h('p.cut-line', {}, 'The model no longer sees what is above');
  #growth = new Redraw(() => {
    this.#last?.update();
    this.#follow.keep();
  });
  #onRegenerate;
  #onSuggest;

  /** @param {{suggest: (text: string) => void, regenerate: () => void}} actions */
  constructor({ suggest, regenerate }) {
    this.#onRegenerate = regenerate;
    this.#onSuggest = suggest;
    const jump = byId('jump');
    this.#follow = new ScrollFollow(byId('scroller'), (following) => (jump.hidden = following));
    jump.addEventListener('click', () => {
      this.#follow.toEnd();
      byId('prompt').focus();
    });
    this.setContinues(false);
  }

  /** @param {boolean} continues the model continues a text instead of answering */
  setContinues(continues) {
    const { title, placeholder, suggestions } = continues ? kInvitations.text : kInvitations.chat;
    byId('empty-title').textContent = title;
    byId('prompt').setAttribute('placeholder', placeholder);
    const button = (/** @type {string} */ text) =>
      h('button.suggestion', { type: 'button', onclick: () => this.#onSuggest(text) }, text);
    byId('suggestions').replaceChildren(...suggestions.map((text) => h('li', {}, button(text))));
  }

  /** @param {string} text under the question of the empty view */
  setHint(text) {
    byId('empty-hint').textContent = text;
  }

  /**
   * Draws a conversation: what is on screen of it stays, as a long one takes seconds.
   * @param {Conversation} conversation
   */
  show({ messages, sentFrom }) {
    this.#empty.hidden = messages.length > 0;
    this.say(null);
    let same = 0;
    while (same < this.#shown.length && this.#shown[same].message === messages[same]) same++;
    for (const { node } of this.#shown.splice(same)) node.remove();
    for (const message of messages.slice(same)) this.#append(message)?.finish({ regenerate: null });
    this.#setLast()?.finish({ regenerate: this.#onRegenerate });
    this.#cutLine.remove();
    if (sentFrom > 0) this.#shown[sentFrom]?.node.before(this.#cutLine);
    this.#follow.toEnd();
  }

  /** @param {Message} message */
  #append(message) {
    const answer = message.role === 'user' ? null : new AnswerView(message);
    const node = answer?.node ?? userMessage(message);
    this.#messages.append(node);
    this.#shown.push({ message, node, answer });
    return answer;
  }

  /** Only the last message can be made anew: the one before it loses the button for that. */
  #setLast() {
    const last = this.#shown.at(-1)?.answer ?? null;
    if (last !== this.#last) this.#last?.finish({ regenerate: null });
    return (this.#last = last);
  }

  /**
   * Shows an answer that is about to grow.
   * @param {Message} message
   */
  beginAnswer(message) {
    this.#append(message)?.update();
    this.#setLast();
    this.#follow.toEnd();
  }

  /** @param {string} text what happens before the first word */
  setThinking(text) {
    this.#last?.setThinking(text);
  }

  /** The growing answer has new text: draws it soon, however many tokens come before. */
  grew() {
    this.#growth.soon();
  }

  /** The growing answer is complete. */
  endAnswer() {
    this.#growth.cancel();
    this.#last?.finish({ regenerate: this.#onRegenerate });
    this.#follow.keep();
  }

  /**
   * A notice about the last message, below it; null takes it away.
   * @param {HTMLElement | null} box
   */
  setProblem(box) {
    this.#below('problem', box);
  }

  /**
   * What is said beside the conversation, until that is drawn anew.
   * @param {HTMLElement | null} box
   */
  say(box) {
    this.#below('said', box);
  }

  /**
   * @param {'problem' | 'said'} kind there is one of each
   * @param {HTMLElement | null} box
   */
  #below(kind, box) {
    const column = this.#messages.parentElement;
    column?.querySelector(`.${kind}`)?.remove();
    if (!box) return;
    box.classList.add(kind);
    column?.append(box);
    this.#follow.toEnd();
  }

  /** @param {HTMLElement[]} boxes above the conversation */
  setNotices(boxes) {
    this.#notices.replaceChildren(...boxes);
  }
}

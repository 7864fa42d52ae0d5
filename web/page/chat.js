/** Owns the course of a chat: sending, streaming, stopping, regenerating, a full context; always saving on the way. */

import { announce } from './dom.js';
import { newConversation, requestMessages } from './conversation.js';
import { fullContextNotice, shorterStart } from './full-context.js';
import { errorNotice, isAbort, notice } from './notices.js';
import { samplingOptions } from './settings.js';
import { noFigures } from './status-line.js';
import { streamAnswer } from './stream-answer.js';

/**
 * @typedef {import('./conversation.js').Conversation} Conversation
 * @typedef {import('./conversation.js').Message} Message
 * @typedef {import('./status-line.js').Engine} Engine
 *
 * @typedef {object} ChatParts
 * @property {import('./conversation-store.js').ConversationStore} store
 * @property {import('./chat-view.js').ChatView} view
 * @property {import('./composer.js').Composer} composer
 * @property {import('./status-line.js').StatusLine} status
 * @property {() => import('./settings.js').Settings} settings
 * @property {() => void} leave the engine is gone: back to the first view
 */

export class Chat {
  #parts;
  /** @type {Engine | null} */
  #engine = null;
  #modelName = '';
  /** @type {Conversation} */
  #conversation = newConversation();
  #figures = noFigures();
  /** @type {AbortController | null} */
  #abort = null;
  /** @type {Promise<void>} settles when no answer is being written */
  #idle = Promise.resolve();

  /** @param {ChatParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  get conversation() {
    return this.#conversation;
  }

  get figures() {
    return this.#figures;
  }

  get engine() {
    return this.#engine;
  }

  /**
   * @param {Engine | null} engine
   * @param {string} modelName
   */
  setEngine(engine, modelName) {
    this.#engine = engine;
    this.#modelName = modelName;
    this.#figures = noFigures();
    this.#showStatus();
  }

  #showStatus() {
    if (this.#engine) this.#parts.status.show(this.#engine.info, this.#figures);
  }

  /**
   * Puts another conversation on screen.
   * @param {Conversation} conversation
   */
  async open(conversation) {
    await this.stop();
    const { messages } = conversation;
    const last = messages.at(-1);
    if (last?.role === 'assistant' && last.finish === undefined) {
      if (last.content === '' && !last.reasoning) messages.pop();
      else last.finish = 'lost';
    }
    this.#conversation = conversation;
    this.#figures.contextUsed = 0;
    this.#parts.store.setCurrent(conversation);
    this.#parts.view.setProblem(null);
    this.#parts.view.show(conversation);
    if (messages.at(-1)?.role === 'user') this.#offerAnswer();
    this.#showStatus();
  }

  async newChat() {
    await this.open(newConversation());
    this.#parts.composer.focus();
  }

  /** @param {string} text */
  send(text) {
    this.#conversation.messages.push({ role: 'user', content: text });
    void this.#answer();
  }

  /** Replaces the last answer by a new one. */
  regenerate() {
    if (this.#abort) return;
    const { messages } = this.#conversation;
    const before = messages.at(-1)?.role === 'assistant' ? messages.pop() : undefined;
    void this.#answer(before);
  }

  /** Ends the answer being written; resolves when it has ended. */
  async stop() {
    this.#abort?.abort();
    await this.#idle;
  }

  /** @param {Message} [before] the answer that comes back if there is no new one */
  async #answer(before) {
    if (this.#abort) return;
    const abort = new AbortController();
    this.#abort = abort;
    /** @type {() => void} */
    let done = () => {};
    this.#idle = new Promise((resolve) => (done = resolve));
    const conversation = this.#conversation;
    /** @type {Message} */
    const message = { role: 'assistant', content: '' };
    conversation.model = this.#modelName;
    conversation.updated = Date.now();
    const { view, composer, store } = this.#parts;
    view.setProblem(null);
    view.show(conversation);
    conversation.messages.push(message);
    view.beginAnswer(message);
    composer.setBusy(true);
    store.setCurrent(conversation);
    store.saveSoon(conversation);
    /** @type {unknown} */
    let failure = null;
    try {
      await this.#stream(conversation, message, abort.signal);
    } catch (error) {
      if (isAbort(error)) message.finish = 'stopped';
      else failure = error;
    }
    this.#finish(conversation, message, { before, failure });
    await store.flush();
    this.#abort = null;
    composer.setBusy(false);
    done();
  }

  /**
   * @param {Conversation} conversation
   * @param {Message} message grows
   * @param {AbortSignal} signal
   */
  async #stream(conversation, message, signal) {
    const { view, store, settings } = this.#parts;
    const chosen = settings();
    const request = {
      messages: requestMessages(conversation, chosen.system),
      signal,
      onProgress: (/** @type {{doneTokens: number, totalTokens: number}} */ { doneTokens, totalTokens }) =>
        view.setThinking(`Reading ${Math.round((100 * doneTokens) / totalTokens)} %`),
      ...samplingOptions(chosen),
    };
    await streamAnswer(/** @type {Engine} */ (this.#engine), request, message, this.#figures, () => {
      view.grew();
      store.saveSoon(conversation);
      this.#showStatus();
    });
  }

  /**
   * @param {Conversation} conversation
   * @param {Message} message
   * @param {{before?: Message, failure: any}} outcome
   */
  #finish(conversation, message, { before, failure }) {
    const { view, store } = this.#parts;
    const nothing = message.content === '' && !message.reasoning && (failure || message.finish === 'stopped');
    if (nothing) conversation.messages.splice(-1, 1, ...(before ? [before] : []));
    if (failure) message.finish = 'stopped';
    conversation.updated = Date.now();
    store.saveSoon(conversation);
    if (nothing) view.show(conversation);
    else view.endAnswer();
    this.#showStatus();
    if (failure) this.#showFailure(failure);
    else if (message.finish === 'context') void this.#offerShorter();
    else if (nothing && !before) this.#offerAnswer();
    if (!failure) announce(nothing ? 'Stopped.' : `Answer: ${message.content}`);
  }

  /** @param {any} failure */
  #showFailure(failure) {
    if (failure.code === 'context_full') return void this.#offerShorter();
    const again = { label: 'Try again', main: true, run: () => this.regenerate() };
    const restart = { label: 'Restart the engine', run: this.#parts.leave };
    this.#parts.view.setProblem(errorNotice(failure, [again, restart]));
  }

  /** The last message has no answer: it was stopped, or the page was closed. */
  #offerAnswer() {
    const text = 'Your message is kept. Ask for the answer, or write another message.';
    const actions = [{ label: 'Answer it', main: true, run: () => this.regenerate() }];
    this.#parts.view.setProblem(notice({ kind: 'info', title: 'There is no answer yet.', text, actions }));
  }

  async #offerShorter() {
    const engine = /** @type {Engine} */ (this.#engine);
    const start = await shorterStart(engine, this.#conversation);
    const actions = {
      goOn: start === null ? null : () => this.#continueFrom(start),
      takeBack: () => this.#takeBack(),
      newChat: () => void this.newChat(),
    };
    this.#parts.view.setProblem(fullContextNotice(engine.info.contextSize, actions));
  }

  /** @param {number} start */
  #continueFrom(start) {
    this.#conversation.sentFrom = start;
    this.regenerate();
  }

  /** The last message goes back into the message box. */
  #takeBack() {
    const { view, composer, store } = this.#parts;
    const { messages } = this.#conversation;
    if (messages.at(-1)?.role === 'assistant') messages.pop();
    const last = messages.pop();
    store.saveSoon(this.#conversation);
    view.setProblem(null);
    view.show(this.#conversation);
    composer.setText(last?.content ?? '');
    composer.focus();
  }
}

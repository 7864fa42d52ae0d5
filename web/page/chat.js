/** Owns the course of a chat: sending, streaming, stopping, regenerating, a full context; always saving on the way. */

import { announce } from './dom.js';
import { markLost, newConversation } from './conversation.js';
import { offerShorter } from './full-context.js';
import { failedAnswerNotice, isAbort, unansweredNotice } from './notices.js';
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
  /** @type {import('./chat-template.js').PromptFormat | null} */
  #format = null;
  /** @type {Conversation} */
  #conversation = newConversation();
  #figures = noFigures();
  /** @type {AbortController | null} */
  #abort = null;
  /** Settles when no answer is being written; the next one when what was is stored, too. */
  #ended = Promise.resolve();
  #stored = Promise.resolve();

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
   * @param {import('./chat-template.js').PromptFormat | null} format how messages reach it
   */
  setEngine(engine, modelName, format) {
    this.#engine = engine;
    this.#modelName = modelName;
    this.#format = format;
    this.#figures = noFigures();
    this.showStatus();
  }

  /** Draws how the engine runs, with the figures as they are now. */
  showStatus() {
    if (this.#engine) this.#parts.status.show(this.#engine.info, this.#figures);
  }

  /**
   * Puts another conversation on screen as soon as the answer has ended: on a slow disk the reader would write on in the old one.
   * @param {Conversation} conversation
   */
  async open(conversation) {
    this.#abort?.abort();
    await this.#ended;
    markLost(conversation);
    this.#conversation = conversation;
    this.#figures.contextUsed = conversation.messages.length === 0 ? 0 : null;
    this.#parts.store.setCurrent(conversation);
    this.#parts.view.setProblem(null);
    this.#parts.view.show(conversation);
    this.#offerWayOn();
    this.showStatus();
  }

  async newChat() {
    await this.open(newConversation());
    this.#parts.composer.focus();
  }

  /** Resolves with the end of the answer. @param {string} text */
  async send(text) {
    this.#conversation.messages.push({ role: 'user', content: text });
    await this.#answer();
  }

  /** Replaces the last answer by a new one. @param {number} [sentFrom] the first message that the model still sees */
  regenerate(sentFrom = this.#conversation.sentFrom) {
    if (this.#abort) return;
    this.#conversation.sentFrom = sentFrom;
    const { messages } = this.#conversation;
    const before = messages.at(-1)?.role === 'assistant' ? messages.pop() : undefined;
    void this.#answer(before);
  }

  /** Ends the answer being written; resolves when it has ended and is stored. */
  async stop() {
    this.#abort?.abort();
    await this.#stored;
  }

  /** @param {Message} [before] the answer that comes back if there is no new one; stored until that has a word */
  async #answer(before) {
    if (this.#abort) return;
    const abort = new AbortController();
    this.#abort = abort;
    const answer = this.#write(abort.signal, before).finally(() => {
      // Whatever went wrong: the reader can stop, write, and begin a new chat; and at once, as a slow disk is no reason to pass over a click.
      this.#abort = null;
      this.#parts.composer.setBusy(false);
    });
    this.#ended = answer.catch(() => {});
    this.#stored = this.#ended.then(() => this.#parts.store.flush());
    await this.#stored.then(() => answer);
  }

  /**
   * @param {AbortSignal} signal
   * @param {Message} [before]
   */
  async #write(signal, before) {
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
    if (!before) void store.save(conversation); // at once: what the reader wrote is not written twice
    /** @type {unknown} */
    let failure = null;
    try {
      await this.#stream(conversation, message, signal);
    } catch (error) {
      if (isAbort(error)) message.finish = 'stopped';
      else failure = error;
    }
    this.#finish(conversation, message, { before, failure });
  }

  /**
   * @param {Conversation} conversation
   * @param {Message} message grows
   * @param {AbortSignal} signal
   */
  async #stream(conversation, message, signal) {
    const { view, store, settings, status } = this.#parts;
    const engine = /** @type {Engine} */ (this.#engine);
    await streamAnswer(engine, {
      conversation,
      message,
      format: /** @type {import('./chat-template.js').PromptFormat} */ (this.#format),
      settings: settings(),
      figures: this.#figures,
      signal,
      onRead: (part) => view.setThinking(`Reading ${Math.round(100 * part)} %`),
      onGrow: () => {
        conversation.updated = Date.now();
        view.grew();
        store.saveSoon(conversation);
        status.showGrowth(engine.info, this.#figures);
      },
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
    this.showStatus();
    if (failure) this.#showFailure(failure);
    else if (message.finish === 'context') void this.#offerShorter();
    else if (nothing && !before) this.#offerWayOn();
    if (!failure) announce(nothing ? 'Stopped.' : `Answer: ${message.content}`);
  }

  /** @param {any} failure */
  #showFailure(failure) {
    if (failure.code === 'context_full') return void this.#offerShorter();
    if (failure.code === 'template' || this.#format?.missing) return this.#offerTemplate(failure);
    this.#parts.view.setProblem(failedAnswerNotice(failure, () => this.regenerate(), this.#parts.leave));
  }

  /** What stands in the way of the next answer, if anything does. */
  #offerWayOn() {
    if (this.#format?.missing) this.#offerTemplate(null);
    else if (this.#conversation.messages.at(-1)?.role === 'user')
      this.#parts.view.setProblem(unansweredNotice(() => this.regenerate()));
  }

  /** @param {any} failure null before anything was sent */
  #offerTemplate(failure) {
    this.#parts.view.setProblem(this.#format?.offer(failure, () => this.formatChanged()) ?? null);
  }

  /** The reader has chosen how messages reach the model: what waits for an answer gets it. */
  formatChanged() {
    const { view } = this.#parts;
    view.setContinues(this.#format?.continues ?? false);
    if (this.#abort) return;
    view.setProblem(null);
    if (this.#conversation.messages.at(-1)?.role === 'user' && !this.#format?.missing) this.regenerate();
    else this.#offerWayOn();
  }

  async #offerShorter() {
    const { engine, conversation } = this;
    const last = conversation.messages.at(-1);
    const current = () =>
      this.#engine === engine && this.#conversation === conversation && conversation.messages.at(-1) === last;
    await offerShorter(/** @type {Engine} */ (engine), conversation, {
      ...this.#parts,
      system: this.#format?.continues ? '' : this.#parts.settings().system,
      current,
      regenerate: (start) => this.regenerate(start),
      newChat: () => void this.newChat(),
    }).catch((error) => current() && this.#showFailure(error)); // not where the engine has ended meanwhile
  }
}

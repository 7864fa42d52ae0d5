/** Owns what happens when a conversation no longer fits: how much of it can still be sent, and the ways on. */

import { shortenedStart } from './conversation.js';
import { byId } from './dom.js';
import { notice } from './notices.js';

/** Tokens a chat template adds around a message, generously. */
const kMessageOverhead = 10;

/**
 * What can still be sent so that half of the context is free for what comes.
 * @param {import('./status-line.js').Engine} engine
 * @param {import('./conversation.js').Conversation} conversation
 * @param {string} system the system prompt, which is sent each time; '' = none
 * @returns {Promise<{start: number | null, crowded: boolean}>} start: the first message, null when the last one alone is too long or
 *   nothing is left to drop; crowded: the system prompt takes more than that half
 */
export async function shorterStart(engine, { messages, sentFrom }, system) {
  const asked = messages.at(-1)?.role === 'assistant' ? messages.slice(0, -1) : messages;
  const count = async (/** @type {string} */ text) => (await engine.tokenize(text)).length + kMessageOverhead;
  const sizes = await Promise.all(asked.map(({ content }) => count(content)));
  const room = engine.info.contextSize - (system === '' ? 0 : await count(system));
  const budget = room - engine.info.contextSize / 2;
  const lastQuestion = asked.length - 1;
  const starts = sizes[lastQuestion] < room ? [shortenedStart(asked, sizes, budget), lastQuestion] : [];
  return { start: starts.find((start) => start > sentFrom) ?? null, crowded: budget < 0 };
}

/**
 * Says below the conversation that the context is full, with the ways on, unless the reader has gone on before its tokens are counted.
 * @param {import('./status-line.js').Engine} engine
 * @param {import('./conversation.js').Conversation} conversation
 * @param {Ways} ways
 *
 * @typedef {object} Ways
 * @property {string} system the system prompt; '' = none
 * @property {import('./chat-view.js').ChatView} view
 * @property {import('./composer.js').Composer} composer
 * @property {import('./conversation-store.js').ConversationStore} store
 * @property {() => boolean} current whether the conversation is still on screen, as it was
 * @property {(sentFrom?: number) => void} regenerate
 * @property {() => void} newChat
 */
export async function offerShorter(engine, conversation, { system, current, regenerate, newChat, ...parts }) {
  const { start, crowded } = await shorterStart(engine, conversation, system);
  if (!current()) return;
  const actions = {
    goOn: start === null ? null : () => regenerate(start),
    again: () => regenerate(),
    takeBack: () => takeBack(conversation, parts),
    newChat,
  };
  parts.view.setProblem(fullContextNotice(engine.info.contextSize, crowded, actions));
}

/**
 * The last message goes back into the message box, before what has been written there since.
 * @param {import('./conversation.js').Conversation} conversation
 * @param {Pick<Ways, 'view' | 'composer' | 'store'>} parts
 */
function takeBack(conversation, { view, composer, store }) {
  const { messages } = conversation;
  if (messages.at(-1)?.role === 'assistant') messages.pop();
  const last = messages.pop();
  // All before was dropped for this message; the next one may leave room for it.
  if (conversation.sentFrom === messages.length) conversation.sentFrom = 0;
  conversation.updated = Date.now();
  void store.save(conversation); // at once: an answer that is written next is stored late (Chat.regenerate)
  view.setProblem(null);
  view.show(conversation);
  const texts = [last?.content ?? '', composer.text];
  composer.setText(texts.filter((text) => text.trim() !== '').join('\n\n'));
  composer.focus();
}

/** @param {() => void} run */
const newest = (run) => ({ label: 'Go on with the newest messages', run });

/**
 * @param {number} contextSize tokens
 * @param {boolean} crowded the system prompt takes more than half of it
 * @param {{goOn: (() => void) | null, again: () => void, takeBack: () => void, newChat: () => void}} actions goOn is null when shortening cannot help
 */
function fullContextNotice(contextSize, crowded, { goOn, again, takeBack, newChat }) {
  const size = contextSize.toLocaleString('en');
  let text = `It holds ${size} tokens, and this message with its answer needs more. Make it shorter, or split it.`;
  let ways = [{ label: 'Edit the message', run: takeBack }];
  if (crowded) {
    text = `It holds ${size} tokens, and the system prompt in the settings takes more than half of them. Make it shorter there, then try again.`;
    const settings = { label: 'Open the settings', run: () => byId('open-settings').click() };
    ways = [settings, goOn ? newest(goOn) : { label: 'Try again', run: again }];
  } else if (goOn) {
    text = `It holds ${size} tokens. Nothing you see is lost: the model can go on with the newest messages only, or you begin a new chat.`;
    ways = [newest(goOn)];
  }
  const [main, ...others] = ways;
  return notice({
    kind: 'warn',
    title: 'The model’s memory for this conversation is full.',
    text,
    actions: [{ ...main, main: true }, ...others, { label: 'New chat', run: newChat }],
  });
}

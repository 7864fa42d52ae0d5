/** Owns what happens when a conversation no longer fits: how much of it can still be sent, and the ways on. */

import { shortenedStart } from './conversation.js';
import { notice } from './notices.js';

/** Tokens a chat template adds around a message, generously. */
const kMessageOverhead = 10;

/**
 * The first message that would still be sent so that half of the context is free for what comes.
 * @param {import('./status-line.js').Engine} engine
 * @param {import('./conversation.js').Conversation} conversation
 * @returns {Promise<number | null>} null when the last message alone is too long
 */
export async function shorterStart(engine, { messages, sentFrom }) {
  const asked = messages.at(-1)?.role === 'assistant' ? messages.slice(0, -1) : messages;
  const count = async (/** @type {string} */ text) => (await engine.tokenize(text)).length + kMessageOverhead;
  const sizes = await Promise.all(asked.map(({ content }) => count(content)));
  const fitting = shortenedStart(asked, sizes, engine.info.contextSize / 2);
  if (fitting > sentFrom) return fitting;
  const lastQuestion = asked.length - 1;
  return lastQuestion > sentFrom ? lastQuestion : null;
}

/**
 * Says below the conversation that the context is full, with the ways on.
 * @param {import('./status-line.js').Engine} engine
 * @param {import('./conversation.js').Conversation} conversation
 * @param {Ways} ways
 *
 * @typedef {object} Ways
 * @property {import('./chat-view.js').ChatView} view
 * @property {import('./composer.js').Composer} composer
 * @property {import('./conversation-store.js').ConversationStore} store
 * @property {(sentFrom: number) => void} regenerate
 * @property {() => void} newChat
 */
export async function offerShorter(engine, conversation, { regenerate, newChat, ...parts }) {
  const start = await shorterStart(engine, conversation);
  const actions = {
    goOn: start === null ? null : () => regenerate(start),
    takeBack: () => takeBack(conversation, parts),
    newChat,
  };
  parts.view.setProblem(fullContextNotice(engine.info.contextSize, actions));
}

/**
 * The last message goes back into the message box.
 * @param {import('./conversation.js').Conversation} conversation
 * @param {Pick<Ways, 'view' | 'composer' | 'store'>} parts
 */
function takeBack(conversation, { view, composer, store }) {
  const { messages } = conversation;
  if (messages.at(-1)?.role === 'assistant') messages.pop();
  const last = messages.pop();
  store.saveSoon(conversation);
  view.setProblem(null);
  view.show(conversation);
  composer.setText(last?.content ?? '');
  composer.focus();
}

/**
 * @param {number} contextSize tokens
 * @param {{goOn: (() => void) | null, takeBack: () => void, newChat: () => void}} actions goOn is null when shortening cannot help
 */
function fullContextNotice(contextSize, { goOn, takeBack, newChat }) {
  const size = contextSize.toLocaleString('en');
  const main = goOn
    ? { label: 'Go on with the newest messages', main: true, run: goOn }
    : { label: 'Edit the message', main: true, run: takeBack };
  const text = goOn
    ? `It holds ${size} tokens. Nothing you see is lost: the model can go on with the newest messages only, or you begin a new chat.`
    : `It holds ${size} tokens, and this message with its answer needs more. Make it shorter, or split it.`;
  return notice({
    kind: 'warn',
    title: 'The model’s memory for this conversation is full.',
    text,
    actions: [main, { label: 'New chat', run: newChat }],
  });
}

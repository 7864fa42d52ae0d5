/** Owns what a conversation is: its messages, what of it the model sees, and how it is exported. No DOM, no storage. */

import { bytesToHex } from '@noble/hashes/utils.js';

/**
 * @typedef {object} Message
 * @property {'user' | 'assistant'} role
 * @property {string} content
 * @property {string} [reasoning] assistant: what it thought before the answer; absent where it did not
 * @property {number} [reasoningMs] how long that took
 * @property {number} [reasoningTokens]
 * @property {string} [finish] assistant: 'stop', 'length', 'context', 'stopped' by the reader, 'lost' by a crash; absent while writing
 * @property {number} [tokens] assistant: generated tokens
 * @property {number} [rate] assistant: tokens a second
 *
 * @typedef {object} Conversation
 * @property {string} id
 * @property {number} created milliseconds since 1970
 * @property {number} updated
 * @property {string} model the name of the model that answered last
 * @property {number} sentFrom messages before this index are kept but no longer sent to the model
 * @property {Message[]} messages
 */

/** @returns {Conversation} */
export function newConversation() {
  const now = Date.now();
  const id = bytesToHex(crypto.getRandomValues(new Uint8Array(16))); // plain http pages have no randomUUID
  return { id, created: now, updated: now, model: '', sentFrom: 0, messages: [] };
}

/** An answer that was being written when the page was closed says so; one without a word goes. @param {Conversation} conversation */
export function markLost({ messages }) {
  const last = messages.at(-1);
  if (last?.role !== 'assistant' || last.finish !== undefined) return;
  if (last.content === '' && !last.reasoning) messages.pop();
  else last.finish = 'lost';
}

/** @param {Conversation} conversation */
export function titleOf(conversation) {
  const first =
    conversation.messages
      .find(({ role }) => role === 'user')
      ?.content.trim()
      .replace(/\s+/g, ' ') ?? '';
  const letters = [...first.slice(0, 200)]; // not the halves of one, as of an emoji
  return letters.length > 80 ? `${letters.slice(0, 79).join('')}…` : first || 'New chat';
}

/**
 * The messages of a request: the system prompt, then what is still sent. Templates want the roles to take turns, so empty
 * answers are left out and messages of the same side become one. What the model thought goes along as a field of its own, which most
 * templates leave out for good reasons; those that want it find it there.
 * @param {Conversation} conversation
 * @param {string} system '' = none
 * @returns {import('../tessera.js').ChatMessage[]}
 */
export function requestMessages(conversation, system) {
  /** @type {{role: string, content: string, reasoning_content?: string}[]} */
  const request = system === '' ? [] : [{ role: 'system', content: system }];
  for (const { role, content, reasoning } of conversation.messages.slice(conversation.sentFrom)) {
    const before = request.at(-1);
    if (content === '') continue;
    if (before?.role === role) before.content += `\n\n${content}`;
    else request.push({ role, content, ...(reasoning && { reasoning_content: reasoning }) });
  }
  return request;
}

/**
 * The text that a model without a chat template continues: all of it, each new piece of the reader's as a paragraph of its own.
 * @param {Conversation} conversation
 */
export function promptText({ messages, sentFrom }) {
  const written = messages.slice(sentFrom).filter(({ content }) => content !== '');
  return written.map(({ role, content }, i) => (role === 'user' && i > 0 ? `\n\n${content}` : content)).join('');
}

/**
 * Where to cut so that the newest messages fit a budget: the index of a user message, always keeping the last one.
 * @param {Message[]} messages
 * @param {number[]} sizes tokens of each message
 * @param {number} budget tokens
 */
export function shortenedStart(messages, sizes, budget) {
  let start = messages.length;
  let sum = 0;
  for (let i = messages.length - 1; i >= 0; i--) {
    sum += sizes[i];
    if (sum > budget && start < messages.length) break;
    if (messages[i].role === 'user') start = i;
  }
  return start === messages.length ? 0 : start;
}

/** What the reader wrote, as a quote: nothing of it reaches beyond. @param {string} text */
function quoted(text) {
  return text.replace(/^|\n/g, '$&> ');
}

/**
 * What the model wrote, which is Markdown: a code block in which it was cut is closed. The fence has the place of the one that opened it,
 * as in a list it would open another elsewhere.
 * @param {string} text
 */
function closed(text) {
  let open = '';
  for (const [, indent, fence, info] of text.matchAll(/^( {0,3})(`{3,}|~{3,})(.*)$/gm)) {
    const opening = open.trimStart();
    if (open === '') open = fence[0] === '`' && info.includes('`') ? '' : indent + fence;
    else if (fence.startsWith(opening) && info.trim() === '') open = '';
  }
  return open === '' ? text : `${text}\n${open}`;
}

/** @param {Conversation} conversation */
export function toMarkdown(conversation) {
  const lines = [`# ${titleOf(conversation)}`, ''];
  const model = conversation.model && ` with ${conversation.model}`;
  lines.push(
    `*Tessera chat${model}, ${new Date(conversation.created).toISOString().slice(0, 16).replace('T', ' ')} UTC*`,
    '',
  );
  for (const { role, content, reasoning } of conversation.messages) {
    lines.push(`## ${role === 'user' ? 'You' : 'Answer'}`, '');
    if (reasoning) lines.push('<details><summary>Thinking</summary>', '', closed(reasoning), '', '</details>', '');
    lines.push(role === 'user' ? quoted(content.trim()) : closed(content.trim()), '');
  }
  return lines.join('\n');
}

/** @param {Conversation} conversation */
export function toJson(conversation) {
  const { created, updated, model, messages } = conversation;
  const times = { created: new Date(created).toISOString(), updated: new Date(updated).toISOString() };
  return `${JSON.stringify({ format: 'tessera-chat', version: 1, ...times, model, messages }, null, 2)}\n`;
}

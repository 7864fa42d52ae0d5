// Owns what a caller may pass as the messages of a chat.
import { TesseraError } from '../base/errors.js';
import { invalid, knownOptions, text } from './option-checks.js';

/**
 * @param {unknown} messages
 * @returns {import('./protocol.js').ChatMessage[]}
 */
export function messagesOf(messages) {
  if (!Array.isArray(messages) || messages.length === 0)
    throw invalid('messages', messages, 'a non-empty array of {role, content}');
  return messages.map((message, index) => {
    const where = `messages[${index}]`;
    const given = knownOptions(message, new Set(['role', 'content', 'reasoning_content']), where);
    const { reasoning_content: reasoning } = given;
    return {
      role: text(message?.role, `${where}.role`),
      content: contentOf(message?.content, `${where}.content`),
      ...(reasoning !== undefined && { reasoning_content: text(reasoning, `${where}.reasoning_content`) }),
    };
  });
}

/**
 * @param {unknown} content a string, or OpenAI's array of text parts
 * @param {string} where
 */
function contentOf(content, where) {
  if (!Array.isArray(content)) return text(content, where);
  return content
    .map((part, index) => {
      const at = `${where}[${index}]`;
      if (part?.type === 'text') {
        knownOptions(part, new Set(['type', 'text']), at);
        return text(part.text, `${at}.text`);
      }
      throw new TesseraError('unsupported', `${at}: only parts of type 'text' are supported`);
    })
    .join('');
}

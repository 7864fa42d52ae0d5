/** Owns asking for one answer and reading it as it streams: its text into the message, its speed and room into the figures. */

import { promptText, requestMessages } from './conversation.js';
import { samplingOptions } from './settings.js';

/** The speed is shown once this much has been measured. */
const kSettleSeconds = 0.3;

/**
 * @typedef {object} AnswerJob
 * @property {import('./conversation.js').Conversation} conversation its last message is the answer
 * @property {import('./conversation.js').Message} message the answer: grows
 * @property {import('./chat-template.js').PromptFormat} format
 * @property {import('./settings.js').Settings} settings
 * @property {import('./status-line.js').Figures} figures kept fresh
 * @property {AbortSignal} signal
 * @property {(part: number) => void} onRead how much of the prompt has been read, 0 to 1
 * @property {() => void} onGrow after each piece of text
 */

/**
 * @param {import('./status-line.js').Engine} engine
 * @param {AnswerJob} job
 * @returns {Promise<void>} rejects with a TesseraError; what arrived before stays in the message
 */
export async function streamAnswer(engine, { message, figures, onRead, onGrow, ...job }) {
  let read = 0;
  const chunks = await ask(engine, job, ({ doneTokens, totalTokens }) => {
    figures.contextUsed = read = doneTokens;
    onRead(doneTokens / totalTokens);
  });
  const startedAt = performance.now();
  let firstAt = 0;
  let pieces = 0;
  for await (const { choices, usage, timings } of chunks) {
    const [choice] = choices;
    const { content = '', reasoning_content: thought = '' } =
      'delta' in choice ? choice.delta : { content: choice.text };
    if (thought !== '') {
      message.reasoning = (message.reasoning ?? '') + thought;
      message.reasoningTokens = (message.reasoningTokens ?? 0) + 1;
      message.reasoningMs = Math.round(performance.now() - (firstAt || startedAt));
    }
    message.content += content;
    if (content !== '' || thought !== '') {
      firstAt ||= performance.now();
      const seconds = (performance.now() - firstAt) / 1000;
      if (seconds > kSettleSeconds) figures.decodeRate = pieces / seconds;
      pieces++;
      figures.contextUsed = read + pieces; // a letter of several tokens is one; the end brings the true sum
      onGrow();
    }
    if (choice.finish_reason) message.finish = choice.finish_reason;
    if (!usage || !timings) continue;
    message.tokens = usage.completion_tokens;
    message.rate = timings.decode_tps;
    figures.decodeRate = timings.decode_tps;
    figures.prefillRate = timings.prefill_tps || figures.prefillRate;
    figures.contextUsed = usage.total_tokens;
  }
}

/**
 * @param {import('./status-line.js').Engine} engine
 * @param {Pick<AnswerJob, 'conversation' | 'format' | 'settings' | 'signal'>} job
 * @param {import('../tessera.js').GenerateOptions['onProgress']} onProgress
 */
function ask(engine, { conversation, format, settings, signal }, onProgress) {
  /** @type {import('../tessera.js').GenerateOptions & { stream: true }} */
  const options = { ...samplingOptions(settings), signal, onProgress, stream: true };
  if (format.continues) return engine.completions.create({ ...options, prompt: promptText(conversation) });
  const messages = requestMessages(conversation, settings.system);
  return engine.chat.completions.create({ ...options, ...format.options, messages });
}

/** Owns reading one streamed answer: its text into the message, its speed into the figures. */

/** The speed is shown once this much has been measured. */
const kSettleSeconds = 0.3;

/**
 * @param {import('./status-line.js').Engine} engine
 * @param {import('../tessera.js').ChatOptions} request
 * @param {import('./conversation.js').Message} message grows
 * @param {import('./status-line.js').Figures} figures kept fresh
 * @param {() => void} onGrow after each piece of text
 * @returns {Promise<void>} rejects with a TesseraError; what arrived before stays in the message
 */
export async function streamAnswer(engine, request, message, figures, onGrow) {
  const chunks = await engine.chat.completions.create({ ...request, stream: true });
  const startedAt = performance.now();
  let firstAt = 0;
  let pieces = 0;
  for await (const { choices, usage, timings } of chunks) {
    const [{ delta, finish_reason }] = choices;
    if (delta.reasoning_content) {
      message.reasoning = (message.reasoning ?? '') + delta.reasoning_content;
      message.reasoningTokens = (message.reasoningTokens ?? 0) + 1;
      message.reasoningMs = Math.round(performance.now() - (firstAt || startedAt));
    }
    message.content += delta.content ?? '';
    if (delta.content || delta.reasoning_content) {
      firstAt ||= performance.now();
      const seconds = (performance.now() - firstAt) / 1000;
      if (seconds > kSettleSeconds) figures.decodeRate = pieces / seconds;
      pieces++;
      onGrow();
    }
    if (finish_reason) message.finish = finish_reason;
    if (!usage || !timings) continue;
    message.tokens = usage.completion_tokens;
    message.rate = timings.decode_tps;
    figures.decodeRate = timings.decode_tps;
    figures.prefillRate = timings.prefill_tps || figures.prefillRate;
    figures.contextUsed = usage.total_tokens;
  }
}

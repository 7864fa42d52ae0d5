// Owns the OpenAI-shaped objects: completions, chunks, usage, timings and log-probabilities made from the generator's steps.

/** @typedef {import('./protocol.js').GenerateStep} GenerateStep */
/** @typedef {import('./protocol.js').GenerationSummary} GenerationSummary */
/** @typedef {import('./protocol.js').ScoredToken} ScoredToken */
/** @typedef {Extract<GenerateStep, { kind: 'token' }>} TokenStep */
/** @typedef {Extract<GenerateStep, { kind: 'done' }>} DoneStep */

/** What all objects of one answer share. @typedef {{ id: string, created: number, model: string, loadMs: number, seed: number }} AnswerHead */

/**
 * @param {'chat' | 'prompt'} kind
 * @param {string} model
 * @param {number} loadMs
 * @param {number} seed
 * @returns {AnswerHead}
 */
export function answerHead(kind, model, loadMs, seed) {
  const random = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
  const created = Math.floor(Date.now() / 1000);
  return { id: `${kind === 'chat' ? 'chatcmpl' : 'cmpl'}-${random}`, created, model, loadMs, seed };
}

/** @param {GenerationSummary} generation */
function usageOf({ prompt_tokens, tokens, reused_tokens }) {
  return {
    prompt_tokens,
    completion_tokens: tokens.length,
    total_tokens: prompt_tokens + tokens.length,
    prompt_tokens_details: { cached_tokens: reused_tokens },
  };
}

/**
 * @param {AnswerHead} head
 * @param {GenerationSummary} generation
 */
function closing({ loadMs, seed }, generation) {
  const { prefill_ms, prefill_tps, decode_tps, tokens } = generation;
  return {
    usage: usageOf(generation),
    timings: { load_ms: loadMs, prefill_ms, prefill_tps, decode_tps },
    tokens,
    seed,
  };
}

/** @param {ScoredToken} token */
function chatLogprob({ bytes, logprob }) {
  return { token: new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array(bytes)), logprob, bytes };
}

/**
 * A token as the key of its alternatives: one that is only a part of a character has its bytes there, as OpenAI writes them, since all
 * such parts are the same as text.
 * @param {{ token: string, bytes: number[] }} token
 */
function tokenName({ token, bytes }) {
  if (!token.includes('\ufffd')) return token;
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}

/**
 * Log-probabilities of some tokens as chat completions have them; null when none were asked for.
 * @param {TokenStep[]} steps
 */
function chatLogprobs(steps) {
  const content = steps.flatMap(({ scored, top = [] }) =>
    scored ? [{ ...chatLogprob(scored), top_logprobs: top.map(chatLogprob) }] : [],
  );
  return content.length > 0 ? { content } : null;
}

/**
 * The same as the older completions have them: parallel arrays.
 * @param {TokenStep[]} steps
 */
function promptLogprobs(steps) {
  const { content } = chatLogprobs(steps) ?? {};
  if (!content) return null;
  return {
    tokens: content.map(tokenName),
    token_logprobs: content.map(({ logprob }) => logprob),
    top_logprobs: content.map(({ top_logprobs }) =>
      Object.fromEntries(top_logprobs.map((token) => [tokenName(token), token.logprob])),
    ),
  };
}

/** New text of an answer, or all of it. @typedef {{ text: string, reasoning: string }} AnswerText */

/** A chat's fields for it: each only where there is something, but `content` where nothing is. @param {AnswerText} parts */
const chatText = ({ text, reasoning }) => ({
  ...(reasoning !== '' && { reasoning_content: reasoning }),
  ...((text !== '' || reasoning === '') && { content: text }),
});

/** The differences between the two kinds of completion. */
const shapes = {
  chat: {
    object: 'chat.completion',
    chunkObject: 'chat.completion.chunk',
    logprobs: chatLogprobs,
    whole: (/** @type {AnswerText} */ parts) => ({
      message: { role: 'assistant', ...chatText(parts), content: parts.text },
    }),
    part: (/** @type {AnswerText} */ parts) => ({ delta: chatText(parts) }),
    first: [{ delta: { role: 'assistant', content: '' } }],
    last: { delta: {} },
  },
  prompt: {
    object: 'text_completion',
    chunkObject: 'text_completion',
    logprobs: promptLogprobs,
    whole: (/** @type {AnswerText} */ { text }) => ({ text }),
    part: (/** @type {AnswerText} */ { text }) => ({ text }),
    first: [],
    last: { text: '' },
  },
};

/**
 * @param {'chat' | 'prompt'} kind
 * @param {AnswerHead} head
 * @param {GenerateStep[]} steps all of one answer
 */
export function completion(kind, head, steps) {
  const shape = shapes[kind];
  const { generation } = /** @type {DoneStep} */ (steps[steps.length - 1]);
  const tokens = /** @type {TokenStep[]} */ (steps.filter(({ kind }) => kind === 'token'));
  const { id, created, model } = head;
  const choice = {
    index: 0,
    ...shape.whole(generation),
    logprobs: shape.logprobs(tokens),
    finish_reason: generation.finish_reason,
  };
  return { id, object: shape.object, created, model, choices: [choice], ...closing(head, generation) };
}

/**
 * The chunks that one step adds to a stream: none for a step without news, text before the closing chunk at the end.
 * @param {'chat' | 'prompt'} kind
 * @param {AnswerHead} head
 * @param {GenerateStep} step
 */
export function chunksOf(kind, head, step) {
  const shape = shapes[kind];
  if (step.kind === 'prefill' || step.kind === 'working') return [];
  const news = step.text === '' && step.reasoning === '' ? [] : [chunk(kind, head, shape.part(step))];
  if (step.kind === 'token') {
    const logprobs = shape.logprobs([step]);
    return logprobs ? [chunk(kind, head, { ...shape.part(step), logprobs })] : news;
  }
  const { generation } = step;
  const last = chunk(kind, head, { ...shape.last, finish_reason: generation.finish_reason });
  return [...news, { ...last, ...closing(head, generation) }];
}

/**
 * The chunks before the first token: a chat says whose turn it is.
 * @param {'chat' | 'prompt'} kind
 * @param {AnswerHead} head
 */
export function openingChunks(kind, head) {
  return shapes[kind].first.map((part) => chunk(kind, head, part));
}

/**
 * @param {'chat' | 'prompt'} kind
 * @param {AnswerHead} head
 * @param {object} part
 */
function chunk(kind, { id, created, model }, part) {
  const choice = { index: 0, logprobs: null, finish_reason: null, ...part };
  return { id, object: shapes[kind].chunkObject, created, model, choices: [choice] };
}

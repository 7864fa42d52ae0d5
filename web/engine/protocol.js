// Owns the messages between the page's thread and the engine worker: every name and shape, used by both sides.

/** @typedef {import('../base/errors.js').PlainError} PlainError */

/**
 * What the worker needs to load a model.
 * @typedef {object} LoadRequest
 * @property {string | File | File[]} model absolute URL of a .gguf or a manifest.json, hf:owner/repo/file.gguf, or files
 * @property {number} threads 0 = as many as help, which a trial finds out
 * @property {number} contextSize tokens; 0 = the engine's own choice
 * @property {'auto' | 'q16_8' | 'f32' | 'f16' | 'q8_0'} kvType
 * @property {'auto' | 'relaxed' | 'simd128'} variant
 * @property {string} kernels '' = what a trial finds
 * @property {boolean} cache keep downloads in the store
 * @property {string} token for the model's server; '' = none
 * @property {AdapterRequest[]} lora
 * @property {string} chatTemplate a built-in one's name or a Jinja source; '' = the file's
 * @property {string} wasmUrl folder of tessera-core.{js,wasm} and the kernels' modules; '' = beside the worker
 */

/**
 * A model that is only asked about; fields as in LoadRequest.
 * @typedef {Pick<LoadRequest, 'model' | 'contextSize' | 'kvType' | 'token' | 'wasmUrl'>} EstimateRequest
 */

/**
 * What `tessera estimate --json` says, and what the model and this browser are; sizes in bytes, null where nobody says.
 * @typedef {object} ModelEstimate
 * @property {number} weights_bytes
 * @property {number} kv_bytes
 * @property {number} workspace_bytes
 * @property {number} other_bytes vocabulary, program, loading
 * @property {number} total_bytes
 * @property {boolean} fits_wasm32
 * @property {number} parts memories that hold it; 0: too many
 * @property {string[]} unsupported why this version will refuse the model
 * @property {string} name
 * @property {string} architecture
 * @property {string} quantization
 * @property {number} parameters
 * @property {number} bitsPerWeight
 * @property {number} contextSize tokens
 * @property {number} trainedContext tokens
 * @property {'q16_8' | 'f32' | 'f16' | 'q8_0'} kvType
 * @property {number | null} fileBytes
 * @property {boolean} fits
 * @property {{ memoryLimit: number, deviceMemory: number | null, storageQuota: number | null, storageFree: number | null }} device
 */

/**
 * A model that is to be quantised, or only asked about; fields as in LoadRequest. `importance`: a file, or its absolute URL.
 * @typedef {Pick<LoadRequest, 'model' | 'token' | 'wasmUrl' | 'threads'> & {
 *   type: string, importance: LoadRequest['model'] | null }} QuantizeRequest
 */

/**
 * What a model is and what each type would make of it; sizes in bytes, null where nobody says.
 * @typedef {object} QuantizePlan
 * @property {string} name without its present type
 * @property {string} quantization the format that holds most weights now
 * @property {number} parameters
 * @property {number | null} fileBytes now
 * @property {Record<string, number>} types size of the copy in each
 * @property {number | null} storageFree what this site may still store
 */

/**
 * A copy that is in the store; sizes in bytes.
 * @typedef {object} QuantizeResult
 * @property {string} id
 * @property {string} url
 * @property {string} name
 * @property {string} type
 * @property {number} bytes
 * @property {number} inputBytes
 * @property {number} tensors
 * @property {number} converted tensors that are in another format than before
 * @property {number} unweighted of those, matrices that the importance file says nothing of
 * @property {number} parameters
 * @property {number} bitsPerWeight
 * @property {Record<string, number>} bytesPerFormat
 */

/**
 * A LoRA adapter to be added to the model, times `scale`.
 * @typedef {{ source: string | File | File[], scale: number, token: string }} AdapterRequest
 */

/**
 * `totalBytes` is 0 while nobody knows how much will come.
 * @typedef {{ stage: 'download' | 'verify' | 'load' | 'warmup' | 'quantize', loadedBytes: number, totalBytes: number, note?: string }} LoadProgress
 */

/** `reasoning_content`: what an assistant thought first, for templates that want it. @typedef {{ role: string, content: string, reasoning_content?: string }} ChatMessage */

/**
 * One answer to generate, in the core's names (wasm/request.cpp reads it).
 * @typedef {object} GenerateRequest
 * @property {ChatMessage[]} [messages] a chat; else `prompt`
 * @property {string} [chat_template] of a chat: a built-in one's name or a Jinja source; '' = the engine's
 * @property {string} [prompt] raw text, special tokens parsed
 * @property {number} max_tokens -1 = until the context is full
 * @property {string[]} stop
 * @property {boolean} logprobs
 * @property {number} top_logprobs
 * @property {boolean} prompt_lookup
 * @property {string} grammar GBNF that the answer has to fit; '' = any text
 * @property {unknown} [json_schema] that the answer has to fit, in place of a grammar
 * @property {Record<string, unknown> & { seed: number }} sampler fields of SamplerOptions (core/sample/sampler.h)
 */

/**
 * One token with its log-probability; `bytes` because a token may be part of a character.
 * @typedef {{ id: number, bytes: number[], logprob: number }} ScoredToken
 */

/**
 * What one step of the generator brought. `reasoning`, of a chat, comes before `text`.
 * @typedef {{ kind: 'prefill', done: number, total: number }
 *   | { kind: 'working' }
 *   | { kind: 'token', token: number, text: string, reasoning: string, scored?: ScoredToken, top?: ScoredToken[] }
 *   | { kind: 'done', text: string, reasoning: string, generation: GenerationSummary }} GenerateStep
 */

/**
 * @typedef {object} GenerationSummary
 * @property {string} text
 * @property {string} reasoning
 * @property {number[]} tokens
 * @property {number} prompt_tokens
 * @property {number} reused_tokens
 * @property {'stop' | 'length' | 'context'} finish_reason
 * @property {number} prefill_ms
 * @property {number} prefill_tps
 * @property {number} decode_tps
 */

/**
 * The engine as the worker reports it once; `heapBytes` in later messages keeps `memory.heap` fresh.
 * @typedef {object} EngineInfo
 * @property {string} architecture
 * @property {string} name
 * @property {string} quantization
 * @property {number} parameters
 * @property {number} contextSize
 * @property {number} trainedContext
 * @property {number} vocabularySize
 * @property {boolean} chatTemplate whether there is one: the file's, or what was given to load
 * @property {string} chatTemplateError why the file's cannot be used; '' when it can, or there is none
 * @property {'q16_8' | 'f32' | 'f16' | 'q8_0'} kvType
 * @property {number} threads
 * @property {'relaxed' | 'simd128'} variant
 * @property {string} kernels
 * @property {number} streams places of a matrix that the products of a token read side by side
 * @property {'given' | 'remembered' | 'tried'} tuned where `kernels` and `threads` come from
 * @property {32} addressBits
 * @property {number} parts memories that the model lies in
 * @property {boolean} isolated whether the page may share memory with threads
 * @property {string} fallbackReason why one thread or plain SIMD128 is in use; '' when nothing is held back
 * @property {number} loadMs
 * @property {{ weights: number, kv: number, heap: number }} memory bytes
 */

/**
 * What the engine worker wants of the page for thread number `thread` (web/engine/threads.js). A `port` goes to the new worker as its
 * first message, HelpRequest; such a worker is no part of the module.
 * @typedef {{ type: 'thread', thread: number } & (
 *     { action: 'start', url: string, name: string, port?: MessagePort }
 *   | { action: 'post', message: unknown }
 *   | { action: 'end' })} ThreadOrder
 */

/** Page → a second engine worker: be no engine, but fetch what the port asks for. @typedef {{ type: 'lane', port: MessagePort }} HelpRequest */

/** What thread number `thread` posted. @typedef {{ type: 'thread', thread: number, message: any }} ThreadMessage */

/**
 * Page → worker. `id` names the call in all later messages.
 * @typedef {{ type: 'load', id: number, request: LoadRequest }
 *   | { type: 'setLora', id: number, lora: AdapterRequest[], cache: boolean }
 *   | { type: 'tokenize', id: number, text: string, special: boolean, bos: boolean }
 *   | { type: 'detokenize', id: number, ids: number[] }
 *   | { type: 'generate', id: number, request: GenerateRequest }
 *   | { type: 'logits', id: number, ids: number[], top: number }
 *   | { type: 'bench', id: number, options: Record<string, number> }
 *   | { type: 'estimate', id: number, request: EstimateRequest }
 *   | { type: 'quantizePlan', id: number, request: QuantizeRequest }
 *   | { type: 'quantize', id: number, request: QuantizeRequest }
 *   | { type: 'verify', id: number, model: string }
 *   | { type: 'abort', id: number, target: number }
 *   | { type: 'dispose', id: number }} ToCall
 * @typedef {ToCall | ThreadMessage} ToWorker
 */

/**
 * Worker → page. Each call ends with exactly one 'result' or 'failure'; 'fatal' ends all of them and the engine.
 * @typedef {{ type: 'progress', id: number, progress: LoadProgress }
 *   | { type: 'steps', id: number, steps: GenerateStep[] }
 *   | { type: 'result', id: number, value: any, heapBytes: number }
 *   | { type: 'failure', id: number, error: PlainError }
 *   | ThreadOrder
 *   | { type: 'fatal', error: PlainError }} FromWorker
 */

/** Milliseconds a worker gets to end politely before it is terminated. */
export const kGraceMs = 1500;

/** @type {ReadonlySet<string>} */
const callTypes = new Set([
  'load',
  'setLora',
  'tokenize',
  'detokenize',
  'generate',
  'logits',
  'bench',
  'estimate',
  'quantizePlan',
  'quantize',
  'verify',
  'abort',
  'dispose',
]);

/**
 * True for a call of this protocol; the worker ignores what other scripts (bundlers, extensions) may post.
 * @param {unknown} message
 * @returns {message is ToCall}
 */
export function isCall(message) {
  if (typeof message !== 'object' || message === null) return false;
  const { type, id } = /** @type {{ type?: unknown, id?: unknown }} */ (message);
  return typeof type === 'string' && callTypes.has(type) && typeof id === 'number';
}

// The types of tessera.js, the package's public module.

/** What went wrong, as a stable name; the store may add others. */
export type TesseraErrorCode =
  | 'invalid_argument'
  | 'not_found'
  | 'io'
  | 'bad_file'
  | 'unsupported'
  | 'out_of_memory'
  | 'context_full'
  | 'aborted'
  | 'template'
  | 'internal'
  | 'network'
  | 'blocked'
  | 'http'
  | 'changed'
  | 'hash_mismatch'
  | 'size_mismatch'
  | 'quota_exceeded'
  | 'in_use'
  | 'disposed'
  | (string & {});

/** Every rejection. `message` says what was found and expected, `hint` what to do (may be empty). */
export class TesseraError extends Error {
  constructor(code: TesseraErrorCode, message: string, hint?: string, cause?: unknown);
  readonly code: TesseraErrorCode;
  readonly hint: string;
}

export interface LoadProgress {
  stage: 'download' | 'verify' | 'load' | 'warmup';
  loadedBytes: number;
  /** 0 while nobody knows how much will come. */
  totalBytes: number;
  /** What the reader should know about the download, in a sentence: that it had to begin anew, for example. */
  note?: string;
}

export interface LoraAdapter {
  /** Like the model: a URL, 'hf:owner/repo/file.gguf', a File or the Files of a split GGUF. */
  source: string | URL | File | File[];
  /** What the adapter's terms are multiplied by, besides its own alpha / rank; 1 by default. */
  scale?: number | null;
  /** As `token` of LoadOptions, for the server of this adapter. */
  token?: string | null;
}

/** One adapter or several (at most 8), in the order in which their terms are added; a source alone has scale 1. */
export type Lora = string | URL | File | LoraAdapter | (string | URL | File | LoraAdapter)[];

/**
 * A built-in chat template by name, or the source of one in Jinja (it has `{{` or `{%` in it). A name that is not known is an error
 * ('invalid_argument') that lists the names; a source that does not parse is one ('template') with line and column.
 */
export type ChatTemplate =
  'chatml' | 'llama2' | 'llama3' | 'gemma' | 'mistral' | 'phi3' | 'alpaca' | 'zephyr' | (string & {});

/** In all options, null counts as left out. */
export interface LoadOptions {
  /**
   * URL of a .gguf (any part of a split one will do) or of a manifest.json, 'hf:owner/repo/file.gguf' on the model hub, a File, or
   * several Files (a split GGUF, or shards of one). Of what is in the store: the `url` that Tessera.models.list() shows, which for a model
   * that Tessera.quantize made is the only name it has.
   */
  model: string | URL | File | File[];
  /**
   * 1…64; by default as many as help, at most 8: a trial of some milliseconds finds out, and what it found is kept for a day. One where
   * the page is not cross-origin isolated. A number beyond the device's processors is the most that is tried: `info.threads` says how many work.
   */
  threads?: number | null;
  /** Tokens; by default, or 0, what the model was trained for, at most 4096. */
  contextSize?: number | null;
  /**
   * Number format of the KV cache. 'auto', the default: 'q16_8' (keys of 16 bits, values of 8: faster than 'f32' and three
   * eighths of its bytes) for quantised models, 'f32' for others.
   */
  kvType?: 'auto' | 'q16_8' | 'f32' | 'f16' | 'q8_0' | null;
  /**
   * LoRA adapters in GGUF to begin with; see Engine.setLora. They are read after the weights: `onProgress` tells their download in
   * stages of its own, between 'load' and 'warmup'.
   */
  lora?: Lora | null;
  /** In place of the file's chat template: see ChatTemplate. */
  chatTemplate?: ChatTemplate | null;
  /** The WebAssembly module; 'auto' takes the best that the browser runs. */
  variant?: 'auto' | 'relaxed' | 'simd128' | null;
  /**
   * The inner loops, which must be of the variant in use. 'auto' tries for some 50 ms whether this device sums faster in 16 bits
   * ('wasm_relaxed') or in 32 ('wasm_relaxed_i32') and keeps what it found for a day. The results are the same bits.
   */
  kernels?: 'auto' | 'wasm_relaxed' | 'wasm_relaxed_i32' | 'wasm_simd128' | null;
  /** Keep downloads and the results of trials in the store; true by default. */
  cache?: boolean | null;
  /** For a server that wants to know who reads: sent as a bearer token to the origin of `model`, and kept nowhere. */
  token?: string | null;
  signal?: AbortSignal | null;
  onProgress?: ((progress: LoadProgress) => void) | null;
  /** Where tessera-worker.js is, if not beside tessera.js. Must be of the page's origin. */
  workerUrl?: string | URL | null;
  /**
   * The folder of tessera-core.{js,wasm} and tessera-kernels-*.wasm, with a slash at the end, if not the worker's. Browsers start more
   * than one thread only from the page's origin.
   */
  wasmUrl?: string | URL | null;
}

export interface EstimateOptions {
  /** As in LoadOptions: what the KV cache depends on. */
  contextSize?: number | null;
  kvType?: LoadOptions['kvType'];
  token?: string | null;
  signal?: AbortSignal | null;
  workerUrl?: string | URL | null;
  wasmUrl?: string | URL | null;
}

/** Sizes in bytes; null where nobody says. The first eight are those of `tessera estimate --json`. */
export interface ModelEstimate {
  /** Weights as they lie in memory, once loaded. */
  weights_bytes: number;
  /** Keys and values of a full context. */
  kv_bytes: number;
  workspace_bytes: number;
  /** Vocabulary, program, stacks of threads and what loading holds at a time. */
  other_bytes: number;
  total_bytes: number;
  /** Whether it fits one memory of 4 GiB, with 64 MB for all else. */
  fits_wasm32: boolean;
  /** Memories of at most `device.memoryLimit` that it will be laid into, by its layers; 0: more than Tessera makes. */
  parts: number;
  /** Why this version will refuse the model; empty if it runs it. What cannot be said then is 0. */
  unsupported: string[];
  name: string;
  architecture: string;
  /** The format that holds most weights: "Q4_1". */
  quantization: string;
  parameters: number;
  /** Of the file: bits of all tensors by the number of weights. */
  bitsPerWeight: number;
  /** Tokens that the KV cache above is for. */
  contextSize: number;
  trainedContext: number;
  kvType: EngineInfo['kvType'];
  /** What a download takes. */
  fileBytes: number | null;
  /** Whether this browser can be expected to load it: supported, in no more parts than Tessera makes, within `deviceMemory`. */
  fits: boolean;
  device: {
    /** The most that one memory of this browser can hold: 4 GiB, less where it grants less. */
    memoryLimit: number;
    /** What the device has, roughly; browsers report no more than a few steps, some nothing. */
    deviceMemory: number | null;
    /** What this site may store, and how much of that is free. */
    storageQuota: number | null;
    storageFree: number | null;
  };
}

export interface EngineInfo {
  readonly architecture: string;
  readonly name: string;
  /** The format that holds most weights: "Q4_1". */
  readonly quantization: string;
  readonly parameters: number;
  /** Tokens one conversation can hold. */
  readonly contextSize: number;
  /** Tokens the model was trained for. */
  readonly trainedContext: number;
  readonly vocabularySize: number;
  /** Whether there is a chat template: the file's, or the one given to load. Without one, chats need `chat_template`. */
  readonly chatTemplate: boolean;
  /** Why the file's chat template cannot be used, with line and column; '' when it can, or there is none. */
  readonly chatTemplateError: string;
  readonly kvType: 'q16_8' | 'f32' | 'f16' | 'q8_0';
  readonly threads: number;
  readonly variant: 'relaxed' | 'simd128';
  readonly kernels: string;
  /** Places of a matrix that the products of a single token read side by side, 1 or 4: what this device's memory is faster with. */
  readonly streams: number;
  /** Where `kernels` and `threads` come from: the options of load, an earlier trial on this device, or a trial while loading. */
  readonly tuned: 'given' | 'remembered' | 'tried';
  readonly addressBits: 32;
  /** Memories that the model lies in, each with some of its layers: more than one beyond 4 GiB. */
  readonly parts: number;
  /** Whether the page is cross-origin isolated, which threads need. */
  readonly isolated: boolean;
  /** Why one thread or plain SIMD128 is in use, in plain words; '' when nothing is held back. */
  readonly fallbackReason: string;
  readonly loadMs: number;
  /** Bytes; `heap` is the whole linear memory, of all parts, as of the last answer. */
  readonly memory: { readonly weights: number; readonly kv: number; readonly heap: number };
}

/**
 * Types of whole files: mixes of number formats, with about so many bits a weight as the name's digit says. Q8_0 is nearly the original,
 * Q4_K_M a good choice for most, below 4 bits models become noticeably worse (docs/quantize.md).
 */
export type QuantizeType =
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'Q8_0'
  | 'Q6_K'
  | 'Q5_K_M'
  | 'Q5_K_S'
  | 'Q5_1'
  | 'Q5_0'
  | 'Q4_K_M'
  | 'Q4_K_S'
  | 'Q4_1'
  | 'Q4_0'
  | 'IQ4_NL'
  | 'IQ4_XS'
  | 'Q3_K_L'
  | 'Q3_K_M'
  | 'Q3_K_S'
  | 'Q2_K'
  | 'Q2_K_S';

export interface QuantizePlanOptions {
  /** As in LoadOptions. */
  token?: string | null;
  signal?: AbortSignal | null;
  workerUrl?: string | URL | null;
  wasmUrl?: string | URL | null;
}

export interface QuantizeOptions extends QuantizePlanOptions {
  /** 'Q4_K_M' by default; an unknown one is an error that lists all. */
  type?: QuantizeType | null;
  /**
   * How much each column of the weights matters: a file that `tessera imatrix` or llama-imatrix has measured of this model (GGUF), as a
   * File or its URL. Errors go where they matter less. One of another model is a 'bad_file' error. `token` goes along only to the model's
   * own origin.
   */
  importance?: LoadOptions['model'] | null;
  /** 1…64; by default as many as the device has, at most 8. One where the page is not cross-origin isolated. The bytes do not depend on it. */
  threads?: number | null;
  onProgress?: ((progress: QuantizeProgress) => void) | null;
}

export interface QuantizeProgress extends Omit<LoadProgress, 'stage'> {
  /** 'download' and 'verify' of a model that has to be fetched first; 'quantize' counts bytes of the model that is read. */
  stage: 'download' | 'verify' | 'quantize';
}

/** Sizes in bytes; null where nobody says. */
export interface QuantizePlan {
  /** The model's, without its present type. */
  name: string;
  /** The format that holds most weights now: "F16". What one quantisation lost, another cannot bring back. */
  quantization: string;
  parameters: number;
  /** Of the file or files as they are. */
  fileBytes: number | null;
  /** Size of the copy in each type, exactly. */
  types: Record<QuantizeType, number>;
  /** What this site may still store. */
  storageFree: number | null;
}

/** A copy that is in the store. */
export interface QuantizeResult {
  /** For Tessera.models.remove, verify and exportFiles. */
  id: string;
  /** For Tessera.load; nobody can fetch it. */
  url: string;
  name: string;
  type: QuantizeType;
  bytes: number;
  inputBytes: number;
  tensors: number;
  /** Tensors that are in another format than before. */
  converted: number;
  /** Of those, matrices that the importance file says nothing of; 0 without one. */
  unweighted: number;
  parameters: number;
  bitsPerWeight: number;
  /** Bytes of the tensors in each number format. */
  bytesPerFormat: Record<string, number>;
}

/** Options of both kinds of completion. Unknown ones are errors. */
export interface GenerateOptions {
  // Defaults are those of `tessera run`: temperature 0.7, top_k 40, top_p 0.95, min_p 0.05, nothing else, a random seed.
  /** New tokens at most; by default until the context is full. */
  max_tokens?: number | null;
  /** 0 takes the most likely token. */
  temperature?: number | null;
  top_p?: number | null;
  /** 0 = off. */
  top_k?: number | null;
  min_p?: number | null;
  typical_p?: number | null;
  repeat_penalty?: number | null;
  frequency_penalty?: number | null;
  presence_penalty?: number | null;
  /** How many of the last tokens the penalties see. */
  penalty_window?: number | null;
  /** {token id: added to its logit}; -100 forbids it. */
  logit_bias?: Record<string, number> | null;
  /** The same seed gives the same answer on every device. */
  seed?: number | null;
  /** Text that ends the answer and is not part of it. */
  stop?: string | string[] | null;
  /**
   * Guess tokens from what stood in the text before (default true): faster where an answer quotes its prompt or itself. The answer is the
   * same with and without.
   */
  prompt_lookup?: boolean | null;
  /**
   * What the answer has to be, its reasoning apart: any text, a JSON object, JSON that fits a schema (always strictly), or a text that
   * fits a GBNF grammar. An answer that `max_tokens` cuts does not. docs/grammar.md
   */
  response_format?: ResponseFormat | null;
  signal?: AbortSignal | null;
  /** While the prompt is read: how many of its tokens are done. Called about every 25 ms. */
  onProgress?: ((progress: { stage: 'prefill'; doneTokens: number; totalTokens: number }) => void) | null;
}

export type ResponseFormat =
  | { type: 'text' }
  | { type: 'json_object' }
  | {
      type: 'json_schema';
      json_schema: { schema: object; name?: string | null; description?: string | null; strict?: boolean | null };
    }
  | { type: 'grammar'; grammar: string };

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant' | (string & {});
  content: string | { type: 'text'; text: string }[];
  /** What an assistant thought before its answer, for chat templates that want it of earlier turns; the others leave it out. */
  reasoning_content?: string | null;
}

export interface ChatOptions extends GenerateOptions {
  messages: ChatMessage[];
  /** For this answer, in place of the engine's chat template. */
  chat_template?: ChatTemplate | null;
  logprobs?: boolean | null;
  /** 0…20 alternatives a token; needs logprobs. */
  top_logprobs?: number | null;
}

export interface PromptOptions extends GenerateOptions {
  /** Raw text; special tokens in it are parsed. */
  prompt: string;
  /** Log-probabilities with 0…20 alternatives a token. */
  logprobs?: number | null;
}

export type FinishReason = 'stop' | 'length' | 'context';

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Prompt tokens that were still in the KV cache. */
  prompt_tokens_details: { cached_tokens: number };
}

export interface Timings {
  load_ms: number;
  prefill_ms: number;
  prefill_tps: number;
  decode_tps: number;
}

/** What the end of every answer brings. */
export interface Closing {
  usage: Usage;
  timings: Timings;
  /** Ids of the answer's tokens. */
  tokens: number[];
  /** The seed in use, given or drawn. */
  seed: number;
}

export interface TokenLogprob {
  token: string;
  logprob: number;
  bytes: number[];
}
export interface ChatLogprobs {
  content: (TokenLogprob & { top_logprobs: TokenLogprob[] })[];
}
/** A token that is only a part of a character is named `bytes:\xe2\x80`, with its bytes. */
export interface PromptLogprobs {
  tokens: string[];
  token_logprobs: number[];
  top_logprobs: Record<string, number>[];
}

export interface ChatCompletion extends Closing {
  id: string;
  object: 'chat.completion';
  created: number;
  model: string;
  choices: {
    index: 0;
    /** `reasoning_content`: what the model thought first (`<think>…</think>`, the analysis channel), without the tags; absent where it did not. */
    message: { role: 'assistant'; content: string; reasoning_content?: string };
    logprobs: ChatLogprobs | null;
    finish_reason: FinishReason;
  }[];
}

/** The last chunk has finish_reason and the Closing. */
export interface ChatChunk extends Partial<Closing> {
  id: string;
  object: 'chat.completion.chunk';
  created: number;
  model: string;
  choices: {
    index: 0;
    /** All of `reasoning_content` comes before the first `content` that is not empty. */
    delta: { role?: 'assistant'; content?: string; reasoning_content?: string };
    logprobs: ChatLogprobs | null;
    finish_reason: FinishReason | null;
  }[];
}

export interface TextCompletion extends Closing {
  id: string;
  object: 'text_completion';
  created: number;
  model: string;
  choices: { index: 0; text: string; logprobs: PromptLogprobs | null; finish_reason: FinishReason }[];
}

export interface TextChunk extends Partial<Closing> {
  id: string;
  object: 'text_completion';
  created: number;
  model: string;
  choices: { index: 0; text: string; logprobs: PromptLogprobs | null; finish_reason: FinishReason | null }[];
}

/** The call's promise settles when the engine has taken the prompt; leaving the loop early stops the work. */
export type AnswerStream<Chunk> = AsyncIterableIterator<Chunk>;

export interface BenchReport {
  model: string;
  kernels: string;
  threads: number;
  /** As in EngineInfo. */
  streams: number;
  load_ms: number;
  prefill: { tokens: number; tps: number[]; profile?: BenchProfile };
  decode: { tokens: number; depth: number; tps: number[]; profile?: BenchProfile };
  /** Passes a second over the weights that one token reads: multiplied, and only read, with nothing in between. */
  roofline?: { products_tps: number; reading_tps: number; token_bytes: number };
  peak_bytes: number;
}

/** Milliseconds a token; `overhead` is the part that is not matrix products, 0 to 1. */
export type BenchProfile = Record<
  'embedding' | 'norm' | 'products' | 'rope' | 'attention' | 'activation' | 'output' | 'overhead',
  number
>;

/**
 * One loaded model in a worker of its own. Answers, setLora, logits and bench wait for each other; tokenize and detokenize answer between
 * the steps of an answer, but not while logits or bench run.
 */
export interface Engine {
  readonly info: EngineInfo;
  readonly chat: {
    readonly completions: {
      create(options: ChatOptions & { stream: true }): Promise<AnswerStream<ChatChunk>>;
      create(options: ChatOptions & { stream?: false | null }): Promise<ChatCompletion>;
      create(options: ChatOptions & { stream?: boolean | null }): Promise<AnswerStream<ChatChunk> | ChatCompletion>;
    };
  };
  readonly completions: {
    create(options: PromptOptions & { stream: true }): Promise<AnswerStream<TextChunk>>;
    create(options: PromptOptions & { stream?: false | null }): Promise<TextCompletion>;
    create(options: PromptOptions & { stream?: boolean | null }): Promise<AnswerStream<TextChunk> | TextCompletion>;
  };
  /**
   * From now on these LoRA adapters are part of the model, in place of those before; [] = none. The weights stay where they are; the
   * next answer reads its prompt anew. It waits for what is running. Downloads are kept in the store like models. When one cannot
   * be had or was made for another model ('bad_file' naming `lora[i]` and the first tensor or key that does not fit), all stays as it was.
   */
  setLora(
    lora: Lora,
    options?: {
      cache?: boolean | null;
      signal?: AbortSignal | null;
      onProgress?: ((progress: LoadProgress) => void) | null;
    },
  ): Promise<void>;
  tokenize(text: string, options?: { special?: boolean | null; bos?: boolean | null }): Promise<number[]>;
  detokenize(ids: ArrayLike<number>): Promise<string>;
  /** Of all positions; `hash` is that of `tessera logits`, `top` has the best [id, log-probability] pairs a position. */
  logits(
    ids: ArrayLike<number>,
    options?: { top?: number | null },
  ): Promise<{ hash: string; top: [number, number][][] }>;
  bench(options?: {
    promptTokens?: number | null;
    generateTokens?: number | null;
    depth?: number | null;
    repetitions?: number | null;
    /** Also measure milliseconds per kind of work and token. */
    profile?: boolean | null;
    roofline?: boolean | null;
  }): Promise<BenchReport>;
  /** Workers gone, memory free. Calls that wait reject with 'disposed'. */
  dispose(): Promise<void>;
}

export interface StoredModel {
  /** For remove, verify and exportFiles. */
  id: string;
  /** 'adapter' for what was used by `lora` or setLora last, or was fetched by them and never used. */
  kind: 'model' | 'adapter';
  name: string;
  /** For Tessera.load. */
  url: string;
  /** Whether Tessera.quantize made it on this device: there is nowhere to fetch it from. */
  made: boolean;
  /** Of the whole model; null while unknown. */
  bytes: number | null;
  storedBytes: number;
  /** Whether it can be opened without the network. */
  complete: boolean;
  /** Milliseconds since 1970. */
  lastUsed: number | null;
}

export interface Tessera {
  load(options: LoadOptions): Promise<Engine>;
  /**
   * What a model is and what it will take, from its first megabytes (at most twice its header's length; nothing is stored). Of a
   * model that is in the store no request is made.
   */
  estimate(model: LoadOptions['model'], options?: EstimateOptions): Promise<ModelEstimate>;
  /** What each type would make of a model, from its first megabytes, as in estimate. */
  quantizePlan(model: LoadOptions['model'], options?: QuantizePlanOptions): Promise<QuantizePlan>;
  /**
   * Writes a copy of a model in another type into the store, in a worker of its own and with a few megabytes of memory beside the largest
   * row; a model that has to be fetched is stored first. The bytes are those of `tessera quantize`. It is listed as complete when all of it
   * is there; after an abort, an error or a full disk ('quota_exceeded', asked before it starts, too) nothing of it is left. Where the
   * browser keeps no files for the page it is 'unsupported', before anything is fetched. Load it with `Tessera.load({ model: result.url })`.
   */
  quantize(model: LoadOptions['model'], options?: QuantizeOptions): Promise<QuantizeResult>;
  /** The models kept in this browser, and the adapters. */
  readonly models: {
    list(): Promise<StoredModel[]>;
    remove(id: string): Promise<void>;
    /** Hashes all that is stored; what is wrong is deleted, and the next load fetches it, and nothing else, anew. */
    verify(
      id: string,
      options?: { workerUrl?: string | URL | null },
    ): Promise<{ ok: boolean; badShards: string[]; missingShards: string[] }>;
    /** A complete model as a file, or as the parts of a split one; the bytes stay where they are until the file is saved. */
    exportFiles(id: string): Promise<File[]>;
  };
}

export const Tessera: Tessera;
export default Tessera;

// Owns the public engine object: a loaded model as the page sees it. All work happens in the engine worker behind a Connection.
import { TesseraError } from '../base/errors.js';
import { answerHead, chunksOf, completion, openingChunks } from './answers.js';
import { AnswerStream } from './answer-stream.js';
import { abortError, Connection } from './connection.js';
import { checkGenerateOptions, checkLoadOptions, checkLoraOptions } from './options.js';
import { boolean, integer, knownOptions, text, tokenIds } from './option-checks.js';
import { kGraceMs } from './protocol.js';

/** @typedef {import('./connection.js').WorkerLike} WorkerLike */
/** @typedef {import('./protocol.js').EngineInfo} EngineInfo */
/** @typedef {import('./protocol.js').GenerateStep} GenerateStep */
/**
 * Makes the engine's workers; an undefined `url` means the engine worker beside the module.
 * @typedef {{ engine(url: string | URL | undefined): WorkerLike, thread(url: string, name: string): WorkerLike }} WorkerMaker
 */

/**
 * Loads a model in a worker of its own.
 * @param {unknown} given the options of Tessera.load (tessera.d.ts)
 * @param {string} base what relative URLs are relative to
 * @param {WorkerMaker} makers
 * @returns {Promise<Engine>}
 */
export async function loadEngine(given, base, makers) {
  const { request, signal, onProgress, workerUrl } = checkLoadOptions(given, base);
  const connection = new Connection(makers.engine(workerUrl), makers.thread);
  // A worker that is deep in a synchronous load cannot hear the abort, so it has a time limit.
  let timer = 0;
  const kill = () => connection.end(new TesseraError('aborted', 'Loading was aborted.', '', signal?.reason));
  const onAbort = () => void (timer = /** @type {any} */ (setTimeout(kill, kGraceMs)));
  signal?.addEventListener('abort', onAbort);
  try {
    const info = await connection.call({ type: 'load', request }, { signal, onProgress });
    // Of an abort that came too late for the worker. Nobody would dispose of this engine.
    if (signal?.aborted) throw abortError(signal);
    return new Engine(connection, info, base);
  } catch (error) {
    connection.end(TesseraError.from(error));
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

export class Engine {
  #connection;
  #info;
  #base;

  /** @param {unknown} options */
  #createChat = (options) => this.#create('chat', options);
  /** @param {unknown} options */
  #createPrompt = (options) => this.#create('prompt', options);

  chat = Object.freeze({ completions: Object.freeze({ create: this.#createChat }) });
  completions = Object.freeze({ create: this.#createPrompt });

  /**
   * @param {Connection} connection
   * @param {EngineInfo} info
   * @param {string} base what relative URLs are relative to
   */
  constructor(connection, info, base) {
    this.#connection = connection;
    this.#info = info;
    this.#base = base;
  }

  /** What is loaded and how it runs; memory.heap is as of the last answer. @returns {EngineInfo} */
  get info() {
    const heap = Math.max(this.#connection.heapBytes, this.#info.memory.heap);
    return { ...this.#info, memory: { ...this.#info.memory, heap } };
  }

  /**
   * Puts LoRA adapters in place of those before, without loading the model again; [] = none.
   * @param {unknown} lora as in Tessera.load
   * @param {unknown} [given] { cache, signal, onProgress }
   * @returns {Promise<void>}
   */
  async setLora(lora, given) {
    const { request, ...watch } = checkLoraOptions(lora, given, this.#base);
    await this.#connection.call({ type: 'setLora', ...request }, watch);
  }

  /**
   * @param {string} input
   * @param {{ special?: boolean, bos?: boolean }} [given]
   * @returns {Promise<number[]>}
   */
  async tokenize(input, given) {
    const options = knownOptions(given, new Set(['special', 'bos']), 'tokenize');
    const special = boolean(options, 'special', false);
    const bos = boolean(options, 'bos', false);
    return this.#connection.call({ type: 'tokenize', text: text(input, 'text'), special, bos });
  }

  /**
   * @param {ArrayLike<number>} ids
   * @returns {Promise<string>}
   */
  async detokenize(ids) {
    return this.#connection.call({ type: 'detokenize', ids: tokenIds(ids, 'ids') });
  }

  /**
   * @param {ArrayLike<number>} ids
   * @param {{ top?: number }} [given] alternatives a position
   * @returns {Promise<{ hash: string, top: [number, number][][] }>}
   */
  async logits(ids, given) {
    const options = knownOptions(given, new Set(['top']), 'logits');
    const top = integer(options, 'top', { to: 1000, otherwise: 10 });
    return this.#connection.call({ type: 'logits', ids: tokenIds(ids, 'ids'), top });
  }

  /**
   * @param {{ promptTokens?: number, generateTokens?: number, depth?: number, repetitions?: number, profile?: boolean, roofline?: boolean }} [given]
   * @returns {Promise<Record<string, any>>} as `tessera bench --json`
   */
  async bench(given) {
    const fields = ['promptTokens', 'generateTokens', 'depth', 'repetitions'];
    const options = knownOptions(given, new Set([...fields, 'profile', 'roofline']), 'bench');
    for (const field of fields) integer(options, field, { to: 0x7fffffff, otherwise: 0 });
    boolean(options, 'profile', false);
    boolean(options, 'roofline', false);
    const report = await this.#connection.call({
      type: 'bench',
      options: /** @type {Record<string, number>} */ (options),
    });
    return { model: this.#info.name, ...report };
  }

  /** Ends all work, frees the memory and the threads. Calls that wait reject with 'disposed'. */
  async dispose() {
    await this.#connection.close(new TesseraError('disposed', 'The engine was disposed of.', 'Load the model again.'));
  }

  /**
   * @param {'chat' | 'prompt'} kind
   * @param {unknown} given
   * @returns {Promise<any>} a completion, or a stream of chunks
   */
  async #create(kind, given) {
    const { request, stream, signal, onProgress } = checkGenerateOptions(kind, given);
    const head = answerHead(kind, this.#info.name, this.#info.loadMs, request.sampler.seed);
    const report = (/** @type {GenerateStep} */ step) => {
      if (step.kind === 'prefill') onProgress?.({ stage: 'prefill', doneTokens: step.done, totalTokens: step.total });
    };
    if (stream) return this.#stream(kind, head, { request, signal, report });
    /** @type {GenerateStep[]} */
    const steps = [];
    const onStep = (/** @type {GenerateStep} */ step) => {
      report(step);
      steps.push(step);
    };
    await this.#connection.call({ type: 'generate', request }, { signal, onStep });
    return completion(kind, head, steps);
  }

  /**
   * Resolves when the engine has accepted the prompt, so that a bad request rejects here and not in the loop.
   * @param {'chat' | 'prompt'} kind
   * @param {import('./answers.js').AnswerHead} head
   * @param {{ request: import('./protocol.js').GenerateRequest, signal?: AbortSignal, report: (step: GenerateStep) => void }} call
   */
  #stream(kind, head, { request, signal: outer, report }) {
    const leave = new AbortController();
    const tooLate = () => (outer?.aborted ? abortError(outer) : undefined);
    const stream = new AnswerStream(() => leave.abort(), tooLate);
    const forward = () => leave.abort(outer?.reason);
    if (outer?.aborted) forward();
    else outer?.addEventListener('abort', forward);
    for (const chunk of openingChunks(kind, head)) stream.push(chunk);
    return new Promise((resolve, reject) => {
      const onStep = (/** @type {GenerateStep} */ step) => {
        report(step);
        for (const chunk of chunksOf(kind, head, step)) stream.push(chunk);
        resolve(stream);
      };
      this.#connection
        .call({ type: 'generate', request }, { signal: leave.signal, onStep })
        .then(() => stream.finish())
        .catch((error) => {
          stream.finish(error);
          reject(error);
        })
        .finally(() => outer?.removeEventListener('abort', forward));
    });
  }
}

// Owns the worker's side of an engine: loads the model, runs one session call at a time, stays responsive between steps.
import { TesseraError } from '../base/errors.js';
import { isCall } from './protocol.js';
import { estimateModel } from './estimating.js';
import { abortedError, loadEngine, setAdapters } from './loading.js';
import { planQuantization, quantizeModel } from './quantizing.js';

/** @typedef {import('./protocol.js').ToCall} ToCall */
/** @typedef {import('./protocol.js').FromWorker} FromWorker */
/** @typedef {import('./protocol.js').LoadProgress} LoadProgress */
/** @typedef {import('./wasm-runtime.js').WasmRuntime} WasmRuntime */
/**
 * What the host needs from its surroundings; `nextTurn` resolves when messages that wait have been received.
 * @typedef {import('./loading.js').LoadPorts & { post: (message: FromWorker) => void, nextTurn: () => Promise<void> }} HostPorts
 */
/** @typedef {{ id: number, abort: AbortController, run: (signal: AbortSignal) => unknown }} Job */

/**
 * Tokens that come in this time go to the page together, as no screen shows them one by one: each message wakes a thread, and in each turn
 * the core's threads fall asleep.
 */
const kStepsMs = 16;

export class EngineHost {
  #ports;
  /** @type {WasmRuntime | undefined} */
  #runtime;
  /** Calls that use the session, first come first served; the first one is running. @type {Job[]} */
  #jobs = [];

  /** @param {HostPorts} ports */
  constructor(ports) {
    this.#ports = ports;
  }

  /** @param {unknown} message */
  receive(message) {
    if (!isCall(message)) return;
    switch (message.type) {
      case 'load':
        return this.#enqueue(message.id, (signal) => this.#load(message, signal));
      case 'setLora':
        return this.#enqueue(message.id, (signal) => this.#setLora(message, signal));
      case 'generate':
        return this.#enqueue(message.id, (signal) => this.#generate(message, signal));
      case 'logits':
        return this.#enqueue(message.id, () => this.#loaded().logits(message.ids, message.top));
      case 'bench':
        return this.#enqueue(message.id, () => this.#bench(message.options));
      // The tokenizer is immutable: these need no turn and answer in the middle of a stream.
      case 'tokenize':
        return this.#answer(message.id, () => this.#loaded().tokenize(message.text, message.special, message.bos));
      case 'detokenize':
        return this.#answer(message.id, () => this.#loaded().detokenize(message.ids));
      case 'estimate':
        return this.#enqueue(message.id, (signal) => estimateModel(message.request, this.#ports, signal));
      case 'quantizePlan':
        return this.#enqueue(message.id, (signal) => planQuantization(message.request, this.#ports, signal));
      case 'quantize':
        return this.#enqueue(message.id, (signal) => this.#quantize(message, signal));
      case 'verify':
        return this.#answer(message.id, () => this.#ports.verifyModel(message.model));
      case 'abort':
        return this.#abort(message.target);
      case 'dispose':
        return void this.#dispose(message.id);
    }
  }

  /**
   * @param {number} id
   * @param {(signal: AbortSignal) => unknown} run
   */
  #enqueue(id, run) {
    this.#jobs.push({ id, abort: new AbortController(), run });
    if (this.#jobs.length === 1) void this.#work();
  }

  async #work() {
    while (this.#jobs.length > 0) {
      const { id, abort, run } = this.#jobs[0];
      await this.#answer(id, () => run(abort.signal));
      this.#jobs.shift();
    }
  }

  /**
   * @param {number} id
   * @param {() => unknown} run
   */
  async #answer(id, run) {
    try {
      const value = await run();
      this.#ports.post({ type: 'result', id, value, heapBytes: this.#runtime?.heapBytes ?? 0 });
    } catch (error) {
      this.#ports.post({ type: 'failure', id, error: TesseraError.from(error).toPlain() });
      if (this.#runtime?.dead) this.#ports.post({ type: 'fatal', error: this.#runtime.dead.toPlain() });
    }
  }

  /** @param {number} id */
  #abort(id) {
    const place = this.#jobs.findIndex((job) => job.id === id);
    if (place < 0) return;
    this.#jobs[place].abort.abort();
    if (place === 0) return;
    this.#jobs.splice(place, 1);
    this.#ports.post({ type: 'failure', id, error: abortedError().toPlain() });
  }

  /**
   * @param {Extract<ToCall, { type: 'load' }>} message
   * @param {AbortSignal} signal
   */
  async #load({ id, request }, signal) {
    const { runtime, info } = await loadEngine(request, this.#ports, { signal, onProgress: this.#progressOf(id) });
    this.#runtime = runtime;
    return info;
  }

  /**
   * @param {Extract<ToCall, { type: 'setLora' }>} message
   * @param {AbortSignal} signal
   */
  #setLora({ id, lora, cache }, signal) {
    return setAdapters(this.#loaded(), { lora, cache }, this.#ports, { signal, onProgress: this.#progressOf(id) });
  }

  /**
   * @param {Extract<ToCall, { type: 'quantize' }>} message
   * @param {AbortSignal} signal
   */
  #quantize({ id, request }, signal) {
    return quantizeModel(request, this.#ports, { signal, onProgress: this.#progressOf(id) });
  }

  /** @param {number} id */
  #progressOf(id) {
    return (/** @type {LoadProgress} */ progress) => this.#ports.post({ type: 'progress', id, progress });
  }

  /**
   * @param {Extract<ToCall, { type: 'generate' }>} message
   * @param {AbortSignal} signal
   */
  async #generate({ id, request }, signal) {
    const runtime = this.#loaded();
    runtime.startAnswer(request);
    let milliseconds = 0; // the first token comes at once
    try {
      for (;;) {
        const steps = runtime.steps(milliseconds);
        this.#ports.post({ type: 'steps', id, steps });
        const { kind } = steps[steps.length - 1];
        if (kind === 'done') return undefined;
        milliseconds = kind === 'token' ? kStepsMs : 0;
        await this.#ports.nextTurn();
        if (signal.aborted) throw abortedError();
      }
    } finally {
      runtime.stopAnswer();
    }
  }

  /** @param {Record<string, number>} options */
  #bench(options) {
    const runtime = this.#loaded();
    const report = runtime.bench(options);
    return { ...report, peak_bytes: runtime.heapBytes };
  }

  /** @param {number} id */
  async #dispose(id) {
    for (const job of [...this.#jobs]) this.#abort(job.id);
    while (this.#jobs.length > 0) await this.#ports.nextTurn();
    await this.#answer(id, () => this.#runtime?.dispose());
    this.#runtime = undefined;
  }

  #loaded() {
    if (!this.#runtime)
      throw new TesseraError('disposed', 'The engine has no model: it was disposed of or never loaded.');
    return this.#runtime;
  }
}

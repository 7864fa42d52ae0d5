/** Owns a running llama-server: greedy continuations of token ids by llama.cpp, for check-peer.mjs. */
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

const kOpenMs = 300_000;
/** One: on a machine that does other work, too, llama.cpp's threads wait for each other most of the time. */
export const kThreads = '1';

/** A port that is free at this moment. @returns {Promise<number>} */
const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address());
      probe.close(() => resolve(port));
    });
  });

/** A running llama-server with one model. */
export class LlamaServer {
  /** @param {import('node:child_process').ChildProcess} child @param {string} url */
  constructor(child, url) {
    this.child = child;
    this.url = url;
  }

  /** @param {string} model @param {string[]} [options] */
  static async open(model, options = []) {
    const port = await freePort();
    const common = [
      '--host',
      '127.0.0.1',
      '--port',
      String(port),
      '-c',
      '1024',
      '-np',
      '1',
      '-t',
      kThreads,
      '--no-webui',
    ];
    const child = spawn('llama-server', ['-m', model, ...common, ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    child.stderr.on('data', (data) => (log = (log + data).slice(-4000)));
    const ended = new Promise((resolve) => child.on('close', resolve).on('error', (error) => resolve((log += error))));
    const peer = new LlamaServer(child, `http://127.0.0.1:${port}`);
    for (
      const deadline = Date.now() + kOpenMs;
      Date.now() < deadline;
      await new Promise((next) => setTimeout(next, 100))
    ) {
      const answer = await fetch(`${peer.url}/health`).catch(() => undefined);
      if (answer?.ok) return peer;
      const dead = await Promise.race([ended.then(() => true), new Promise((next) => setTimeout(next, 1, false))]);
      if (dead) throw new Error(`llama-server does not open ${model}:\n${log}`);
    }
    peer.close();
    throw new Error(`llama-server has not opened ${model} in time`);
  }

  /** The likeliest continuation, and at each token the log-probabilities of the likeliest ones. @param {number[]} prompt @param {number} count */
  async greedy(prompt, count) {
    const body = {
      prompt,
      n_predict: count,
      n_probs: 10,
      samplers: ['top_k'],
      top_k: 1,
      temperature: 0,
      repeat_penalty: 1,
    };
    const rest = { cache_prompt: false, return_tokens: true, seed: 1 };
    const answer = await fetch(`${this.url}/completion`, {
      method: 'POST',
      body: JSON.stringify({ ...body, ...rest }),
    });
    const result = await answer.json();
    if (!answer.ok) throw new Error(JSON.stringify(result));
    /** @type {number[]} */
    const tokens = result.tokens;
    if (result.tokens_evaluated !== prompt.length)
      throw new Error(`llama.cpp read ${result.tokens_evaluated} of ${prompt.length} tokens`);
    /** @type {Map<number, number>[]} */
    const logprobs = result.completion_probabilities.map(
      (/** @type {{top_logprobs: {id: number, logprob: number}[]}} */ position) =>
        new Map(position.top_logprobs.map(({ id, logprob }) => [id, logprob])),
    );
    return { tokens, logprobs };
  }

  close() {
    this.child.kill('SIGKILL');
  }
}

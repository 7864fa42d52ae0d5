// The worker's side of an engine, in this process: what it posts, and when.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineHost } from '../../web/engine/host.js';
import { checkGenerateOptions, checkLoadOptions } from '../../web/engine/options.js';
import { WasmRuntime } from '../../web/engine/wasm-runtime.js';
import { openFile } from './model-file.mjs';
import { importVariant, skipReason, tinyModel } from './support.mjs';

/** @typedef {import('../../web/engine/protocol.js').FromWorker} FromWorker */

const variant = 'simd128';
/** Its end tokens are forbidden. */
const endless = { prompt: 'a', logit_bias: { 0: -100, 1: -100, 2: -100 } };

/**
 * A host with the tiny model.
 * @param {{ afterTurn?: (turn: number, host: EngineHost) => unknown }} [course] what happens between two steps, from the
 *   first answer on
 */
async function start({ afterTurn = () => {} } = {}) {
  const refuse = () => Promise.reject(new Error('nothing asks for this'));
  /** @type {FromWorker[]} */
  const posts = [];
  /** @type {(message: FromWorker) => void} */
  let heard = () => {};
  let turn = 0;
  const host = new EngineHost({
    post: (message) => {
      posts.push(message);
      heard(message);
    },
    nextTurn: async () => void (await afterTurn(++turn, host)),
    openModel: async () => openFile(tinyModel),
    importModule: () => importVariant(variant),
    notes: { read: refuse, write: refuse },
    readHeaders: refuse,
    keepingBackend: refuse,
    storeMade: refuse,
    verifyModel: refuse,
  });
  /** @param {any} message @returns {Promise<FromWorker>} its end */
  const call = (message) =>
    new Promise((resolve) => {
      heard = (post) => (post.type === 'result' || post.type === 'failure') && resolve(post);
      host.receive(message);
    });
  const { request } = checkLoadOptions({ model: 'file:///tiny.gguf', variant, threads: 1, cache: false }, 'file:///');
  assert.equal((await call({ type: 'load', id: 1, request })).type, 'result');
  posts.length = 0;
  const generate = () => {
    const { request } = checkGenerateOptions('prompt', endless);
    return call({ type: 'generate', id: 2, request });
  };
  const steps = () => posts.flatMap((post) => (post.type === 'steps' ? [post.steps] : []));
  return { generate, steps };
}

const options = { skip: skipReason({ variant, files: [tinyModel] }) };

test('tokens that come quickly are posted together', options, async () => {
  const { generate, steps } = await start();
  assert.equal((await generate()).type, 'result');
  const posted = steps();
  const tokens = posted.flat().flatMap((step) => (step.kind === 'token' ? step.token : []));
  const last = posted.at(-1)?.at(-1);
  assert.deepEqual(last?.kind === 'done' && last.generation.tokens, tokens);
  assert.deepEqual(
    posted.slice(0, 2).map((steps) => steps.map((step) => step.kind)),
    [['prefill'], ['token']],
    'the first token comes at once',
  );
  assert.ok(posted.length < tokens.length / 2, `${posted.length} messages for ${tokens.length} tokens`);
});

test('an answer that is stopped ends within a turn, and what was made is posted', options, async () => {
  const kTurns = 3;
  const { generate, steps } = await start({
    afterTurn: (turn, host) => turn === kTurns && host.receive({ type: 'abort', id: 0, target: 2 }),
  });
  const end = await generate();
  assert.equal(end.type === 'failure' && end.error.code, 'aborted');
  assert.equal(steps().length, kTurns, 'one message a turn');
});

test('without time for more, each token is a message of its own', options, async () => {
  const runtime = await WasmRuntime.start(await importVariant(variant), 1);
  const { parts, close } = openFile(tinyModel);
  runtime.load(parts, { threads: 1, context_size: 64, kv_type: 'f32' }, () => {});
  await close();
  const { request } = checkGenerateOptions('prompt', { ...endless, temperature: 0 });
  /** @param {number} milliseconds */
  const answer = (milliseconds) => {
    runtime.startAnswer(request);
    /** @type {import('../../web/engine/protocol.js').GenerateStep[][]} */
    const calls = [];
    while (calls.at(-1)?.at(-1)?.kind !== 'done') calls.push(runtime.steps(milliseconds));
    return calls;
  };
  const single = answer(0);
  assert.ok(single.every((steps) => steps.length === 1));
  const together = answer(10_000);
  assert.deepEqual(
    together.map((steps) => steps.length),
    [1, single.length - 1],
    'the prompt alone, then all tokens with the end',
  );
  const text = (/** @type {typeof single} */ calls) =>
    calls.flat().map((step) => (step.kind === 'token' || step.kind === 'done' ? step.text : ''));
  assert.deepEqual(text(together), text(single));
  runtime.dispose();
});

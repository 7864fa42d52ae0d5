// Each variant that this node can run, through the same client and worker host as in a browser: the same bits as the command line,
// answers in OpenAI's shape, and one clear error for everything that goes wrong.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { TesseraError } from '../../web/base/errors.js';
import { WasmRuntime } from '../../web/engine/wasm-runtime.js';
import { openFile } from './model-file.mjs';
import {
  cli,
  formatsModel,
  importVariant,
  loadFile,
  realModel,
  runCli,
  skipReason,
  tinyModel,
  variants,
} from './support.mjs';

/** Kernel tables of each module. @type {Record<string, string[]>} */
const tables = { simd128: ['wasm_simd128'], relaxed: ['wasm_relaxed', 'wasm_relaxed_i32'] };
const messages = [{ role: 'user', content: 'Name three colours.' }];
/** A request that the tiny model answers until the context is full: its end tokens are forbidden. */
const endless = { prompt: 'a', logit_bias: { 0: -100, 1: -100, 2: -100 } };
/** Each option of the sampler beside these; the window beside a penalty that looks into it. */
const unfiltered = { temperature: 1.5, top_k: 0, top_p: 1, min_p: 0 };
const samplerCases = [
  { temperature: 1 },
  { top_k: 2 },
  { top_p: 0.5 },
  { min_p: 0.3 },
  { typical_p: 0.3 },
  { repeat_penalty: 1.8 },
  { repeat_penalty: 1.8, penalty_window: 4 },
  { frequency_penalty: 1 },
  { presence_penalty: 2 },
];
/** @type {Record<string, string>} */
const samplerFlags = {
  temperature: '--temp',
  top_k: '--top-k',
  top_p: '--top-p',
  min_p: '--min-p',
  typical_p: '--typical',
  repeat_penalty: '--repeat-penalty',
  frequency_penalty: '--frequency-penalty',
  presence_penalty: '--presence-penalty',
  penalty_window: '--penalty-window',
};
const text = 'Hello, wörld! 你好 🎈';

/**
 * @param {string} model
 * @param {string} command
 * @param {string[]} options
 */
function native(model, command, ...options) {
  return runCli(command, '-m', model, '-t', '2', ...options);
}

/**
 * @param {Promise<unknown>} promise
 * @param {string} code
 * @param {RegExp} [message]
 */
async function rejects(promise, code, message = /./) {
  await assert.rejects(promise, (/** @type {unknown} */ error) => {
    assert.ok(error instanceof TesseraError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

for (const variant of variants) {
  describe(`tessera-${variant}, tiny model`, { skip: skipReason({ variant, files: [tinyModel] }) }, () => {
    const load = (options = {}, workerData = {}) =>
      loadFile(tinyModel, { variant, threads: 2, ...options }, workerData);
    /** @type {Awaited<ReturnType<typeof load>>} */
    let engine;
    /** @type {{ stage: string, loadedBytes: number, totalBytes: number }[]} */
    const progress = [];
    before(async () => {
      engine = await load({ onProgress: (/** @type {any} */ step) => progress.push(step) });
    });
    after(() => engine?.dispose());

    test('info says what runs, and progress reached its end', () => {
      const { info } = engine;
      assert.equal(info.architecture, 'llama');
      assert.equal(info.variant, variant);
      assert.match(info.kernels, new RegExp(`^wasm_${variant}(_i32)?$`));
      assert.equal(info.threads, 2);
      assert.equal(info.tuned, 'tried');
      assert.ok([1, 4].includes(info.streams), `${info.streams} streams`);
      assert.equal(info.addressBits, 32);
      assert.equal(info.parts, 1);
      assert.equal(info.isolated, true);
      assert.ok(info.memory.weights > 0 && info.memory.kv > 0);
      const loading = progress.filter(({ stage }) => stage === 'load');
      assert.equal(loading.at(-1)?.loadedBytes, loading.at(-1)?.totalBytes);
      assert.equal(progress.at(-1)?.stage, 'warmup');
    });

    test('the heap stays within weights + KV cache + 64 MB', () => {
      const { weights, kv, heap } = engine.info.memory;
      assert.ok(heap <= weights + kv + 64 * 2 ** 20, `${heap} bytes`);
    });

    test('text survives the way to tokens and back', async () => {
      const ids = await engine.tokenize(text);
      assert.ok(ids.length > 0);
      assert.equal(await engine.detokenize(ids), text);
      const withBos = await engine.tokenize(text, { bos: true });
      assert.ok(withBos.length >= ids.length);
      await rejects(engine.detokenize([1 << 30]), 'invalid_argument');
    });

    test('a chat answer has the shape of OpenAI, its usage and its tokens', async () => {
      const answer = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 8 });
      assert.equal(answer.object, 'chat.completion');
      assert.match(answer.id, /^chatcmpl-/);
      assert.equal(answer.choices[0].message.role, 'assistant');
      assert.ok(['stop', 'length'].includes(answer.choices[0].finish_reason));
      assert.equal(answer.usage.completion_tokens, answer.tokens.length);
      assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.tokens.length);
      assert.ok(answer.timings.prefill_ms >= 0 && answer.timings.load_ms > 0);
    });

    test('a stream brings the same answer in pieces', async () => {
      const options = { messages, temperature: 1, seed: 11, max_tokens: 12 };
      const whole = await engine.chat.completions.create(options);
      const chunks = [];
      for await (const chunk of await engine.chat.completions.create({ ...options, stream: true })) chunks.push(chunk);
      assert.equal(chunks[0].choices[0].delta.role, 'assistant');
      const streamed = chunks.map((chunk) => chunk.choices[0].delta.content ?? '').join('');
      assert.equal(streamed, whole.choices[0].message.content);
      assert.deepEqual(chunks.at(-1).tokens, whole.tokens);
      assert.equal(chunks.at(-1).choices[0].finish_reason, whole.choices[0].finish_reason);
      assert.ok(chunks.slice(0, -1).every((chunk) => chunk.choices[0].finish_reason === null && !chunk.usage));
    });

    test('log-probabilities come with each token', async () => {
      const options = { prompt: 'Hello', temperature: 0, max_tokens: 4, logprobs: 3 };
      const { choices, tokens } = await engine.completions.create(options);
      assert.equal(choices[0].logprobs.token_logprobs.length, tokens.length);
      assert.ok(choices[0].logprobs.token_logprobs.every((/** @type {number} */ value) => value <= 0));
      const chat = await engine.chat.completions.create({
        messages,
        temperature: 0,
        max_tokens: 2,
        logprobs: true,
        top_logprobs: 2,
      });
      const parts = await engine.completions.create({ prompt: 'a', temperature: 0, max_tokens: 1, logprobs: 20 });
      const { tokens: names, token_logprobs, top_logprobs } = parts.choices[0].logprobs;
      assert.match(names[0], /^bytes:\\x[0-9a-f]{2}$/, 'a part of a character');
      assert.equal(Object.keys(top_logprobs[0]).length, 20);
      assert.equal(top_logprobs[0][names[0]], token_logprobs[0]);
      for (const { logprob, top_logprobs } of chat.choices[0].logprobs.content) {
        assert.equal(top_logprobs.length, 2);
        assert.equal(top_logprobs[0].logprob, logprob);
      }
    });

    test('calls wait for each other, tokenising does not', async () => {
      /** @type {string[]} */
      const order = [];
      const note = (/** @type {string} */ name) => () => order.push(name);
      await Promise.all([
        engine.completions.create(endless).then(note('first')),
        engine.completions.create(endless).then(note('second')),
        engine.tokenize('a').then(note('tokens')),
      ]);
      assert.deepEqual(order, ['tokens', 'first', 'second']);
    });

    test('an abort stops an answer, a stream and a call that waits; the engine goes on', async () => {
      const stop = new AbortController();
      const running = engine.completions.create({ ...endless, signal: stop.signal, stream: true });
      const waiting = engine.completions.create({ ...endless, prompt: 'b', signal: stop.signal });
      const refused = rejects(waiting, 'aborted');
      let pieces = 0;
      const reading = async () => {
        for await (const chunk of await running) {
          if (chunk.choices[0].text !== undefined && ++pieces === 2) stop.abort();
        }
      };
      await rejects(reading(), 'aborted');
      await refused;
      await rejects(engine.completions.create({ prompt: 'a', signal: AbortSignal.abort() }), 'aborted');
      const after = await engine.completions.create({ prompt: 'a', max_tokens: 1 });
      assert.equal(after.tokens.length, 1);
    });

    test('reading a long prompt tells how far it is, with and without a stream', async () => {
      for (const stream of [false, true]) {
        /** @type {number[]} */
        const done = [];
        const onProgress = (/** @type {any} */ { stage, doneTokens, totalTokens }) => {
          assert.deepEqual([stage, totalTokens], ['prefill', total]);
          done.push(doneTokens);
        };
        const prompt = `${stream} ${'a b '.repeat(60)}`;
        const total = (await engine.tokenize(prompt, { special: true })).length;
        const answer = await engine.completions.create({ prompt, max_tokens: 1, stream, onProgress });
        if (stream) for await (const chunk of answer) void chunk;
        assert.ok(done.length >= 2 && done.at(-1) === total, String(done));
        assert.deepEqual(
          done.toSorted((a, b) => a - b),
          done,
        );
      }
      await rejects(engine.completions.create({ prompt: 'a', onProgress: 1 }), 'invalid_argument', /onProgress/);
    });

    test('an abort while the model is put into memory or warmed up leaves no engine', async () => {
      for (const stage of ['load', 'warmup']) {
        const stop = new AbortController();
        const onProgress = (/** @type {{ stage: string }} */ progress) => {
          if (progress.stage === stage) stop.abort();
        };
        await rejects(load({ threads: 1, signal: stop.signal, onProgress }), 'aborted');
      }
    });

    test('leaving the loop stops the work', async () => {
      for await (const chunk of await engine.completions.create({ ...endless, stream: true })) {
        assert.equal(chunk.object, 'text_completion');
        break;
      }
      const next = await engine.completions.create({ prompt: 'a', max_tokens: 1 });
      assert.equal(next.choices[0].finish_reason, 'length');
    });

    test('bad requests are refused in words', async () => {
      await rejects(engine.completions.create({ prompt: '' }), 'invalid_argument');
      await rejects(
        engine.completions.create({ prompt: 'a ', max_tokens: 1, temperature: -1 }),
        'invalid_argument',
        /temperature/,
      );
      const cut = (/** @type {any} */ options) =>
        engine.completions.create({ prompt: 'a ', max_tokens: 1, ...options });
      await rejects(cut({ top_k: -5 }), 'invalid_argument', /^top_k is -5, expected 0/);
      await rejects(cut({ top_k: 2.5 }), 'invalid_argument', /^top_k: found 2.5, expected a whole number/);
      await rejects(cut({ penalty_window: 1e12 }), 'invalid_argument', /found 1000000000000, .* at most 2147483647/);
      await rejects(engine.completions.create({ prompt: 'word '.repeat(20000), stream: true }), 'context_full');
      await rejects(engine.logits([]), 'invalid_argument');
      await rejects(engine.bench({ depth: 1e9 }), 'context_full');
    });

    test('bench reports what was asked for', async () => {
      const report = await engine.bench({ promptTokens: 16, generateTokens: 4, depth: 8, repetitions: 2 });
      assert.deepEqual([report.prefill.tokens, report.decode.tokens, report.decode.depth], [16, 4, 8]);
      assert.equal(report.prefill.tps.length, 2);
      assert.ok(report.decode.tps.every((/** @type {number} */ tps) => tps > 0));
      assert.equal(report.threads, 2);
      assert.ok(report.peak_bytes >= engine.info.memory.weights);
    });

    test('whether an answer streams may be decided at run time, in the types, too', async () => {
      /** @type {import('../../web/tessera.js').Engine} */
      const typed = /** @type {any} */ (engine);
      for (const stream of [true, false]) {
        const answer = await typed.completions.create({ prompt: 'a', max_tokens: 2, stream });
        assert.equal(Symbol.asyncIterator in answer, stream);
        if ('usage' in answer) assert.equal(answer.usage.completion_tokens, 2);
        else for await (const chunk of answer) assert.equal(chunk.object, 'text_completion');
      }
    });

    test('the smallest contexts load, and hold what they say', async () => {
      for (const contextSize of [1, 2, 16, 17]) {
        const other = await load({ threads: 1, contextSize });
        assert.equal(other.info.contextSize, contextSize);
        const ids = Array.from({ length: contextSize }, (_, index) => index);
        await other.logits(ids);
        await rejects(other.logits([...ids, 0]), 'context_full');
        await other.dispose();
      }
    });

    test('a disposed engine refuses what waits and what comes', async () => {
      const other = await load({ threads: 1 });
      const waiting = rejects(other.completions.create(endless), 'disposed');
      await other.dispose();
      await waiting;
      await rejects(other.tokenize('a'), 'disposed');
      await other.dispose();
    });

    test('files that are cut, unreadable or absent give one error, never a hang', async () => {
      const size = statSync(tinyModel).size;
      for (const truncateTo of [0, 3, 100, 5000, size >> 1, size - 1])
        await rejects(load({ threads: 1 }, { truncateTo }), 'bad_file');
      await rejects(load({ threads: 1 }, { failFrom: size >> 1 }), 'io', /the disk is gone/);
      await rejects(load({ model: 'absent.gguf' }), 'not_found');
      await rejects(load({ wasmUrl: 'nowhere/' }), 'network', /could not be loaded/);
      await rejects(load({ contextSize: 1 << 30 }), 'invalid_argument');
      const other = variant === 'relaxed' ? 'wasm_simd128' : 'wasm_relaxed';
      await rejects(load({ kernels: other }), 'invalid_argument', new RegExp(`"${other}" does not run here`));
      await rejects(load({ signal: AbortSignal.abort() }), 'aborted');
    });

    describe('same bits as the command line', { skip: skipReason({ variant, files: [cli] }) }, () => {
      test('logits, with each kernel table and number of threads', async () => {
        const ids = await engine.tokenize(`${text} ${text}`, { bos: true });
        const { hash, positions } = native(tinyModel, 'logits', '--tokens', ids.join(','), '--top', '2');
        for (const kernels of tables[variant]) {
          for (const threads of [1, 2, 3]) {
            const other = await load({ kernels, threads });
            const given = threads <= availableParallelism();
            assert.deepEqual([other.info.kernels, other.info.tuned], [kernels, given ? 'given' : 'tried']);
            assert.ok(given ? other.info.threads === threads : other.info.threads <= threads);
            const report = await other.logits(ids, { top: 2 });
            await other.dispose();
            assert.equal(report.hash, hash, `${kernels}, ${threads} threads`);
            assert.deepEqual(
              report.top,
              positions.map((/** @type {any} */ position) => position.top),
            );
          }
        }
      });

      test('logits of a model in the 2-, 3- and 4-bit, table and ternary formats', async () => {
        for (const kernels of tables[variant]) {
          const other = await loadFile(formatsModel, { variant, kernels, threads: 2 });
          const ids = await other.tokenize(`${text} ${text}`, { bos: true });
          const { hash } = native(formatsModel, 'logits', '--tokens', ids.join(','), '--top', '0');
          assert.equal((await other.logits(ids)).hash, hash, kernels);
          await other.dispose();
        }
      });

      test('as many threads as help are tried out, and at most those there are', async () => {
        const beyond = availableParallelism() + 1;
        for (const wanted of [undefined, beyond]) {
          const other = await load({ threads: wanted });
          const { threads, tuned } = other.info;
          assert.equal(tuned, 'tried');
          assert.ok(threads >= 1 && threads <= (wanted ?? 8), `${threads} threads`);
          await other.dispose();
        }
      });

      test('greedy and seeded answers', async () => {
        const chat = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 24 });
        const sameChat = native(tinyModel, 'run', '-p', messages[0].content, '--temp', '0', '-n', '24');
        assert.deepEqual(chat.tokens, sameChat.tokens);
        assert.equal(chat.choices[0].message.content, sameChat.text);
        const raw = await engine.completions.create({ prompt: 'Once', seed: 5, max_tokens: 24 });
        const sameRaw = native(tinyModel, 'run', '--raw', '-p', 'Once', '--seed', '5', '-n', '24');
        assert.deepEqual(raw.tokens, sameRaw.tokens);
      });

      test('answers that fit a schema or a grammar', async () => {
        const schema = {
          properties: { age: { type: 'integer', minimum: 1 }, ok: { type: 'boolean' } },
          required: ['age', 'ok'],
        };
        const common = { messages, seed: 3, max_tokens: 60 };
        const format = { type: 'json_schema', json_schema: { name: 'person', schema } };
        const { choices, tokens } = await engine.chat.completions.create({ ...common, response_format: format });
        const { age, ok } = JSON.parse(choices[0].message.content);
        assert.ok(Number.isInteger(age) && age >= 1 && typeof ok === 'boolean', choices[0].message.content);
        assert.equal(choices[0].finish_reason, 'stop');
        const flags = ['-p', messages[0].content, '--seed', '3', '-n', '60', '--json-schema', JSON.stringify(schema)];
        assert.deepEqual(tokens, native(tinyModel, 'run', ...flags).tokens);
        const any = await engine.completions.create({
          prompt: 'a',
          max_tokens: 9,
          response_format: { type: 'json_object' },
        });
        assert.match(any.choices[0].text, /^\{/);
        const grammar = 'root ::= "yes" | "no"';
        const said = await engine.chat.completions.create({ ...common, response_format: { type: 'grammar', grammar } });
        assert.match(said.choices[0].message.content, /^(yes|no)$/);
        const wrong = (/** @type {any} */ response_format) =>
          engine.chat.completions.create({ ...common, response_format });
        await rejects(wrong({ type: 'grammar', grammar: 'root ::= (' }), 'invalid_argument', /line 1, column 11/);
        const unknown = { type: 'json_schema', json_schema: { schema: { not: {} } } };
        await rejects(wrong(unknown), 'unsupported', /json_schema, #: 'not' is not supported here/);
      });

      test('each option of the sampler alone, which makes an answer of its own', async () => {
        const seen = new Set();
        for (const own of [{}, ...samplerCases]) {
          /** @type {Record<string, number>} */
          const options = { ...unfiltered, ...own };
          const { tokens } = await engine.completions.create({ ...endless, ...options, seed: 7, max_tokens: 24 });
          const flags = Object.entries(options).flatMap(([name, value]) => [samplerFlags[name], String(value)]);
          const biases = Object.entries(endless.logit_bias).flatMap(([id, bias]) => ['--logit-bias', `${id}:${bias}`]);
          const same = ['--raw', '-p', endless.prompt, '--seed', '7', '-n', '24', ...biases, ...flags];
          assert.deepEqual(tokens, native(tinyModel, 'run', ...same).tokens, JSON.stringify(own));
          assert.ok(!seen.has(String(tokens)), `${JSON.stringify(own)} changes nothing`);
          seen.add(String(tokens));
        }
      });
    });
  });

  describe(`tessera-${variant}, SmolLM2`, { skip: skipReason({ variant, files: [realModel, cli] }) }, () => {
    test('logits, a greedy answer and the heap', async () => {
      const engine = await loadFile(realModel, { variant, threads: 2 });
      const ids = await engine.tokenize('The capital of France is Paris, and the capital of Spain is Madrid.');
      const { hash } = await engine.logits(ids);
      assert.equal(hash, native(realModel, 'logits', '--tokens', ids.join(',')).hash);
      const answer = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 32 });
      const same = native(realModel, 'run', '-p', messages[0].content, '--temp', '0', '-n', '32');
      assert.deepEqual(answer.tokens, same.tokens);
      // A poem to repeat, so that much of the answer is guessed.
      const poem = 'The fox ran up the hill, the crow sat in the tree, and nobody else was there to see.';
      const asked = {
        messages: [{ role: 'user', content: `Repeat this: ${poem}` }],
        temperature: 0.3,
        seed: 3,
        max_tokens: 64,
      };
      const guessed = await engine.chat.completions.create({ ...asked, logprobs: true });
      const plain = await engine.chat.completions.create({ ...asked, logprobs: true, prompt_lookup: false });
      assert.deepEqual(guessed.choices, plain.choices);
      const { weights, kv, heap } = engine.info.memory;
      assert.ok(heap <= weights + kv + 64 * 2 ** 20, `${heap} bytes`);
      await engine.dispose();
    });

    test('a memory that is too small gives out_of_memory, not a crash', async () => {
      const memory = new WebAssembly.Memory({ initial: 256, maximum: 1024, shared: true });
      const runtime = await WasmRuntime.start(await importVariant(variant), 1, { memory, maximum: 2 ** 32 });
      const { parts, close } = openFile(realModel);
      const options = { threads: 1, context_size: 256, kv_type: 'f32' };
      assert.throws(() => runtime.load(parts, options, () => {}), { code: 'out_of_memory' });
      assert.equal(runtime.dead, undefined);
      await close();
    });
  });
}

// What callers may pass: every unknown, ill-typed or unsupported option is an error that names it, and nothing is ignored.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TesseraError } from '../../web/base/errors.js';
import { AnswerStream } from '../../web/engine/answer-stream.js';
import { loadEngine } from '../../web/engine/client.js';
import { estimateModel, planQuantization, quantizeModel, verifyModel } from '../../web/engine/errands.js';
import { text, tokenIds } from '../../web/engine/option-checks.js';
import { Tessera } from '../../web/tessera.js';
import {
  checkEstimateOptions,
  checkGenerateOptions,
  checkLoadOptions,
  checkLoraOptions,
} from '../../web/engine/options.js';
import { checkPlanOptions, checkQuantizeOptions } from '../../web/engine/quantize-options.js';
import { chooseThreads, chooseVariant } from '../../web/engine/variant.js';
import { createMemory } from '../../web/engine/wasm-memory.js';

const base = 'https://example.org/app/index.html';
const messages = [{ role: 'user', content: 'Hello' }];

/**
 * @param {() => unknown} run
 * @param {string} code
 * @param {RegExp} message
 */
function rejects(run, code, message) {
  assert.throws(run, (/** @type {unknown} */ error) => {
    assert.ok(error instanceof TesseraError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
}

test('load options have defaults and relative URLs are resolved', () => {
  const { request } = checkLoadOptions({ model: 'models/a.gguf' }, base);
  assert.deepEqual(request, {
    model: 'https://example.org/app/models/a.gguf',
    lora: [],
    chatTemplate: '',
    threads: 0,
    contextSize: 0,
    kvType: 'auto',
    variant: 'auto',
    kernels: '',
    cache: true,
    token: '',
    wasmUrl: '',
  });
});

test('a context of 0 tokens leaves the choice to the core, whose hint says so', () => {
  const size = (/** @type {any} */ contextSize) =>
    checkLoadOptions({ model: 'a', contextSize }, base).request.contextSize;
  assert.deepEqual([0, 1, null].map(size), [0, 1, 0]);
  assert.equal(checkEstimateOptions('a', { contextSize: 0 }, base).request.contextSize, 0);
  rejects(() => size(-1), 'invalid_argument', /^contextSize: found -1, expected an integer from 0/);
});

test('null counts as left out, for TypeScript, too', () => {
  /** @type {Required<import('../../web/tessera.js').LoadOptions>} */
  const load = {
    ...{ model: 'a.gguf', threads: null, contextSize: null, kvType: null, lora: null, chatTemplate: null },
    ...{ variant: null, kernels: null, cache: null, token: null, workerUrl: null, wasmUrl: null },
    ...{ signal: null, onProgress: null },
  };
  assert.deepEqual(checkLoadOptions(load, base), checkLoadOptions({ model: 'a.gguf' }, base));
  /** @type {Required<import('../../web/tessera.js').QuantizeOptions>} */
  const quantize = {
    ...{ type: null, importance: null, threads: null, token: null, workerUrl: null, wasmUrl: null },
    ...{ signal: null, onProgress: null },
  };
  assert.deepEqual(checkQuantizeOptions('a', quantize, base), checkQuantizeOptions('a', {}, base));
  /** @type {Required<import('../../web/tessera.js').LoraAdapter>} */
  const lora = { source: 'a.gguf', scale: null, token: null };
  assert.deepEqual(checkLoraOptions(lora, {}, base), checkLoraOptions('a.gguf', {}, base));
});

test('load options that cannot be met are refused by name', () => {
  const load = (/** @type {any} */ options) => () => checkLoadOptions(options, base);
  rejects(load(undefined), 'invalid_argument', /^model: /);
  rejects(load({ model: [] }), 'invalid_argument', /^model: /);
  rejects(load({ model: '' }), 'invalid_argument', /^model: found "", expected the URL/);
  rejects(load({ model: ' ' }), 'invalid_argument', /^model: found " "/);
  rejects(load({ model: 'a.gguf', lora: '' }), 'invalid_argument', /^lora\[0\]: found ""/);
  rejects(load({ model: 'a.gguf', thread: 2 }), 'invalid_argument', /unknown option 'thread'/);
  rejects(load({ model: 'a.gguf', threads: 0 }), 'invalid_argument', /^threads: found 0/);
  rejects(load({ model: 'a.gguf', threads: 65 }), 'invalid_argument', /^threads: found 65/);
  rejects(load({ model: 'a.gguf', contextSize: 1.5 }), 'invalid_argument', /^contextSize: found 1.5/);
  rejects(load({ model: 'a.gguf', kvType: 'q4_0' }), 'invalid_argument', /^kvType: found "q4_0"/);
  rejects(load({ model: 'a.gguf', variant: 'avx' }), 'invalid_argument', /^variant: /);
  rejects(load({ model: 'a.gguf', kernels: 'avx2' }), 'invalid_argument', /^kernels: /);
  rejects(load({ model: 'a.gguf', cache: 'yes' }), 'invalid_argument', /^cache: /);
  rejects(load({ model: 'a.gguf', signal: {} }), 'invalid_argument', /^signal: /);
  rejects(load({ model: 'a.gguf', chatTemplate: 7 }), 'invalid_argument', /^chatTemplate: found 7/);
  rejects(load({ model: 'a.gguf', workerUrl: '' }), 'invalid_argument', /^workerUrl: found "", expected a URL/);
  rejects(load({ model: 'a.gguf', wasmUrl: ' ' }), 'invalid_argument', /^wasmUrl: found " ", expected a URL/);
  rejects(load({ model: 'a.gguf', lora: ['b.gguf', 7] }), 'invalid_argument', /^lora\[1\]: found 7/);
});

test('adapters are named like the model, alone or with a scale', () => {
  const file = new File(['GGUF'], 'b.gguf');
  const url = 'https://example.org/app/a.gguf';
  const plain = { source: url, scale: 1, token: '' };
  assert.deepEqual(checkLoadOptions({ model: 'm.gguf', lora: 'a.gguf' }, base).request.lora, [plain]);
  assert.deepEqual(checkLoadOptions({ model: 'm.gguf', lora: new URL(url) }, base).request.lora, [plain]);
  const several = ['a.gguf', file, { source: file, scale: -0.5 }, { source: [file, file], token: 't' }];
  assert.deepEqual(checkLoraOptions(several, { cache: false }, base).request, {
    lora: [
      plain,
      { source: file, scale: 1, token: '' },
      { source: file, scale: -0.5, token: '' },
      { source: [file, file], scale: 1, token: 't' },
    ],
    cache: false,
  });
  const set = (/** @type {any} */ lora, /** @type {any} */ options) => () => checkLoraOptions(lora, options, base);
  rejects(set(undefined, {}), 'invalid_argument', /^lora\[0\]: found undefined/);
  rejects(set({ scale: 1 }, {}), 'invalid_argument', /^lora\[0\]: found Object/);
  rejects(
    set({ source: 'a.gguf', scale: NaN }, {}),
    'invalid_argument',
    /^lora\[0\]\.scale: found NaN, expected a number/,
  );
  rejects(
    set(['a.gguf', { source: 'a.gguf', weight: 1 }], {}),
    'invalid_argument',
    /lora\[1\]: unknown option 'weight'/,
  );
  rejects(set([], { threads: 1 }), 'invalid_argument', /unknown option 'threads'/);
});

test('a token that no header takes is refused without being shown; a line break at its end does no harm', () => {
  const asks = [
    (/** @type {any} */ token) => checkLoadOptions({ model: 'a.gguf', token }, base),
    (/** @type {any} */ token) => checkEstimateOptions('a.gguf', { token }, base),
    (/** @type {any} */ token) => checkPlanOptions('a.gguf', { token }, base),
    (/** @type {any} */ token) => checkQuantizeOptions('a.gguf', { token }, base),
    (/** @type {any} */ token) => checkLoraOptions({ source: 'a.gguf', token }, {}, base),
  ];
  for (const ask of asks) {
    rejects(
      () => ask('se\ncret'),
      'invalid_argument',
      /^(lora\[0\]\.)?token: found U\+000A as character 3 of 7, expected /,
    );
    rejects(() => ask('secret\u03c0'), 'invalid_argument', /token: found U\+03C0 as character 7 of 7/);
    rejects(() => ask('sec ret'), 'invalid_argument', /^(?!.*(sec|ret)).*token: found U\+0020/);
    rejects(() => ask(12345), 'invalid_argument', /token: found "Number", expected a string/);
  }
  assert.equal(checkLoadOptions({ model: 'a.gguf', token: ' hf_secret\r\n' }, base).request.token, 'hf_secret');
  assert.equal(checkLoadOptions({ model: 'a.gguf', token: null }, base).request.token, '');
});

test('a chat request gets the defaults of the command line', () => {
  const { request, stream } = checkGenerateOptions('chat', { messages, seed: 7, stop: 'END', temperature: null });
  assert.equal(stream, false);
  assert.deepEqual(request, {
    messages,
    chat_template: '',
    max_tokens: -1,
    stop: ['END'],
    logprobs: false,
    top_logprobs: 0,
    prompt_lookup: true,
    grammar: '',
    sampler: { temperature: 0.7, top_k: 40, top_p: 0.95, min_p: 0.05, seed: 7 },
  });
});

test('without a seed every request draws its own', () => {
  const seeds = [1, 2, 3].map(() => checkGenerateOptions('chat', { messages }).request.sampler.seed);
  assert.equal(new Set(seeds).size, 3);
  assert.ok(seeds.every(Number.isSafeInteger));
});

test('generate options that cannot be met are refused by name', () => {
  const chat = (/** @type {any} */ options) => () => checkGenerateOptions('chat', { messages, ...options });
  rejects(chat({ messages: [] }), 'invalid_argument', /^messages: /);
  rejects(chat({ messages: [{ role: 'user' }] }), 'invalid_argument', /^messages\[0\]\.content: /);
  rejects(chat({ messages: [{ role: 'user', content: 'x', name: 'y' }] }), 'invalid_argument', /unknown option 'name'/);
  rejects(chat({ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }), 'unsupported', /content\[0\]/);
  rejects(
    chat({ messages: [{ role: 'assistant', content: 'x', reasoning_content: 1 }] }),
    'invalid_argument',
    /^messages\[0\]\.reasoning_content: found 1/,
  );
  rejects(chat({ chat_template: [] }), 'invalid_argument', /^chat_template: /);
  rejects(
    () => checkGenerateOptions('prompt', { prompt: 'x', chat_template: 'chatml' }),
    'invalid_argument',
    /chat_template/,
  );
  rejects(chat({ n: 2 }), 'invalid_argument', /unknown option 'n'/);
  rejects(chat({ prompt: 'x' }), 'invalid_argument', /unknown option 'prompt'/);
  rejects(chat({ temperature: '0' }), 'invalid_argument', /^temperature: found "0"/);
  rejects(chat({ top_p: Number.NaN }), 'invalid_argument', /^top_p: /);
  rejects(chat({ max_tokens: -1 }), 'invalid_argument', /^max_tokens: /);
  rejects(chat({ seed: 0.5 }), 'invalid_argument', /^seed: /);
  rejects(chat({ stop: [1] }), 'invalid_argument', /^stop\[0\]: /);
  rejects(chat({ logprobs: true, top_logprobs: 21 }), 'invalid_argument', /^top_logprobs: /);
  rejects(chat({ top_logprobs: 2 }), 'invalid_argument', /^top_logprobs: /);
  rejects(chat({ logit_bias: { abc: 1 } }), 'invalid_argument', /^logit_bias: /);
  const format = (/** @type {any} */ response_format) => chat({ response_format });
  rejects(format({ type: 'xml' }), 'invalid_argument', /^type: found "xml", expected 'text', 'json_object'/);
  rejects(format('json_object'), 'invalid_argument', /^response_format: found "json_object"/);
  rejects(format({ type: 'text', foo: 1 }), 'invalid_argument', /^response_format: unknown option 'foo'/);
  rejects(format({ type: 'text', grammar: 'x' }), 'invalid_argument', /grammar: .* expected type: 'grammar' beside it/);
  rejects(format({ type: 'grammar', grammar: ' ' }), 'invalid_argument', /^response_format\.grammar: /);
  rejects(format({ type: 'json_schema' }), 'invalid_argument', /^response_format\.json_schema: found undefined/);
  rejects(
    format({ type: 'json_schema', json_schema: { type: 'object' } }),
    'invalid_argument',
    /unknown option 'type'/,
  );
  for (const schema of [undefined, true, [], new Map(), { a: 1n }, { a: Number.NaN }, { a: () => 1 }])
    rejects(format({ type: 'json_schema', json_schema: { name: 'x', schema } }), 'invalid_argument', /\.schema: /);
  /** @type {any} */
  let deep = {};
  for (let i = 0; i < 200; ++i) deep = { deep };
  rejects(
    format({ type: 'json_schema', json_schema: { schema: deep } }),
    'invalid_argument',
    /nested at most 100 deep/,
  );
  rejects(chat({ tools: [] }), 'unsupported', /^tools: /);
  const content = [{ type: 'text', text: 'x', cache_control: {} }];
  rejects(
    chat({ messages: [{ role: 'user', content }] }),
    'invalid_argument',
    /content\[0\]: unknown option 'cache_control'/,
  );
  for (const bias of [[1, 2], new Map([[1, 2]])])
    rejects(chat({ logit_bias: bias }), 'invalid_argument', /^logit_bias: found (Array|Map), expected an object/);
  rejects(() => checkGenerateOptions('prompt', {}), 'invalid_argument', /^prompt: /);
});

test('a BigInt is named like any other value that is not expected', () => {
  const generate = (/** @type {any} */ options) => () => checkGenerateOptions('chat', { messages, ...options });
  rejects(generate({ max_tokens: 5n }), 'invalid_argument', /^max_tokens: found 5n, /);
  rejects(generate({ seed: 5n }), 'invalid_argument', /^seed: found 5n, /);
  rejects(() => checkLoadOptions({ model: 'a.gguf', threads: 2n }, base), 'invalid_argument', /^threads: found 2n, /);
  rejects(() => checkLoadOptions({ model: 2n }, base), 'invalid_argument', /^model: found 2n, /);
  rejects(() => tokenIds([1n], 'ids'), 'invalid_argument', /^ids\[0\]: found 1n, /);
  rejects(() => text(5n, 'text'), 'invalid_argument', /^text: found 5n, /);
});

test('numbers that are none, and null, are named as they were given', () => {
  const chat = (/** @type {any} */ options) => () => checkGenerateOptions('chat', { messages, ...options });
  rejects(chat({ temperature: NaN }), 'invalid_argument', /^temperature: found NaN, expected a number/);
  rejects(chat({ seed: NaN }), 'invalid_argument', /^seed: found NaN, /);
  rejects(chat({ max_tokens: Infinity }), 'invalid_argument', /^max_tokens: found Infinity, /);
  rejects(chat({ logit_bias: { 1: -Infinity } }), 'invalid_argument', /^logit_bias\[1\]: found -Infinity, /);
  const say = (/** @type {any} */ content) => chat({ messages: [{ role: 'user', content }] });
  rejects(say(null), 'invalid_argument', /^messages\[0\]\.content: found null, expected a string/);
  rejects(say([{ type: 'text', text: null }]), 'invalid_argument', /^messages\[0\]\.content\[0\]\.text: found null, /);
  rejects(chat({ messages: [{ role: null, content: 'a' }] }), 'invalid_argument', /^messages\[0\]\.role: found null, /);
});

test('the place of what is no token id is named', () => {
  rejects(() => tokenIds([1, NaN], 'ids'), 'invalid_argument', /^ids\[1\]: /);
  rejects(() => tokenIds([1, undefined], 'ids'), 'invalid_argument', /^ids\[1\]: found undefined/);
});

test('stored models are named by a text', async () => {
  for (const method of /** @type {const} */ (['remove', 'verify', 'exportFiles'])) {
    const named = /** @type {(id: any) => Promise<unknown>} */ (Tessera.models[method]);
    await assert.rejects(named(undefined), { code: 'invalid_argument', message: /^id: found undefined/ });
  }
});

test('every call that needs a worker starts the one at workerUrl', async () => {
  /** @type {string[]} */
  const started = [];
  const makers = {
    engine: (/** @type {string | URL | undefined} */ url) => {
      started.push(String(url));
      throw new Error('no worker here');
    },
    thread: () => assert.fail('no thread'),
  };
  const options = { workerUrl: 'elsewhere/tessera-worker.js' };
  const calls = [
    () => loadEngine({ model: 'a.gguf', ...options }, base, makers),
    () => estimateModel('a.gguf', options, base, makers),
    () => planQuantization('a.gguf', options, base, makers),
    () => quantizeModel('a.gguf', options, base, makers),
    () => verifyModel('id', options, base, makers),
  ];
  for (const call of calls) await assert.rejects(call(), /no worker here/);
  assert.deepEqual(started, Array(calls.length).fill('https://example.org/app/elsewhere/tessera-worker.js'));
  const unknown = /** @type {any} */ (Tessera.models.verify)('id', { wasmUrl: '/' });
  await assert.rejects(unknown, { code: 'invalid_argument', message: /verify: unknown option 'wasmUrl'/ });
});

test('text parts are joined and lone surrogates become U+FFFD', () => {
  const content = [
    { type: 'text', text: 'a' },
    { type: 'text', text: 'b\ud800c' },
  ];
  const { request } = checkGenerateOptions('chat', { messages: [{ role: 'user', content }] });
  assert.equal(request.messages?.[0].content, 'ab\ufffdc');
});

test('the best variant is taken, and a lesser one is explained', () => {
  assert.deepEqual(chooseVariant('auto', ['relaxed', 'simd128']), { variant: 'relaxed', reason: '' });
  const lesser = chooseVariant('auto', ['simd128']);
  assert.equal(lesser.variant, 'simd128');
  assert.match(lesser.reason, /relaxed SIMD/);
  rejects(() => chooseVariant('relaxed', ['simd128']), 'unsupported', /relaxed/);
  rejects(() => chooseVariant('auto', []), 'unsupported', /no WebAssembly SIMD/);
});

test('threads need isolation and workers, and say so', () => {
  const device = { isolated: true, processors: 12 };
  assert.deepEqual(chooseThreads(0, device), { threads: 8, reason: '' });
  assert.deepEqual(chooseThreads(12, device), { threads: 12, reason: '' });
  const plain = chooseThreads(4, { ...device, isolated: false });
  assert.equal(plain.threads, 1);
  assert.match(plain.reason, /not cross-origin isolated/);
  assert.deepEqual(chooseThreads(1, { ...device, isolated: false }), { threads: 1, reason: '' });
});

test('a browser that refuses much address space is asked for less', () => {
  /** @type {number[]} */
  const asked = [];
  const { memory, maximum } = createMemory((descriptor) => {
    asked.push(descriptor.maximum ?? 0);
    if (asked.length < 3) throw new RangeError('too much');
    return new WebAssembly.Memory(descriptor);
  });
  assert.deepEqual(asked, [65536, 32768, 16384]);
  assert.equal(memory.buffer.byteLength, 16 << 20);
  assert.equal(maximum, 2 ** 30);
  const refuse = () => {
    throw new RangeError('no');
  };
  rejects(() => createMemory(refuse), 'out_of_memory', /512 MiB/);
});

test('a stream gives its items, then its error once, then its end', async () => {
  const stream = new AnswerStream(() => assert.fail('nobody left'));
  const early = stream.next();
  stream.push('a');
  stream.push('b');
  stream.finish(new Error('broken'));
  assert.deepEqual(await early, { value: 'a', done: false });
  assert.deepEqual(await stream.next(), { value: 'b', done: false });
  await assert.rejects(stream.next(), /broken/);
  assert.deepEqual(await stream.next(), { value: undefined, done: true });
});

test('who stops a stream whose end is made but unread gets that once instead of the end, behind what is there', async () => {
  const stopped = new Error('stopped');
  /** @type {Error | undefined} */
  let why;
  const stream = new AnswerStream(
    () => assert.fail('nobody left'),
    () => why,
  );
  stream.push('a');
  stream.push('b');
  stream.finish();
  assert.deepEqual(await stream.next(), { value: 'a', done: false });
  why = stopped;
  assert.deepEqual(await stream.next(), { value: 'b', done: false });
  await assert.rejects(stream.next(), stopped);
  assert.deepEqual(await stream.next(), { value: undefined, done: true });
});

test('leaving a stream early ends the work exactly once', async () => {
  let left = 0;
  const stream = new AnswerStream(() => left++);
  stream.push(1);
  stream.push(2);
  for await (const item of stream) if (item === 1) break;
  await stream.return();
  assert.equal(left, 1);
  assert.deepEqual(await stream.next(), { value: undefined, done: true });
});

/** The parts of the page that need no browser: what is sent to the model, what is exported, what is said and how figures look. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chat } from '../../web/page/chat.js';
import {
  markLost,
  newConversation,
  promptText,
  requestMessages,
  shortenedStart,
  titleOf,
  toJson,
  toMarkdown,
} from '../../web/page/conversation.js';
import { fileSlug, formatBytes, formatDuration, RateMeter } from '../../web/page/format.js';
import { shorterStart } from '../../web/page/full-context.js';
import { estimateOf, headline, sumOf } from '../../web/page/memory-needs.js';
import { explain, isAbort } from '../../web/page/notices.js';
import { noFigures } from '../../web/page/status-line.js';
import { streamAnswer } from '../../web/page/stream-answer.js';
import { checkField, kNumberFields, samplingOptions, kDefaults } from '../../web/page/settings.js';

/** @param {string} turns 'u' and 'a' with their text: 'u:hi a:hello' */
function conversation(turns) {
  const made = newConversation();
  made.messages = turns.split(' ').map((turn) => {
    const [side, content] = turn.split(':');
    return { role: side === 'u' ? 'user' : 'assistant', content };
  });
  return made;
}

test('a request has the system prompt first, and the roles take turns', () => {
  const chat = conversation('u:one a: u:two a:three u:four');
  assert.deepEqual(requestMessages(chat, 'be brief'), [
    { role: 'system', content: 'be brief' },
    { role: 'user', content: 'one\n\ntwo' },
    { role: 'assistant', content: 'three' },
    { role: 'user', content: 'four' },
  ]);
  assert.deepEqual(requestMessages({ ...chat, sentFrom: 4 }, ''), [{ role: 'user', content: 'four' }]);
  assert.equal(chat.messages[0].content, 'one', 'the conversation itself is not changed');
});

test('what a model thought goes along as a field of its own, and into the exports', () => {
  const chat = conversation('u:one a:two u:three');
  chat.messages[1].reasoning = 'hm';
  assert.deepEqual(requestMessages(chat, '')[1], { role: 'assistant', content: 'two', reasoning_content: 'hm' });
  assert.match(toMarkdown(chat), /## Answer\n\n<details><summary>Thinking<\/summary>\n\nhm\n\n<\/details>\n\ntwo\n/);
  assert.equal(JSON.parse(toJson(chat)).messages[1].reasoning, 'hm');
});

test('a model without a template continues the whole text', () => {
  const chat = conversation('u:Once a:_upon u:Then a:');
  assert.equal(promptText(chat), 'Once_upon\n\nThen');
  assert.equal(promptText({ ...chat, sentFrom: 2 }), 'Then');
});

test('what a model needs is found out once; what this version cannot run may run in the next', async (t) => {
  const kept = new Map();
  t.after(() => Reflect.deleteProperty(globalThis, 'localStorage'));
  const localStorage = { getItem: (/** @type {string} */ key) => kept.get(key) ?? null, setItem: kept.set.bind(kept) };
  Object.defineProperty(globalThis, 'localStorage', { value: localStorage, configurable: true });
  /** @type {Record<string, string[]>} */
  const unsupported = { known: [], unknown: ['architecture "new"'] };
  /** @type {string[]} */
  const asked = [];
  const ask = async (/** @type {any} */ url) => {
    asked.push(url);
    return /** @type {any} */ ({ fileBytes: 7, other_bytes: 1, unsupported: unsupported[url] });
  };
  for (const url of ['known', 'known', 'unknown', 'unknown']) await estimateOf(url, 7, undefined, ask);
  assert.deepEqual(asked, ['known', 'unknown', 'unknown']);
});

test('an answer that was cut off says so, unless there was nothing of it', () => {
  const chat = conversation('u:one a:two');
  markLost(chat);
  assert.equal(chat.messages[1].finish, 'lost');
  const silent = conversation('u:one a:');
  markLost(silent);
  assert.equal(silent.messages.length, 1);
  const thinking = conversation('u:one a:');
  thinking.messages[1].reasoning = 'hm';
  markLost(thinking);
  assert.equal(thinking.messages[1].finish, 'lost');
});

test('shortening keeps the newest messages, begins with the reader and never drops the last', () => {
  const { messages } = conversation('u:1 a:2 u:3 a:4 u:5');
  assert.equal(shortenedStart(messages, [10, 10, 10, 10, 10], 35), 2);
  assert.equal(shortenedStart(messages, [10, 10, 10, 10, 10], 45), 2, 'an answer cannot come first');
  assert.equal(shortenedStart(messages, [10, 10, 10, 10, 10], 50), 0);
  assert.equal(shortenedStart(messages, [10, 10, 10, 10, 99], 35), 4);
});

test('a full context: what can still be sent, or null when the last message alone is too long', async () => {
  const engine = /** @type {any} */ ({
    info: { contextSize: 100 },
    tokenize: async (/** @type {string} */ text) => [...text],
  });
  const long = conversation('u:aaaaaaaaaaaaaaaaaaaa a:bbbbbbbbbb u:cc a:dd u:ee');
  assert.deepEqual(await shorterStart(engine, long, ''), { start: 2, crowded: false });
  assert.deepEqual(
    await shorterStart(engine, long, 's'.repeat(10)),
    { start: 4, crowded: false },
    'the system prompt counts',
  );
  assert.deepEqual(await shorterStart(engine, long, 's'.repeat(41)), { start: 4, crowded: true });
  const one = conversation(`u:${'x'.repeat(90)}`);
  assert.deepEqual(await shorterStart(engine, one, ''), { start: null, crowded: false });
  const later = conversation(`u:aa a:bb u:${'x'.repeat(90)}`);
  assert.deepEqual(await shorterStart(engine, later, ''), { start: null, crowded: false }, 'dropping does not help');
  const beside = conversation(`u:aa a:bb u:${'x'.repeat(70)}`);
  assert.equal((await shorterStart(engine, beside, '')).start, 2);
  assert.equal((await shorterStart(engine, beside, 's'.repeat(10))).start, null, 'the system prompt is sent with it');
  const cut = { ...conversation('u:a a:b u:c'), sentFrom: 2 };
  assert.equal((await shorterStart(engine, cut, '')).start, null, 'nothing is left to drop');
});

test('the context fills with the prompt and each piece of an answer, and keeps its figure where that is stopped', async () => {
  const figures = noFigures();
  /** @type {(number | null)[]} */
  const seen = [];
  const see = () => void seen.push(figures.contextUsed);
  const usage = { completion_tokens: 4, total_tokens: 13 };
  const last = { choices: [{ delta: {}, finish_reason: 'stop' }], usage, timings: {} };
  /** @param {() => object} end */
  const answer = (end) => {
    const create = async (/** @type {any} */ { onProgress }) => {
      for (const doneTokens of [5, 9]) onProgress({ doneTokens, totalTokens: 9 });
      return (async function* () {
        for (const content of ['', 'Hel', 'lo']) yield { choices: [{ delta: { content } }] };
        yield end();
      })();
    };
    const engine = /** @type {any} */ ({ chat: { completions: { create } } });
    const job = { conversation: conversation('u:a'), message: { role: 'assistant', content: '' }, settings: kDefaults };
    return streamAnswer(engine, /** @type {any} */ ({ ...job, format: {}, figures, onRead: see, onGrow: see }));
  };
  const stop = () => {
    throw new DOMException('', 'AbortError');
  };
  await assert.rejects(answer(stop), isAbort);
  assert.deepEqual(seen, [5, 9, 10, 11]);
  assert.equal(figures.contextUsed, 11);
  await answer(() => last);
  assert.equal(figures.contextUsed, 13, 'as the engine counts');
});

test('whatever fails at the end of an answer, the chat can be used', async () => {
  const nothing = () => {};
  /** @type {boolean[]} */
  const busy = [];
  const endAnswer = () => {
    throw new RangeError('too deep');
  };
  const chat = new Chat(
    /** @type {any} */ ({
      view: { setProblem: nothing, show: nothing, beginAnswer: nothing, grew: nothing, endAnswer },
      composer: { setBusy: (/** @type {boolean} */ now) => busy.push(now) },
      store: { setCurrent: nothing, save: nothing, saveSoon: nothing, flush: nothing },
      status: { show: nothing },
      settings: () => kDefaults,
    }),
  );
  const create = async () => [{ choices: [{ delta: { content: 'Hello' }, finish_reason: 'stop' }] }];
  chat.setEngine(/** @type {any} */ ({ chat: { completions: { create } } }), 'Tiny', /** @type {any} */ ({}));
  await assert.rejects(chat.send('Hi'), RangeError);
  await chat.stop();
  assert.deepEqual(busy, [true, false]);
});

test('a full context is said where it was met, not in the chat that is open when its tokens are counted', async (t) => {
  const nothing = () => {};
  const node = { append: nothing, setAttribute: nothing, addEventListener: nothing };
  const document = { createElement: () => node, createElementNS: () => node };
  Object.defineProperty(globalThis, 'document', { value: document, configurable: true });
  t.after(() => Reflect.deleteProperty(globalThis, 'document'));
  /** @param {(chat: Chat) => unknown} meanwhile while tokens are counted @param {() => Promise<number[]>} [counted] */
  const noticesAfter = async (meanwhile, counted = async () => []) => {
    let notices = 0;
    /** @type {() => void} */
    let count = nothing;
    const counting = new Promise((resolve) => (count = () => resolve(counted())));
    const setProblem = (/** @type {unknown} */ box) => void (notices += box ? 1 : 0);
    const answers = [() => Promise.reject({ code: 'context_full' }), () => new Promise(nothing)];
    const chat = new Chat(
      /** @type {any} */ ({
        view: { setProblem, show: nothing, beginAnswer: nothing },
        composer: { setBusy: nothing, focus: nothing },
        store: { setCurrent: nothing, save: nothing, saveSoon: nothing, flush: nothing },
        status: { show: nothing },
        settings: () => kDefaults,
      }),
    );
    const completions = { create: () => answers.shift()?.() };
    const engine = { info: { contextSize: 100 }, chat: { completions }, tokenize: () => counting };
    chat.setEngine(/** @type {any} */ (engine), 'Tiny', /** @type {any} */ ({}));
    await chat.send('long');
    meanwhile(chat);
    await new Promise((resolve) => setTimeout(resolve));
    count();
    await new Promise((resolve) => setTimeout(resolve));
    return notices;
  };
  assert.equal(await noticesAfter(nothing), 1);
  assert.equal(await noticesAfter((chat) => chat.newChat()), 0);
  assert.equal(await noticesAfter((chat) => chat.send('short')), 0, 'an answer is being written');
  const disposed = () => Promise.reject({ code: 'disposed' });
  assert.equal(await noticesAfter((chat) => chat.setEngine(null, '', null), disposed), 0);
});

test('exports hold every message', () => {
  const chat = conversation('u:hello a:world');
  chat.model = 'Tiny';
  assert.match(
    toMarkdown(chat),
    /^# hello\n\n\*Tessera chat with Tiny, .* UTC\*\n\n## You\n\n> hello\n\n## Answer\n\nworld\n$/,
  );
  const parsed = JSON.parse(toJson(chat));
  assert.equal(parsed.format, 'tessera-chat');
  assert.deepEqual(parsed.messages, chat.messages);
  assert.equal(titleOf(conversation(`u:${'x'.repeat(200)}`)).length, 80);
  const balloons = `${'x'.repeat(47)}${'🎈'.repeat(50)}`;
  assert.equal(titleOf(conversation(`u:${balloons}x`)).length, 47 + 2 * 32 + 1, 'no half of a letter at its end');
  assert.equal(fileSlug(`${'x'.repeat(47)}𠮷x`), `${'x'.repeat(47)}𠮷`);
  assert.equal(fileSlug('Was ist "das"? /../'), 'was-ist-das');
});

test('an export in Markdown ends a code block where its message ends', () => {
  /** @param {string} content @param {string} [reasoning] */
  const partsOf = (content, reasoning) => {
    const chat = conversation('u:one a:two');
    Object.assign(chat.messages[1], { content, reasoning });
    return toMarkdown(chat).split('## Answer\n\n')[1];
  };
  const cut = [
    '```',
    '~~~~js\nlet a;\n~~~',
    '```\n~~~\n``` x',
    '````\n```',
    '1. So:\n   ```sh\n   ls',
    '```a```\n```\n',
  ];
  const ends = ['```', '~~~~', '```', '````', '   ```', '```'];
  cut.forEach((text, i) => assert.equal(partsOf(text), `${text.trim()}\n${ends[i]}\n`));
  for (const whole of [
    '```\n# a\n```',
    '~~~\n```\n~~~~ ',
    '```a```',
    'a\n\n    ```',
    '1. So:\n   ```sh\n   ls\n   ```',
    'a ```',
  ])
    assert.equal(partsOf(whole), `${whole.trim()}\n`);
  assert.match(partsOf('two', '```\nhm'), /Thinking<\/summary>\n\n```\nhm\n```\n\n<\/details>\n\ntwo\n/);
  const asked = conversation('u:one');
  asked.messages[0].content = '# no heading\n\n```';
  assert.match(toMarkdown(asked), /## You\n\n> # no heading\n> \n> ```\n$/);
});

test('what a model needs is a sum that a reader can check', () => {
  const estimate = /** @type {any} */ ({
    ...{
      parameters: 7e9,
      weights_bytes: 3.9375e9,
      kv_bytes: 5e8,
      workspace_bytes: 2e7,
      other_bytes: 1e7,
      total_bytes: 4.4675e9,
    },
    ...{ contextSize: 4096, unsupported: [], fits: false, parts: 2 },
    device: { memoryLimit: 2 ** 32, deviceMemory: 4 * 2 ** 30 },
  });
  assert.equal(headline(estimate), 'Needs 4.47 GB of memory; this device offers 4.29 GB: it is too large.');
  assert.deepEqual(sumOf(estimate), [
    ['Weights', '7.0 billion × 4.5 bits = 3.94 GB'],
    ['Conversation', '4,096 tokens: 500 MB'],
    ['Computing', '20 MB'],
    ['Program', '10 MB'],
    ['In all', '4.47 GB'],
    ['Laid out', 'in 2 parts of up to 4.29 GB'],
    ['This device', '4.29 GB or more'],
  ]);
  const roomy = { ...estimate, fits: true, device: { memoryLimit: 2 ** 32, deviceMemory: 8 * 2 ** 30 } };
  assert.equal(headline(roomy), 'Needs 4.47 GB of memory; this device offers 8.59 GB.');
  assert.equal(sumOf({ ...roomy, parts: 1 }).at(-1)?.[1], '4.29 GB of 8.59 GB or more for a tab');
  const small = { ...estimate, fits: true, parts: 1, device: { memoryLimit: 2 ** 32, deviceMemory: null } };
  assert.equal(headline(small), 'Needs 4.47 GB of memory; this device offers 4.29 GB.');
  assert.equal(sumOf(small).at(-1)?.[1], '4.29 GB for a tab');
  assert.match(
    headline({ ...estimate, unsupported: ['tensor x has type IQ1_S'] }),
    /does not run it: tensor x has type IQ1_S/,
  );
});

test('figures', () => {
  assert.equal(formatBytes(98362432), '98 MB');
  assert.equal(formatBytes(1.25e9), '1.25 GB');
  assert.equal(formatBytes(4200), '4 kB');
  assert.equal(formatDuration(0.2), '1 second');
  assert.equal(formatDuration(75), '1 minute');
  assert.equal(formatDuration(7200), '2 hours');
});

test('speed is of the last seconds, and a resumed download does not count what was there', () => {
  const meter = new RateMeter(4000);
  meter.add(50e6, 0);
  assert.equal(meter.rate, 0);
  meter.add(51e6, 1000);
  assert.equal(meter.rate, 1e6);
  for (let second = 2; second <= 10; second++) meter.add(51e6, second * 1000);
  assert.equal(meter.rate, 0, 'a stalled download stands still');
});

test('an error is a sentence and a way out; its own hint goes first; the detail keeps the causes', () => {
  const cause = { code: 'http', message: 'status 404' };
  const known = explain({ code: 'hash_mismatch', message: 'shard 2', hint: '', cause });
  assert.match(known.title, /damaged/);
  assert.ok(known.hint.length > 10);
  assert.equal(known.detail, 'hash_mismatch: shard 2\nhttp: status 404');
  assert.equal(explain({ code: 'quota_exceeded', message: 'm', hint: 'Free 70 MB.' }).hint, 'Free 70 MB.');
  assert.match(explain(new TypeError('boom')).title, /went wrong/);
  assert.ok(isAbort({ code: 'aborted' }) && isAbort(new DOMException('x', 'AbortError')) && !isAbort(new Error('x')));
});

test('settings out of range are named, an empty seed is not sent', () => {
  const field = (/** @type {string} */ name) => /** @type {any} */ (kNumberFields.find((one) => one.name === name));
  assert.equal(checkField(field('temperature'), 0.7), '');
  assert.equal(checkField(field('temperature'), NaN), 'A number from 0 to 2.');
  assert.equal(checkField(field('top_k'), 1.5), 'A whole number from 0 to 1000.');
  assert.equal(checkField(field('seed'), null), '');
  assert.equal(checkField(field('top_p'), 0), 'A number from 0.01 to 1.', 'the engine takes no 0');
  assert.notEqual(checkField(field('top_k'), null), '');
  assert.ok(!('seed' in samplingOptions(kDefaults)));
  assert.equal(samplingOptions({ ...kDefaults, seed: 7 }).seed, 7);
});

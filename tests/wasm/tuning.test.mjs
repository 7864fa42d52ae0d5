// What a trial on the device found is kept, used again, and tried anew when it is old, damaged or of another version.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TesseraError } from '../../web/base/errors.js';
import { tuneHere } from '../../web/engine/tuning.js';

const kDay = 86_400_000;
const unknown = { kernels: '', threads: 0, streams: 0 };
const best = { kernels: 'wasm_relaxed_i32', threads: 3, streams: 4 };

const tune = (
  /** @type {import('../../web/engine/tuning.js').Tunable} */ engine,
  /** @type {import('../../web/engine/tuning.js').Settings} */ wanted,
  /** @type {string} */ subject,
  /** @type {import('../../web/engine/tuning.js').Notes | undefined} */ notes,
  /** @type {number | undefined} */ now = undefined,
) => tuneHere(engine, { ...wanted, usualThreads: best.threads }, subject, notes, now, async () => {});

/** A device where `helps.threads` threads are found best. */
function device() {
  const helps = { threads: best.threads };
  /** @type {Map<string, string>} */
  const kept = new Map();
  /** @type {import('../../web/engine/tuning.js').Settings[]} */
  const asked = [];
  /** @type {string[]} */
  const calls = [];
  return {
    helps,
    kept,
    asked,
    calls,
    notes: {
      read: async (/** @type {string} */ key) => kept.get(key),
      write: async (/** @type {string} */ key, /** @type {string} */ text) => void kept.set(key, text),
    },
    engine: {
      tune: (/** @type {import('../../web/engine/tuning.js').Settings} */ { kernels, threads, streams }) => {
        asked.push({ kernels, threads, streams });
        calls.push('tune');
        if (kernels === 'gone') throw new TesseraError('invalid_argument', 'kernels: "gone" does not run here');
        return {
          kernels: kernels || best.kernels,
          threads: threads || helps.threads,
          streams: streams || best.streams,
        };
      },
      warmup: () => void calls.push('warmup'),
    },
  };
}

test('the first load tries, the next ones remember, for a day', async () => {
  const { engine, notes, asked } = device();
  assert.deepEqual(await tune(engine, unknown, 'a', notes, 10 * kDay), { ...best, tuned: 'tried' });
  assert.deepEqual(await tune(engine, unknown, 'a', notes, 10.9 * kDay), { ...best, tuned: 'remembered' });
  assert.deepEqual(asked, [unknown, best]);
  assert.equal((await tune(engine, unknown, 'a', notes, 11.1 * kDay)).tuned, 'tried');
  assert.equal((await tune(engine, unknown, 'a', notes, 5 * kDay)).tuned, 'tried', 'a clock that went back');
});

test('fewer threads than all are tried once more by the next load, and kept for a day when found again', async () => {
  const { helps, engine, notes, asked, calls } = device();
  helps.threads = 1;
  const fewer = { ...best, threads: 1 };
  assert.deepEqual(await tune(engine, unknown, 'a', notes, kDay), { ...fewer, tuned: 'tried' });
  assert.deepEqual(await tune(engine, unknown, 'a', notes, kDay), { ...fewer, tuned: 'tried' });
  const again = { ...best, threads: 0 };
  assert.deepEqual(asked, [unknown, again, best, again], 'the other choices stay');
  assert.deepEqual(calls.slice(3), ['tune', 'warmup', 'tune'], 'it is warm before the trial');
  assert.deepEqual(await tune(engine, unknown, 'a', notes, kDay), { ...fewer, tuned: 'remembered' });

  await tune(engine, unknown, 'b', notes, kDay);
  helps.threads = 3;
  assert.deepEqual(await tune(engine, unknown, 'b', notes, kDay), { ...best, tuned: 'tried' });
  assert.deepEqual(await tune(engine, unknown, 'b', notes, kDay), { ...best, tuned: 'remembered' });

  const one = { kernels: '', threads: 1, streams: 0 };
  await tune(engine, one, 'a', notes, kDay);
  assert.equal(
    (await tune(engine, one, 'a', notes, kDay)).tuned,
    'remembered',
    'threads that were given are not in doubt',
  );
});

test('fewer threads than all are tried again at once, after a rest, when nothing was known', async () => {
  const { helps, engine, notes } = device();
  helps.threads = 1;
  let rests = 0;
  const rest = async () => {
    ++rests;
    helps.threads = 3;
  };
  const wanted = { ...unknown, usualThreads: 3 };
  assert.deepEqual(await tuneHere(engine, wanted, 'a', notes, kDay, rest), { ...best, tuned: 'tried' });
  assert.equal(rests, 1);
  await tuneHere(engine, wanted, 'b', notes, kDay, rest);
  assert.equal(rests, 1, 'no rest where all threads help');
});

test('as many threads as there are processors are not in doubt where more were asked for', async () => {
  const { helps, engine, notes } = device();
  helps.threads = 2;
  const wanted = { ...unknown, usualThreads: 2 };
  const rest = () => assert.fail('rests');
  const found = { ...best, threads: 2 };
  assert.deepEqual(await tuneHere(engine, wanted, 'a', notes, kDay, rest), { ...found, tuned: 'tried' });
  assert.deepEqual(await tuneHere(engine, wanted, 'a', notes, kDay, rest), { ...found, tuned: 'remembered' });
});

test('another device, model or wish has a trial of its own', async () => {
  const { engine, notes } = device();
  await tune(engine, unknown, 'a', notes);
  assert.equal((await tune(engine, unknown, 'b', notes)).tuned, 'tried');
  const oneThread = await tune(engine, { ...unknown, threads: 1 }, 'a', notes);
  assert.deepEqual(oneThread, { ...best, threads: 1, tuned: 'tried' });
});

test('what is given is not tried: only the streams are, and remembered', async () => {
  const { engine, notes, asked } = device();
  const given = { kernels: 'wasm_relaxed', threads: 2, streams: 0 };
  const used = { ...given, streams: best.streams };
  for (let load = 0; load < 2; ++load) {
    assert.deepEqual(await tune(engine, given, 'a', notes), { ...used, tuned: 'given' });
  }
  assert.deepEqual(asked, [given, used]);
  await assert.rejects(tune(engine, { ...given, kernels: 'gone' }, 'a', notes), { code: 'invalid_argument' });
});

test('notes that are damaged, of another version, or cannot be had do no harm', async () => {
  const { engine, notes, kept } = device();
  await tune(engine, unknown, 'a', notes, kDay);
  const [key] = kept.keys();
  const damaged = ['', 'no json', 'null', '{}'];
  const notThese = [{ threads: 0 }, { streams: 0 }, { streams: undefined }, { kernels: 'gone' }];
  for (const part of notThese) damaged.push(JSON.stringify({ ...best, time: kDay, ...part }));
  for (const text of damaged) {
    kept.set(key, text);
    assert.deepEqual(await tune(engine, unknown, 'a', notes, kDay), { ...best, tuned: 'tried' }, text);
  }
  const refused = { read: () => Promise.reject(new Error('no')), write: () => Promise.reject(new Error('no')) };
  assert.equal((await tune(engine, unknown, 'a', refused)).tuned, 'tried');
  assert.equal((await tune(engine, unknown, 'a', undefined)).tuned, 'tried');
});

test('the engine is warm for its first question with what it will compute with', async () => {
  const { engine, notes, calls } = device();
  await tune(engine, unknown, 'a', notes);
  assert.deepEqual(calls, ['warmup', 'tune']);
  await tune(engine, unknown, 'a', notes);
  assert.deepEqual(calls.slice(2), ['tune', 'warmup']);
});

test('a failure that is not about the note is passed on', async () => {
  const { engine, notes } = device();
  await tune(engine, unknown, 'a', notes);
  const broken = () => {
    throw new TesseraError('internal', 'The engine stopped.');
  };
  await assert.rejects(tune({ ...engine, tune: broken }, unknown, 'a', notes), { code: 'internal' });
});

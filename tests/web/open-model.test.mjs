/** openModel over a real local server that misbehaves: what is fetched, kept, retried, reported. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import * as models from '../../web/store/models.js';
import { openModel } from '../../web/store/open-model.js';
import { verify } from '../../web/store/verify-model.js';
import { ProgressMeter } from '../../web/store/progress.js';
import { FaultyServer } from './faulty-server.mjs';
import { modelPattern } from './store-contract.mjs';

const kShard = 100_000;
const kFile = modelPattern(950_000, 42);
const kNetwork = { retries: 3, backoffMs: 5, stallMs: 400 };

/** @type {FaultyServer} */
let server;
/** @type {import('../../web/store/contract.js').Backend} */
let backend;
/** @type {any} */
let manifest;
/** @type {import('../../web/store/progress.js').Progress[]} */
let progress;

before(async () => {
  server = await new FaultyServer().start();
});
after(() => server.stop());
beforeEach(() => {
  server.faults.clear();
  server.files.clear();
  server.requests.length = 0;
  manifest = server.addModel(kFile, kShard);
  server.files.set('/plain.gguf', kFile);
  backend = createMemoryBackend();
  progress = [];
});

/**
 * @param {string} path
 * @param {import('../../web/store/open-model.js').OpenOptions} [options]
 */
function open(path, options = {}) {
  const onProgress = (/** @type {import('../../web/store/progress.js').Progress} */ event) => void progress.push(event);
  return openModel(server.url + path, { onProgress, ...options }, { backend, network: kNetwork });
}

/**
 * @param {import('../../web/store/open-model.js').OpenedModel} model
 * @param {Uint8Array} [file]
 */
async function checkBytes(model, file = kFile) {
  assert.equal(model.parts.length, 1);
  const [part] = model.parts;
  assert.equal(part.size, file.length);
  const whole = new Uint8Array(part.size);
  part.read(whole, 0);
  assert.equal(Buffer.compare(whole, file), 0);
  const across = new Uint8Array(2 * kShard + 2); // from the end of shard 1 to the start of shard 4
  part.read(across, 2 * kShard - 1);
  assert.equal(Buffer.compare(across, file.subarray(2 * kShard - 1, 4 * kShard + 1)), 0);
  assert.throws(() => part.read(new Uint8Array(2), part.size - 1), { code: 'read_failed' });
  await model.close();
}

/** @param {{total?: number}} [expected] */
function checkProgress({ total = kFile.length } = {}) {
  const downloads = progress.filter(({ stage }) => stage === 'download');
  assert(downloads.length > 0);
  for (const [i, { loadedBytes, totalBytes }] of downloads.entries()) {
    assert(totalBytes === total || i === downloads.length - 1, `total ${totalBytes}`);
    assert(i === 0 || loadedBytes >= downloads[i - 1].loadedBytes, 'progress went back');
    assert(loadedBytes <= kFile.length);
  }
  const end = { loadedBytes: kFile.length, totalBytes: kFile.length };
  assert.deepEqual(downloads.at(-1), { stage: 'download', ...end });
  assert.deepEqual(progress.at(-1), { stage: 'verify', ...end });
}

/** @param {string} path */
const requestsFor = (path) => server.requests.filter((request) => request === path).length;

test('shards become the file, and the second visit asks the server for nothing', async () => {
  const model = await open('/m/manifest.json');
  assert.equal(model.name, 'Test model');
  assert.equal(model.storedIn, 'memory');
  await checkBytes(model);
  checkProgress();
  assert.equal(server.requests.length, 1 + manifest.shards.length);
  progress = [];
  await checkBytes(await open('/m/manifest.json'));
  assert.equal(server.requests.length, 1 + manifest.shards.length);
  assert.deepEqual(progress, []);
});

test('faults that pass are got over: damaged, short and long once, busy and cut several times', async () => {
  server.faults.set('/m/shard-000.bin', ['wrong-bytes']);
  server.faults.set('/m/shard-001.bin', ['short']);
  server.faults.set('/m/shard-002.bin', ['long']);
  server.faults.set('/m/shard-003.bin', ['busy', 'cut', 'busy']);
  server.faults.set('/m/shard-004.bin', ['stall']);
  server.faults.set('/m/shard-005.bin', ['gzip']);
  server.faults.set('/m/shard-006.bin', ['slow']);
  server.faults.set('/m/manifest.json', ['cut']);
  await checkBytes(await open('/m/manifest.json'));
  checkProgress();
  const tries = [2, 2, 2, 4, 2, 1, 1, 1, 1, 1];
  assert.deepEqual(
    manifest.shards.map(({ path = '' }) => requestsFor(`/m/${path}`)),
    tries,
  );
});

test('a shard that stays wrong ends in one clear error; the good ones are kept and not fetched again', async () => {
  server.faults.set('/m/shard-009.bin', ['wrong-bytes', 'wrong-bytes']);
  await assert.rejects(open('/m/manifest.json'), (/** @type {any} */ error) => {
    assert.equal(error.code, 'hash_mismatch');
    assert.match(error.message, /^shard-009\.bin: SHA-256: expected [0-9a-f]{64}, found [0-9a-f]{64}$/);
    assert.notEqual(error.hint, '');
    return true;
  });
  assert.equal(requestsFor('/m/shard-009.bin'), 2);
  const [entry] = await models.list(backend);
  assert.deepEqual([entry.complete, entry.bytes, entry.storedBytes], [false, kFile.length, 9 * kShard]);
  server.requests.length = 0;
  progress = [];
  await checkBytes(await open('/m/manifest.json'));
  assert.deepEqual(server.requests, ['/m/manifest.json', '/m/shard-009.bin']);
  checkProgress();
  assert.equal(progress[0].loadedBytes, 9 * kShard, 'what is stored already counts from the start');
});

test('the hash in blocks only tells sooner what sha256 decides', async () => {
  const size = 3 * (512 << 10) + 1000;
  const file = modelPattern(size, 3);
  const right = server.addModel(file, size, '/b');
  const [shard] = right.shards;
  /** @type {[what: string, change: object, code: string, readBack: number][]} */
  const cases = [
    ['as it should be', {}, '', 0],
    ['without one', { sha256_blocks: undefined }, '', 0],
    ['of other bytes', { sha256_blocks: '0'.repeat(64) }, '', 1],
    ['of the right bytes, beside a wrong sha256', { sha256: '1'.repeat(64) }, 'hash_mismatch', 2],
  ];
  for (const [what, change, code, times] of cases) {
    server.setManifest({ ...right, shards: [{ ...shard, ...change }] }, '/b');
    server.requests.length = 0;
    let readBack = 0;
    const memory = createMemoryBackend();
    const counting = {
      ...memory,
      /** @type {typeof memory.createWriter} */
      async createWriter(path, options) {
        const writer = await memory.createWriter(path, options);
        return { ...writer, readBack: (target, offset) => (++readBack, writer.readBack(target, offset)) };
      },
    };
    const opened = openModel(`${server.url}/b/manifest.json`, {}, { backend: counting, network: kNetwork });
    if (code) await assert.rejects(opened, (/** @type {any} */ error) => error.code === code);
    else await checkBytes(await opened, file);
    assert.equal(readBack, times, what);
    assert.equal(requestsFor('/b/shard-000.bin'), code ? 2 : 1, what);
  }
  server.setManifest(right, '/b');
  server.faults.set('/b/shard-000.bin', ['wrong-bytes']);
  await checkBytes(await open('/b/manifest.json'), file);
});

test('a shard of the wrong size is named so', async () => {
  const path = '/m/shard-002.bin';
  const whole = /** @type {Uint8Array} */ (server.files.get(path));
  for (const [found, bytes] of /** @type {const} */ ([
    ['50000', whole.subarray(0, 50_000)],
    ['more', Buffer.concat([whole, whole])],
  ])) {
    server.files.set(path, bytes);
    await assert.rejects(open('/m/manifest.json'), {
      code: 'size_mismatch',
      message: `shard-002.bin: size: expected 100000 bytes, found ${found}`,
    });
  }
});

test('a missing shard is an error with its path and status, without further attempts', async () => {
  server.faults.set('/m/shard-003.bin', ['not-found']);
  await assert.rejects(open('/m/manifest.json'), (/** @type {any} */ error) => {
    assert.equal(error.code, 'http');
    assert.equal(error.message, '/m/shard-003.bin: the server answered 404 Not Found');
    assert.match(error.hint, /not on the server/);
    return true;
  });
  assert.equal(requestsFor('/m/shard-003.bin'), 1);
});

test('a server that stays away is a network error after the retries', async () => {
  server.faults.set('/m/shard-000.bin', ['drop', 'drop', 'drop', 'drop']);
  await assert.rejects(open('/m/manifest.json'), {
    code: 'network',
    message: '/m/shard-000.bin: the connection was broken',
  });
  assert.equal(requestsFor('/m/shard-000.bin'), 4);
  const closed = await new FaultyServer().start();
  await closed.stop();
  const gone = openModel(`${closed.url}/m/manifest.json`, {}, { backend, network: { ...kNetwork, retries: 1 } });
  await assert.rejects(gone, { code: 'network' });
});

test('abort ends a stalled download at once, keeps what is complete, and leaves no half file', async () => {
  server.faults.set('/m/shard-001.bin', ['stall']);
  const controller = new AbortController();
  const opening = open('/m/manifest.json', { signal: controller.signal });
  const chunks = async () => (await backend.list()).filter(({ path }) => !path.endsWith('.json'));
  opening.catch(() => {}); // awaited below
  while ((await chunks()).length === 0) await sleep(5);
  const start = performance.now();
  controller.abort();
  await assert.rejects(opening, { code: 'aborted' });
  assert(performance.now() - start < 350, 'abort took as long as the stall limit');
  const files = await chunks();
  assert(files.every(({ bytes }) => bytes === kShard || bytes === kFile.length % kShard));
  const late = open('/m/manifest.json', { signal: controller.signal });
  await assert.rejects(late, { code: 'aborted' });
});

test('abort during the wait between two attempts', async () => {
  server.faults.set('/m/manifest.json', new Array(9).fill('busy'));
  const network = { retries: 9, backoffMs: 10_000 };
  const signal = AbortSignal.timeout(60);
  const start = performance.now();
  await assert.rejects(openModel(`${server.url}/m/manifest.json`, { signal }, { backend, network }), {
    code: 'aborted',
  });
  assert(performance.now() - start < 5000, 'abort waited for the next attempt');
});

test('a manifest that changed on the server: equal shards stay, old ones go', async () => {
  server.faults.set('/m/shard-009.bin', ['not-found']);
  await assert.rejects(open('/m/manifest.json'), { code: 'http' });
  const next = kFile.slice();
  next[3 * kShard] ^= 0xff;
  server.addModel(next, kShard);
  server.requests.length = 0;
  const model = await open('/m/manifest.json');
  assert.deepEqual(server.requests.sort(), ['/m/manifest.json', '/m/shard-003.bin', '/m/shard-009.bin']);
  const byte = new Uint8Array(1);
  model.parts[0].read(byte, 3 * kShard);
  assert.equal(byte[0], next[3 * kShard]);
  assert.equal((await models.list(backend))[0].storedBytes, kFile.length);
});

test('equal shards are fetched and kept once', async () => {
  const half = kFile.subarray(0, 2 * kShard);
  const doubled = new Uint8Array([...half, ...half, ...half.subarray(0, 5)]);
  server.addModel(doubled, kShard, '/twice');
  const model = await open('/twice/manifest.json');
  assert.equal(server.requests.length, 1 + 3);
  const whole = new Uint8Array(doubled.length);
  model.parts[0].read(whole, 0);
  assert.equal(Buffer.compare(whole, doubled), 0);
});

test('equal shards of a server that sends no ranges', { timeout: 20_000 }, async () => {
  const half = kFile.subarray(0, kShard);
  server.addModel(new Uint8Array([...half, ...half]), kShard, '/twice');
  server.faults.set('/twice/shard-001.bin', ['cut', 'no-range']);
  const model = await open('/twice/manifest.json', { signal: AbortSignal.timeout(10_000) });
  assert.equal(model.parts[0].size, 2 * kShard);
  assert.equal(server.requests.length, 1 + 3);
  const [{ id }] = await models.list(backend);
  assert.deepEqual(await verify(id, backend), { ok: true, badShards: [], missingShards: [] });
});

test('nothing is fetched for a manifest that leads out of its folder or is none', async () => {
  manifest.shards[4].path = '../secret.bin';
  server.setManifest(manifest);
  await assert.rejects(open('/m/manifest.json'), { code: 'manifest_invalid', message: /shards\[4\]\.path/ });
  server.files.set('/m/manifest.json', new TextEncoder().encode('<!doctype html>'));
  await assert.rejects(open('/m/manifest.json'), { code: 'manifest_invalid' });
  assert.deepEqual(server.requests, ['/m/manifest.json', '/m/manifest.json']);
  assert.deepEqual(await backend.list(), []);
});

test('a plain GGUF file is stored as one, its hash learned', async () => {
  const model = await open('/plain.gguf?token=secret');
  assert.equal(model.name, 'plain.gguf');
  await checkBytes(model);
  checkProgress();
  await checkBytes(await open('/plain.gguf?token=secret'));
  assert.equal(server.requests.length, 1);
  const [{ id, bytes, complete }] = await models.list(backend);
  assert.deepEqual([bytes, complete], [kFile.length, true]);
  assert.deepEqual(await verify(id, backend), { ok: true, badShards: [], missingShards: [] });
});

test('a plain GGUF file: no total from a compressed body or one of unknown length', async () => {
  for (const fault of /** @type {const} */ (['gzip', 'no-length'])) {
    progress = [];
    backend = createMemoryBackend();
    server.faults.set('/plain.gguf', [fault]);
    server.ranges = false;
    await checkBytes(await open('/plain.gguf'));
    server.ranges = true;
    checkProgress({ total: 0 });
  }
});

test('a plain GGUF file: a cut is retried; another file under the pinned hash and a web page are refused', async () => {
  server.faults.set('/plain.gguf', ['cut']);
  await checkBytes(await open('/plain.gguf'));
  const [{ id }] = await models.list(backend);
  for (const { path } of await backend.list(id)) if (/[0-9a-f]{64}$/.test(path)) await backend.delete(path);
  const changed = kFile.slice();
  changed[5000] ^= 1;
  server.files.set('/plain.gguf', changed);
  await assert.rejects(open('/plain.gguf'), { code: 'hash_mismatch' });
  server.files.set('/page.gguf', new TextEncoder().encode('<!doctype html>'));
  await assert.rejects(open('/page.gguf'), {
    code: 'not_gguf',
    message: /expected a file that begins with 'GGUF', found "<!do"/,
  });
});

test('not more reports than a screen can show, and the last one is the whole', () => {
  const meter = new ProgressMeter('download', 10_000, (event) => void progress.push(event));
  for (let i = 0; i < 10_000; ++i) meter.add(1);
  meter.report();
  assert(progress.length < 100, `${progress.length} reports`);
  assert.deepEqual(progress.at(-1), { stage: 'download', loadedBytes: 10_000, totalBytes: 10_000 });
});

test('a source that is no address is refused', async () => {
  for (const source of ['', 'models/manifest.json', 'file:///m.gguf', 'javascript:alert(1)', 'data:,x']) {
    await assert.rejects(openModel(source, {}, { backend }), { code: 'invalid_argument' }, source);
  }
  await assert.rejects(openModel(/** @type {any} */ (7), {}, { backend }), { code: 'invalid_argument' });
  await assert.rejects(openModel([], {}, { backend }), { code: 'invalid_argument' });
});

test('a model that cannot be loaded here is refused with both sizes, before any of it is stored', async () => {
  const mostBytes = kFile.length - 1;
  for (const path of ['/m/manifest.json', '/plain.gguf']) {
    await assert.rejects(open(path, { mostBytes }), { code: 'out_of_memory', message: /has 0\.9 MB; at most 0\.9 MB/ });
  }
  assert(!server.requests.some((path) => path.includes('shard')), 'a shard was asked for');
  const stored = await backend.list();
  assert(
    stored.every(({ path }) => /record|used/.test(path)),
    JSON.stringify(stored),
  );
  await checkBytes(await open('/plain.gguf', { mostBytes: kFile.length }));
});

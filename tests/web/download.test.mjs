/** Downloads of plain GGUF files in chunks: resuming, ranges in parallel, servers without them, files that change, mirrors, tokens. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import * as models from '../../web/store/models.js';
import { openModel } from '../../web/store/open-model.js';
import { verify } from '../../web/store/verify-model.js';
import { modelAddress, partAddresses } from '../../web/store/addresses.js';
import { FaultyServer } from './faulty-server.mjs';
import { modelPattern, pattern } from './store-contract.mjs';

const kChunk = 50_000;
const kFile = modelPattern(980_000, 7);
const kNetwork = { retries: 3, backoffMs: 2, stallMs: 1000, parallel: 3, chunkBytes: kChunk, chunksPerRequest: 1 };
const kPath = '/model.gguf';

/** @type {FaultyServer} */
let server;
/** @type {import('../../web/store/contract.js').Backend} */
let backend;
/** @type {import('../../web/store/progress.js').Progress[]} */
let progress;

before(async () => {
  server = await new FaultyServer().start();
});
after(() => server.stop());
beforeEach(() => {
  server.faults.clear();
  server.files.clear();
  server.etags.clear();
  Object.assign(server, { ranges: true, hidesRange: false, sentBytes: 0 });
  server.requests.length = 0;
  server.asked.length = 0;
  server.files.set(kPath, kFile);
  server.etags.set(kPath, '"one"');
  backend = createMemoryBackend();
  progress = [];
});

/**
 * @param {string} [path]
 * @param {import('../../web/store/open-model.js').OpenOptions} [options]
 * @param {import('../../web/store/network.js').NetworkOptions} [network]
 */
function open(path = kPath, options = {}, network = kNetwork) {
  const onProgress = (/** @type {import('../../web/store/progress.js').Progress} */ event) => void progress.push(event);
  return openModel(server.url + path, { onProgress, ...options }, { backend, network });
}

/**
 * @param {import('../../web/store/open-model.js').OpenedModel} model
 * @param {Uint8Array} [expected]
 */
async function checkBytes(model, expected = kFile) {
  const whole = new Uint8Array(model.parts[0].size);
  model.parts[0].read(whole, 0);
  assert.equal(Buffer.compare(whole, expected), 0);
  await model.close();
}

const ranges = () => server.asked.map(({ range }) => range);

test('a file comes in ranges of one chunk each, several at a time, none of them twice', async () => {
  await checkBytes(await open());
  assert.equal(server.requests.length, Math.ceil(kFile.length / kChunk));
  assert.equal(new Set(ranges()).size, server.requests.length);
  assert.equal(ranges()[0], `bytes=0-${kChunk - 1}`);
  assert.equal(server.sentBytes, kFile.length);
  assert.deepEqual(progress.at(-1), { stage: 'verify', loadedBytes: kFile.length, totalBytes: kFile.length });
});

test('a request is for several chunks where there are many', async () => {
  const model = await openModel(server.url + kPath, {}, { backend, network: { ...kNetwork, chunksPerRequest: 4 } });
  await checkBytes(model);
  assert(ranges().includes(`bytes=${kChunk}-${4 * kChunk - 1}`), ranges().join(' '));
  assert.equal(server.sentBytes, kFile.length);
});

test('a cut connection goes on at the byte where it was cut', async () => {
  server.faults.set(kPath, ['cut', 'ok', 'cut', 'ok', 'cut', 'busy', 'slow-down', 'drop']);
  await checkBytes(await open());
  assert.equal(server.sentBytes, kFile.length);
  assert(ranges().includes(`bytes=${kChunk / 2}-${kChunk - 1}`));
});

test('a stopped download keeps its chunks and fetches only the rest', async () => {
  const controller = new AbortController();
  server.faults.set(kPath, [...new Array(12).fill('ok'), ...new Array(12).fill('stall')]);
  const opening = open(kPath, { signal: controller.signal });
  const stored = async () => (await models.list(backend))[0]?.storedBytes;
  // All lanes wait for the server: no request is still on its way to it.
  const waiting = () => server.requests.length === 12 + kNetwork.parallel;
  while (!waiting() || (await stored()) !== 12 * kChunk) await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort();
  await assert.rejects(opening, { code: 'aborted' });
  const [entry] = await models.list(backend);
  assert.deepEqual([entry.complete, entry.bytes, entry.storedBytes], [false, kFile.length, 12 * kChunk]);
  server.faults.clear();
  server.sentBytes = 0;
  progress = [];
  await checkBytes(await open());
  assert.equal(server.sentBytes, kFile.length - 12 * kChunk);
  assert.equal(progress[0].loadedBytes, 12 * kChunk);
});

test('a thread that was busy for longer than the stall limit fetches nothing twice', async () => {
  server.faults.set(kPath, ['slow']);
  const blocked = new Promise((resolve) => {
    setTimeout(() => resolve(Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * kNetwork.stallMs)), 60);
  });
  await checkBytes(await open());
  await blocked;
  assert.equal(server.sentBytes, kFile.length);
});

test('a file that changed between two visits begins anew, and this is said', async () => {
  server.faults.set(kPath, [...new Array(8).fill('ok'), ...new Array(20).fill('not-found')]);
  await assert.rejects(open(), { code: 'http' });
  const next = modelPattern(700_000, 8);
  server.files.set(kPath, next);
  server.etags.set(kPath, '"two"');
  server.faults.clear();
  await checkBytes(await open(), next);
  assert.match(progress.at(-2)?.note ?? '', /model\.gguf changed on the server, so its download began anew/);
});

test('a file that keeps changing is one clear error', async () => {
  let version = 0;
  server.nextFault = () => {
    server.etags.set(kPath, `"${++version}"`);
    return 'ok';
  };
  await assert.rejects(open(), { code: 'changed', message: /kept changing while it was fetched/ });
  server.nextFault = () => 'ok';
});

test('a server without ranges sends the file whole, again from the start after a cut', async () => {
  server.ranges = false;
  server.faults.set(kPath, ['cut', 'stall']);
  await checkBytes(await open());
  assert.deepEqual(ranges(), [`bytes=0-${kChunk - 1}`, undefined, undefined]);
  server.faults.set(kPath, new Array(9).fill('cut'));
  backend = createMemoryBackend();
  await assert.rejects(open(), { code: 'network' });
});

test('a server that hides the size of a range is asked for it', async () => {
  server.hidesRange = true;
  server.faults.set(kPath, ['ok', 'ok', 'cut']);
  await checkBytes(await open());
  assert.equal(server.sentBytes, kFile.length);
});

test('a server that stops giving ranges in the middle', async () => {
  server.faults.set(kPath, [...new Array(5).fill('ok'), ...new Array(20).fill('no-range')]);
  await checkBytes(await open());
});

test('what was stored of a request that failed counts once', async () => {
  server.faults.set(kPath, ['ok', 'cut', ...new Array(20).fill('no-range')]);
  await checkBytes(await open(kPath, {}, { ...kNetwork, parallel: 1, chunksPerRequest: 4 }));
  const { loadedBytes, totalBytes } = progress.filter(({ stage }) => stage === 'download').at(-1) ?? {};
  assert.deepEqual([loadedBytes, totalBytes], [kFile.length, kFile.length]);
});

test('a chunk found wrong in the store is fetched again, alone; another file under the pins is refused', async () => {
  await (await open()).close();
  const [{ id }] = await models.list(backend);
  const bad = (await backend.list(id)).find(({ path }) => path.includes('f0.7.'));
  const writer = await backend.createWriter(String(bad?.path));
  await writer.write(pattern(kChunk, 99));
  await writer.commit();
  assert.deepEqual(await verify(id, backend), { ok: false, badShards: ['model.gguf'], missingShards: [] });
  server.sentBytes = 0;
  await checkBytes(await open());
  assert.equal(server.sentBytes, kChunk);

  await backend.delete(String((await backend.list(id)).find(({ path }) => path.includes('f0.7.'))?.path));
  const changed = kFile.slice();
  changed[7 * kChunk + 1] ^= 1;
  server.files.set(kPath, changed);
  await assert.rejects(open(), { code: 'hash_mismatch' });
  server.etags.set(kPath, '"two"');
  await assert.rejects(open(), { code: 'changed', hint: /Remove the stored model/ });
  assert.equal((await models.list(backend))[0].storedBytes, kFile.length - kChunk);
});

test('mirrors of a manifest take over from one another, and cannot bring wrong bytes', async () => {
  const manifest = server.addModel(kFile, 200_000);
  for (const { path } of manifest.shards) {
    const bytes = /** @type {Uint8Array} */ (server.files.get(`/m/${path}`));
    server.files.set(`/mirror/${path}`, bytes);
    server.faults.set(`/m/${path}`, ['busy']);
  }
  server.faults.set('/mirror/shard-001.bin', ['wrong-bytes']);
  server.setManifest({ ...manifest, mirrors: [`${server.url}/mirror/`] });
  await checkBytes(await open('/m/manifest.json'));
  assert(server.requests.includes('/mirror/shard-004.bin'));
});

test('a mirror that the policy does not allow is no more than one that is down', async (t) => {
  const manifest = server.addModel(kFile, 200_000);
  server.setManifest({ ...manifest, mirrors: ['https://refused.example/'] });
  for (const { path } of manifest.shards) server.faults.set(`/m/${path}`, ['busy']);
  const { fetch } = globalThis;
  const worker = new EventTarget();
  const scope = /** @type {any} */ (globalThis);
  scope.addEventListener = worker.addEventListener.bind(worker);
  t.after(() => delete scope.addEventListener);
  t.mock.method(globalThis, 'fetch', async (/** @type {string} */ url, /** @type {RequestInit} */ settings) => {
    if (url.startsWith(server.url)) return fetch(url, settings);
    setTimeout(() => worker.dispatchEvent(Object.assign(new Event('securitypolicyviolation'), { blockedURI: url })));
    throw new TypeError('Failed to fetch');
  });
  await checkBytes(await open('/m/manifest.json'));
});

test('a shard in several chunks is compared with its hash when all are there', async () => {
  const manifest = server.addModel(kFile, 200_000);
  server.faults.set('/m/shard-001.bin', ['cut', 'ok', 'cut']);
  await checkBytes(await open('/m/manifest.json'));
  manifest.shards[2].sha256 = 'f'.repeat(64);
  server.setManifest(manifest);
  const again = openModel(`${server.url}/m/manifest.json?x`, {}, { backend, network: kNetwork });
  await assert.rejects(again, { code: 'hash_mismatch', message: /^shard-002\.bin/ });
});

test('a split GGUF comes whole from the address of any part', async () => {
  for (const i of [1, 2, 3]) {
    const part = modelPattern(60_000 + i, i);
    server.files.set(`/s-0000${i}-of-00003.gguf`, part);
  }
  const model = await open('/s-00002-of-00003.gguf');
  assert.deepEqual(
    model.parts.map(({ size }) => size),
    [60_001, 60_002, 60_003],
  );
  assert.throws(() => partAddresses('https://h/a-00004-of-00003.gguf'), { code: 'invalid_argument' });
});

test('a token goes to the origin of the model in a header, and is kept nowhere', async () => {
  const other = await new FaultyServer().start();
  const manifest = server.addModel(kFile, 500_000);
  for (const { path } of manifest.shards)
    other.files.set(`/${path}`, /** @type {any} */ (server.files.get(`/m/${path}`)));
  server.setManifest({ ...manifest, mirrors: [`${other.url}/`] });
  server.faults.set('/m/shard-001.bin', ['busy']);
  await checkBytes(await open('/m/manifest.json', { token: 'secret-1' }));
  assert(server.asked.every(({ authorization }) => authorization === 'Bearer secret-1'));
  assert(other.asked.length > 0 && other.asked.every(({ authorization }) => authorization === undefined));
  await other.stop();
  for (const { path } of await backend.list()) assert(!(await (await backend.blob(path)).text()).includes('secret-1'));
});

test('the hub shorthand', () => {
  const hub = modelAddress('hf:owner/repo/a/model.gguf').replace('/owner/repo/resolve/main/a/model.gguf', '');
  assert.equal(new URL(hub).protocol, 'https:');
  assert.equal(modelAddress('hf:o/r@v1.2/m.gguf'), `${hub}/o/r/resolve/v1.2/m.gguf`);
  const order = /^Owner and repository come first, then a file/;
  const token = /^A token .* not part of the address/;
  for (const [bad, hint] of /** @type {[string, RegExp][]} */ ([
    ['hf:', order],
    ['hf:owner/file.gguf', order],
    ['hf:owner/repo', /^Name the file in it: hf:owner\/repo\/file\.gguf/],
    ['hf:owner/repo@v1/', /^Name the file in it: hf:owner\/repo@v1\/file\.gguf/],
    ['hf:o/r/x.bin', order],
    ['hf:o/r/../x.gguf', order],
    ['hf:o/r/m.gguf?token=1', token],
    ['hf:@o/r/m.gguf', token],
    ['hf:me:secret@o/r/m.gguf', token],
  ]))
    assert.throws(() => modelAddress(bad), { code: 'invalid_argument', hint }, bad);
});

test('an empty file is no model', async () => {
  server.files.set(kPath, new Uint8Array(0));
  await assert.rejects(open(), { code: 'not_gguf' });
  server.ranges = false;
  await assert.rejects(open(), { code: 'not_gguf' });
});

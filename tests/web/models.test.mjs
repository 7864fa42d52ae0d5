/** The stored models: list, remove, verify, and a store that runs full. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { withModelLock } from '../../web/store/locks.js';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import * as models from '../../web/store/models.js';
import { openModel } from '../../web/store/open-model.js';
import { verify } from '../../web/store/verify-model.js';
import { Tessera } from '../../web/tessera.js';
import { FaultyServer } from './faulty-server.mjs';
import { modelPattern, pattern } from './store-contract.mjs';

const kFiles = { '/a': pattern(50_000, 1), '/b': pattern(80_000, 2) };

/** @type {FaultyServer} */
let server;
/** @type {import('../../web/store/contract.js').Backend} */
let backend;

before(async () => {
  server = await new FaultyServer().start();
  for (const [folder, file] of Object.entries(kFiles)) server.addModel(file, 10_000, folder);
});
after(() => server.stop());
beforeEach(() => {
  server.requests.length = 0;
  backend = createMemoryBackend();
});

/**
 * @param {string} folder
 * @param {import('../../web/store/contract.js').Backend} [store]
 */
async function load(folder, store = backend) {
  const network = { retries: 0, parallel: 2 };
  await (await openModel(`${server.url}${folder}/manifest.json`, {}, { backend: store, network })).close();
}

test('list shows each model once, the last used first', async () => {
  assert.deepEqual(await models.list(backend), []);
  const start = Date.now();
  await load('/a');
  await new Promise((resolve) => setTimeout(resolve, 5));
  await load('/b');
  const [b, a] = await models.list(backend);
  assert.equal(b.url, `${server.url}/b/manifest.json`);
  assert.deepEqual([b.bytes, b.storedBytes, b.complete, b.name], [80_000, 80_000, true, 'Test model']);
  assert.deepEqual([a.bytes, a.storedBytes, a.complete], [50_000, 50_000, true]);
  assert(Number(a.lastUsed) >= start && Number(b.lastUsed) > Number(a.lastUsed));
  await new Promise((resolve) => setTimeout(resolve, 5));
  await load('/a');
  assert.deepEqual(
    (await models.list(backend)).map(({ id }) => id),
    [a.id, b.id],
  );
});

test('what is fetched as an adapter is listed as one; what is stored, when it has turned out to be one', async () => {
  const network = { retries: 0, parallel: 2 };
  const open = async (/** @type {string} */ path, /** @type {'adapter' | undefined} */ kind) => {
    const model = await openModel(`${server.url}${path}`, { kind }, { backend, network });
    await model.close();
    return model;
  };
  const kinds = async () =>
    (await models.list(backend)).map(({ url, kind }) => [url.slice(server.url.length), kind]).sort();
  await open('/a/manifest.json', undefined);
  await open('/b/manifest.json', 'adapter');
  assert.deepEqual(await kinds(), [
    ['/a/manifest.json', 'model'],
    ['/b/manifest.json', 'adapter'],
  ]);
  server.requests.length = 0;
  const a = await open('/a/manifest.json', 'adapter');
  assert.deepEqual(server.requests, [], 'nothing is fetched again');
  const listed = async () => (await kinds()).map(([, kind]) => kind);
  assert.deepEqual(await listed(), ['model', 'adapter'], 'it was only named as one');
  await a.mark('adapter');
  const b = await open('/b/manifest.json', undefined);
  assert.deepEqual(await listed(), ['adapter', 'adapter']);
  await b.mark('model');
  await (await open('/a/manifest.json', 'adapter')).mark('adapter');
  assert.deepEqual(await listed(), ['adapter', 'model']);
  const [{ id }] = (await models.list(backend)).filter(({ kind }) => kind === 'model');
  await backend.delete((await backend.list(id)).filter(({ bytes }) => bytes === 10_000)[0].path);
  await open('/b/manifest.json', 'adapter');
  assert.deepEqual(await listed(), ['adapter', 'model'], 'what is fetched anew stays what it is, too');
  await models.remove(id, backend);
  await b.mark('adapter');
  assert.deepEqual(await listed(), ['adapter'], 'what was removed meanwhile does not come back');
});

/**
 * A browser whose navigator is another one, for this test.
 * @param {import('node:test').TestContext} t
 * @param {object} value
 */
function giveNavigator(t, value) {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator'); // node 20 has none
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
  t.after(() => {
    if (before) Object.defineProperty(globalThis, 'navigator', before);
    else Reflect.deleteProperty(globalThis, 'navigator');
  });
}

test('a browser that refuses locks, with cookies blocked, keeps nothing that they are for', async (t) => {
  const refused = new DOMException('Access is denied.', 'SecurityError');
  giveNavigator(t, { locks: { request: () => Promise.reject(refused) } });
  await assert.rejects(Tessera.models.remove('x'), { name: 'TesseraError', code: 'not_found' });
});

test('an action that fails under its lock is not begun again', async (t) => {
  giveNavigator(t, { locks: { request: (/** @type {any[]} */ ...args) => args[2]({}) } });
  const refused = new DOMException('Access is denied.', 'SecurityError');
  let runs = 0;
  const failing = withModelLock('x', { wait: true }, () => {
    runs += 1;
    return Promise.reject(refused);
  });
  await assert.rejects(failing, refused);
  assert.equal(runs, 1);
});

test('what the browser throws is told as a TesseraError', async (t) => {
  class FileSystemFileHandle {
    move() {}
    createSyncAccessHandle() {}
  }
  Object.assign(globalThis, { FileSystemFileHandle });
  t.after(() => void Reflect.deleteProperty(globalThis, 'FileSystemFileHandle'));
  const root = {
    entries() {
      throw new DOMException('The state has changed.', 'InvalidStateError');
    },
  };
  giveNavigator(t, { storage: { getDirectory: async () => ({ getDirectoryHandle: async () => root }) } });
  const refused = { name: 'TesseraError', code: 'io', message: 'The state has changed.' };
  await assert.rejects(Tessera.models.list(), refused);
  await assert.rejects(Tessera.models.remove('x'), refused);
  await assert.rejects(Tessera.models.exportFiles('x'), refused);
});

test('of a model that is there in part no files are given, and it is said how much is missing', async () => {
  await load('/a');
  const [{ id }] = await models.list(backend);
  await backend.delete((await backend.list(id)).filter(({ bytes }) => bytes === 10_000)[0].path);
  await assert.rejects(models.exportFiles(id, backend), {
    code: 'not_found',
    message: 'Test model is not complete: 40000 of 50000 bytes are stored',
    hint: /^Load it/,
  });
  await assert.rejects(models.exportFiles('x', backend), { code: 'not_found', hint: /shows the ids/ });
});

test('a model of which nothing came is not listed', async () => {
  server.files.set('/page.gguf', Buffer.from('<!doctype html>'));
  for (const path of ['/nowhere.gguf', '/page.gguf', '/nowhere/manifest.json']) {
    const network = { retries: 0, parallel: 2 };
    await assert.rejects(openModel(`${server.url}${path}`, {}, { backend, network }));
    assert.deepEqual(await models.list(backend), [], path);
  }
});

test('remove takes one model and all of it', async () => {
  await load('/a');
  await load('/b');
  const [b] = await models.list(backend);
  await models.remove(b.id, backend);
  const left = await models.list(backend);
  assert.deepEqual(
    left.map(({ url }) => url),
    [`${server.url}/a/manifest.json`],
  );
  assert((await backend.list()).every(({ path }) => path.startsWith(left[0].id)));
  await assert.rejects(models.remove(b.id, backend), { code: 'not_found' });
});

test('verify finds the shard that was changed, drops it, and the next load fetches only that one', async () => {
  await load('/a');
  const [{ id }] = await models.list(backend);
  assert.deepEqual(await verify(id, backend), { ok: true, badShards: [], missingShards: [] });
  // Which shard is stored first is not said, so it is found by its hash.
  const hash = createHash('sha256').update(kFiles['/a'].subarray(20_000, 30_000)).digest('hex');
  const victim = (await backend.list()).find(({ path }) => path.endsWith(hash));
  const writer = await backend.createWriter(String(victim?.path));
  await writer.write(pattern(10_000, 99));
  await writer.commit();
  assert.deepEqual(await verify(id, backend), { ok: false, badShards: ['shard-002.bin'], missingShards: [] });
  assert.equal((await models.list(backend))[0].complete, false);
  assert.deepEqual(await verify(id, backend), { ok: false, badShards: [], missingShards: ['shard-002.bin'] });
  server.requests.length = 0;
  await load('/a');
  assert.deepEqual(server.requests, ['/a/manifest.json', '/a/shard-002.bin']);
  assert.equal((await verify(id, backend)).ok, true);
  await assert.rejects(verify('never', backend), { code: 'not_found' });
});

/**
 * @param {string} path
 * @param {string} text
 */
async function writeText(path, text) {
  const writer = await backend.createWriter(path);
  await writer.write(new TextEncoder().encode(text));
  await writer.commit();
}

test('a torn record does no harm while the one before it is there', async () => {
  await load('/a');
  const [{ id }] = await models.list(backend);
  await writeText(`${id}/record-99.json`, '{"version":2,"url":');
  server.requests.length = 0;
  await load('/a');
  assert.deepEqual(server.requests, []);
});

test('a complete model is given back as a file', async () => {
  await load('/a');
  const [{ id }] = await models.list(backend);
  const [file] = await models.exportFiles(id, backend);
  assert.equal(file.name, 'Test-model.gguf');
  assert.equal(Buffer.compare(Buffer.from(await file.arrayBuffer()), kFiles['/a']), 0);
  const victim = (await backend.list(id)).find(({ bytes }) => bytes === 10_000);
  await backend.delete(String(victim?.path));
  await assert.rejects(models.exportFiles(id, backend), { code: 'not_found' });
});

test('the name of a file is the one that people wrote', async () => {
  const file = modelPattern(5000, 3);
  server.files.set('/my%20m%C3%B6del.gguf', file);
  await (await openModel(`${server.url}/my mödel.gguf`, {}, { backend, network: { retries: 0 } })).close();
  const [{ id, name }] = await models.list(backend);
  assert.equal(name, 'my mödel.gguf');
  assert.equal((await models.exportFiles(id, backend))[0].name, 'my mödel.gguf');
});

test('a torn record is an unreadable entry that can be removed, and the model can be loaded again', async () => {
  await load('/a');
  const [{ id }] = await models.list(backend);
  for (const text of ['{"version":2,"url":', '{"version":2,"url":"x","name":"y","sources":[]}', '7', '']) {
    for (const { path } of await backend.list(id)) if (path.includes('/record-')) await writeText(path, text);
    const [entry] = await models.list(backend);
    assert.deepEqual([entry.id, entry.complete], [id, false], text);
    server.requests.length = 0;
    await load('/a');
    assert.deepEqual(server.requests, ['/a/manifest.json'], 'shards that are there are fetched again');
  }
  await models.remove(id, backend);
  assert.deepEqual(await models.list(backend), []);
});

/**
 * A memory store that holds a given number of bytes.
 * @param {number} capacity
 * @returns {import('../../web/store/contract.js').Backend}
 */
function smallBackend(capacity) {
  const inner = createMemoryBackend();
  let used = 0;
  return {
    ...inner,
    async createWriter(path) {
      const writer = await inner.createWriter(path);
      let own = 0;
      return {
        ...writer,
        async write(chunk) {
          if (used + chunk.length > capacity) throw new DOMException('full', 'QuotaExceededError');
          used += chunk.length;
          own += chunk.length;
          await writer.write(chunk);
        },
        async abort() {
          used -= own;
          await writer.abort();
        },
      };
    },
  };
}

test('a full store is a clear error; what fits is kept and other models are untouched', async () => {
  const store = smallBackend(100_000);
  await load('/a', store);
  await assert.rejects(load('/b', store), (/** @type {any} */ error) => {
    assert.equal(error.code, 'quota_exceeded');
    assert.match(error.message, /^the model needs .* more, but the browser/);
    assert.match(error.hint, /Remove a stored model/);
    assert.equal(error.cause.name, 'QuotaExceededError');
    return true;
  });
  const entries = await models.list(store);
  const [a, b] = ['/a', '/b'].map((folder) => entries.find(({ url }) => url.includes(`${folder}/`)));
  assert.equal(a?.complete, true);
  assert.equal((await verify(String(a?.id), store)).ok, true);
  assert.equal(b?.complete, false);
  assert(Number(b?.storedBytes) % 10_000 === 0, 'a half shard was kept');
  assert.deepEqual((await verify(String(b?.id), store)).badShards, []);
});

test('the numbers of the browser stand in the quota error, and stop a hopeless download before it starts', async (t) => {
  const navigator = { storage: { estimate: async () => ({ quota: 2_000_000, usage: 1_950_000 }) } };
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  t.after(() => {
    if (before) Object.defineProperty(globalThis, 'navigator', before);
    else Reflect.deleteProperty(globalThis, 'navigator');
  });
  const store = { ...createMemoryBackend(), persistent: true };
  await assert.rejects(load('/b', store), (/** @type {any} */ error) => {
    assert.equal(error.code, 'quota_exceeded');
    assert.equal(
      error.message,
      'the model needs 0.1 MB more, but the browser lets this site keep 2.0 MB and 1.9 MB are in use',
    );
    return true;
  });
  assert.deepEqual(server.requests, ['/b/manifest.json']);
  await load('/a', store);
});

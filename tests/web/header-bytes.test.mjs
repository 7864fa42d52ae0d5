/** readHeaders over a real local server: how much of a model is fetched, from where, and what is said of it. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { readHeaders } from '../../web/store/header-bytes.js';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import { openModel } from '../../web/store/open-model.js';
import { FaultyServer } from './faulty-server.mjs';
import { modelPattern } from './store-contract.mjs';

const kNetwork = { retries: 3, backoffMs: 5, stallMs: 400 };
const kMegabyte = 1 << 20;

/** @type {FaultyServer} */
let server;
before(async () => {
  server = await new FaultyServer().start();
});
after(() => server.stop());
beforeEach(() => {
  server.files.clear();
  server.faults.clear();
  server.requests.length = 0;
  server.sentBytes = 0;
  server.ranges = true;
  server.hidesRange = false;
});

/**
 * A GGUF as far as the store is concerned, whose first number says how long its header is.
 * @param {number} header
 * @param {number} bytes
 */
function fileWith(header, bytes) {
  const file = modelPattern(bytes, header);
  new DataView(file.buffer).setUint32(4, header, true);
  return file;
}

/** Reads a header as the core does: its length, then all of it. @type {import('../../web/store/header-bytes.js').Enough} */
function enough(header) {
  try {
    const size = new Uint8Array(8);
    header.read(size, 0);
    header.read(new Uint8Array(new DataView(size.buffer).getUint32(4, true)), 0);
  } catch {
    // `short` tells the one who asked
  }
  return !header.short;
}

/**
 * @param {string} path
 * @param {import('../../web/store/contract.js').Backend} [backend]
 * @param {Parameters<typeof readHeaders>[2]} [options]
 */
function read(path, backend = createMemoryBackend(), options = {}) {
  return readHeaders(server.url + path, enough, options, { backend, network: kNetwork });
}

/**
 * @param {import('../../web/store/header-bytes.js').ModelHeaders} model
 * @param {Uint8Array} file
 * @param {number} header
 */
function checkPart({ parts }, file, header) {
  const found = new Uint8Array(header);
  parts[0].read(found, 0);
  assert.equal(Buffer.compare(found, file.subarray(0, header)), 0);
}

test('ranges grow until the header is there', async () => {
  const file = fileWith(5 * kMegabyte, 40 * kMegabyte);
  server.files.set('/m.gguf', file);
  const model = await read('/m.gguf');
  checkPart(model, file, 5 * kMegabyte);
  assert.deepEqual([model.name, model.fileBytes], ['m.gguf', file.length]);
  assert.deepEqual(
    server.asked.slice(-4).map(({ range }) => range),
    ['0-1048575', '1048576-2097151', '2097152-4194303', '4194304-8388607'].map((range) => `bytes=${range}`),
  );
  assert.equal(server.sentBytes, 8 * kMegabyte);
});

test('shards of a manifest are read across their borders, the rest not at all', async () => {
  const file = fileWith(1_300_000, 4_000_000);
  server.addModel(file, 300_000);
  const model = await read('/m/manifest.json');
  checkPart(model, file, 1_300_000);
  assert.deepEqual([model.name, model.fileBytes], ['Test model', file.length]);
  assert.equal(server.sentBytes, 2 * kMegabyte);
});

test('all parts of a split file are looked into, the later ones with small requests', async () => {
  const names = [1, 2, 3].map((number) => `/m-0000${number}-of-00003.gguf`);
  for (const name of names) server.files.set(name, fileWith(10_000, 3_000_000));
  const model = await read(names[1]);
  assert.equal(model.parts.length, 3);
  assert.equal(model.fileBytes, 9_000_000);
  assert.equal(server.sentBytes, kMegabyte + 2 * 65536);
});

test('small files, files that end in their header, empty ones', async () => {
  for (const [header, bytes] of [
    [100, 500],
    [500, 500],
    [900, 500],
  ]) {
    server.files.set('/m.gguf', fileWith(header, bytes));
    for (const hidesRange of [false, true]) {
      server.hidesRange = hidesRange;
      const { parts, fileBytes } = await read('/m.gguf');
      assert.equal(parts[0].size, bytes);
      assert.equal(fileBytes, hidesRange ? null : bytes);
    }
  }
  server.hidesRange = false;
  server.files.set('/m.gguf', new Uint8Array(0));
  assert.equal((await read('/m.gguf')).parts[0].size, 0);
});

test('a header that is said to be longer than any is given up with the first bytes', async () => {
  server.files.set('/m.gguf', fileWith(0xffffffff, 70 * kMegabyte));
  const { parts } = await read('/m.gguf');
  assert.equal(parts[0].size, 64 * kMegabyte);
  assert.equal(server.sentBytes, kMegabyte);
});

test('without ranges one stream, left early; with faults no byte is lost or taken twice', async () => {
  const file = fileWith(3 * kMegabyte, 20 * kMegabyte);
  server.files.set('/m.gguf', file);
  server.ranges = false;
  checkPart(await read('/m.gguf'), file, 3 * kMegabyte);
  assert.equal(server.requests.length, 1);
  server.faults.set('/m.gguf', ['drop', 'no-length', 'busy', 'ok']);
  checkPart(await read('/m.gguf'), file, 3 * kMegabyte);
  server.ranges = true;
  server.faults.set('/m.gguf', ['cut', 'drop', 'ok', 'cut', 'gzip', 'ok']);
  checkPart(await read('/m.gguf'), file, 3 * kMegabyte);
});

test('a stored model is read where it lies', async () => {
  const backend = createMemoryBackend();
  const file = fileWith(100_000, 2_000_000);
  server.files.set('/m.gguf', file);
  await (await openModel(`${server.url}/m.gguf`, {}, { backend, network: kNetwork })).close();
  server.files.clear();
  server.requests.length = 0;
  // Only a worker reads files synchronously.
  Object.assign(globalThis, { FileReaderSync: class {} });
  const model = await read('/m.gguf', backend);
  Reflect.deleteProperty(globalThis, 'FileReaderSync');
  assert.deepEqual([model.fileBytes, model.parts.length, server.requests.length], [file.length, 1, 0]);
});

test('an abort, a missing file and a refusal are typed', async () => {
  server.files.set('/m.gguf', fileWith(100, 1000));
  server.faults.set('/m.gguf', ['stall']);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  await assert.rejects(read('/m.gguf', undefined, { signal: controller.signal }), { code: 'aborted' });
  await assert.rejects(read('/none.gguf'), { code: 'http' });
  await assert.rejects(readHeaders('ftp://x/m.gguf', enough), { code: 'invalid_argument' });
  server.setManifest({});
  await assert.rejects(read('/m/manifest.json'), { code: 'manifest_invalid' });
});

test("a token goes to the model's own server", async () => {
  server.files.set('/m.gguf', fileWith(100, 1000));
  await read('/m.gguf', undefined, { token: 'secret' });
  assert.equal(server.asked.at(-1)?.authorization, 'Bearer secret');
});

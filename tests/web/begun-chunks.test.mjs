/** Downloads that end in the middle of chunks: what a visit took and did not leave to the next one, byte by byte. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import { openModel } from '../../web/store/open-model.js';
import { FaultyServer } from './faulty-server.mjs';
import { modelPattern, pattern } from './store-contract.mjs';

const kChunk = 4 << 20;
const kHalf = kChunk / 2;
const kFile = modelPattern(6 * kChunk + 12_345, 21);
/** After so many bytes a visit ends. */
const kEnds = [7, 3, 6, 4].map((megabytes) => megabytes * 1_000_003);

/** @type {FaultyServer} */
let server;
/** @type {import('../../web/store/contract.js').Backend} */
let backend;
/** Bytes that the store has written. */
let written = 0;
let visitEnd = new AbortController();
let endAt = Infinity;

before(async () => {
  server = await new FaultyServer().start();
});
after(() => server.stop());
beforeEach(() => {
  server.files.set('/plain.gguf', kFile);
  server.etags.set('/plain.gguf', '"one"');
  server.addModel(kFile, kChunk);
  const inner = createMemoryBackend();
  const createWriter = async (/** @type {string} */ path, /** @type {any} */ options) => {
    const writer = await inner.createWriter(path, options);
    if (!options) return writer; // a record
    const write = async (/** @type {Uint8Array} */ bytes) => {
      await writer.write(bytes);
      written += bytes.length;
      if (written >= endAt) visitEnd.abort();
    };
    return { ...writer, write };
  };
  backend = { ...inner, createWriter };
});

/** What of the model is there, halves of chunks included. */
async function kept() {
  const files = await backend.list();
  const chunks = files.filter(({ path }) => /[0-9a-f]{64}$/.test(path));
  const [folder] = files[0].path.split('/');
  return chunks.reduce((sum, { bytes }) => sum + bytes, 0) + kHalf * (await backend.unfinished(folder)).length;
}

/**
 * @param {string} path
 * @param {number} [most] bytes that it writes, about
 * @param {number} [parallel]
 */
function visit(path, most = Infinity, parallel = undefined) {
  written = 0;
  endAt = most;
  visitEnd = new AbortController();
  const network = { retries: 0, parallel, ...(path.endsWith('gguf') && { chunkBytes: kChunk }) };
  return openModel(server.url + path, { signal: visitEnd.signal }, { backend, network });
}

for (const path of ['/plain.gguf', '/m/manifest.json']) {
  test(`${path}: a visit that ends loses no more than one chunk, half of one for each lane`, async () => {
    let before = 0;
    for (const most of kEnds) {
      await assert.rejects(visit(path, most), { code: 'aborted' });
      const now = await kept();
      assert(written - (now - before) <= kChunk, `${written} bytes came, ${before} bytes became ${now}`);
      before = now;
    }
    const model = await visit(path);
    assert.equal(written, kFile.length - before);
    const bytes = new Uint8Array(kFile.length);
    model.parts[0].read(bytes, 0);
    assert.equal(Buffer.compare(bytes, kFile), 0);
  });
}

test('halves of a file that changed meanwhile are thrown away', async () => {
  await assert.rejects(visit('/plain.gguf', kChunk + 3e6, 1), { code: 'aborted' });
  const [{ path }] = await backend.list();
  const [folder] = path.split('/');
  assert.equal((await backend.unfinished(folder)).length, 1);
  const next = pattern(kFile.length, 22);
  next.set(kFile.subarray(0, 4));
  server.files.set('/plain.gguf', next);
  server.etags.set('/plain.gguf', '"two"');
  const model = await visit('/plain.gguf');
  const bytes = new Uint8Array(next.length);
  model.parts[0].read(bytes, 0);
  assert.equal(Buffer.compare(bytes, next), 0);
  assert.deepEqual(await backend.unfinished(folder), []);
});

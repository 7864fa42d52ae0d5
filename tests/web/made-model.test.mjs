/** Models made on this device: stored, listed, loaded, checked, exported and removed like others, and gone when something fails. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { readHeaders } from '../../web/store/header-bytes.js';
import { storeMade } from '../../web/store/made-model.js';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import * as models from '../../web/store/models.js';
import { openModel } from '../../web/store/open-model.js';
import { verify } from '../../web/store/verify-model.js';
import { pattern } from './store-contract.mjs';

const kBytes = Buffer.concat([Buffer.from('GGUF'), pattern(50_001, 3)]);
const network = { chunkBytes: 20_000 };

/** @type {import('../../web/store/contract.js').Backend} */
let backend;
beforeEach(() => {
  backend = createMemoryBackend();
});

/** @param {import('../../web/store/contract.js').Backend} [store] */
function make(store = backend) {
  return storeMade(
    { name: 'Tiny model Q4_0', bytes: kBytes.length },
    async (write) => {
      for (let at = 0; at < kBytes.length; at += 7001) await write(kBytes.subarray(at, at + 7001));
    },
    { backend: store, network },
  );
}

test('it is listed, checked, opened and given back like any other', async () => {
  const { id, url } = await make();
  const [entry] = await models.list(backend);
  const { lastUsed, ...rest } = entry;
  assert(Number(lastUsed) > 0);
  assert.deepEqual(rest, {
    id,
    url,
    kind: 'model',
    name: 'Tiny model Q4_0',
    bytes: kBytes.length,
    storedBytes: kBytes.length,
    complete: true,
    made: true,
  });
  assert.deepEqual(await verify(id, backend), { ok: true, badShards: [], missingShards: [] });
  const model = await openModel(url, {}, { backend });
  const read = new Uint8Array(kBytes.length);
  model.parts[0].read(read, 0);
  await model.close();
  assert.equal(Buffer.compare(read, kBytes), 0);
  const [file] = await models.exportFiles(id, backend);
  assert.equal(file.name, 'Tiny-model-Q4_0.gguf');
  assert.equal(Buffer.compare(Buffer.from(await file.arrayBuffer()), kBytes), 0);
  await models.remove(id, backend);
  assert.deepEqual(await backend.list(), []);
});

test('a second one of the same name is another one', async () => {
  const first = await make();
  const second = await make();
  assert.notEqual(first.id, second.id);
  assert.equal((await models.list(backend)).length, 2);
});

test('damaged, it says that there is nowhere to fetch it from', async () => {
  const { id, url } = await make();
  const victim = (await backend.list(id)).find(({ bytes }) => bytes === 20_000);
  const writer = await backend.createWriter(String(victim?.path));
  await writer.write(pattern(20_000, 99));
  await writer.commit();
  assert.deepEqual((await verify(id, backend)).badShards, ['Tiny-model-Q4_0.gguf']);
  const nowhere = { code: 'not_found', message: /Tiny-model-Q4_0.gguf was made on this device.*nowhere to fetch it/ };
  await assert.rejects(openModel(url, {}, { backend }), nowhere);
  await assert.rejects(
    readHeaders(url, () => true, {}, { backend }),
    nowhere,
  );
  assert.equal((await models.list(backend))[0].complete, false);
  await models.remove(id, backend);
  await assert.rejects(openModel(url, {}, { backend }), nowhere);
});

test('while it is made it is listed as incomplete; what fails leaves nothing', async () => {
  const stopped = new Error('stopped');
  const failing = storeMade(
    { name: 'x', bytes: kBytes.length },
    async (write) => {
      await write(kBytes.subarray(0, 45_000));
      const [entry] = await models.list(backend);
      assert.deepEqual([entry.complete, entry.storedBytes, entry.name], [false, 40_000, 'x']);
      throw stopped;
    },
    { backend, network },
  );
  await assert.rejects(failing, stopped);
  assert.deepEqual(await backend.list(), []);
});

test('a full disk leaves nothing and says what is missing', async () => {
  let room = 30_000;
  const small = /** @type {import('../../web/store/contract.js').Backend} */ ({
    ...backend,
    async createWriter(path) {
      const writer = await backend.createWriter(path);
      return {
        ...writer,
        async write(chunk) {
          room -= chunk.length;
          if (room < 0) throw new DOMException('full', 'QuotaExceededError');
          await writer.write(chunk);
        },
      };
    },
  });
  await assert.rejects(make(small), (/** @type {any} */ error) => {
    assert.equal(error.code, 'quota_exceeded');
    assert.match(error.message, /^the model needs 0\.0 MB more, but/);
    assert.match(error.hint, /fewer bits a weight/);
    return true;
  });
  assert.deepEqual(await backend.list(), []);
});

/** The second thread of a download: what it takes over, what it says, and what happens when it falls silent. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TesseraError } from '../../web/base/errors.js';
import { serveLane } from '../../web/store/lane-worker.js';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import { openModel } from '../../web/store/open-model.js';
import { FaultyServer } from './faulty-server.mjs';
import { sharedMemory, startLaneHere } from './lane-here.mjs';
import { modelPattern } from './store-contract.mjs';

const kShard = 4096;
const kShards = 40;
const kSilenceMs = 200;
const kNetwork = { retries: 1, backoffMs: 1, stallMs: kSilenceMs, chunkBytes: kShard, chunksPerRequest: 1 };

/** @typedef {import('../../web/store/contract.js').Backend} Backend */

/** @type {FaultyServer} */
let server;
let models = 0;
before(async () => {
  server = await new FaultyServer().start();
});
after(() => server.stop());

/** A model of 40 shards. */
function addShards() {
  const path = `/m${++models}`;
  const file = modelPattern(kShards * kShard, models);
  server.addModel(file, kShard, path);
  const requests = () => server.requests.filter((asked) => asked.startsWith(`${path}/shard`)).length;
  return { path, file, url: `${server.url}${path}/manifest.json`, requests };
}

/**
 * @param {string} url
 * @param {Backend} backend
 * @param {object} how
 * @param {() => import('../../web/store/second-lane.js').LaneWorker} how.startLane
 * @param {AbortSignal} [how.signal]
 * @param {number[]} [how.progress] what was reported
 */
async function read(url, backend, { startLane, signal, progress = [] }) {
  const onProgress = (/** @type {{loadedBytes: number}} */ { loadedBytes }) => void progress.push(loadedBytes);
  const model = await openModel(url, { signal, onProgress }, { backend, network: kNetwork, startLane });
  const bytes = new Uint8Array(model.parts[0].size);
  model.parts[0].read(bytes, 0);
  await model.close();
  return bytes;
}

/**
 * A worker whose messages are counted, and that falls silent after some of them.
 * @param {Backend} backend
 * @param {{mostStored?: number}} [limits]
 */
function watchedLane(backend, { mostStored = Infinity } = {}) {
  const seen = { asked: 0, stored: 0, ended: false };
  const startLane = () => {
    const lane = startLaneHere(backend, (port) => {
      const inner = new MessageChannel();
      serveLane(inner.port2, async () => backend);
      inner.port1.onmessage = ({ data }) => {
        if (data.ready || seen.stored < mostStored) port.postMessage(data);
        if (data.stored) ++seen.stored;
      };
      port.onmessage = ({ data }) => {
        if (!data.stop) ++seen.asked;
        if (seen.stored < mostStored) inner.port1.postMessage(data);
      };
      port.addEventListener('close', () => inner.port1.close());
    });
    return { ...lane, end: () => ((seen.ended = true), lane.end()) };
  };
  return { startLane, seen };
}

test('both threads take requests, and the reader sees one download', async () => {
  const { url, file, requests } = addShards();
  const backend = sharedMemory();
  const { startLane, seen } = watchedLane(backend);
  const progress = /** @type {number[]} */ ([]);
  assert.equal(Buffer.compare(await read(url, backend, { startLane, progress }), file), 0);
  assert.equal(requests(), kShards);
  assert(seen.stored >= kShards / 4 && seen.stored < kShards, `${seen.stored} of ${kShards} came by the second thread`);
  assert.equal(seen.asked, seen.stored);
  assert(seen.ended);
  assert.equal(progress.at(-1), file.length);
});

test('a worker that falls silent is given up; what it has stored is not fetched again', async () => {
  for (const mostStored of [0, 3]) {
    const { url, file, requests } = addShards();
    const backend = sharedMemory();
    const { startLane, seen } = watchedLane(backend, { mostStored });
    const started = performance.now();
    const progress = /** @type {number[]} */ ([]);
    assert.equal(Buffer.compare(await read(url, backend, { startLane, progress }), file), 0);
    assert(seen.ended);
    assert(performance.now() - started >= kSilenceMs);
    const again = requests() - kShards;
    assert(again <= 2, `${again} shards came twice`); // one that arrives, one that is stored meanwhile
    assert.equal(progress.at(-1), file.length);
  }
});

test('a stop does not wait for a worker that hangs', async () => {
  const { url } = addShards();
  const backend = sharedMemory();
  const { startLane, seen } = watchedLane(backend, { mostStored: 0 });
  const network = { ...kNetwork, stallMs: 60_000 };
  const controller = new AbortController();
  const opened = openModel(url, { signal: controller.signal }, { backend, network, startLane });
  while (seen.asked === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const started = performance.now();
  controller.abort();
  await assert.rejects(opened, { code: 'aborted' });
  const waited = performance.now() - started;
  assert(waited < 10_000, `${waited} ms`);
  assert(seen.ended);
});

test('what only this thread can see is not shared', async () => {
  const { url, file } = addShards();
  const backend = createMemoryBackend();
  const { startLane, seen } = watchedLane(backend);
  assert.equal(Buffer.compare(await read(url, backend, { startLane }), file), 0);
  assert.equal(seen.asked, 0);
});

test('a failure in the second thread is the error of the download', async () => {
  for (const [fault, code] of /** @type {const} */ ([
    ['not-found', 'http'],
    ['wrong-bytes', 'hash_mismatch'],
  ])) {
    const { url, path } = addShards();
    const backend = sharedMemory();
    const { startLane, seen } = watchedLane(backend);
    server.nextFault = (asked) => (asked.startsWith(`${path}/shard`) && seen.stored >= 5 ? fault : 'ok');
    const failed = read(url, backend, { startLane });
    await assert.rejects(failed, (error) => error instanceof TesseraError && error.code === code && error.hint !== '');
    server.nextFault = () => 'ok';
    assert(seen.ended);
  }
});

test('a full store in the second thread is said with numbers, as ever', async () => {
  const { url } = addShards();
  const backend = sharedMemory();
  let left = 12 * kShard;
  const full = {
    ...backend,
    /** @type {Backend['createWriter']} */
    async createWriter(path, options) {
      const writer = await backend.createWriter(path, options);
      const write = async (/** @type {Uint8Array} */ piece) => {
        left -= piece.length;
        if (left < 0) throw new DOMException('no room', 'QuotaExceededError');
        await writer.write(piece);
      };
      return { ...writer, write };
    },
  };
  await assert.rejects(
    read(url, backend, { startLane: () => startLaneHere(full) }),
    (error) => error instanceof TesseraError && error.code === 'quota_exceeded',
  );
});

test('a file that changes while the second thread fetches it is begun anew', async () => {
  const path = `/f${++models}.gguf`;
  const first = modelPattern(kShards * kShard, 1);
  const second = modelPattern(kShards * kShard, 2);
  server.files.set(path, first);
  server.etags.set(path, '"1"');
  const backend = sharedMemory();
  const { startLane, seen } = watchedLane(backend);
  server.nextFault = () => {
    if (seen.stored === 5) {
      server.files.set(path, second);
      server.etags.set(path, '"2"');
    }
    return 'ok';
  };
  assert.equal(Buffer.compare(await read(server.url + path, backend, { startLane }), second), 0);
  server.nextFault = () => 'ok';
});

test('a stop reaches the second thread, and what is there stays', async () => {
  const { url, file, requests } = addShards();
  const backend = sharedMemory();
  const { startLane, seen } = watchedLane(backend);
  const controller = new AbortController();
  server.nextFault = () => {
    if (seen.stored >= 5) controller.abort();
    return 'ok';
  };
  const stopped = read(url, backend, { startLane, signal: controller.signal });
  await assert.rejects(stopped, (error) => error instanceof TesseraError && error.code === 'aborted');
  server.nextFault = () => 'ok';
  const before = requests();
  const asked = (await backend.list()).filter(({ bytes }) => bytes === kShard).length;
  assert(asked >= 5);
  assert.equal(Buffer.compare(await read(url, backend, { startLane }), file), 0);
  assert(requests() - before <= kShards - asked);
});

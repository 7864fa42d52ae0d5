/** The worker that hashes for the store, on a thread of this program: what goes to it and comes back, and what happens without it. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { BegunChunks } from '../../web/store/begun-chunks.js';
import { Hasher, serveHashes } from '../../web/store/hasher.js';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import { ModelFolder } from '../../web/store/model-folder.js';
import { Transient } from '../../web/store/network.js';
import { recordOfFiles } from '../../web/store/records.js';
import { Span } from '../../web/store/span.js';
import { sha256 } from './faulty-server.mjs';
import { pattern } from './store-contract.mjs';

const kBytes = 2 << 20;
const kSilenceMs = 80;

/** @type {MessagePort[]} */
const ports = [];
after(() => ports.forEach((port) => port.close()));

function makeChannel() {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  return { hasher: new Hasher({ port: port1, end: () => {} }, kSilenceMs), port: port2 };
}

/** @param {Hasher} hasher */
async function ready(hasher) {
  while (!hasher.ready) await new Promise((resolve) => setTimeout(resolve, 2));
}

test('memory goes to the worker without a copy, and comes back with the hash of its front', async () => {
  const { hasher, port } = makeChannel();
  assert(!hasher.ready, 'nobody is there yet');
  serveHashes(port);
  await ready(hasher);
  const memories = [1, 2, 3].map((seed) => pattern(kBytes, seed));
  const expected = memories.map((memory) => sha256(memory.subarray(0, kBytes - 5)));
  const asked = memories.map((memory) => hasher.sha256(memory, kBytes - 5));
  assert(memories.every(({ length }) => length === 0));
  const hashed = await Promise.all(asked);
  assert.deepEqual(
    hashed.map((answer) => answer?.hash),
    expected,
  );
  assert.equal(Buffer.compare(/** @type {any} */ (hashed[2]).memory, pattern(kBytes, 3)), 0);
});

test('a worker that falls silent is given up', async () => {
  const { hasher, port } = makeChannel();
  port.postMessage({ ready: true });
  await ready(hasher);
  assert.equal(await hasher.sha256(pattern(kBytes, 4), kBytes), undefined);
  assert(!hasher.ready);
});

test('the worker ends with the download', () => {
  const { port1, port2 } = new MessageChannel();
  let ended = false;
  new Hasher({ port: port1, end: () => void (ended = true) }, kSilenceMs).end();
  port2.close();
  assert(ended);
});

const kChunk = 1 << 16;
const kFile = pattern(3 * kChunk + 1000, 5);
kFile.set(new TextEncoder().encode('GGUF'));

/**
 * A plain file on its way into an empty folder.
 * @param {Hasher | null} hasher
 */
async function makeSpan(hasher) {
  const backend = createMemoryBackend();
  const folder = await ModelFolder.read(backend, 'm');
  const [source] = recordOfFiles('http://host/m.gguf', ['http://host/m.gguf'], kChunk).sources;
  source.bytes = kFile.length;
  const begun = new BegunChunks(backend, 'm');
  const span = new Span(source, 0, null, { folder, begun, hasher, spare: [], progress: { add() {} } });
  const stored = () => [0, 1, 2, 3].map((index) => folder.chunk(source, index)?.hash);
  return { span, source, stored };
}

test('a plain file that is hashed in the worker has the hashes that it has without', async () => {
  const { hasher, port } = makeChannel();
  /** @type {number[]} */
  const hashed = [];
  port.addEventListener('message', ({ data }) => hashed.push(data.bytes));
  serveHashes(port);
  await ready(hasher);
  const stored = [];
  for (const how of [null, hasher]) {
    const file = await makeSpan(how);
    for (let at = 0; at < kFile.length; at += 777) await file.span.take(kFile.subarray(at, at + 777));
    await file.span.ended();
    stored.push(file.stored());
  }
  assert(stored[0].every((hash) => hash?.length === 64));
  assert.deepEqual(stored[1], stored[0]);
  assert.equal(
    hashed.reduce((sum, bytes) => sum + bytes, 0),
    kFile.length,
  );
});

test('the next chunk comes while one is hashed; when that one is wrong both come again', async () => {
  const { hasher, port } = makeChannel();
  /** @type {(() => void)[]} */
  const answers = [];
  port.onmessage = ({ data: { id, memory } }) =>
    answers.push(() => port.postMessage({ id, hash: '0'.repeat(64), memory }));
  port.postMessage({ ready: true });
  await ready(hasher);
  const { span, source, stored } = await makeSpan(hasher);
  source.pins = ['1', '2', '3', '4'];
  const middle = kChunk + 100;
  await span.take(kFile.subarray(0, middle));
  assert.equal(span.position, middle);
  while (answers.length < 32) await new Promise((resolve) => setTimeout(resolve, 2));
  answers.forEach((answer) => answer());
  const rest = async () => {
    for (let at = middle; at < 2 * kChunk; at += 100) {
      await span.take(kFile.subarray(at, at + 100));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  await assert.rejects(rest(), (error) => error instanceof Transient && error.error.code === 'hash_mismatch');
  assert.equal(span.position, 0);
  await span.close();
  assert.deepEqual(stored(), [undefined, undefined, undefined, undefined]);
});

test('blocks that go down with a silent worker come again', async () => {
  const { hasher, port } = makeChannel();
  port.postMessage({ ready: true });
  await ready(hasher);
  const { span, stored } = await makeSpan(hasher);
  const all = async () => {
    await span.take(kFile.subarray(span.position));
    await span.ended();
  };
  await assert.rejects(all(), (error) => error instanceof Transient);
  assert.equal(span.position, 0);
  await all();
  assert(stored().every((hash) => hash?.length === 64));
});

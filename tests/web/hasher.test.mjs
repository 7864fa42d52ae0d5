/** The worker that hashes for the store, on a thread of this program: what goes to it and comes back, and what happens without it. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Hasher, serveHashes } from '../../web/store/hasher.js';
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

/** Downloads in real browsers whose workers, pages and tabs end at random moments, from a server that misbehaves. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FaultyServer, sha256 } from '../web/faulty-server.mjs';
import { pattern } from '../web/store-contract.mjs';
import { testInBrowsers } from './store-harness.mjs';

const kRuns = { chrome: 6, firefox: 2 };
const kMostVisits = 40;
const kChunk = 256 << 10;
const kLanes = 3;
const kNetwork = { retries: 3, backoffMs: 5, stallMs: 400, chunkBytes: kChunk, chunksPerRequest: 1, parallel: kLanes };
const kFaults = /** @type {const} */ (['cut', 'stall', 'drop', 'busy', 'broken', 'short', 'slow']);

/**
 * The store's page and worker from the server that has the models, as the policy of a page wants it.
 * @param {string} root
 */
async function startServer(root) {
  const server = await new FaultyServer().start();
  for (const name of ['index.html', 'store-worker.js']) server.files.set(`/${name}`, await readFile(join(root, name)));
  return server;
}

/**
 * Begins a visit and does not wait for its end.
 * @param {import('puppeteer-core').Page} page
 * @param {string} url
 */
function begin(page, url) {
  return page.evaluate(
    (message) => {
      const worker = new Worker('/store-worker.js', { type: 'module' });
      const state = /** @type {any} */ (window);
      state.worker = worker;
      state.answer = new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
      worker.postMessage(message);
    },
    { url, network: kNetwork },
  );
}

testInBrowsers('interrupted downloads', async ({ browser, root, name }, t) => {
  const server = await startServer(root);
  t.after(() => server.stop());
  let page = await browser.newPage();
  await page.goto(`${server.url}/index.html`);
  const ends = {
    worker: () => page.evaluate(() => /** @type {any} */ (window).worker.terminate()),
    reload: async () => void (await page.reload()),
    tab: async () => {
      await page.close();
      page = await browser.newPage();
      await page.goto(`${server.url}/index.html`);
    },
  };

  for (let run = 0; run < kRuns[name]; ++run) {
    const file = pattern(5_000_000 + 1000 * run, run);
    file.set(new TextEncoder().encode('GGUF'));
    const path = `/run-${run}.gguf`;
    server.files.set(path, file);
    server.etags.set(path, '"1"');
    let faults = 0;
    server.nextFault = (asked) => {
      if (asked !== path || Math.random() > 0.15) return 'ok';
      ++faults;
      return kFaults[Math.floor(Math.random() * kFaults.length)];
    };
    server.sentBytes = 0;
    let answer;
    let kills = 0;
    for (let visits = 0; answer?.hashes === undefined; ++visits) {
      assert(visits < kMostVisits, `run ${run}: no end after ${visits} visits: ${JSON.stringify(answer)}`);
      await begin(page, server.url + path);
      if (visits < 4) {
        await new Promise((resolve) => setTimeout(resolve, 30 + Math.random() * 250));
        const how = /** @type {const} */ (['worker', 'reload', 'tab'])[(run + visits) % 3];
        await ends[how]();
        ++kills;
      } else {
        answer = await page.evaluate(() => /** @type {any} */ (window).answer);
      }
    }
    assert.deepEqual(answer.hashes, [sha256(file)], `run ${run}`);
    // What was under way when the tab ended comes once more: one request of each lane.
    const limit = 1.1 * file.length + (faults + kLanes * kills) * kChunk;
    assert(server.sentBytes <= limit, `run ${run}: ${server.sentBytes} bytes, ${faults} faults, ${kills} ends`);
  }
});

/**
 * A visit with a worker beside the store's that hashes, or says that it will and never does.
 * @param {import('puppeteer-core').Page} page
 * @param {object} message
 * @param {boolean} works
 * @returns {Promise<{hashes?: string[], error?: object}>}
 */
function visitWithHasher(page, message, works) {
  return page.evaluate(
    async (content, answers) => {
      const [store, hasher] = [1, 2].map(() => new Worker('/store-worker.js', { type: 'module' }));
      const { port1, port2 } = new MessageChannel();
      if (answers) hasher.postMessage({ task: 'hash', port: port1 }, [port1]);
      else port1.postMessage({ ready: true });
      const answer = await new Promise((resolve) => {
        store.onmessage = ({ data }) => resolve(data);
        store.postMessage({ ...content, port: port2 }, [port2]);
      });
      for (const worker of [store, hasher]) worker.terminate();
      return answer;
    },
    message,
    works,
  );
}

testInBrowsers('a worker that hashes', async ({ browser, root, name }, t) => {
  const server = await startServer(root);
  t.after(() => server.stop());
  const page = await browser.newPage();
  await page.goto(`${server.url}/index.html`);
  const shard = 2 << 20;
  for (const works of [true, false]) {
    const file = pattern(12 * shard, works ? 1 : 2);
    file.set(new TextEncoder().encode('GGUF'));
    const { shards } = server.addModel(file, shard, `/${works}`);
    const network = { retries: 1, backoffMs: 5, stallMs: 2000 };
    const message = { url: `${server.url}/${works}/manifest.json`, network };
    assert.deepEqual((await visitWithHasher(page, message, works)).hashes, [sha256(file)]);
    // Shards that go down with it come once more. Firefox hashes on a thread of its own.
    const lost = works || name === 'firefox' ? [0] : [1, 2];
    const asked = server.requests.filter((path) => path.startsWith(`/${works}/shard`)).length;
    assert(lost.includes(asked - shards.length), `${works}: ${asked} requests for ${shards.length} shards`);
  }
});

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
 * @param {import('../../web/store/network.js').NetworkOptions} [network]
 */
function begin(page, url, network = kNetwork) {
  return page.evaluate(
    (message) => {
      const worker = new Worker('/store-worker.js', { type: 'module' });
      const state = /** @type {any} */ (window);
      state.worker = worker;
      state.answer = new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
      worker.postMessage(message);
    },
    { url, network },
  );
}

/** The ways in which a visit ends without a word to the store. */
const kEnds = /** @type {const} */ (['worker', 'reload', 'tab']);

/**
 * @param {import('puppeteer-core').Page} page
 * @param {typeof kEnds[number]} how
 * @returns {Promise<import('puppeteer-core').Page>} for the next visit
 */
async function end(page, how) {
  if (how === 'worker') await page.evaluate(() => /** @type {any} */ (window).worker.terminate());
  if (how === 'reload') await page.reload();
  if (how !== 'tab') return page;
  const [browser, url] = [page.browser(), page.url()];
  await page.close();
  const next = await browser.newPage();
  await next.goto(url);
  return next;
}

testInBrowsers('interrupted downloads', async ({ browser, root, name }, t) => {
  const server = await startServer(root);
  t.after(() => server.stop());
  let page = await browser.newPage();
  await page.goto(`${server.url}/index.html`);

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
        page = await end(page, kEnds[(run + visits) % kEnds.length]);
        ++kills;
      } else {
        answer = await page.evaluate(() => /** @type {any} */ (window).answer);
      }
    }
    assert.deepEqual(answer.hashes, [sha256(file)], `run ${run}`);
    // What was under way when the tab ended comes once more: one request of each lane, as these chunks are no larger than what
    // the sockets hold.
    const limit = 1.1 * file.length + (faults + kLanes * kills) * kChunk;
    assert(server.sentBytes <= limit, `run ${run}: ${server.sentBytes} bytes, ${faults} faults, ${kills} ends`);
  }
});

testInBrowsers('ends in the middle of two chunks', async ({ browser, root }, t) => {
  const server = await startServer(root);
  t.after(() => server.stop());
  server.stallPart = 0.75;
  let page = await browser.newPage();
  await page.goto(`${server.url}/index.html`);
  const chunk = 4 << 20;
  const file = pattern(9 * chunk, 5);
  file.set(new TextEncoder().encode('GGUF'));
  server.files.set('/ends.gguf', file);
  server.etags.set('/ends.gguf', '"1"');
  server.addModel(file, chunk);
  for (const path of ['/ends.gguf', '/m/manifest.json']) {
    const network = { parallel: 2, chunksPerRequest: 1, ...(path === '/ends.gguf' && { chunkBytes: chunk }) };
    const models = () => server.requests.filter((asked) => /ends|shard/.test(asked)).length;
    let lost = -file.length;
    for (const how of kEnds) {
      // Two chunks come, of the next two three quarters of what is asked for.
      const first = models();
      server.nextFault = (asked) => (/ends|shard/.test(asked) && models() > first + 2 ? 'stall' : 'ok');
      server.sentBytes = 0;
      await begin(page, server.url + path, network);
      while (models() < first + 4) await new Promise((resolve) => setTimeout(resolve, 20));
      await new Promise((resolve) => setTimeout(resolve, 500)); // all that was sent is on the disk
      page = await end(page, how);
      lost += server.sentBytes;
    }
    server.nextFault = () => 'ok';
    server.sentBytes = 0;
    await begin(page, server.url + path, network);
    const { hashes } = await page.evaluate(() => /** @type {any} */ (window).answer);
    assert.deepEqual(hashes, [sha256(file)], path);
    lost += server.sentBytes;
    assert(lost > 0 && lost <= kEnds.length * chunk, `${path}: ${lost} bytes came twice in ${kEnds.length} ends`);
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
    const plain = `/${works}.gguf`;
    server.files.set(plain, file);
    server.etags.set(plain, '"1"');
    const whole = { url: server.url + plain, network: { ...network, chunkBytes: shard, chunksPerRequest: 1 } };
    assert.deepEqual((await visitWithHasher(page, whole, works)).hashes, [sha256(file)]);
    const more = server.requests.filter((path) => path === plain).length - shards.length;
    assert.equal(more, Math.min(1, lost[0]), `${works}: ${more} requests more than chunks of a plain file`);
  }
});

/** Downloads in real browsers whose workers, pages and tabs end at random moments, from a server that misbehaves. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FaultyServer, sha256 } from '../web/faulty-server.mjs';
import { modelPattern } from '../web/store-contract.mjs';
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
      const [store, lane] = [1, 2].map(() => new Worker('/store-worker.js', { type: 'module' }));
      const { port1, port2 } = new MessageChannel();
      lane.postMessage({ task: 'lane', port: port1 }, [port1]);
      const state = /** @type {any} */ (window);
      state.workers = [store, lane];
      state.answer = new Promise((resolve) => (store.onmessage = ({ data }) => resolve(data)));
      store.postMessage({ ...message, port: port2 }, [port2]);
    },
    { url, network },
  );
}

/**
 * A visit that nothing ends, in a page of its own.
 * @param {import('puppeteer-core').Browser} browser
 * @param {string} url
 * @returns {Promise<{error?: object, hashes?: string[]}>}
 */
async function visit(browser, url) {
  const page = await browser.newPage();
  await page.goto(new URL('/index.html', url).href);
  await begin(page, url);
  return answerOf(page);
}

/** What the visit ended with. @param {import('puppeteer-core').Page} page */
const answerOf = (page) => page.evaluate(() => /** @type {any} */ (window).answer);

/** The ways in which a visit ends without a word to the store. */
const kEnds = /** @type {const} */ (['worker', 'reload', 'tab']);

/**
 * @param {import('puppeteer-core').Page} page
 * @param {typeof kEnds[number]} how
 * @returns {Promise<import('puppeteer-core').Page>} for the next visit
 */
async function end(page, how) {
  if (how === 'worker') {
    await page.evaluate(() =>
      /** @type {any} */ (window).workers.forEach((/** @type {Worker} */ each) => each.terminate()),
    );
  }
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

  let sent = 0;
  let usual = 0;
  for (let run = 0; run < kRuns[name]; ++run) {
    const file = modelPattern(5_000_000 + 1000 * run, run);
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
        answer = await answerOf(page);
      }
    }
    assert.deepEqual(answer.hashes, [sha256(file)], `run ${run}`);
    // What was under way when the tab ended comes once more: of each lane one request, as these chunks are no larger than what the
    // sockets hold, and sometimes the chunk before, which is stored meanwhile.
    const limit = (/** @type {number} */ ofLane) => 1.1 * file.length + (faults + ofLane * kLanes * kills) * kChunk;
    const { sentBytes } = server;
    assert(sentBytes <= limit(2), `run ${run}: ${sentBytes} bytes, ${faults} faults, ${kills} ends`);
    sent += sentBytes;
    usual += limit(1);
  }
  assert(sent <= usual, `${sent} bytes in all runs, expected at most ${Math.round(usual)}`);
});

testInBrowsers('an address of the site that leads to another one', async ({ browser, root }, t) => {
  const site = await startServer(root);
  t.after(() => site.stop());
  const other = await new FaultyServer().start();
  t.after(() => other.stop());
  const file = modelPattern(1_000_000, 1);
  other.shared = true;
  other.files.set('/model.gguf', file);
  other.etags.set('/model.gguf', '"1"');
  site.redirects.set('/model.gguf', `${other.url}/model.gguf`);
  const answer = await visit(browser, `${site.url}/model.gguf`);
  assert.deepEqual([answer.error, answer.hashes], [undefined, [sha256(file)]]);
});

testInBrowsers('a server that packs whatever it sends', async ({ browser, root }, t) => {
  const server = await startServer(root);
  t.after(() => server.stop());
  const file = modelPattern(1_000_000, 2);
  server.files.set('/packed.gguf', file);
  server.nextFault = (path) => (path === '/packed.gguf' ? 'gzip' : 'ok');
  const answer = await visit(browser, `${server.url}/packed.gguf`);
  assert.deepEqual([answer.error, answer.hashes], [undefined, [sha256(file)]]);
});

testInBrowsers('ends in the middle of two chunks', async ({ browser, root }, t) => {
  const server = await startServer(root);
  t.after(() => server.stop());
  server.stallPart = 0.75;
  let page = await browser.newPage();
  await page.goto(`${server.url}/index.html`);
  const chunk = 4 << 20;
  const file = modelPattern(9 * chunk, 5);
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
    const { hashes } = await answerOf(page);
    assert.deepEqual(hashes, [sha256(file)], path);
    lost += server.sentBytes;
    assert(lost > 0 && lost <= kEnds.length * chunk, `${path}: ${lost} bytes came twice in ${kEnds.length} ends`);
  }
});

/**
 * A visit with a second worker that takes half of the download, or says that it will and never does.
 * @param {import('puppeteer-core').Page} page
 * @param {object} message
 * @param {boolean} works
 * @returns {Promise<{hashes?: string[], error?: object, requests: number}>} requests: that the second worker was asked for
 */
function visitInTwoThreads(page, message, works) {
  return page.evaluate(
    async (content, answers) => {
      const [store, lane] = [1, 2].map(() => new Worker('/store-worker.js', { type: 'module' }));
      const [to, from] = [new MessageChannel(), new MessageChannel()];
      let requests = 0;
      to.port1.onmessage = ({ data }) => {
        requests += data.stop ? 0 : 1;
        if (answers) from.port2.postMessage(data);
      };
      from.port2.onmessage = ({ data }) => to.port1.postMessage(data);
      if (answers) lane.postMessage({ task: 'lane', port: from.port1 }, [from.port1]);
      else to.port1.postMessage({ ready: true });
      const answer = await new Promise((resolve) => {
        store.onmessage = ({ data }) => resolve(data);
        store.postMessage({ ...content, port: to.port2 }, [to.port2]);
      });
      for (const worker of [store, lane]) worker.terminate();
      return { ...answer, requests };
    },
    message,
    works,
  );
}

testInBrowsers('a download in two threads', async ({ browser, root }, t) => {
  const server = await startServer(root);
  t.after(() => server.stop());
  const page = await browser.newPage();
  await page.goto(`${server.url}/index.html`);
  const shard = 2 << 20;
  for (const works of [true, false]) {
    const file = modelPattern(24 * shard, works ? 1 : 2);
    const { shards } = server.addModel(file, shard, `/${works}`);
    const network = { retries: 1, backoffMs: 5, stallMs: 2000, chunkBytes: shard, chunksPerRequest: 1 };
    const plain = `/${works}.gguf`;
    server.files.set(plain, file);
    server.etags.set(plain, '"1"');
    for (const path of [`/${works}/manifest.json`, plain]) {
      const before = server.requests.length;
      const { hashes, requests } = await visitInTwoThreads(page, { url: server.url + path, network }, works);
      assert.deepEqual(hashes, [sha256(file)]);
      // A worker that never answers is asked once, and what it was asked for comes by the other.
      assert(works ? requests > 2 : requests <= 1, `${path}: ${requests} requests by the second worker`);
      const asked = server.requests.slice(before).filter((each) => each.endsWith('.bin') || each === plain).length;
      assert.equal(asked, shards.length, path);
    }
  }
});

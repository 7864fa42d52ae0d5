/** Several tabs, tabs that were killed, and what the page offers for stored models. */
import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ask,
  kExpected,
  kModelFile,
  kModelId,
  kQuestion,
  openSite,
  readManifest,
  skipReason,
  startButton,
  startModel,
} from './harness.mjs';

const kOptions = { skip: skipReason(), timeout: 200_000 };
const kSettings = { temperature: 0, max_tokens: 32 };

/**
 * @param {import('puppeteer-core').Page} page
 * @param {RegExp} expected
 */
function noticed(page, expected) {
  return page.waitForFunction(
    (source) => new RegExp(source).test(document.querySelector('#start-notices')?.textContent ?? ''),
    {},
    expected.source,
  );
}

/**
 * @param {import('puppeteer-core').Page} page
 * @param {string} label
 */
async function press(page, label) {
  const button = await page.waitForSelector(`::-p-xpath(//button[normalize-space()="${label}"])`);
  await button?.evaluate((node) => /** @type {HTMLElement} */ (node).click());
}

test('a second tab says that the first has the model, and can take it over', kOptions, async (t) => {
  const { site, browser, page: first } = await openSite(t, { settings: kSettings });
  await startModel(first);
  const second = await browser.newPage();
  await second.goto(site.url);
  await (await startButton(second)).click();
  await noticed(second, /running in another tab/);
  assert.equal(await first.$eval('#chat', (node) => /** @type {HTMLElement} */ (node).hidden), false);

  await press(second, 'Use it in this tab');
  await second.waitForSelector('#chat:not([hidden])');
  assert.match(await ask(second, kQuestion), kExpected);
  await noticed(first, /Another tab has taken over/);

  await second.close();
  await first.bringToFront();
  await first.waitForFunction(async () => (await navigator.locks.query()).held?.length === 0);
  await startModel(first);
});

test('a tab that was killed while a model started: the next visit says so, once', kOptions, async (t) => {
  const { site, browser, page } = await openSite(t, { settings: kSettings });
  await page.evaluate(() => {
    const { setItem } = Storage.prototype;
    // Ends the tab as the system would, at the moment the weights begin to fill the memory.
    Storage.prototype.setItem = function (key, value) {
      setItem.call(this, key, value);
      if (key === 'tessera.loading') /** @type {any} */ (window).loading = true;
    };
  });
  await (await startButton(page)).click();
  await page.waitForFunction(() => /** @type {any} */ (window).loading, { polling: 10 });
  // The next tab may be given the same process, so it must be gone by then.
  const crashed = new Promise((resolve) => page.once('error', resolve));
  void page.goto('chrome://crash').catch(() => {});
  await crashed;
  const next = await browser.newPage();
  await next.goto(site.url);
  await noticed(next, /The tab ended while SmolLM2 135M Instruct was starting/);
  await next.reload();
  await startButton(next);
  assert.equal(await next.$eval('#start-notices', (node) => node.textContent), '');
  await startModel(next);
});

test('a stored model can be checked, saved as a file and removed', kOptions, async (t) => {
  const { site, browser, page } = await openSite(t, { settings: kSettings });
  const folder = await mkdtemp(join(tmpdir(), 'tessera-export-'));
  t.after(() => rm(folder, { recursive: true }));
  await startModel(page);
  await page.reload();
  await page.waitForSelector('.model-stored');
  assert.match(
    await page.$eval('.model-stored summary', (node) => node.textContent ?? ''),
    /^98 MB on this device, last used today$/,
  );
  assert.match(
    await page.$eval('#storage', (node) => node.textContent ?? ''),
    /of .* that the browser allows are in use/,
  );
  await page.click('.model-stored summary');

  await press(page, 'Check for damage');
  await noticed(page, /is as it was published/);

  await damage(page);
  await page.click('.model-stored summary');
  await press(page, 'Check for damage');
  await noticed(page, /is damaged on this device/);
  site.requests.length = 0;
  await startModel(page);
  assert.equal(
    site.modelRequests().filter((path) => path.endsWith('.bin')).length,
    1,
    'more than the bad part was fetched',
  );

  await page.reload();
  await page.waitForSelector('.model-stored');
  const session = await browser.target().createCDPSession();
  await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: folder });
  await page.click('.model-stored summary');
  await press(page, 'Save as file');
  const { size } = await stat(kModelFile);
  for (let saved = 0; saved < size;) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const [name] = await readdir(folder);
    saved = name?.endsWith('.gguf') ? (await stat(join(folder, name))).size : 0;
  }
  const [name] = await readdir(folder);
  assert.equal(Buffer.compare(await readFile(join(folder, name)), await readFile(kModelFile)), 0);

  await press(page, 'Remove from device');
  await page.waitForFunction(() => document.querySelector('.model-stored') === null);
  assert.match((await (await startButton(page)).evaluate((node) => node.textContent)) ?? '', /^Download and start/);
});

test('a model at another address is downloaded, and listed from then on', kOptions, async (t) => {
  const { site, page } = await openSite(t, { settings: kSettings });
  const address = `${site.url}models/${kModelId}/manifest.json?other`;
  const manifest = await readManifest();
  site.faults.hold = (path) => path.endsWith(manifest.shards[3].path);
  const start = async () => {
    await page.click('.other-models summary');
    await page.locator('#address').fill(address);
    await page.click('#address-form button');
  };
  await start();
  await page.waitForFunction(() => /[6-9]\d %/.test(document.querySelector('.progress-percent')?.textContent ?? ''));
  await page.reload();
  await page.waitForSelector('.model-card + .model-card');
  assert.match(
    await page.$eval('.model-card:last-child', (node) => node.textContent ?? ''),
    /From 127\.0\.0\.1.*Resume download/,
  );
  site.faults.hold = () => false;
  site.requests.length = 0;
  await page.click('.model-card:last-child [data-start]');
  await page.waitForSelector('#chat:not([hidden])');
  assert(site.modelRequests().length < manifest.shards.length, `fetched again: ${site.modelRequests()}`);

  await page.reload();
  await page.waitForSelector('.other-models');
  await page.click('.other-models summary');
  await page.locator('#address').fill('https://elsewhere.invalid/model.gguf');
  await page.click('#address-form button');
  await noticed(page, /connection broke off.*owner/);
});

test('storage that was cleared behind the page’s back is downloaded again', kOptions, async (t) => {
  const { site, page } = await openSite(t, { settings: kSettings });
  await startModel(page);
  const devtools = await page.createCDPSession();
  await devtools.send('Storage.clearDataForOrigin', { origin: new URL(site.url).origin, storageTypes: 'all' });
  await page.reload();
  assert.match((await (await startButton(page)).evaluate((node) => node.textContent)) ?? '', /^Download and start/);
  await startModel(page);
  const last = (await readManifest()).shards.at(-1)?.path ?? '';
  assert.equal(site.modelRequests().filter((path) => path.endsWith(last)).length, 2);
});

/**
 * Changes a byte in one stored chunk, as a bad disk would.
 * @param {import('puppeteer-core').Page} page
 */
async function damage(page) {
  await page.evaluate(async () => {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle('tessera-models');
    for await (const folder of /** @type {any} */ (root).values()) {
      for await (const file of folder.values()) {
        if (file.name.endsWith('.json')) continue;
        const writable = await file.createWritable({ keepExistingData: true });
        await writable.write({ type: 'write', position: 1000, data: new Uint8Array(4).fill(7) });
        await writable.close();
        return;
      }
    }
  });
}

/** Several tabs, tabs that were killed, and what the page offers for stored models. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ask,
  kBuild,
  kExpected,
  kModelFile,
  kModelId,
  kQuestion,
  openSite,
  readManifest,
  savedConversation,
  savedConversations,
  sendMessage,
  skipReason,
  startButton,
  startModel,
  watchPage,
} from './harness.mjs';

const kOptions = { skip: skipReason(), timeout: 200_000 };
const kPictures = `${kBuild}screenshots/`;
const kSettings = { temperature: 0, max_tokens: 32 };
const kLong = { temperature: 0, max_tokens: 3000 };

/**
 * @param {import('puppeteer-core').Page} page
 * @param {RegExp} expected
 */
function noticed(page, expected) {
  return page.waitForFunction(
    (source) => new RegExp(source).test(document.querySelector('#start-notices')?.textContent ?? ''),
    { polling: 100 }, // frames are drawn in the tab in front only
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

/**
 * Takes pictures for a person to look at.
 * @param {import('puppeteer-core').Page} page
 * @param {string} name
 */
async function shoot(page, name) {
  await mkdir(kPictures, { recursive: true });
  await page.bringToFront(); // the others are not drawn
  await page.screenshot({ path: `${kPictures}tabs-${name}.png` });
}

const kStory = 'Write a very long story about a lighthouse keeper, with many chapters.';

/** @param {import('puppeteer-core').Page} page */
function answerOf(page) {
  return page.$eval('.message-answer:last-of-type .prose', (node) => node.textContent ?? '');
}

/**
 * Waits until the answer being written is longer than this.
 * @param {import('puppeteer-core').Page} page
 * @param {number} length
 */
async function grown(page, length) {
  await page.bringToFront(); // the others are not drawn
  await page.waitForFunction(
    (least) => (document.querySelector('.message-answer:last-of-type .prose')?.textContent ?? '').length > least,
    {},
    length,
  );
}

/** @param {{messages: {role: string, content: string}[]}} conversation */
function questionsOf({ messages }) {
  return messages.filter(({ role }) => role === 'user').map(({ content }) => content);
}

/**
 * Another tab, whose answers are short.
 * @param {{browser: import('puppeteer-core').Browser, site: {url: string}}} opened
 */
async function openSecond({ browser, site }) {
  const page = await browser.newPage();
  await page.goto(site.url);
  await page.evaluate((settings) => localStorage.setItem('tessera.settings', settings), JSON.stringify(kSettings));
  await page.reload();
  await startButton(page);
  return page;
}

/**
 * Asks for a model that another tab has, and for that tab to give it up.
 * @param {import('puppeteer-core').Page} page
 */
async function takeOver(page) {
  await page.bringToFront();
  await (await startButton(page)).click();
  await noticed(page, /running in another tab/);
  await press(page, 'Use it in this tab');
  await page.waitForSelector('#chat:not([hidden])');
}

for (const name of /** @type {const} */ (['chrome', 'firefox'])) {
  const options = { ...kOptions, skip: skipReason({ browser: name }) };

  test(`two tabs take the model from one another in ${name}`, options, async (t) => {
    const { site, browser, page: first, watch } = await openSite(t, { browser: name, settings: kSettings });
    await startModel(first);
    const second = await browser.newPage();
    const watchSecond = watchPage(second, site.url);
    await second.goto(site.url);
    await (await startButton(second)).click();
    await noticed(second, /running in another tab/);
    assert.equal(await first.$eval('#chat', (node) => /** @type {HTMLElement} */ (node).hidden), false);
    await shoot(second, `${name}-elsewhere`);

    await press(second, 'Use it in this tab');
    await second.waitForSelector('#chat:not([hidden])');
    assert.match(await ask(second, kQuestion), kExpected);
    await noticed(first, /Another tab has taken over/);
    await shoot(first, `${name}-taken`);

    await takeOver(first);
    assert.match(await ask(first, kQuestion), kExpected);
    await noticed(second, /Another tab has taken over/);
    await shoot(first, `${name}-back`);
    await takeOver(second);
    await noticed(first, /Another tab has taken over/);
    for (const { errors } of [watch, watchSecond]) assert.deepEqual(errors, []);
  });

  test(`a chat that two tabs went on with has the messages of both in ${name}`, options, async (t) => {
    const { browser, site, page: first } = await openSite(t, { browser: name, settings: kSettings });
    await startModel(first);
    await ask(first, 'One');
    const second = await browser.newPage();
    await second.goto(site.url);
    await takeOver(second);
    await ask(second, 'Two');
    await takeOver(first);
    await ask(first, 'Three');
    const saved = await savedConversation(first);
    assert.deepEqual(questionsOf(saved), ['One', 'Two', 'Three']);
    assert.equal(saved.messages.length, 6);
  });

  test(`what was written after another tab was opened is there in ${name}`, options, async (t) => {
    const opened = await openSite(t, { browser: name, settings: kLong });
    const { page: first } = opened;
    await startModel(first);
    await sendMessage(first, kStory);
    await grown(first, 40);
    const second = await openSecond(opened);
    const early = (await savedConversation(second)).messages[1].content.length;
    await grown(first, early + 200);
    await first.close();
    await second.bringToFront();
    await startModel(second);
    const { messages } = await savedConversation(second);
    assert.ok(messages[1].content.length > early + 100, 'the end of the answer was not stored');
    await ask(second, 'Thanks.');
    const saved = await savedConversation(second);
    assert.deepEqual(questionsOf(saved), [kStory, 'Thanks.']);
    assert.equal(saved.messages[1].content, messages[1].content);
  });

  test(`a chat that another tab deletes while it is answered stays deleted in ${name}`, options, async (t) => {
    const opened = await openSite(t, { browser: name, settings: kLong });
    const { page: first } = opened;
    const stored = async () => (await savedConversations(first)).map(questionsOf);
    await startModel(first);
    const second = await openSecond(opened);
    const deleteStory = async () => {
      await first.bringToFront();
      await sendMessage(first, kStory);
      await grown(first, 40);
      await second.bringToFront();
      await second.click('#open-history');
      await (await second.waitForSelector('.history-row .tool[aria-label^="Delete"]'))?.click();
      await second.waitForSelector('.history-deleted');
      await second.keyboard.press('Escape');
      const { length } = await answerOf(first);
      await grown(first, length + 200);
    };

    await deleteStory();
    assert.deepEqual(await stored(), []);
    await first.click('#stop');
    await first.waitForSelector('#stop', { hidden: true });
    assert.deepEqual(await stored(), []);

    // Who goes on with it wants it all the same.
    await sendMessage(first, 'Go on.');
    await first.waitForSelector('#stop:not([hidden])');
    await first.click('#new-chat');
    await first.waitForSelector('#chat-empty:not([hidden])');
    assert.deepEqual(await stored(), [[kStory, 'Go on.']]);

    await deleteStory();
    await first.reload();
    assert.deepEqual(await stored(), [[kStory, 'Go on.']]);
  });

  test(`the tab that has the model dies while another one waits in ${name}`, options, async (t) => {
    const { site, browser, page: first } = await openSite(t, { browser: name, settings: kSettings });
    await startModel(first);
    const second = await browser.newPage();
    await second.goto(site.url);
    await (await startButton(second)).click();
    await noticed(second, /running in another tab/);
    // Firefox has no address that kills one tab; a closed one does not say goodbye either.
    if (name === 'firefox') await first.close();
    else await crash(first);
    await press(second, 'Use it in this tab');
    await second.waitForSelector('#chat:not([hidden])');
    assert.match(await ask(second, kQuestion), kExpected);
  });
}

test('a tab that was frozen while it wrote overwrites nothing of the tab that went on', kOptions, async (t) => {
  const opened = await openSite(t, { settings: kLong });
  const { page: first } = opened;
  await startModel(first);
  await sendMessage(first, kStory);
  await grown(first, 200);
  const second = await openSecond(opened);
  const devtools = await first.createCDPSession();
  await devtools.send('Page.setWebLifecycleState', { state: 'frozen' });
  await takeOver(second);
  await ask(second, 'And then?');
  const saved = await savedConversations(second);
  assert.deepEqual(saved.map(questionsOf), [[kStory, 'And then?']]);
  await devtools.send('Page.setWebLifecycleState', { state: 'active' });
  await noticed(first, /Another tab has taken over/);
  assert.deepEqual(await savedConversations(second), saved);
  await takeOver(first);
  assert.equal((await first.$$('.message')).length, 4, 'the first tab does not show what the second has written');
});

test('tabs that cannot know of each other keep what was written in each', kOptions, async (t) => {
  const noLocks = () => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }); // plain http
  const prepare = (/** @type {import('puppeteer-core').Page} */ page) => page.evaluateOnNewDocument(noLocks);
  const { browser, site, page: first } = await openSite(t, { settings: kSettings, prepare });
  await startModel(first);
  await ask(first, 'One');
  const second = await browser.newPage();
  await prepare(second);
  await second.goto(site.url);
  await startModel(second);
  await ask(second, 'Two');
  await first.bringToFront();
  await ask(first, 'Three');
  await ask(first, 'Four');
  assert.deepEqual((await savedConversations(first)).map(questionsOf), [
    ['One', 'Three', 'Four'],
    ['One', 'Two'],
  ]);
});

test('a tab gives way while it is still loading', kOptions, async (t) => {
  const { site, browser, page: first } = await openSite(t, { settings: kSettings });
  const { shards } = await readManifest();
  site.faults.hold = (path) => path.endsWith(shards[3].path);
  await (await startButton(first)).click();
  await first.waitForSelector('.progress-percent');
  const second = await browser.newPage();
  await second.goto(site.url);
  await (await startButton(second)).click();
  await noticed(second, /running in another tab/);
  site.faults.hold = () => false;
  await press(second, 'Use it in this tab');
  await second.waitForSelector('#chat:not([hidden])');
  await noticed(first, /Another tab has taken over/);
  assert.equal(await first.$eval('#chat', (node) => /** @type {HTMLElement} */ (node).hidden), true);
});

/** @param {import('puppeteer-core').Page} page in Chromium; its process is gone when this resolves */
async function crash(page) {
  const crashed = new Promise((resolve) => page.once('error', resolve));
  void page.goto('chrome://crash').catch(() => {});
  await crashed;
}

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
  await crash(page);
  const next = await browser.newPage();
  await next.goto(site.url);
  await noticed(next, /The tab ended while SmolLM2 135M Instruct was starting/);
  await next.reload();
  await startButton(next);
  assert.equal(await next.$eval('#start-notices', (node) => node.textContent), '');
  await startModel(next);
});

test('a model that another tab is loading is no crash', kOptions, async (t) => {
  const { site, browser, page: first } = await openSite(t);
  await first.evaluate(() => {
    void navigator.locks.request('tessera-engine', () => new Promise(() => {}));
    localStorage.setItem('tessera.loading', 'Large');
  });
  const second = await browser.newPage();
  await second.goto(site.url);
  await startButton(second);
  assert.equal(await second.$eval('#start-notices', (node) => node.textContent), '');
  await first.close();
  await second.reload();
  await noticed(second, /The tab ended while Large was starting/);
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
    await page.locator('.other-models summary').click(); // waits until it has its place
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
  await page.locator('.other-models summary').click(); // waits until it has its place
  assert.match(await page.$eval('#address-hosts', (node) => node.textContent ?? ''), /allows no other host/);
  await page.locator('#address').fill('https://elsewhere.invalid/model.gguf');
  await page.click('#address-form button');
  await noticed(page, /may not fetch.*owner.*https:\/\/elsewhere\.invalid/);
  await page.locator('#address').fill('hf:owner/repo');
  await page.click('#address-form button');
  await noticed(page, /not the address of a model.*Name the file in it: hf:owner\/repo\/file\.gguf/);
});

test('what is being found out about an address ends when something else is chosen', kOptions, async (t) => {
  const { site, page } = await openSite(t, { settings: kSettings });
  await page.waitForSelector('.model-needs'); // another estimate would have a worker, too
  site.faults.hold = (path) => path.startsWith('silent');
  await page.locator('.other-models summary').click(); // waits until it has its place
  /** @param {() => boolean} holds soon @param {string} what */
  const until = async (holds, what) => {
    for (let tries = 0; !holds(); tries++) {
      assert.ok(tries < 400, what);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const oneWorker = () => page.workers().filter((worker) => worker.url().endsWith('tessera-worker.js')).length === 1;
  const submit = async (/** @type {string} */ name) => {
    await page.locator('#address').fill(`${site.url}${name}`);
    await page.click('#address-form button');
    await until(() => site.requests.includes(name), `${name} was not read`);
  };
  await submit('silent-one.gguf');
  await submit('silent-two.gguf');
  await until(oneWorker, 'the first address is still being read');
  assert.equal(await page.$('#progress-card'), null, 'the first address was started');
  await startModel(page);
  await until(oneWorker, 'the second address is still being read');
  assert.match(await ask(page, kQuestion), kExpected);
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

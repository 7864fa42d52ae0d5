/** What can go wrong around the page: each time one clear message, and what the reader has is kept. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  ask,
  kExpected,
  kModelFile,
  kModelId,
  kQuestion,
  launch,
  openSite,
  readManifest,
  savedConversation,
  serveSite,
  skipReason,
  startButton,
  startModel,
  watchPage,
} from './harness.mjs';

const kMinute = { skip: skipReason(), timeout: 60_000 };

/**
 * Starts the model, which must fail, and reads the one message.
 * @param {import('puppeteer-core').Page} page
 */
async function failedStart(page) {
  await (await startButton(page)).click();
  const box = await page.waitForSelector('#start-notices .notice-error');
  const notices = await page.$$eval('#start-notices .notice', (all) => all.length);
  assert.equal(notices, 1);
  return box?.evaluate((node) => ({
    code: /** @type {HTMLElement} */ (node).dataset.code,
    text: node.querySelector('.notice-body')?.textContent ?? '',
  }));
}

test('damaged and missing parts', { skip: skipReason(), timeout: 240_000 }, async (t) => {
  const manifest = await readManifest();
  const { site, page } = await openSite(t, { settings: { temperature: 0, max_tokens: 32 } });

  await t.test('a shard whose bytes do not match the manifest', async () => {
    const wrong = structuredClone(manifest);
    wrong.shards[1].sha256 = '0'.repeat(64);
    const body = JSON.stringify(wrong);
    site.faults.reply = (path) => (path.endsWith('manifest.json') ? { status: 200, body } : null);
    const box = await failedStart(page);
    assert.equal(box?.code, 'hash_mismatch');
    assert.match(box?.text ?? '', /arrived damaged/);
  });

  await t.test('a shard that is not there', async () => {
    const missing = `models/${kModelId}/${manifest.shards[1].path}`; // no earlier attempt can have brought it
    site.faults.reply = (path) => (path === missing ? { status: 404, body: 'no' } : null);
    const box = await failedStart(page);
    assert.equal(box?.code, 'http');
    assert.match(box?.text ?? '', /404/);
  });

  await t.test('a manifest that is no manifest', async () => {
    site.faults.reply = (path) => (path.endsWith('manifest.json') ? { status: 200, body: '<html>' } : null);
    assert.equal((await failedStart(page))?.code, 'manifest_invalid');
  });

  await t.test('afterwards only the missing part is fetched, and it works', async () => {
    site.faults.reply = () => null;
    site.requests.length = 0;
    await startModel(page);
    // The start page may read the head of the first one meanwhile, to say what the model needs.
    const shards = new Set(site.modelRequests().filter((path) => !path.endsWith('manifest.json')));
    assert.ok(shards.size < manifest.shards.length, `fetched again: ${[...shards]}`);
    assert.match(await ask(page, kQuestion), kExpected);
  });
});

test('a web page in place of the list of models', kMinute, async (t) => {
  const { site, page } = await openSite(t);
  for (const status of [200, 404]) {
    site.faults.reply = (path) => (path === 'models.json' ? { status, body: '<!doctype html>' } : null);
    await page.reload();
    await page.waitForSelector('[data-start], #start-notices .notice');
    assert.equal(await page.$('#start-notices .notice'), null, `${status}: the list of the last visit is there`);
  }
});

test('a list of models that comes late leaves the progress of one that is loading', kMinute, async (t) => {
  const prepare = (/** @type {import('puppeteer-core').Page} */ page) =>
    page.evaluateOnNewDocument(() => {
      const { fetch } = globalThis;
      globalThis.fetch = async (...request) => {
        const late = request[0] === 'models.json' && sessionStorage.getItem('late');
        if (late) await new Promise((resolve) => addEventListener('answer', resolve, { once: true }));
        return fetch(...request);
      };
    });
  const { site, page } = await openSite(t, { prepare });
  const { shards } = await readManifest();
  site.faults.hold = (path) => path.endsWith(shards[3].path);
  await page.evaluate(() => sessionStorage.setItem('late', 'yes'));
  await page.reload();
  await page.locator('.other-models summary').click(); // waits until it has its place
  await page.locator('#address').fill(`${site.url}models/${kModelId}/manifest.json`);
  await page.click('#address-form button');
  await page.waitForSelector('#progress-card');
  await page.evaluate(() => {
    dispatchEvent(new Event('answer'));
    return new Promise((resolve) => setTimeout(resolve, 1000)); // nothing is to be seen of it
  });
  await page.click('#progress-card button');
  await startButton(page);
});

test('a full disk', { skip: skipReason(), timeout: 240_000 }, async (t) => {
  const { site, page } = await openSite(t);
  const devtools = await page.createCDPSession();
  const origin = new URL(site.url).origin;
  await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 30e6 });
  await page.evaluate(() => localStorage.setItem('tessera.draft', 'not lost'));
  const box = await failedStart(page);
  assert.equal(box?.code, 'quota_exceeded');
  assert.match(box?.text ?? '', /not enough room/);
  assert.equal(await page.evaluate(() => localStorage.getItem('tessera.draft')), 'not lost');

  await devtools.send('Storage.overrideQuotaForOrigin', { origin });
  await startModel(page);
});

test('files of the reader', { skip: skipReason(), timeout: 240_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tessera-page-'));
  t.after(() => rm(folder, { recursive: true }));
  const { site, page, watch } = await openSite(t, { settings: { temperature: 0, max_tokens: 32 } });
  const open = async (/** @type {string} */ path) => {
    const input = await page.$('#file-input');
    await /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (input).uploadFile(path);
  };
  const problem = async (/** @type {RegExp} */ expected) => {
    await page.waitForFunction(
      (source) => new RegExp(source).test(document.querySelector('#start-notices')?.textContent ?? ''),
      {},
      expected.source,
    );
  };

  await t.test('another kind of file', async () => {
    await writeFile(join(folder, 'letter.txt'), 'hello');
    await open(join(folder, 'letter.txt'));
    await problem(/letter\.txt” does not end in \.gguf/);
  });

  await t.test('a folder', async () => {
    const devtools = await page.createCDPSession();
    const data = { items: [], files: [folder], dragOperationsMask: 1 };
    for (const type of /** @type {const} */ (['dragEnter', 'dragOver', 'drop']))
      await devtools.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
    await problem(/tessera-page-\w+” does not end in \.gguf/);
  });

  await t.test('a .gguf that is none', async () => {
    await writeFile(join(folder, 'letter.gguf'), 'hello, this is a letter and not a model');
    await open(join(folder, 'letter.gguf'));
    await problem(/not a model in the GGUF format/);
  });

  await t.test('a model that was cut off', async () => {
    const whole = await readFile(kModelFile);
    await writeFile(join(folder, 'half.gguf'), whole.subarray(0, whole.length / 2));
    await open(join(folder, 'half.gguf'));
    await problem(/damaged or incomplete/);
  });

  await t.test('a model runs without any download', async () => {
    await open(kModelFile);
    await page.waitForSelector('#chat:not([hidden])');
    assert.match(await ask(page, kQuestion), kExpected);
    // The start page has read the beginning of the model that the site offers, to say what it needs.
    const { shards } = await readManifest();
    const beyond = site.modelRequests().filter((path) => shards.slice(1).some((shard) => path.endsWith(shard.path)));
    assert.deepEqual(beyond, []);
    assert.deepEqual(watch.errors, []);
  });
});

test('cancelling a download', { skip: skipReason(), timeout: 240_000 }, async (t) => {
  const { site, page } = await openSite(t);
  const manifest = await readManifest();
  const last = `models/${kModelId}/${manifest.shards[manifest.shards.length - 1].path}`;
  // The engine's, and one that hashes.
  const storeWorkers = () => page.workers().filter((worker) => worker.url().endsWith('tessera-worker.js')).length;
  site.faults.hold = (path) => path === last;
  await (await startButton(page)).click();
  await page.waitForFunction(() => /[5-9]\d %/.test(document.querySelector('.progress-percent')?.textContent ?? ''));
  assert.equal(storeWorkers(), 2);
  await page.click('#progress-card button');
  const box = await page.waitForSelector('#start-notices .notice');
  assert.match((await box?.evaluate((node) => node.textContent)) ?? '', /Paused/);
  assert.match((await (await startButton(page)).evaluate((node) => node.textContent)) ?? '', /^Resume download/);
  site.faults.hold = () => false;
  await startModel(page);
  assert.equal(storeWorkers(), 1);
});

/**
 * The page in a browser whose settings forbid all site data.
 * @param {import('node:test').TestContext} t
 * @param {'chrome' | 'firefox'} browser
 */
async function openBlocked(t, browser) {
  const site = await serveSite();
  t.after(site.close);
  const profile = await mkdtemp(join(tmpdir(), 'tessera-blocked-'));
  await mkdir(join(profile, 'Default'));
  const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
  await writeFile(join(profile, 'Default', 'Preferences'), JSON.stringify(preferences));
  const blocked = {
    chrome: { userDataDir: profile },
    firefox: { extraPrefsFirefox: { 'network.cookie.cookieBehavior': 2 } },
  };
  const page = await (await launch(t, browser, blocked[browser])).newPage();
  t.after(() => rm(profile, { recursive: true }));
  const watch = watchPage(page, site.url);
  await page.goto(site.url);
  return { page, watch };
}

for (const browser of /** @type {const} */ (['chrome', 'firefox'])) {
  test(
    `where the browser keeps nothing, ${browser} chats all the same`,
    { skip: skipReason({ browser }), timeout: 240_000 },
    async (t) => {
      const { page, watch } = await openBlocked(t, browser);
      await assert.rejects(page.evaluate(() => localStorage.length));
      await startModel(page);
      assert.match(await page.$eval('#chat-notices', (node) => node.textContent ?? ''), /Chats are not kept\./);
      await page.click('#open-settings');
      await page.locator('#setting-temperature').fill('0');
      await page.click('#settings-dialog [type=submit]');
      await page.waitForSelector('#settings-dialog[open]', { hidden: true });
      assert.match(await ask(page, kQuestion), kExpected);
      await page.click('#toggle-theme');
      await page.click('#new-chat');
      await page.click('#open-history');
      await page.waitForSelector('.history-title');
      const own = watch.errors.filter((text) => !text.includes('ServiceWorker')); // Firefox says that it is refused
      assert.deepEqual(own, []);
    },
  );
}

test('a text beyond what the browser keeps can be sent', { skip: skipReason(), timeout: 120_000 }, async (t) => {
  const { page } = await openSite(t);
  await startModel(page);
  await page.$eval('#prompt', (node) => {
    /** @type {HTMLTextAreaElement} */ (node).value = 'x'.repeat(5_500_000);
    node.dispatchEvent(new Event('input'));
  });
  await page.waitForSelector('#send:not([disabled])');
});

test('chats go on when the browser has closed their database', { skip: skipReason(), timeout: 120_000 }, async (t) => {
  const { site, page, watch } = await openSite(t, { settings: { temperature: 0, max_tokens: 8 } });
  await startModel(page);
  await ask(page, 'Before');
  const devtools = await page.createCDPSession();
  const { origin } = new URL(site.url);
  await devtools.send('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' });
  await page.click('#open-history');
  await page.waitForSelector('#history-dialog[open]');
  await page.keyboard.press('Escape');
  await ask(page, 'After');
  assert.equal((await savedConversation(page)).messages.length, 4);
  assert.equal(await page.$('#chat-notices .notice'), null);
  assert.deepEqual(watch.errors, []);
});

test('a database of chats that cannot be read leaves a page that works', kMinute, async (t) => {
  const prepare = (/** @type {import('puppeteer-core').Page} */ page) =>
    page.evaluateOnNewDocument(() => {
      IDBObjectStore.prototype.getAll = () => {
        throw new DOMException('damaged', 'UnknownError');
      };
    });
  const { page, watch } = await openSite(t, { settings: { temperature: 0, max_tokens: 8 }, prepare });
  await page.click('#open-history');
  await page.waitForSelector('#history-dialog[open]');
  await page.keyboard.press('Escape');
  await startModel(page);
  assert.match(await page.$eval('#chat-notices', (node) => node.textContent ?? ''), /Chats are not kept\./);
  await ask(page, 'First');
  assert.deepEqual(watch.errors, []);
});

test('a chat that was not kept for a while is shown as it is now', kMinute, async (t) => {
  const { page } = await openSite(t, { settings: { temperature: 0, max_tokens: 8 } });
  await startModel(page);
  const put = await page.evaluateHandle(() => IDBObjectStore.prototype.put);
  await page.evaluate(() => {
    IDBObjectStore.prototype.put = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
  });
  await ask(page, 'First');
  assert.match(await page.$eval('#chat-notices', (node) => node.textContent ?? ''), /Chats are not kept\./);
  await page.evaluate((own) => void (IDBObjectStore.prototype.put = own), put);
  await ask(page, 'Second');
  await page.click('#new-chat');
  await page.click('#open-history');
  await page.locator('.history-open').click();
  await page.waitForSelector('.message-user');
  const shown = await page.$$eval('.message-user', (all) => all.map((node) => node.lastChild?.textContent));
  assert.deepEqual(shown, ['First', 'Second']);
});

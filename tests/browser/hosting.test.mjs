/** The site on hosts of every kind: with isolation headers, without, in a sub-path, without the network, under the strict policy. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  ask,
  giveSettings,
  kBuild,
  kExpected,
  kModelId,
  kPlainName,
  kQuestion,
  kSite,
  launch,
  serveSite,
  skipReason,
  startModel,
  watchPage,
} from './harness.mjs';

const kPictures = `${kBuild}screenshots/`;
/** Of a build, in sw.js. */
const kVersion = /"[0-9a-f]{12}"/;
const kFolder = 'some/where/tessera';

/** The model's answers are the same every time. */
const kSettings = { temperature: 0, max_tokens: 32 };

/**
 * @param {import('./harness.mjs').Scope} t
 * @param {{isolation?: boolean, root?: string, folder?: string, browser?: 'chrome' | 'firefox', blockWorker?: boolean, atOnce?: () => void}} host
 *   atOnce: what is done in the page as soon as it is there
 */
async function visit(
  t,
  { isolation = true, root, folder = '', browser: name = 'chrome', blockWorker = false, atOnce },
) {
  const site = await serveSite({ isolation, root });
  t.after(site.close);
  if (blockWorker) site.faults.reply = (path) => (path === 'sw.js' ? { status: 404, body: '' } : null);
  const browser = await launch(t, name);
  const page = await browser.newPage();
  const watch = watchPage(page, site.url);
  await giveSettings(page, kSettings);
  if (atOnce) await page.evaluateOnNewDocument(`addEventListener('DOMContentLoaded', ${atOnce})`);
  let visits = 0;
  page.on('request', (request) => void (visits += request.isNavigationRequest() ? 1 : 0));
  await page.goto(site.url + folder);
  return { site, page, watch, visits: () => visits };
}

/** @param {import('puppeteer-core').Page} page */
async function chat(page) {
  await page.waitForSelector('[data-start]');
  await startModel(page);
  assert.match(await ask(page, kQuestion), kExpected);
  return page.$eval('#open-engine', (node) => node.textContent ?? '');
}

/**
 * Asks a question where threads can be had; how many of them help is the device's affair.
 * @param {import('puppeteer-core').Page} page
 */
async function chatIsolated(page) {
  assert.match(await chat(page), /\d threads?/);
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
}

/**
 * The page reloads itself once on a plain host; between its two lives the probe may meet a blank page without service workers.
 * @param {import('puppeteer-core').Page} page
 */
const untilIsolated = (page) => page.waitForFunction(() => crossOriginIsolated && navigator.serviceWorker?.controller);

/**
 * @param {import('puppeteer-core').Page} page
 * @param {string} name
 */
async function shoot(page, name) {
  await mkdir(kPictures, { recursive: true });
  await page.screenshot({ path: `${kPictures}host-${name}.png` });
}

const kOptions = { skip: skipReason(), timeout: 200_000 };

test('a host with the isolation headers, and then no network at all', kOptions, async (t) => {
  const { site, page, watch, visits } = await visit(t, {});
  await chatIsolated(page);
  assert.equal(visits(), 1, 'the page reloaded itself without need');
  await page.evaluate(async () => void (await navigator.serviceWorker.ready));
  assert(
    !(await page.evaluate(shellPaths)).some((path) => path.includes('models')),
    'models are in the cache of the shell',
  );
  assert.deepEqual(watch.errors, []);
  await shoot(page, 'isolated');
  await site.close();
  await page.reload();
  await page.waitForSelector('.message-answer'); // the chat is back
  await chat(page);
  assert.deepEqual(watch.foreign, []);
});

test('a plain host: the service worker isolates the page, after one reload', kOptions, async (t) => {
  const { page, visits } = await visit(t, { isolation: false });
  await untilIsolated(page);
  await chatIsolated(page);
  assert.equal(visits(), 2, 'one reload is enough');
  assert.equal(await page.$('#chat-notices .notice'), null);
  await shoot(page, 'plain');
});

/** What a reader has begun, and would lose with the page. @type {Record<string, { folder?: string, atOnce: () => void }>} */
const kBegun = {
  'a setting': { atOnce: () => document.getElementById('open-settings')?.click() },
  'an address': { atOnce: () => Object.assign(document.getElementById('address') ?? {}, { value: 'https://exa' }) },
  'a file to measure': {
    folder: 'bench.html',
    atOnce: () => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(['GGUF'], 'model.gguf'));
      const input = /** @type {HTMLInputElement} */ (document.getElementById('file-input'));
      input.files = transfer.files;
      input.dispatchEvent(new Event('change'));
    },
  },
};

for (const [what, begun] of Object.entries(kBegun)) {
  test(`a plain host does not take ${what} away with the first reload`, kOptions, async (t) => {
    const { page, visits } = await visit(t, { isolation: false, ...begun });
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    assert.equal(visits(), 1);
  });
}

test('a sub-path of a plain host', kOptions, async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'tessera-hosting-'));
  t.after(() => rm(root, { recursive: true }));
  await mkdir(join(root, kFolder, '..'), { recursive: true });
  await symlink(kSite, join(root, kFolder));
  const { site, page } = await visit(t, { isolation: false, root, folder: `${kFolder}/` });
  await untilIsolated(page);
  await chatIsolated(page);
  assert(site.requests.every((path) => path.startsWith(kFolder) || path === 'favicon.ico'));
  await shoot(page, 'sub-path');
});

test('a plain host whose service worker is missing: one thread, the reason, and no reload', kOptions, async (t) => {
  const { page, visits } = await visit(t, { isolation: false, blockWorker: true });
  assert.match(await chat(page), /1 thread/);
  const why = await page.$eval('#chat-notices', (node) => node.textContent ?? '');
  assert.match(why, /One thread: this server does not send the isolation headers.*service worker.*did not start/);
  assert.equal(visits(), 1);
});

test(
  'plain http, from another device: one thread, the reason, nothing stored, and an answer can be copied',
  kOptions,
  async (t) => {
    const site = await serveSite({ isolation: false });
    t.after(site.close);
    const browser = await launch(t);
    const page = await browser.newPage();
    const url = new URL(site.url);
    url.hostname = kPlainName;
    const watch = watchPage(page, url.href);
    await giveSettings(page, kSettings);
    await page.goto(url.href);
    assert.match(await chat(page), /1 thread/);
    assert.match(await page.$eval('#chat-notices', (node) => node.textContent ?? ''), /opened without https/);
    await page.locator('.message-tools ::-p-text(Copy)').click();
    await page.waitForSelector('.message-tools ::-p-text(Copied)');
    await page.focus('#prompt');
    await page.keyboard.down('Control');
    await page.keyboard.press('v');
    await page.keyboard.up('Control');
    assert.match(await page.$eval('#prompt', (node) => /** @type {HTMLTextAreaElement} */ (node).value), kExpected);
    site.requests.length = 0;
    const refused = await page.evaluate(async (model) => {
      const { Tessera } = await import(new URL('tessera.js', document.baseURI).href);
      return Tessera.quantize(model).catch((/** @type {any} */ { code, message }) => `${code}: ${message}`);
    }, `models/${kModelId}/manifest.json`);
    assert.match(refused, /^unsupported: this browser keeps no files for this page/);
    assert.deepEqual(site.modelRequests(), [], 'a copy that could not be kept costs no download');
    assert.deepEqual(watch.errors, []);
  },
);

test('a new build is taken up whole, at a visit after it was found', kOptions, async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'tessera-update-'));
  t.after(() => rm(root, { recursive: true }));
  // Without packed copies either: they would be sent in place of what is changed below.
  await cp(kSite, join(root, 'old'), { recursive: true, filter: (path) => !/\/models\/|\.(br|gz)$/.test(path) });
  await cp(join(root, 'old'), join(root, 'new'), { recursive: true });
  await symlink(join(root, 'old'), join(root, 'site'));
  const { page, site, visits } = await visit(t, { root, folder: 'site/' });
  await page.waitForFunction(() => navigator.serviceWorker.controller);

  // The same build but for the page's title, and with it the page's hash in sw.js.
  const [before, after] = await Promise.all(
    ['old', 'new'].map((name) => readFile(join(root, name, 'index.html'), 'utf8')),
  );
  const changed = after.replace(/<title>.*<\/title>/, '<title>New</title>');
  const worker = await readFile(join(root, 'new/sw.js'), 'utf8');
  await writeFile(join(root, 'new/index.html'), changed);
  await writeFile(
    join(root, 'new/sw.js'),
    worker.replace(integrity(before), integrity(changed)).replace(kVersion, '"v2"'),
  );
  await rm(join(root, 'site'));
  await symlink(join(root, 'new'), join(root, 'site'));

  await page.goto(`${site.url}site/`);
  assert.match(await page.title(), /^Tessera/, 'the page of the old build, while it is in charge');
  await page.waitForFunction(async () => (await navigator.serviceWorker.getRegistration())?.waiting);
  const other = await page.browser().newPage();
  await other.goto(`${site.url}site/models.json`);
  await page.goto(`${site.url}site/`);
  assert.match(await page.title(), /^Tessera/, 'two pages of different builds share no worker');
  await other.close(); // as a page before this one, that is still going
  await page.waitForFunction(() => document.title === 'New');
  const caches = await page.evaluate(async () => (await globalThis.caches.keys()).length);
  assert.equal(caches, 1, 'the old shell is gone');
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(visits(), 4, 'no more reloads than one');
});

/** @param {string} text */
function integrity(text) {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

test('the policy lets nothing else in', kOptions, async (t) => {
  const { page } = await visit(t, {});
  const refused = await page.evaluate(async () => {
    const violations = /** @type {string[]} */ ([]);
    addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective));
    await fetch('https://example.invalid/').catch(() => {});
    const script = document.createElement('script');
    script.textContent = 'globalThis.hacked = 1';
    document.body.append(script);
    const frame = document.createElement('iframe');
    frame.src = 'https://example.invalid/';
    document.body.append(frame);
    // Later, as the debugger's own calls are exempt from the policy.
    const evaluated = await new Promise((resolve) => {
      setTimeout(() => {
        try {
          resolve(new Function('return true')());
        } catch {
          resolve(false);
        }
      });
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { violations, evaluated, hacked: 'hacked' in globalThis };
  });
  assert.equal(refused.hacked, false);
  for (const directive of ['connect-src', 'script-src-elem', 'frame-src'])
    assert(refused.violations.includes(directive), directive);
  assert.equal(refused.evaluated, false);
});

const firefox = { ...kOptions, skip: skipReason({ browser: 'firefox' }) };

test('Firefox chats, on a plain host', firefox, async (t) => {
  const { page, watch } = await visit(t, { isolation: false, browser: 'firefox' });
  await untilIsolated(page);
  await startModel(page);
  assert.match(await ask(page, kQuestion), kExpected);
  assert.deepEqual(watch.errors, []);
  assert.deepEqual(watch.foreign, []);
});

/** Runs in the page. */
async function shellPaths() {
  const paths = [];
  for (const name of await caches.keys())
    for (const { url } of await (await caches.open(name)).keys()) paths.push(new URL(url).pathname);
  return paths;
}

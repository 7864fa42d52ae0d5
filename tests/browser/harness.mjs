/**
 * What the browser tests share: finding browsers, serving the built site through a front that logs and can fail on purpose,
 * launching with hard time limits, and the steps a reader takes on the page.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import puppeteer from 'puppeteer-core';
import { serve } from '../../scripts/serve.mjs';

/**
 * @typedef {import('puppeteer-core').Browser} Browser
 * @typedef {import('puppeteer-core').Page} Page
 * @typedef {{after: (end: () => Promise<void>) => void}} Scope a test, or whatever else ends
 * @typedef {{status: number, body: string}} Reply
 */

export const kBuild = fileURLToPath(new URL('../../build/', import.meta.url));
export const kSite = `${kBuild}site/`;
export const kNative = `${kBuild}native/tessera`;
export const kModelId = 'smollm2-135m-instruct-q4_1';
export const kModelFile = `${kBuild}models/${kModelId}.gguf`;
/** The test model answers this shortly, and ends by itself; it is too small to be asked for facts. */
export const kQuestion = 'Hello! How are you?';
export const kExpected = /help/i;
const kManifest = `models/${kModelId}/manifest.json`;

const kLaunchMs = 60_000;
const kStepMs = 90_000;
const kCloseMs = 5_000;

/** A name of the test server that is no secure context in Chromium, as a device's in a local network. */
export const kPlainName = 'plain.test';
/** Nothing in the background, and no name but the test server's can be resolved. */
const kChromeArgs = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
  `--host-resolver-rules=MAP ${kPlainName} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
];

/** @type {Record<'chrome' | 'firefox', (string | undefined)[]>} */
const kPaths = {
  chrome: [process.env.TESSERA_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'],
  firefox: [process.env.TESSERA_FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'],
};

/** @param {'chrome' | 'firefox'} name */
function browserPath(name) {
  return kPaths[name].find((path) => path && existsSync(path));
}

/**
 * Why a test cannot run, in the form node:test wants for its `skip`.
 * @param {{browser?: 'chrome' | 'firefox', native?: boolean}} [needs]
 * @returns {string | false}
 */
export function skipReason({ browser = 'chrome', native = false } = {}) {
  if (!existsSync(`${kSite}tessera-core.wasm`))
    return 'SKIPPED: build/site is not built, scripts/demo --build-only does it';
  if (!existsSync(kSite + kManifest))
    return `SKIPPED: build/site has no ${kModelId}, scripts/demo --build-only puts it there`;
  if (!browserPath(browser)) return `SKIPPED: no ${browser} is installed`;
  if (native && !(existsSync(kNative) && existsSync(kModelFile)))
    return 'SKIPPED: the native build or its model is missing';
  return false;
}

/** @returns {Promise<{shards: {path: string, sha256: string}[]}>} the manifest of the test model */
export async function readManifest() {
  return JSON.parse(await readFile(kSite + kManifest, 'utf8'));
}

/**
 * The built site behind a front that logs each request. `faults` may answer in its place.
 * @param {{isolation?: boolean, root?: string}} [options]
 */
export async function serveSite({ isolation = true, root = kSite } = {}) {
  const back = await serve({ root, isolation });
  /** @type {string[]} paths without the leading slash */
  const requests = [];
  /** @type {{reply: (path: string) => Reply | null, hold: (path: string) => boolean}} hold: never answered */
  const faults = { reply: () => null, hold: () => false };
  const front = createServer((incoming, outgoing) => {
    const path = (incoming.url ?? '/').slice(1).split('?', 1)[0];
    requests.push(path);
    if (faults.hold(path)) return;
    const fault = faults.reply(path);
    if (fault) return void outgoing.writeHead(fault.status, { 'Content-Type': 'text/plain' }).end(fault.body);
    const { method, url, headers } = incoming;
    const onward = request({ host: '127.0.0.1', port: back.port, method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => onward.destroy());
    onward.end();
  });
  await new Promise((resolve) => front.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (front.address());
  return {
    url: `http://127.0.0.1:${port}/`,
    requests,
    faults,
    modelRequests: () => requests.filter((path) => path.startsWith('models/')),
    close: async () => {
      front.closeAllConnections();
      await new Promise((resolve) => front.close(() => resolve(undefined)));
      await back.close();
    },
  };
}

/**
 * A browser with a profile of its own that is gone when the test ends, whatever happens.
 * @param {Scope} t
 * @param {'chrome' | 'firefox'} [name]
 * @param {import('puppeteer-core').LaunchOptions} [options] beside the usual ones
 * @returns {Promise<Browser>}
 */
export async function launch(t, name = 'chrome', options = {}) {
  const browser = await puppeteer.launch({
    ...options,
    browser: name,
    executablePath: browserPath(name),
    headless: true,
    args: name === 'chrome' ? kChromeArgs : [],
    timeout: kLaunchMs,
    protocolTimeout: 2 * kStepMs,
  });
  const child = browser.process();
  const kill = () => void child?.kill('SIGKILL');
  process.once('exit', kill);
  t.after(async () => {
    const late = setTimeout(kill, kCloseMs);
    await browser.close().catch(kill);
    clearTimeout(late);
    process.removeListener('exit', kill);
  });
  return browser;
}

/**
 * A browser, the served site and a page on it that is watched for errors and foreign requests.
 * @param {Scope} t
 * @param {{browser?: 'chrome' | 'firefox', isolation?: boolean, settings?: object, prepare?: (page: Page) => Promise<unknown>}} [options]
 *   settings of the page, and what else is done to it, before it opens
 */
export async function openSite(t, { browser: name = 'chrome', isolation = true, settings, prepare } = {}) {
  const site = await serveSite({ isolation });
  t.after(site.close);
  const browser = await launch(t, name);
  const page = await browser.newPage();
  const watch = watchPage(page, site.url);
  if (settings) await giveSettings(page, settings);
  await prepare?.(page);
  await page.goto(site.url, { timeout: kStepMs });
  await startButton(page);
  return { site, browser, page, watch };
}

/** Before the page opens: it has these settings, until it saves its own. @param {Page} page @param {object} settings */
export async function giveSettings(page, settings) {
  await page.evaluateOnNewDocument(keepSettings, JSON.stringify(settings));
}

/** @param {string} settings */
function keepSettings(settings) {
  try {
    localStorage.getItem('tessera.settings') ?? localStorage.setItem('tessera.settings', settings);
  } catch {
    // The blank page before the first one has no storage, and in Firefox it runs this too.
  }
}

/**
 * @param {Page} page
 * @param {string} origin
 */
export function watchPage(page, origin) {
  page.setDefaultTimeout(kStepMs);
  /** @type {string[]} */
  const errors = [];
  /** @type {string[]} */
  const foreign = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warn') errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(`${page.url()}: ${error instanceof Error ? error.stack : error}`));
  page.on('request', (sent) => {
    const url = sent.url();
    if (!url.startsWith(origin) && !/^(data|blob):/.test(url)) foreign.push(url);
  });
  return { errors, foreign };
}

/**
 * The button of the first model card, as soon as it is there.
 * @param {Page} page
 */
export async function startButton(page) {
  const button = await page.waitForSelector('[data-start]', { timeout: kStepMs });
  if (!button) throw new Error('there is no start button');
  return button;
}

/**
 * In one of the page's colours, and without transitions: in the middle of one neither pictures nor contrasts are the page's.
 * @param {Page} page
 * @param {string} scheme light or dark
 */
export async function showStill(page, scheme) {
  await page.emulateMediaFeatures([
    { name: 'prefers-color-scheme', value: scheme },
    { name: 'prefers-reduced-motion', value: 'reduce' },
  ]);
}

/** @param {Page} page */
export async function startModel(page) {
  await (await startButton(page)).click();
  const shown = await page.waitForSelector('#chat:not([hidden]), #start-notices .notice', { timeout: kStepMs });
  const problem = await shown?.evaluate((node) => (node.id === 'chat' ? null : node.textContent));
  if (problem) throw new Error(`the model did not start: ${problem}`);
}

/**
 * @param {Page} page
 * @param {string} text
 */
export async function sendMessage(page, text) {
  await page.locator('#prompt').fill(text);
  await page.click('#send');
}

/**
 * Sends a message and waits for the whole answer.
 * @param {Page} page
 * @param {string} text
 * @returns {Promise<string>} the answer as shown
 */
export async function ask(page, text) {
  // Finished answers are counted, as the stop button of a short one may be gone again before it is looked for.
  const finished = '.message-answer .message-tools';
  const before = await page.$$eval(finished, (all) => all.length);
  await sendMessage(page, text);
  await page.waitForFunction((tools, seen) => document.querySelectorAll(tools).length > seen, {}, finished, before);
  await page.waitForSelector('#stop', { hidden: true });
  return page.$$eval('.message-answer .prose', (all) => /** @type {HTMLElement} */ (all[all.length - 1]).innerText);
}

/**
 * All conversations that are stored, what was saved last first.
 * @param {Page} page
 * @returns {Promise<any[]>}
 */
export function savedConversations(page) {
  return page.evaluate(async () => {
    const opened = indexedDB.open('tessera-chats', 1);
    await new Promise((resolve) => (opened.onsuccess = resolve));
    const all = opened.result.transaction('conversations').objectStore('conversations').getAll();
    await new Promise((resolve) => (all.onsuccess = resolve));
    opened.result.close();
    return all.result.sort((a, b) => b.updated - a.updated);
  });
}

/**
 * Puts conversations into the store, as if they had been held; a page that is opened after that has them.
 * @param {Page} page
 * @param {object[]} conversations
 */
export function storeConversations(page, conversations) {
  return page.evaluate(async (all) => {
    const opened = indexedDB.open('tessera-chats', 1);
    opened.onupgradeneeded = () => opened.result.createObjectStore('conversations', { keyPath: 'id' });
    await new Promise((resolve) => (opened.onsuccess = resolve));
    const transaction = opened.result.transaction('conversations', 'readwrite');
    for (const one of all) transaction.objectStore('conversations').put(one);
    await new Promise((resolve) => (transaction.oncomplete = resolve));
    opened.result.close();
  }, conversations);
}

/** The conversation that was saved last. @param {Page} page */
export async function savedConversation(page) {
  const [last] = await savedConversations(page);
  return last;
}

/**
 * Nothing of a conversation is stored, as on a disk that does not answer, until `release`.
 * @param {Page} page
 * @returns {Promise<{ release: () => Promise<unknown> }>}
 */
export async function holdStore(page) {
  const handle = await page.evaluateHandle(async () => {
    const opened = indexedDB.open('tessera-chats', 1);
    await new Promise((resolve) => (opened.onsuccess = resolve));
    const objects = opened.result.transaction('conversations', 'readwrite').objectStore('conversations');
    const hold = { held: true };
    /** A transaction lasts as long as it is asked for something. */
    const ask = () => {
      if (hold.held) objects.count().onsuccess = ask;
      else opened.result.close();
    };
    ask();
    return hold;
  });
  return { release: () => handle.evaluate((hold) => (hold.held = false)) };
}

/**
 * Before the page opens: each step of an answer comes late enough for the one before to be drawn, as the tiny models answer within one frame.
 * @param {string[]} [pieces] what the tokens of the next answer bring instead of their own text
 */
export function slowSteps(pieces) {
  const kStepMs = 60;
  const listen = Worker.prototype.addEventListener;
  let queue = Promise.resolve();
  /** @param {any} type @param {any} listener @param {any} options */
  Worker.prototype.addEventListener = function (type, listener, options) {
    const slowly = (/** @type {MessageEvent} */ event) => {
      const { data } = event;
      if (data?.type !== 'steps' && data?.type !== 'result') return listener(event);
      const later = (/** @type {object} */ part) => {
        queue = queue.then(() => new Promise((resolve) => setTimeout(resolve, kStepMs))).then(() => listener(part));
      };
      if (data.type === 'result') return later(event);
      for (const step of data.steps) {
        if (pieces && step.kind === 'token') Object.assign(step, { reasoning: '', text: pieces.shift() ?? '' });
        if (pieces && step.kind === 'done') Object.assign(step, { reasoning: '', text: pieces.splice(0).join('') });
        later({ data: { ...data, steps: [step] } });
      }
    };
    listen.call(this, type, type === 'message' ? slowly : listener, options);
  };
}

/**
 * Runs the native command line on the test model.
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<any>} its JSON
 */
export async function native(command, args) {
  const all = [command, '-m', kModelFile, '--json', ...args];
  const { stdout } = await promisify(execFile)(kNative, all, { timeout: kStepMs, maxBuffer: 1 << 28 });
  return JSON.parse(stdout);
}

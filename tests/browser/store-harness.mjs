/** Real browsers with an empty page and the store's test worker, for the tests of web/store. */
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';
import { serve } from '../../scripts/serve.mjs';

const kChromeArgs = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
].concat(['--disable-component-update', '--disable-sync']);
const kBrowsers = /** @type {const} */ ([
  ['chrome', [process.env.TESSERA_CHROMIUM, '/usr/bin/chromium', '/usr/bin/google-chrome'], kChromeArgs],
  ['firefox', [process.env.TESSERA_FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'], []],
]);

/**
 * @typedef {object} StorePage
 * @property {'chrome' | 'firefox'} name
 * @property {import('puppeteer-core').Browser} browser
 * @property {import('puppeteer-core').Page} page at `/`, where store-worker.js and store-page.js can be loaded from
 * @property {string} url of the server, with a slash at its end
 * @property {string} root the folder it serves
 * @property {(message: unknown) => Promise<any>} ask sends a message to a fresh worker and waits for its one answer
 */

/**
 * One test per browser.
 * @param {string} what
 * @param {(store: StorePage, t: import('node:test').TestContext) => Promise<void>} run
 */
export function testInBrowsers(what, run) {
  for (const [name, paths, args] of kBrowsers) {
    const executablePath = paths.find((path) => path && existsSync(path));
    const skip = executablePath ? false : `SKIPPED: no ${name} is installed`;
    test(`${what} in ${name}`, { skip, timeout: 120_000 }, async (t) => {
      const root = await mkdtemp(join(tmpdir(), 'tessera-store-'));
      const entryPoints = ['store-worker.js', 'store-page.js'].map((file) =>
        fileURLToPath(new URL(file, import.meta.url)),
      );
      await build({ entryPoints, outdir: root, bundle: true, format: 'esm', logLevel: 'error' });
      await writeFile(join(root, 'index.html'), '<!doctype html><title>store</title>');
      const server = await serve({ root });
      const browser = await puppeteer.launch({
        browser: name,
        executablePath,
        headless: true,
        args: [...args],
        timeout: 60_000,
      });
      try {
        const page = await browser.newPage();
        await page.goto(server.url);
        await run({ name, browser, page, url: server.url, root, ask: (message) => ask(page, message) }, t);
      } finally {
        await browser.close();
        await server.close();
        await rm(root, { recursive: true });
      }
    });
  }
}

/**
 * @param {import('puppeteer-core').Page} page
 * @param {unknown} message
 */
async function ask(page, message) {
  return page.evaluate(async (content) => {
    const worker = new Worker('/store-worker.js', { type: 'module' });
    try {
      return await new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => reject(new Error(event.message));
        worker.postMessage(content);
      });
    } finally {
      worker.terminate();
    }
  }, message);
}

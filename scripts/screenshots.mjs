/**
 * Takes pictures of the built site with a real answer: every view, size and colour into build/screenshots, one for the README.
 * Usage: node scripts/screenshots.mjs [--size phone,tablet,desktop] [--scheme light,dark]
 */
import { copyFile, mkdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  ask,
  openSite,
  readManifest,
  showStill,
  skipReason,
  startButton,
  startModel,
} from '../tests/browser/harness.mjs';

const kRoot = fileURLToPath(new URL('..', import.meta.url));
const kOut = `${kRoot}build/screenshots`;
const kReadme = { from: `${kOut}/desktop-light-chat.png`, to: `${kRoot}docs/screenshot.png`, maxBytes: 200_000 };
const kSizes = /** @type {const} */ ({
  phone: { width: 360, height: 740, deviceScaleFactor: 1 },
  tablet: { width: 820, height: 1100, deviceScaleFactor: 1 },
  desktop: { width: 1280, height: 800, deviceScaleFactor: 1 },
});
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: Object.keys(kSizes).join() },
    scheme: { type: 'string', default: 'light,dark' },
  },
});
const kDialogs = ['settings', 'history', 'engine'];
const kMessages = ['List three reasons to walk every day.', 'Write a Python function that reverses a string.'];

/**
 * All views of one size and colour, in one fresh browser.
 * @param {string} name
 * @param {import('puppeteer-core').Viewport} viewport
 * @param {string} scheme
 * @param {{after: (end: () => Promise<void>) => void}} scope
 */
async function takeAll(name, viewport, scheme, scope) {
  const { shards } = await readManifest();
  const { site, page } = await openSite(scope, { settings: { temperature: 0, max_tokens: 200 } });
  const shoot = (/** @type {string} */ view) => page.screenshot({ path: `${kOut}/${name}-${scheme}-${view}.png` });
  await showStill(page, scheme);
  await page.setViewport(viewport);
  await startButton(page);
  await shoot('start');

  const held = shards.slice(Math.ceil(shards.length / 2)).map((shard) => shard.path);
  site.faults.hold = (path) => held.some((name) => path.endsWith(name));
  await (await startButton(page)).click();
  await page.waitForFunction(() => /[3-9]\d %/.test(document.querySelector('.progress-percent')?.textContent ?? ''));
  await new Promise((resolve) => setTimeout(resolve, 1500)); // the tiles settle
  await shoot('progress');
  await page.click('#progress-card button');
  await page.waitForSelector('#start-notices .notice');
  await shoot('cancelled');
  site.faults.hold = () => false;
  site.faults.reply = (path) => (held.some((name) => path.endsWith(name)) ? { status: 404, body: '' } : null);
  await (await startButton(page)).click();
  await page.waitForSelector('#start-notices .notice-error');
  await shoot('error');
  site.faults.reply = () => null;

  site.faults.hold = () => false;
  await startModel(page);
  await shoot('empty');
  for (const message of kMessages) await ask(page, message);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await shoot('chat');
  for (const dialog of kDialogs) {
    await page.click(`#open-${dialog}`);
    await page.waitForSelector(`#${dialog}-dialog[open]`);
    await shoot(dialog);
    await page.keyboard.press('Escape');
  }
  await takeOwn(page, shoot);
}

/**
 * Models of the reader's own: one that thinks, one without a chat template, one with an adapter.
 * @param {import('puppeteer-core').Page} page
 * @param {(view: string) => Promise<unknown>} shoot
 */
async function takeOwn(page, shoot) {
  const choose = async (/** @type {string} */ selector, /** @type {string} */ path) => {
    const input = /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (await page.$(selector));
    await input.uploadFile(`${kRoot}tests/${path}`);
  };
  const open = async (/** @type {string} */ path) => {
    await page.click('#open-engine');
    await page.click('#engine-dialog .dialog-foot .button');
    await page.waitForSelector('#start:not([hidden])');
    await choose('#file-input', path);
    await page.waitForSelector('#chat:not([hidden])');
    await page.click('#new-chat');
  };
  await open('data/tiny-thinker.gguf');
  await ask(page, 'Good morning!');
  await shoot('thought');
  await page.click('.reasoning summary');
  await shoot('thinking');
  await open('golden/architectures/llama.gguf');
  await shoot('template');
  await page.click('.problem .button-main');
  await shoot('continue');
  await page.click('#open-engine');
  await choose('.adapters input[type=file]', 'golden/architectures/llama.lora.gguf');
  await page.waitForSelector('.adapters:not([inert]) .adapter');
  await page.$eval('.adapters', (node) => node.scrollIntoView());
  await shoot('adapters');
}

const missing = skipReason();
if (missing) {
  console.error(`error: ${missing}`);
  process.exit(1);
}
await mkdir(kOut, { recursive: true });
for (const [name, viewport] of Object.entries(kSizes).filter(([size]) => values.size.split(',').includes(size))) {
  for (const scheme of values.scheme.split(',')) {
    /** @type {(() => Promise<void>)[]} */
    const ends = [];
    try {
      await takeAll(name, viewport, scheme, { after: (end) => ends.unshift(end) });
    } finally {
      for (const end of ends) await end();
    }
    console.log(`${name} ${scheme}`);
  }
}
if (values.size.includes('desktop') && values.scheme.includes('light')) {
  const { size } = await stat(kReadme.from);
  if (size > kReadme.maxBytes) throw new Error(`the README picture has ${size} bytes, more than ${kReadme.maxBytes}`);
  await copyFile(kReadme.from, kReadme.to);
}

/** Smaller copies in real browsers: a dropped file, the dialog, the copy in the list, stopping, and what a full disk leaves. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { heard, overflow, smallTargets, violations } from './accessibility.mjs';
import { ask, kModelId, openSite, skipReason } from './harness.mjs';

/** @typedef {import('puppeteer-core').Page} Page */

const kThinker = fileURLToPath(new URL('../data/tiny-thinker.gguf', import.meta.url));
const kAdapter = fileURLToPath(new URL('../golden/architectures/llama.lora.gguf', import.meta.url));
const kDialog = '#quantize-dialog';

/** @param {Page} page @param {string} selector */
const textOf = (page, selector) => page.$eval(selector, (node) => /** @type {HTMLElement} */ (node).innerText);

/** @param {Page} page @returns {Promise<any[]>} */
const storedModels = (page) =>
  page.evaluate(async () => (await import(new URL('tessera.js', location.href).href)).Tessera.models.list());

/** All that the store has on the disk. @param {Page} page @returns {Promise<string[]>} */
const storedFiles = (page) =>
  page.evaluate(async () => {
    const names = [];
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle('tessera-models', { create: true });
    for await (const [folder, handle] of /** @type {any} */ (root).entries())
      for await (const name of handle.keys()) names.push(`${folder}/${name}`);
    return names;
  });

/**
 * As a reader drops a file where smaller copies are made.
 * @param {Page} page
 * @param {string} name
 * @param {string[]} addresses whose bytes, end to end, are the file; or data: URLs
 */
function drop(page, name, addresses) {
  return page.evaluate(
    async (name, addresses) => {
      const blobs = await Promise.all(addresses.map(bytesOf));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(blobs, name));
      const options = { dataTransfer, bubbles: true, cancelable: true };
      const place = /** @type {Element} */ (document.getElementById('drop-shrink'));
      document.body.dispatchEvent(new DragEvent('dragover', options));
      place.dispatchEvent(new DragEvent('drop', options));

      /** @param {string} address */
      async function bytesOf(address) {
        if (!address.startsWith('data:')) return (await fetch(address)).blob();
        return new Blob([Uint8Array.from(atob(address.slice(address.indexOf(',') + 1)), (c) => c.charCodeAt(0))]);
      }
    },
    name,
    addresses,
  );
}

/** @param {Page} page */
async function dropSmall(page) {
  const bytes = await readFile(kThinker);
  await drop(page, 'tiny-Q8_0.gguf', [`data:,${bytes.toString('base64')}`]);
  await page.waitForSelector('.type-choices');
}

/** @param {Page} page */
async function dropLarge(page) {
  const folder = `models/${kModelId}`;
  const shards = await page.evaluate(
    async (folder) => (await (await fetch(`${folder}/manifest.json`)).json()).shards,
    folder,
  );
  await drop(
    page,
    'large.gguf',
    shards.map((/** @type {{ path: string }} */ { path }) => `${folder}/${path}`),
  );
  await page.waitForSelector('.type-choices');
}

/** @param {Page} page @param {string} type */
async function begin(page, type) {
  await page.$eval(`${kDialog} [value=${type}]`, (node) => /** @type {HTMLElement} */ (node).click());
  await page.click(`${kDialog} .dialog-foot .button-main`);
}

/** The work is somewhere in the middle. @param {Page} page */
const underWay = (page) =>
  page.waitForFunction(() => /^[1-9]\d? %$/.test(document.querySelector('.progress-percent')?.textContent ?? ''));

/** @param {Page} page @param {string} view */
async function checkView(page, view) {
  assert.deepEqual(await violations(page), [], view);
  assert.ok((await overflow(page)) <= 0, `${view} is wider than the screen`);
  assert.deepEqual(await smallTargets(page), [], view);
}

for (const browser of /** @type {const} */ (['chrome', 'firefox'])) {
  test(`smaller copies in ${browser}`, { skip: skipReason({ browser }), timeout: 300_000 }, async (t) => {
    const { page, site, watch } = await openSite(t, { browser, settings: { temperature: 0, max_tokens: 40 } });
    if (browser === 'chrome') await page.setViewport({ width: 360, height: 740 });

    await t.test('stopping in the middle leaves nothing', async () => {
      await dropLarge(page);
      assert.match(await textOf(page, `${kDialog} .notice`), /already rounded \(Q4_1\)/);
      await begin(page, 'Q4_K_M');
      await underWay(page);
      const [entry] = await storedModels(page);
      assert.deepEqual([entry.complete, entry.made], [false, true]);
      await page.click(`${kDialog} .progress-foot button`);
      await page.waitForSelector(`${kDialog} .notice`);
      assert.match(await textOf(page, kDialog), /Stopped\.\s+Nothing of the copy was kept/);
      assert.deepEqual(await storedModels(page), []);
      assert.deepEqual(await storedFiles(page), []);
    });

    await t.test('a copy of a dropped file is made, loaded and asked', async () => {
      await page.keyboard.press('Escape');
      await dropSmall(page);
      if (browser === 'chrome') await checkView(page, 'the choice of a type');
      assert.equal(await page.evaluate(() => document.activeElement?.className), 'dialog-body');
      assert.match(await textOf(page, '.quantize-sizes'), /76 kB now, \d+ kB then/);
      site.requests.length = 0;
      await begin(page, 'Q5_1');
      await page.waitForSelector(`${kDialog} .notice`);
      assert.match(await textOf(page, kDialog), /tiny-Q5_1 is on this device: \d+ kB/);
      if (browser === 'chrome') await checkView(page, 'the copy is ready');
      if (browser === 'chrome') assert.deepEqual(await heard(page), ['The copy is ready: tiny-Q5_1']);
      await page.click(`${kDialog} .notice .button-main`);
      await page.waitForSelector('#chat:not([hidden])');
      assert.equal(await ask(page, 'Hi'), 'Hello, friend!');
      assert.deepEqual(site.modelRequests(), [], 'nothing was fetched');
    });

    await t.test('it is in the list after a reload, is whole, can be saved, and removed', async () => {
      await page.reload();
      await page.waitForFunction(() => document.querySelectorAll('.model-card').length === 2);
      assert.match(await textOf(page, '.model-card:last-child'), /tiny-Q5_1[^]*made on this device/);
      const [{ id, bytes, complete, made }] = await storedModels(page);
      assert.deepEqual([complete, made], [true, true]);
      const found = await page.evaluate(async (id) => {
        const { Tessera } = await import(new URL('tessera.js', location.href).href);
        const [file] = await Tessera.models.exportFiles(id);
        return { ...(await Tessera.models.verify(id)), name: file.name, size: file.size };
      }, id);
      assert.deepEqual(found, { ok: true, badShards: [], missingShards: [], name: 'tiny-Q5_1.gguf', size: bytes });
      await page.click('.model-stored summary');
      await page.click('.model-stored .button');
      await page.waitForSelector('#start-notices .notice');
      assert.match(await textOf(page, '#start-notices'), /tiny-Q5_1 is as it was made/);
      assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Check for damage');
      await page.evaluate(() =>
        /** @type {HTMLButtonElement | null} */ (document.querySelector('.model-stored .button:last-child'))?.click(),
      );
      await page.waitForFunction(() => document.querySelectorAll('.model-card').length === 1);
      assert.deepEqual(await storedFiles(page), []);
    });

    await t.test('an importance file is chosen, left again, and one of another kind is refused', async () => {
      await dropSmall(page);
      await page.click('.quantize-importance summary');
      if (browser === 'chrome') await checkView(page, 'the choice of an importance file');
      const [chooser] = await Promise.all([page.waitForFileChooser(), page.click('.importance-buttons .button-quiet')]);
      await chooser.accept([kThinker]); // a model
      await page.waitForSelector('.importance-buttons .button-plain:not([hidden])');
      assert.equal(await textOf(page, '.importance-chosen'), 'tiny-thinker.gguf will be used.');
      if (browser === 'chrome') await checkView(page, 'an importance file is chosen');
      await begin(page, 'Q4_K_M');
      await page.waitForSelector(`${kDialog} .notice-error`);
      assert.match(await textOf(page, `${kDialog} .notice-error`), /importance/);
      assert.deepEqual(await storedFiles(page), []);
      await page.click(`${kDialog} .notice-error .button`);
      await page.waitForSelector('.quantize-importance');
      assert.equal(await textOf(page, '.importance-chosen'), '', 'a new choice begins without one');
      await page.keyboard.press('Escape');
    });

    await t.test('the dialog may be closed while it works, and comes back', async () => {
      await dropLarge(page);
      await begin(page, 'Q4_0');
      await underWay(page);
      await page.keyboard.press('Escape');
      await page.waitForSelector('#start-notices .notice');
      assert.match(await textOf(page, '#start-notices'), /A smaller copy of large is being made/);
      await page.click('#start-notices .notice button');
      await page.waitForSelector(`${kDialog}[open] .progress-foot button`);
      assert.equal(await textOf(page, '#start-notices'), '', 'the way back is not needed any more');
      await page.keyboard.press('Escape');
      await page.waitForFunction(() =>
        /The copy is ready/.test(document.querySelector('#start-notices')?.textContent ?? ''),
      );
      assert.equal((await storedModels(page))[0].complete, true);
    });

    /** Back to the first view. */
    const leave = async () => {
      await page.click('#open-engine');
      await page.click('#engine-dialog .dialog-foot .button');
      await page.waitForSelector('#start:not([hidden]) [data-start]');
    };
    const title = (/** @type {string} */ name) =>
      page.waitForFunction((name) => document.querySelector('#topbar-title')?.textContent === name, {}, name);

    await t.test('a copy that is ready is loaded in place of a model that is on its way', async () => {
      await dropLarge(page);
      await begin(page, 'Q4_0');
      await underWay(page);
      await page.keyboard.press('Escape');
      site.faults.hold = (path) => path.startsWith('models/');
      await page.click('[data-start]');
      await page.waitForSelector('#progress-card');
      assert.match(await textOf(page, '#start-notices'), /A smaller copy of large is being made/);
      await page.waitForSelector('#start-notices .button-main');
      await page.click('#start-notices .button-main');
      await title('large-Q4_0');
      site.faults.hold = () => false;
      await leave();
    });

    await t.test(
      'the way back comes along into a chat and out again; there the reader hears of the end, too',
      async () => {
        await dropLarge(page);
        await begin(page, 'Q2_K');
        await underWay(page);
        await page.keyboard.press('Escape');
        await page.click('[data-start]');
        await page.waitForSelector('#chat:not([hidden])');
        assert.match(await textOf(page, '#chat .way-back'), /A smaller copy of large is being made/);
        if (browser === 'chrome') await checkView(page, 'a copy is made beside a chat');
        await leave();
        assert.match(await textOf(page, '#start-notices'), /A smaller copy of large is being made/);
        await page.click('[data-start]');
        await page.waitForSelector('#chat .said');
        assert.match(await textOf(page, '#chat .said'), /The copy is ready[^]*large-Q2_K is on this device/);
        assert.equal(await page.$('#chat .way-back > *'), null);
        await page.click('#chat .said .button-main');
        await title('large-Q2_K');
        await leave();
      },
    );

    await t.test('what cannot be read is said in the dialog', async () => {
      await drop(page, 'page.gguf', [`data:,${btoa('<html>no model</html>')}`]);
      await page.waitForSelector(`${kDialog} .notice-error`);
      assert.match(await textOf(page, `${kDialog} .notice-error`), /not a model in the GGUF format/);
      await page.keyboard.press('Escape');
    });

    await t.test('an adapter, of which a copy could not start, is none to be made smaller', async () => {
      await drop(page, 'adapter.gguf', [`data:,${(await readFile(kAdapter)).toString('base64')}`]);
      await page.waitForFunction(
        (dialog) => document.querySelector(`${dialog}[open], #start-notices .notice`),
        {},
        kDialog,
      );
      assert.match(await textOf(page, '#start-notices'), /This is a LoRA adapter, not a model/);
      assert.equal(await page.$(`${kDialog}[open]`), null);
    });

    assert.deepEqual(watch.errors, []);
    assert.deepEqual(watch.foreign, []);
  });
}

test('a full disk leaves nothing and says so', { skip: skipReason(), timeout: 120_000 }, async (t) => {
  const { page, site } = await openSite(t);
  // Chromium tells pages of 10 GB, whatever there is: the disk is full in the middle.
  const origin = new URL(site.url).origin;
  const devtools = await page.createCDPSession();
  await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 40e6 });
  await dropLarge(page);
  await begin(page, 'Q4_0');
  await page.waitForSelector(`${kDialog} .notice-error`);
  assert.match(await textOf(page, kDialog), /not enough room[^]*fewer bits a weight/);
  assert.deepEqual(await storedFiles(page), []);
  await devtools.send('Storage.overrideQuotaForOrigin', { origin });
  await page.click(`${kDialog} .notice-error .button`);
  await page.waitForSelector('.type-choices');
});

/** The page that measures speed: stopping, figures, the table to copy, and the same care as the chat's page. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { overflow, smallTargets, violations } from './accessibility.mjs';
import { launch, serveSite, skipReason, watchPage } from './harness.mjs';

/** The page on a phone, with the models to choose from. @param {import('node:test').TestContext} t */
async function openBench(t) {
  const site = await serveSite();
  t.after(site.close);
  const browser = await launch(t);
  const page = await browser.newPage();
  const watch = watchPage(page, site.url);
  await page.setViewport({ width: 360, height: 740, hasTouch: true });
  await page.goto(`${site.url}bench.html`);
  await page.waitForSelector('#bench-model option');
  return { browser, site, page, watch };
}

test(
  'bench.html stops when asked, then measures and gives a table',
  { skip: skipReason(), timeout: 240_000 },
  async (t) => {
    const { browser, site, page, watch } = await openBench(t);
    const measure = '#bench-form .button-main';
    await page.click(measure);
    const measuring = await page.waitForSelector(
      '#bench-status .model-card [role=status] ::-p-text(Measuring, 1 of 5)',
    );
    assert.ok(measuring);
    await page.click('#bench-status .button-plain');
    await page.waitForSelector('#bench-status ::-p-text(Stopped.)');
    assert.equal(await page.$eval('#bench-results', (node) => /** @type {HTMLElement} */ (node).hidden), true);

    await page.select('#bench-threads', '2');
    await page.click(measure);
    await page.waitForSelector('#bench-rows tr');
    const cells = await page.$$eval('#bench-rows tr > *', (all) => all.map((cell) => cell.textContent ?? ''));
    assert.match(cells[0], /SmolLM2.*Q4_1/);
    assert.match(cells[2], /^wasm_relaxed(_i32)?$/); // which of them a trial on this processor decides
    assert.equal(cells[3], '2');
    for (const figure of cells.slice(4)) assert.match(figure, /^\d+\.\d \(\d+\.\d–\d+\.\d\)$/);
    assert.deepEqual(await violations(page), []);
    assert.ok((await overflow(page)) <= 0);
    assert.deepEqual(await smallTargets(page), []);

    await browser
      .defaultBrowserContext()
      .overridePermissions(new URL(site.url).origin, ['clipboard-read', 'clipboard-sanitized-write']);
    await page.click('#bench-tools button');
    await page.waitForSelector('#bench-tools ::-p-text(Copied)');
    const [header, rule, row] = (await page.evaluate(() => navigator.clipboard.readText())).split('\n');
    assert.match(header, /^\| model \| size \|.*prefill of 512/);
    assert.match(rule, /^\| --- \|/);
    assert.ok(row.includes(cells[4]) && row.includes(cells[5]));
    assert.deepEqual(watch.errors, []);
    assert.deepEqual(watch.foreign, []);
  },
);

test(
  'a model with a small context is measured with what it holds',
  { skip: skipReason(), timeout: 120_000 },
  async (t) => {
    const { page, watch } = await openBench(t);
    const input = /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (await page.$('#file-input'));
    await input.uploadFile(fileURLToPath(new URL('../data/tiny-llama.gguf', import.meta.url)));
    await page.waitForSelector('#bench-model option ::-p-text(tiny-llama.gguf)');
    await page.click('#bench-form .button-main');
    await page.waitForSelector('#bench-rows tr, #bench-status .notice-error');
    const cells = await page.$$eval('#bench-rows td', (all) => all.slice(-2).map((cell) => cell.textContent ?? ''));
    assert.match(cells[0] ?? '', /\d \(.*\) of 256$/);
    assert.match(cells[1], /\d \(.*\) of 64 after 192$/);
    assert.deepEqual(watch.errors, []);
  },
);

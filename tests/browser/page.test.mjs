/** The page itself: accessibility by axe-core, phone width, safe Markdown, keyboard and settings, weight of the site. */
import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { overflow, palePlaceholders, smallTargets, violations } from './accessibility.mjs';
import { ask, kSite, openSite, showStill, skipReason, startModel } from './harness.mjs';

const kMaxGzipBytes = 600_000;

for (const scheme of ['light', 'dark']) {
  test(`accessible and narrow enough, ${scheme}`, { skip: skipReason(), timeout: 240_000 }, async (t) => {
    const { page } = await openSite(t, { settings: { temperature: 0, max_tokens: 48 } });
    await showStill(page, scheme);
    await page.setViewport({ width: 360, height: 740, hasTouch: true });
    const check = async (/** @type {string} */ view) => {
      assert.deepEqual(await violations(page), [], view);
      assert.ok((await overflow(page)) <= 0, `${view} is wider than the screen`);
      assert.deepEqual(await smallTargets(page), [], view);
      assert.deepEqual(await palePlaceholders(page), [], view);
    };
    await check('start');
    await startModel(page);
    await check('empty chat');
    await ask(page, 'Write a Python function that adds two numbers.');
    await check('chat');
    for (const name of ['settings', 'history', 'engine']) {
      await page.click(`#open-${name}`);
      await page.waitForSelector(`#${name}-dialog[open]`);
      await check(name);
      await page.keyboard.press('Escape');
      await page.waitForSelector(`#${name}-dialog[open]`, { hidden: true });
      assert.equal(await page.evaluate(() => document.activeElement?.id), `open-${name}`, 'the focus comes back');
    }
  });
}

test('what a model needs is said later, and moves nothing', { skip: skipReason(), timeout: 120_000 }, async (t) => {
  const { page } = await openSite(t);
  await page.waitForSelector('.model-needs');
  for (const width of [390, 800, 1280]) {
    await page.setViewport({ width, height: 844 });
    const [said, before] = await page.evaluate(() => {
      const top = () => document.querySelector('.other-models')?.getBoundingClientRect().top;
      const said = top();
      const needs = [...document.querySelectorAll('[data-needs]')].map((place) => ({ place, view: place.firstChild }));
      for (const { place } of needs) place.replaceChildren();
      const before = top();
      for (const { place, view } of needs) place.append(/** @type {Node} */ (view));
      return [said, before];
    });
    assert(said !== undefined && Math.abs(said - Number(before)) < 1, `${width} wide: from ${before} to ${said}`);
  }
});

test('settings and keyboard', { skip: skipReason(), timeout: 240_000 }, async (t) => {
  const { page } = await openSite(t);
  await startModel(page);

  await t.test('a value out of range is refused in place, a good one is kept', async () => {
    await page.click('#open-settings');
    await page.locator('#setting-temperature').fill('9');
    await page.click('#settings-dialog [type=submit]');
    assert.equal(await page.$eval('#setting-temperature-error', (node) => node.textContent), 'A number from 0 to 2.');
    await page.locator('#setting-temperature').fill('0');
    await page.locator('#setting-max_tokens').fill('24');
    await page.click('#settings-dialog [type=submit]');
    await page.waitForSelector('#settings-dialog[open]', { hidden: true });
    const kept = await page.evaluate(() => JSON.parse(localStorage.getItem('tessera.settings') ?? ''));
    assert.equal(kept.temperature, 0);
    assert.equal(kept.max_tokens, 24);
  });

  await t.test('a text that is selected to beyond the dialog leaves it open, a click beside it closes it', async () => {
    await page.click('#open-settings');
    const { x, y } = await page
      .locator('#setting-system')
      .map((node) => node.getBoundingClientRect().toJSON())
      .wait();
    await page.mouse.move(x + 20, y + 10);
    await page.mouse.down();
    await page.mouse.move(5, y + 10);
    await page.mouse.up();
    assert(await page.$('#settings-dialog[open]'));
    await page.mouse.click(5, y + 10);
    assert.equal(await page.$('#settings-dialog[open]'), null);
  });

  await t.test('Enter sends, Shift+Enter does not, an input method keeps its Enter', async () => {
    await page.focus('#prompt');
    await page.keyboard.type('one');
    await page.keyboard.down('Shift');
    await page.keyboard.press('Enter');
    await page.keyboard.up('Shift');
    await page.keyboard.type('two');
    await page.$eval('#prompt', (node) =>
      node.dispatchEvent(
        new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true, cancelable: true }),
      ),
    );
    assert.equal(await page.$eval('#prompt', (node) => /** @type {HTMLTextAreaElement} */ (node).value), 'one\ntwo');
    assert.equal(await page.$('.message-user'), null);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.message-user');
    await page.waitForSelector('.message-answer .message-tools');
  });

  await t.test('scrolling up is respected while an answer grows', async () => {
    await page.setViewport({ width: 700, height: 420 });
    const kept = await page.evaluate(() => ({
      ...JSON.parse(localStorage.getItem('tessera.settings') ?? '{}'),
      max_tokens: 400,
    }));
    await page.evaluate((settings) => localStorage.setItem('tessera.settings', JSON.stringify(settings)), kept);
    await page.reload();
    await startModel(page);
    await page.locator('#prompt').fill('Write a long list of fifty animals.');
    await page.click('#send');
    await page.waitForFunction(() => {
      const { scrollHeight, clientHeight } = /** @type {HTMLElement} */ (document.getElementById('scroller'));
      return scrollHeight > clientHeight + 150;
    });
    await page.$eval('#scroller', (node) => node.scrollBy(0, -100));
    await page.waitForSelector('#jump:not([hidden])');
    const top = await page.$eval('#scroller', (node) => node.scrollTop);
    const length = () => page.$eval('.message-answer:last-child .prose', (node) => (node.textContent ?? '').length);
    const before = await length();
    await page.waitForFunction(
      (seen) => (document.querySelector('.message-answer:last-child .prose')?.textContent ?? '').length > seen + 40,
      {},
      before,
    );
    assert.equal(await page.$eval('#scroller', (node) => node.scrollTop), top);
    await page.click('#jump');
    await page.waitForSelector('#jump', { hidden: true });
    await page.click('#stop');
  });

  await t.test('Escape stops an answer, but not one that an input method hears', async () => {
    await page.click('#new-chat');
    await page.locator('#prompt').fill('Write a long list of fifty animals.');
    await page.click('#send');
    await page.waitForFunction(() => (document.querySelector('.prose')?.textContent ?? '').length > 20);
    await page.$eval('#prompt', (node) =>
      node.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', isComposing: true, bubbles: true })),
    );
    const length = await page.$eval('.prose', (node) => (node.textContent ?? '').length);
    await page.waitForFunction(
      (seen) => (document.querySelector('.prose')?.textContent ?? '').length > seen + 40,
      { timeout: 5_000 },
      length,
    );
    await page.keyboard.press('Escape');
    await page.waitForSelector('.message-note');
    assert.match(await page.$eval('.message-note', (node) => node.textContent ?? ''), /stopped/i);
  });

  await t.test(
    'a growing answer and its figures are drawn together some times a second, not with every frame',
    async () => {
      await page.click('#new-chat');
      await page.evaluate(() => {
        const /** @type {number[]} */ times = [];
        const isGrowth = (/** @type {MutationRecord} */ { target }) =>
          target instanceof Element && target.closest('.prose, #open-engine') !== null;
        new MutationObserver((records) => records.some(isGrowth) && times.push(performance.now())).observe(
          /** @type {Node} */ (document.getElementById('chat')),
          { childList: true, subtree: true },
        );
        Object.assign(globalThis, { times });
      });
      await ask(page, 'Write a short story about a cat.');
      const times = await page.evaluate(() => /** @type {any} */ (globalThis).times);
      const rests = times.map((/** @type {number} */ time, /** @type {number} */ i) => time - times[i - 1]);
      // The end of an answer is drawn at once, and the line below it with the next frame.
      const growing = rests.slice(1, -2);
      assert.ok(growing.length > 2, `${growing.length} times`);
      assert.ok(Math.min(...growing) > 60, `${Math.min(...growing)} ms apart`);
    },
  );
});

test('a long chat', { skip: skipReason(), timeout: 120_000 }, async (t) => {
  const { page } = await openSite(t);
  await page.evaluate(keepLongChat);
  await page.reload();
  await startModel(page);
  await page.waitForSelector('.message-answer');

  await t.test('scrolls in its place, the page does not', async () => {
    await page.mouse.move(300, 20); // over the bar
    await page.mouse.wheel({ deltaY: 2000 });
    const { height, window } = await page.evaluate(() => ({
      height: document.documentElement.scrollHeight,
      window: innerHeight,
    }));
    assert.equal(height, window);
  });

  await t.test('runs from right to left where its letters do', async () => {
    const last = (/** @type {string} */ selector) =>
      page.$$eval(selector, (all) => {
        const node = /** @type {HTMLElement} */ (all.at(-1));
        const text = /** @type {Text} */ (document.createTreeWalker(node, NodeFilter.SHOW_TEXT).lastChild());
        const leftOf = (/** @type {number} */ from) => {
          const range = document.createRange();
          range.setStart(text, from);
          range.setEnd(text, from + 1);
          return range.getBoundingClientRect().left;
        };
        return leftOf(0) > leftOf(text.length - 1) ? 'rtl' : 'ltr';
      });
    const found = await Promise.all(['.message-user', '.prose p', '.prose pre code'].map(last));
    assert.deepEqual(found, ['rtl', 'rtl', 'ltr']);
    await page.locator('#prompt').fill('שלום?');
    assert.equal(await page.$eval('#prompt', (node) => getComputedStyle(node).direction), 'rtl');
    const marker = await page.$$eval(
      '.prose ul',
      (all) => getComputedStyle(/** @type {Element} */ (all.at(-1))).direction,
    );
    assert.equal(marker, 'rtl');
  });

  await t.test('is printed whole, without the message box', async () => {
    await page.emulateMediaType('print');
    const clipped = await page.$eval('#scroller', (node) => node.scrollHeight - node.clientHeight);
    assert.equal(clipped, 0);
    assert.equal(await page.$eval('#composer', (node) => node.checkVisibility()), false);
  });
});

/** Runs in the page, which shows the chat after its next load. */
async function keepLongChat() {
  const messages = Array.from({ length: 30 }, (_, i) => [
    { role: 'user', content: `Question ${i}` },
    { role: 'assistant', content: 'An answer of some length. '.repeat(40), finish: 'stop' },
  ]).flat();
  messages.push({ role: 'user', content: 'שלום, מה שלומך?' });
  messages.push({ role: 'assistant', content: '- מרחבא\n  ```\n  let x;\n  ```\n\nשלום (אחד)!', finish: 'stop' });
  const opened = indexedDB.open('tessera-chats', 1);
  await new Promise((resolve) => (opened.onsuccess = resolve));
  const transaction = opened.result.transaction('conversations', 'readwrite');
  const chat = { id: 'long', created: 0, updated: Date.now(), model: '', sentFrom: 0, messages };
  transaction.objectStore('conversations').put(chat);
  await new Promise((resolve) => (transaction.oncomplete = resolve));
  opened.result.close();
  localStorage.setItem('tessera.current-chat', chat.id);
}

test('Markdown of a model cannot do harm', { skip: skipReason(), timeout: 120_000 }, async (t) => {
  const { page, watch } = await openSite(t);
  const hostile = [
    '<img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=1</script>',
    '![p](https://example.invalid/pixel.png) [x](javascript:globalThis.hacked=1) <a href="https://example.invalid">raw</a>',
    '# Title\n\n- [x] done\n\n```html\n<b>bold</b>\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |',
  ].join('\n\n');
  const message = { role: 'assistant', content: hostile, finish: 'stop' };
  const record = {
    id: 'h',
    created: 1,
    updated: Date.now(),
    model: 'm',
    sentFrom: 0,
    messages: [{ role: 'user', content: '<b>hi</b>' }, message],
  };
  await page.evaluate(async (conversation) => {
    const opened = indexedDB.open('tessera-chats', 1);
    await new Promise((resolve) => (opened.onsuccess = resolve));
    const put = opened.result.transaction('conversations', 'readwrite').objectStore('conversations').put(conversation);
    await new Promise((resolve) => (put.onsuccess = resolve));
    localStorage.setItem('tessera.current-chat', conversation.id);
  }, record);
  await page.reload();
  await page.waitForSelector('.code-block');
  const shown = await page.evaluate(() => ({
    hacked: 'hacked' in globalThis,
    tags: [...new Set([...document.querySelectorAll('.prose *')].map((node) => node.tagName.toLowerCase()))],
    links: [...document.querySelectorAll('.prose a')].map((node) => node.getAttribute('href')),
    code: document.querySelector('.prose pre')?.textContent,
    user: document.querySelector('.message-user')?.textContent,
  }));
  assert.equal(shown.hacked, false);
  for (const tag of ['img', 'script', 'b', 'input', 'h1']) assert.ok(!shown.tags.includes(tag), `there is a <${tag}>`);
  assert.ok(shown.tags.includes('table') && shown.tags.includes('h3'));
  assert.deepEqual(
    shown.links.filter((href) => href !== null && !href.startsWith('https:')),
    [],
  );
  assert.equal(shown.code, '<b>bold</b>\n');
  assert.match(shown.user ?? '', /<b>hi<\/b>/);
  assert.deepEqual(watch.errors, []);
  assert.deepEqual(watch.foreign, []);
});

test(
  'what a model needs is said before anything is downloaded',
  { skip: skipReason(), timeout: 120_000 },
  async (t) => {
    const { page, site } = await openSite(t);
    const text = (/** @type {string} */ selector) =>
      page.$eval(selector, (node) => /** @type {HTMLElement} */ (node).innerText);
    await page.waitForSelector('[data-needs] summary');
    assert.match(await text('[data-needs] summary'), /^Needs \d+ MB of memory; this device offers [\d.]+ GB\.$/);
    assert.equal(await page.$('#progress-card'), null);
    await page.click('[data-needs] summary');
    const sum = await text('[data-needs] dl');
    const [, weights] = /135 million × [\d.]+ bits = (\d+ MB)/.exec(sum) ?? [];
    assert.ok(weights, sum);
    assert.deepEqual(await violations(page), []);

    await t.test('and is what the model then takes; the next time nothing is asked for it', async () => {
      await startModel(page);
      await page.click('#open-engine');
      assert.match(await text('#engine-dialog'), new RegExp(`Weights\\s+${weights}`));
      site.requests.length = 0;
      await page.reload();
      await page.waitForSelector('[data-needs] summary');
      assert.deepEqual(site.modelRequests(), []);
    });
  },
);

test('the site without models is light', { skip: skipReason() }, async () => {
  const files = (await readdir(kSite, { recursive: true })).filter((path) => !/^models\/|\.(br|gz)$/.test(path));
  let total = 0;
  for (const path of files) {
    if ((await stat(kSite + path)).isFile()) total += gzipSync(await readFile(kSite + path), { level: 9 }).length;
  }
  assert.ok(total > 0 && total <= kMaxGzipBytes, `${total} bytes gzip`);
});

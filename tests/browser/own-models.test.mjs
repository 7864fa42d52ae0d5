/** Models from the reader's device in a real Chromium: one that thinks, ones without a usable chat template, LoRA adapters. */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { heard, overflow, smallTargets, violations } from './accessibility.mjs';
import { ask, holdStore, openSite, savedConversation, sendMessage, skipReason, slowSteps } from './harness.mjs';

/** @typedef {import('puppeteer-core').Page} Page */

const inTests = (/** @type {string} */ path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const kThinker = inTests('data/tiny-thinker.gguf');
const kOther = inTests('data/tiny-llama.gguf');
const kBase = inTests('golden/architectures/llama.gguf'); // has no chat template
const kAdapter = inTests('golden/architectures/llama.lora.gguf');
const kThought = 'Someone greets me; a greeting is the right answer.';
const kGreedy = { temperature: 0, max_tokens: 40 };
/** @type {Parameters<typeof openSite>[1]} */
const kSlowly = { settings: kGreedy, prepare: (page) => page.evaluateOnNewDocument(slowSteps) };
const kOptions = { skip: skipReason(), timeout: 240_000 };

/**
 * @param {Page} page
 * @param {string} selector of the file input
 * @param {string} path
 */
async function chooseFile(page, selector, path) {
  const input = /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (await page.$(selector));
  await input.uploadFile(path);
}

/**
 * @param {Page} page
 * @param {string} path
 */
async function openModel(page, path) {
  await chooseFile(page, '#file-input', path);
  await page.waitForSelector('#chat:not([hidden])');
}

/**
 * Back to the first view.
 * @param {Page} page
 */
async function leaveModel(page) {
  await page.click('#open-engine');
  await page.click('#engine-dialog .dialog-foot .button');
  await page.waitForSelector('#start:not([hidden])');
}

/** What a reader sees. @param {Page} page @param {string} selector */
const textOf = (page, selector) => page.$eval(selector, (node) => /** @type {HTMLElement} */ (node).innerText);

/** @param {Page} page @param {string} view */
async function checkView(page, view) {
  assert.deepEqual(await violations(page), [], view);
  assert.ok((await overflow(page)) <= 0, `${view} is wider than the screen`);
  assert.deepEqual(await smallTargets(page), [], view);
}

test('a model that thinks', kOptions, async (t) => {
  const { page, watch } = await openSite(t, kSlowly);
  await page.setViewport({ width: 360, height: 740 });
  await openModel(page, kThinker);

  await t.test('is seen thinking; the block closes when the answer begins', async () => {
    await sendMessage(page, 'Hi');
    await page.waitForSelector('.reasoning[open]');
    assert.match(await textOf(page, '.reasoning summary'), /^Thinking for \d+ seconds? · \d+ tokens?$/);
    await page.waitForFunction(() => document.querySelector('.reasoning .prose')?.textContent?.includes('greeting'));
    await page.waitForSelector('.reasoning:not([open])');
    await page.waitForSelector('.message-tools');
    assert.match(await textOf(page, '.reasoning summary'), /^Thought for \d+ seconds? · 11 tokens$/);
    assert.equal(await textOf(page, '.message-answer > .prose'), 'Hello, friend!');
    assert.match(await page.$eval('#announcer', (node) => node.textContent ?? ''), /^Answer: Hello, friend!$/);
  });

  await t.test('opens for the keyboard, and is accessible', async () => {
    await page.focus('.reasoning summary');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.reasoning[open]');
    assert.equal(await textOf(page, '.reasoning .prose'), kThought);
    await checkView(page, 'thinking');
  });

  await t.test('stays as the reader left it while it grows', async () => {
    await sendMessage(page, 'Hi');
    const summary = await page.waitForSelector('.message-answer:last-child .reasoning[open] summary');
    await summary?.click();
    await page.waitForSelector('.message-answer:last-child .reasoning:not([open])');
    await page.waitForFunction(() =>
      /· [5-9] tokens/.test(document.querySelectorAll('.reasoning')[1].textContent ?? ''),
    );
    assert.equal(await page.$('.message-answer:last-child .reasoning[open]'), null);
    await page.waitForSelector('.message-answer:last-child .message-tools');
  });

  await t.test('is kept with the conversation', async () => {
    const { messages } = await savedConversation(page);
    assert.equal(messages[1].content, 'Hello, friend!');
    assert.equal(messages[1].reasoning, kThought);
    await page.reload();
    await openModel(page, kThinker);
    assert.match(await textOf(page, '.message-answer .reasoning summary'), /^Thought for/);
    assert.equal(await page.$('.reasoning[open]'), null);
  });
  assert.deepEqual(watch.errors, []);
});

test('a long name makes no view wider than a phone', kOptions, async (t) => {
  const { site, page } = await openSite(t);
  await page.setViewport({ width: 320, height: 640 });
  const folder = await mkdtemp(join(tmpdir(), 'tessera-'));
  t.after(() => rm(folder, { recursive: true }));
  const name = 'tinyllama_1_1b_chat_v1_0_imatrix_calibrated_copy.gguf';
  const path = join(folder, name);
  await copyFile(kThinker, path);
  await openModel(page, path);
  await checkView(page, 'a chat');
  await page.evaluate(
    async (bytes, name) => {
      const { Tessera } = await import(new URL('tessera.js', document.baseURI).href);
      await Tessera.quantize(new File([new Uint8Array(bytes)], name), { type: 'Q5_1' });
    },
    [...(await readFile(path))],
    name,
  );
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll('.model-card').length === 2);
  await checkView(page, 'the list');
  await page.click('.model-card:last-child .model-stored summary');
  await page.click('.model-card:last-child .model-stored button');
  await page.waitForSelector('#start-notices .notice');
  await checkView(page, 'a notice');
  await page.goto(`${site.url}bench.html`);
  await chooseFile(page, '#file-input', path);
  await page.waitForFunction(() => document.querySelectorAll('#bench-model option').length > 1);
  await checkView(page, 'the page that measures');
});

test('what is dropped by mistake leaves an answer alone', kOptions, async (t) => {
  const { page, watch } = await openSite(t, kSlowly);
  await openModel(page, kThinker);
  await sendMessage(page, 'Hi');
  await page.waitForSelector('.reasoning[open]');
  await page.evaluate(() => {
    const empty = { value: { types: ['Files'], files: [] } };
    dispatchEvent(Object.defineProperty(new DragEvent('drop', { cancelable: true }), 'dataTransfer', empty));
  });
  await dropFiles(page, inTests('browser/own-models.test.mjs'));
  assert.match(await textOf(page, '.said'), /own-models\.test\.mjs” does not end in \.gguf/);
  await page.waitForSelector('.message-tools');
  assert.equal(await textOf(page, '.message-answer > .prose'), 'Hello, friend!');
  await checkView(page, 'a file that is no model');
  await sendMessage(page, 'Hi');
  await page.waitForSelector('.said', { hidden: true });
  assert.deepEqual(watch.errors, []);
});

test('a model without a usable chat template', kOptions, async (t) => {
  const { page, watch } = await openSite(t, { settings: kGreedy });
  const folder = await mkdtemp(join(tmpdir(), 'tessera-'));
  t.after(() => rm(folder, { recursive: true }));
  const broken = join(folder, 'broken.gguf');
  const bytes = (await readFile(kThinker, 'latin1')).replace('{% for message', '{% fro message');
  await writeFile(broken, bytes, 'latin1');

  await t.test('a base model continues a text once the reader says so, and the next time by itself', async () => {
    await openModel(page, kBase);
    assert.match(await textOf(page, '.problem'), /This model has no chat template/);
    await checkView(page, 'no template');
    await page.click('.problem .button-main');
    await page.waitForSelector('.problem', { hidden: true });
    assert.match(await textOf(page, '#empty-title'), /begin/);
    await ask(page, 'Once');
    assert.equal((await savedConversation(page)).messages[1].finish, 'length');
    await leaveModel(page);
    await openModel(page, kBase);
    assert.equal(await page.$('.problem'), null);
    assert.match((await page.$eval('#prompt', (node) => node.getAttribute('placeholder'))) ?? '', /beginning/);
  });

  await t.test('the choice can be changed in the engine details', async () => {
    await page.click('#open-engine');
    const choice = (await page.$('#choose-template')) ?? undefined;
    const { name, description } = (await page.accessibility.snapshot({ root: choice })) ?? {};
    assert.equal(name, 'Chat template');
    assert.match(description ?? '', /^Says how a conversation is written down/);
    await page.select('#choose-template', '');
    await page.keyboard.press('Escape');
    assert.match(await textOf(page, '.problem'), /This model has no chat template/);
    await leaveModel(page);
  });

  await t.test(
    'a damaged template is named with line and column, and a built-in one answers the waiting message',
    async () => {
      await openModel(page, broken);
      await page.click('#new-chat');
      const store = await holdStore(page); // what is offered can be taken before the question is stored
      await sendMessage(page, 'Hi');
      await page.waitForSelector('.message-user');
      await page.waitForSelector('.problem');
      assert.match((await page.$eval('.problem pre', (node) => node.textContent)) ?? '', /line 1, column \d+/);
      await page.select('#offered-template', 'chatml');
      await page.click('.problem .button-main');
      await page.waitForSelector('.message-answer .message-tools');
      assert.equal(await textOf(page, '.message-answer > .prose'), 'Hello, friend!');
      await page.waitForSelector('#stop', { hidden: true });
      await store.release();
      assert.equal((await savedConversation(page)).messages[1].content, 'Hello, friend!');
      await page.click('#open-engine');
      assert.equal(await page.$eval('#choose-template', (node) => /** @type {any} */ (node).value), 'chatml');
    },
  );
  assert.deepEqual(watch.errors, []);
});

test('LoRA adapters', kOptions, async (t) => {
  const { site, page, watch } = await openSite(t, { settings: kGreedy });
  const rows = () => page.$$eval('.adapter', (all) => all.length);
  const settled = () => page.waitForSelector('.adapters:not([inert])');
  /** The answer to one and the same prompt. */
  const answer = async () => {
    await page.keyboard.press('Escape');
    await page.waitForSelector('#engine-dialog[open]', { hidden: true });
    await page.click('#new-chat');
    await ask(page, 'ab');
    const { messages } = await savedConversation(page);
    await page.click('#open-engine');
    return messages[1].content;
  };
  await openModel(page, kBase);
  await page.click('.problem .button-main');
  await page.click('#open-engine');
  const plain = await answer();

  await t.test('come, change their scale and go without the model being loaded again', async () => {
    await chooseFile(page, '.adapters input[type=file]', kAdapter);
    await page.waitForSelector('.adapter');
    await settled();
    await checkView(page, 'an adapter');
    assert.deepEqual(await heard(page), ['One adapter is on.']);
    const adapted = await answer();
    assert.notEqual(adapted, plain);
    assert.match(await textOf(page, '#open-engine'), /1 adapter/);
    await page.locator('#adapter-0-scale').fill('0');
    await page.keyboard.press('Tab');
    await settled();
    assert.equal(await answer(), plain);
    await page.locator('#adapter-0-scale').fill('1');
    await page.keyboard.press('Tab');
    await settled();
    assert.equal(await answer(), adapted);
    await page.click('#adapter-0-on');
    await settled();
    assert.equal(await answer(), plain);
    await page.click('.adapter button');
    await page.waitForFunction(() => document.querySelectorAll('.adapter').length === 0);
  });

  await t.test(
    'dropped while another one is put in they are both there, and what was wrong stays to be read',
    async () => {
      await page.keyboard.press('Escape');
      await dropFiles(page, kAdapter, kAdapter);
      await page.waitForFunction(() => document.querySelectorAll('.adapter').length === 2);
      await settled();
      assert.match(await textOf(page, '#open-engine'), /2 adapters/);
      const folder = await mkdtemp(join(tmpdir(), 'tessera-'));
      t.after(() => rm(folder, { recursive: true }));
      const cut = join(folder, 'cut.gguf');
      await writeFile(cut, (await readFile(kAdapter)).subarray(0, 20_000));
      await dropFiles(page, cut, kAdapter);
      await page.waitForFunction(() => document.querySelectorAll('.adapter').length === 3);
      await settled();
      assert.match(await textOf(page, '.adapters .notice-title'), /“cut.gguf” does not fit this model/);
      for (const left of [2, 1, 0]) {
        await page.click('.adapter button');
        await page.waitForFunction((left) => document.querySelectorAll('.adapter').length === left, {}, left);
        await settled();
      }
      assert.equal(await page.$('.adapters .notice'), null);
    },
  );

  await t.test('a model is not taken for one, and one of another model is refused in plain words', async () => {
    await chooseFile(page, '.adapters input[type=file]', kOther);
    await page.waitForSelector('.adapters .notice-error');
    assert.match(await textOf(page, '.adapters .notice-title'), /“tiny-llama.gguf” is not a LoRA adapter/);
    assert.equal(await rows(), 0);
    await page.click('#engine-dialog .dialog-foot .button');
    await page.waitForSelector('#start:not([hidden])');
    await openModel(page, kOther);
    await dropFiles(page, kAdapter);
    await page.waitForSelector('#engine-dialog[open] .adapters .notice-error');
    assert.match(await textOf(page, '.adapters .notice'), /“llama.lora.gguf” does not fit this model[^]*Tiny Llama/);
    await page.click('.adapters .notice summary');
    assert.match(await textOf(page, '.adapters .notice pre'), /tensor blk\.0\./);
    assert.equal(await rows(), 0);
    await page.click('#engine-dialog .dialog-foot .button');
    await page.waitForSelector('#start:not([hidden])');
  });

  await t.test('dropped on the first page it says what it is', async () => {
    await dropFiles(page, kAdapter);
    assert.match(await textOf(page, '#start-notices .notice'), /This is a LoRA adapter, not a model/);
  });

  await t.test('downloaded, it is no model of the list, and can be removed', async () => {
    /** @type {Record<string, Buffer>} */
    const files = { 'base.gguf': await readFile(kBase), 'adapter.gguf': await readFile(kAdapter) };
    files['later.gguf'] = files['base.gguf'];
    site.faults.reply = (path) => (files[path] ? { status: 200, body: /** @type {any} */ (files[path]) } : null);
    const kinds = await page.evaluate(async () => {
      const { Tessera } = await import(new URL('tessera.js', document.baseURI).href);
      /** @type {any[]} */
      const seen = [];
      const look = async () => {
        const stored = (await Tessera.models.list()).filter((/** @type {any} */ { name }) =>
          /^(base|later)/.test(name),
        );
        seen.push(
          stored
            .map((/** @type {any} */ { name, kind }) => `${name} ${kind}`)
            .sort()
            .join(', '),
        );
      };
      const engine = await Tessera.load({ model: 'base.gguf', lora: 'adapter.gguf', threads: 1 });
      for (const lora of ['base.gguf', 'later.gguf'])
        seen.push(await engine.setLora(lora).catch((/** @type {any} */ { code }) => code));
      await engine.dispose();
      seen.push(await Tessera.load({ model: 'adapter.gguf' }).catch((/** @type {any} */ { code }) => code));
      await look();
      await (await Tessera.load({ model: 'later.gguf', threads: 1 })).dispose();
      await look();
      for (const { id, name } of await Tessera.models.list())
        if (name === 'later.gguf') await Tessera.models.remove(id);
      return seen;
    });
    assert.deepEqual(kinds.slice(3), [
      'base.gguf model, later.gguf adapter', // a model that was named as an adapter, stored and fetched
      'base.gguf model, later.gguf model',
    ]);
    assert.ok(
      kinds.slice(0, 3).every((code) => ['bad_file', 'not_found', 'unsupported'].includes(code)),
      kinds.join(),
    );
    await page.reload();
    await page.waitForSelector('#stored-adapters summary');
    const names = await page.$$eval('.model-name', (all) => all.map((node) => node.textContent));
    assert.deepEqual(names.slice(-1), ['base.gguf']);
    assert.ok(!names.includes('adapter.gguf'));
    await page.click('#stored-adapters summary');
    assert.match(await textOf(page, '#stored-adapters li'), /adapter\.gguf/);
    await page.click('#stored-adapters button');
    await page.waitForFunction(() => document.querySelector('#stored-adapters')?.childElementCount === 0);
  });
  assert.deepEqual(watch.errors, []);
});

/**
 * Drops files on the page, one right after the other.
 * @param {Page} page
 * @param {string[]} paths
 */
async function dropFiles(page, ...paths) {
  const files = await Promise.all(
    paths.map(async (path) => ({ bytes: [...(await readFile(path))], name: path.split('/').pop() ?? '' })),
  );
  await page.evaluate((files) => {
    for (const { bytes, name } of files) {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([new Uint8Array(bytes)], name));
      dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    }
  }, files);
  await page.waitForSelector('#engine-dialog[open], #start-notices .notice, .said');
}

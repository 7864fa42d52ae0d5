/** The way of a reader in a real Chromium: download, chat, reload, chat again without the network, stop, come back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  ask,
  holdStore,
  kExpected,
  kQuestion,
  openSite,
  savedConversation,
  savedConversations,
  sendMessage,
  skipReason,
  startButton,
  startModel,
} from './harness.mjs';

const kTiny = fileURLToPath(new URL('../data/tiny-llama.gguf', import.meta.url));
const kGreedy = { temperature: 0, max_tokens: 64 };

/** A model that is loaded and answers at once, with a context of 256 tokens. @param {import('puppeteer-core').Page} page */
async function openTiny(page) {
  const input = await page.$('#file-input');
  await /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (input).uploadFile(kTiny);
  await page.waitForSelector('#chat:not([hidden])');
}

/** How many tokens the status line says the model holds. @param {import('puppeteer-core').Page} page */
async function contextHeld(page) {
  const status = await page.waitForFunction(
    () => /(\S+) of 4,096/.exec(document.getElementById('open-engine')?.innerText ?? '')?.[1],
  );
  return status.jsonValue();
}

test('a chat from the first download to offline use', { skip: skipReason(), timeout: 300_000 }, async (t) => {
  const { site, page, watch } = await openSite(t, { settings: kGreedy });
  let first = '';

  await t.test('downloads, answers and ends', async () => {
    const label = await (await startButton(page)).evaluate((node) => node.textContent);
    assert.match(label ?? '', /^Download and start \(98 MB\)$/);
    await startModel(page);
    first = await ask(page, kQuestion);
    assert.match(first, kExpected);
    assert.doesNotMatch(first, /<\||im_end|im_start/);
    const { messages } = await savedConversation(page);
    assert.deepEqual(
      messages.map((/** @type {any} */ message) => [message.role, message.finish]),
      [
        ['user', undefined],
        ['assistant', 'stop'],
      ],
    );
  });

  await t.test('shows how it runs', async () => {
    const status = await page.$eval('#open-engine', (node) => node.textContent ?? '');
    assert.match(status, /Relaxed SIMD · \d+ threads?/);
    assert.match(status, /[\d.]+ tokens\/s/);
    assert.match(status, /of 4,096/);
    assert.equal(await page.$('#chat-notices .notice'), null);
  });

  await t.test('announces the finished answer once', async () => {
    assert.match(await page.$eval('#announcer', (node) => node.textContent ?? ''), /^Answer: .*help/);
  });

  await t.test('starts from the store after a reload, and the conversation is there', async () => {
    site.requests.length = 0;
    await page.reload();
    const label = await (await startButton(page)).evaluate((node) => node.textContent);
    assert.equal(label, 'Start');
    await startModel(page);
    assert.deepEqual(site.modelRequests(), []);
    const shown = await page.$eval('.message-answer .prose', (node) => /** @type {HTMLElement} */ (node).innerText);
    assert.equal(shown, first);
  });

  await t.test('chats with the model files gone from the server', async () => {
    site.faults.reply = (path) => (path.startsWith('models') ? { status: 503, body: 'gone' } : null);
    await page.reload();
    await startModel(page);
    await page.click('#new-chat');
    assert.equal(await ask(page, kQuestion), first);
    assert.deepEqual(site.modelRequests(), []);
    site.faults.reply = () => null;
  });

  await t.test('asked nothing of anyone else and logged no error', () => {
    assert.deepEqual(watch.foreign, []);
    const own = watch.errors.filter((text) => !text.includes('503')); // models.json was made to fail above
    assert.deepEqual(own, []);
  });
});

test('stopping, and what a reload keeps', { skip: skipReason(), timeout: 240_000 }, async (t) => {
  const { page } = await openSite(t, { settings: { temperature: 0, max_tokens: 1500 } });
  await startModel(page);

  await t.test('stop ends an answer within a second and keeps its text', async () => {
    await sendMessage(page, 'Write a very long story about a ship, with many chapters.');
    await page.waitForFunction(() => (document.querySelector('.message-answer .prose')?.textContent ?? '').length > 40);
    const before = Date.now();
    await page.click('#stop');
    await page.waitForSelector('#stop', { hidden: true });
    assert.ok(Date.now() - before < 1000, `stopping took ${Date.now() - before} ms`);
    const { messages } = await savedConversation(page);
    assert.equal(messages[1].finish, 'stopped');
    assert.ok(messages[1].content.length > 40);
  });

  await t.test('the line below says how full the context is, also after a stop', async () => {
    const held = await contextHeld(page);
    assert.ok(Number(held) > 50, `${held} tokens: the prompt alone has more`);
  });

  await t.test('Escape stops too', async () => {
    await sendMessage(page, 'Go on.');
    await page.waitForSelector('#stop:not([hidden])');
    await page.keyboard.press('Escape');
    await page.waitForSelector('#stop', { hidden: true });
  });

  await t.test('a reload in the middle of an answer keeps what was written', async () => {
    await page.click('#new-chat');
    await sendMessage(page, 'Write a very long story about a garden, with many chapters.');
    await page.waitForFunction(
      () => (document.querySelector('.message-answer .prose')?.textContent ?? '').length > 200,
    );
    await page.reload();
    await startModel(page);
    const text = await page.$eval('.message-answer', (node) => node.textContent ?? '');
    assert.ok(text.length > 100, text);
    assert.match(text, /closed while this was being written/);
    assert.equal(await contextHeld(page), '–', 'nobody has counted the tokens of this chat');
  });

  await t.test('both conversations are in the list and can be opened', async () => {
    await page.click('#open-history');
    await page.waitForSelector('.history-title'); // the list is read from the database
    const titles = await page.$$eval('.history-title', (all) => all.map((node) => node.textContent));
    assert.equal(titles.length, 2);
    await page.$$eval('.history-open', (all) => /** @type {HTMLElement} */ (all[1]).click());
    await page.waitForFunction(() => document.querySelector('.message-user')?.textContent?.includes('ship'));
  });
});

test('the list of chats while an answer is written', { skip: skipReason(), timeout: 240_000 }, async (t) => {
  const { page } = await openSite(t, { settings: { temperature: 0, max_tokens: 1500 } });
  await startModel(page);
  await sendMessage(page, 'Write a very long story about a ship, with many chapters.');
  /** @param {number} length that the answer grows beyond; resolves with its length then */
  const grown = async (length) => {
    const text = () => document.querySelector('.message-answer .prose')?.textContent ?? '';
    await page.waitForFunction(`(${text})().length > ${length}`);
    return (await page.evaluate(text)).length;
  };
  const openList = async () => {
    await page.click('#open-history');
    await page.waitForSelector('.history-open');
  };

  await t.test('choosing the chat that is open changes nothing', async () => {
    await grown(40);
    await openList();
    const before = await grown((await grown(0)) + 40); // the list has been read by now
    await page.click('.history-open');
    await page.waitForSelector('#history-dialog[open]', { hidden: true });
    await grown(before + 40);
    assert.equal((await page.$$('#stop:not([hidden])')).length, 1, 'the answer was ended');
  });

  await t.test('a chat that is deleted stays deleted, until Undo brings all of it back', async () => {
    await openList();
    const before = await grown((await grown(0)) + 40);
    await page.click('.history-row .tool[aria-label^="Delete"]');
    await page.waitForSelector('.history-deleted');
    await page.waitForSelector('#stop', { hidden: true });
    assert.equal(await page.$('.message-user'), null, 'a new chat is on screen');
    assert.equal(await savedConversation(page), undefined);
    const said = () => document.querySelector('#history-dialog > [role=status]')?.textContent;
    await page.waitForFunction(`(${said})() === 'Deleted. Undo is possible until this list is closed.'`);
    await page.click('.history-deleted + button');
    await page.waitForSelector('.history-open');
    const { messages } = await savedConversation(page);
    assert.equal(messages[1].finish, 'stopped');
    assert.ok(messages[1].content.length >= before, `${messages[1].content.length} of ${before} characters`);
    await page.keyboard.press('Escape');
    await openList();
    assert.equal(await page.evaluate(said), '', 'the list was closed');
  });
});

test(
  'a new chat on a slow disk takes what is written from then on',
  { skip: skipReason(), timeout: 120_000 },
  async (t) => {
    const { page } = await openSite(t, { settings: { temperature: 0, max_tokens: 600 } });
    await startModel(page);
    const disk = await holdStore(page);
    await sendMessage(page, 'Write a long story about a cat.');
    await page.waitForFunction(() => (document.querySelector('.message-answer .prose')?.textContent ?? '').length > 40);
    await page.click('#stop');
    await page.waitForSelector('#stop', { hidden: true });
    await page.click('#new-chat');
    await sendMessage(page, 'Write a long story about a dog.');
    await page.waitForFunction(() => (document.querySelector('.message-answer .prose')?.textContent ?? '').length > 40);
    await disk.release();
    await page.click('#stop');
    await page.waitForSelector('#stop', { hidden: true });
    const shown = await page.$$eval('.message-user', (all) => all.map((node) => node.lastChild?.textContent));
    assert.deepEqual(shown, ['Write a long story about a dog.']);
    const saved = await savedConversations(page);
    assert.deepEqual(saved.map(({ messages }) => messages[0].content).sort(), [
      'Write a long story about a cat.',
      'Write a long story about a dog.',
    ]);
  },
);

/** What is asked of the database in the page gets no answer, and its transaction no end. */
function askForEver() {
  const { get } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.get = function (key) {
    const ask = () => void (get.call(this, key).onsuccess = ask);
    ask();
    return Object.defineProperty(get.call(this, key), 'onsuccess', { set() {} });
  };
}

for (const browser of /** @type {const} */ (['chrome', 'firefox'])) {
  test(
    `a reload just after sending keeps the message in ${browser}`,
    { skip: skipReason({ browser }), timeout: 240_000 },
    async (t) => {
      const { page } = await openSite(t, { browser });
      await startModel(page);
      for (const text of ['Just sent.', 'And this.', 'On a slow disk.']) {
        if (text.includes('slow')) await page.evaluate(askForEver);
        await sendMessage(page, text);
        await page.reload();
        await startModel(page);
        const shown = await page.$$eval('.message-user', (all) => all.map((node) => node.textContent));
        assert(shown.at(-1)?.includes(text), `${text}: ${shown}`);
      }
    },
  );
}

for (const browser of /** @type {const} */ (['chrome', 'firefox'])) {
  test(
    `regenerating keeps the old answer until there is a new one in ${browser}`,
    { skip: skipReason({ browser }), timeout: 240_000 },
    async (t) => {
      const { page } = await openSite(t, { browser, settings: kGreedy });
      await startModel(page);
      const answer = await ask(page, kQuestion);
      await page.click('#open-settings');
      // Reading it takes seconds, in which there is no first word.
      await page.locator('#setting-system').fill('The quick brown fox jumps over the lazy dog again. '.repeat(250));
      await page.click('#settings-dialog [type=submit]');
      await page.click('.message-tools button:last-of-type');
      await page.waitForFunction(() => /Reading [1-9]/.test(document.querySelector('.thinking')?.textContent ?? ''));
      await page.reload();
      await startModel(page);
      const shown = await page.$$eval('.message-answer .prose', (all) => all.map((node) => node.textContent?.trim()));
      assert.deepEqual(shown, [answer]);
    },
  );
}

test('a message or a system prompt that is too long alone', { skip: skipReason(), timeout: 240_000 }, async (t) => {
  const { page } = await openSite(t);
  const long = 'The quick brown fox jumps over the lazy dog again.'.padEnd(51).repeat(450).trim();
  const written = () => page.$eval('#prompt', (node) => /** @type {HTMLTextAreaElement} */ (node).value);
  await startModel(page);

  await t.test('the message goes back before a draft, and is nowhere else', async () => {
    await sendMessage(page, long);
    await page.waitForSelector('.problem');
    await page.locator('#prompt').fill('A draft');
    await page.click('.problem .button-main');
    assert.equal(await written(), `${long}\n\nA draft`);
    await page.reload();
    await startModel(page);
    assert.equal(await written(), `${long}\n\nA draft`);
    assert.equal(await page.$('.message-user'), null);
    assert.equal(await savedConversation(page), undefined);
  });

  await t.test('a system prompt leads to the settings', async () => {
    await page.evaluate((system) => localStorage.setItem('tessera.settings', JSON.stringify({ system })), long);
    await page.reload();
    await startModel(page);
    await sendMessage(page, 'Hello!');
    const problem = await page.waitForSelector('.problem');
    assert.match((await problem?.evaluate((node) => node.textContent)) ?? '', /system prompt in the settings/);
    await page.click('.problem .button-main');
    await page.locator('#setting-system').fill('');
    await page.click('#settings-dialog [type=submit]');
    await page.click('.problem .button-quiet');
    await page.waitForSelector('.message-answer .message-tools');
    assert.equal(await page.$('.problem'), null);
  });
});

for (const browser of /** @type {const} */ (['chrome', 'firefox'])) {
  test(
    `a message that is too long does not cost the chat before it in ${browser}`,
    { skip: skipReason({ browser }), timeout: 120_000 },
    async (t) => {
      const { page } = await openSite(t, { browser, settings: { temperature: 0, max_tokens: 8 } });
      await openTiny(page);
      await ask(page, 'Hi');
      /** @param {string} label */
      const offered = (label) =>
        page.waitForFunction(
          (label) => document.querySelector('.problem .button-main')?.textContent === label,
          {},
          label,
        );
      /** @param {number} count */
      const goesOnWhole = async (count) => {
        await page.click('.problem .button-main');
        assert.equal(await page.$('.cut-line'), null);
        await ask(page, 'Hm');
        const { messages, sentFrom } = await savedConversation(page);
        assert.deepEqual([messages.length, sentFrom], [count, 0]);
      };

      await sendMessage(page, '7'.repeat(300)); // a token each; the model holds 256
      await offered('Edit the message');
      await goesOnWhole(4);

      await sendMessage(page, '7'.repeat(232)); // alone it leaves room for some tokens of an answer
      await offered('Go on with the newest messages');
      await page.click('.problem .button-main');
      await offered('Edit the message');
      const { messages, sentFrom } = await savedConversation(page);
      assert.deepEqual([messages.at(-1).finish, sentFrom], ['context', 4]);
      await goesOnWhole(6);
    },
  );
}

for (const browser of /** @type {const} */ (['chrome', 'firefox'])) {
  test(
    `what is said next leaves what is on screen as it is in ${browser}`,
    { skip: skipReason({ browser }), timeout: 120_000 },
    async (t) => {
      const { page } = await openSite(t, { browser, settings: { temperature: 0, max_tokens: 8 } });
      /** All messages on screen are marked; how many of them were already, and which have the button for another answer. */
      const drawn = () =>
        page.$$eval('.message', (all) => {
          const old = all.filter((node) => node.getAttribute('data-old')).length;
          const last = all.flatMap((node, i) => (/Regenerate/.test(node.textContent ?? '') ? [i] : []));
          for (const node of all) node.setAttribute('data-old', 'true');
          return { all: all.length, old, last };
        });
      await openTiny(page);
      await ask(page, 'Hi');
      assert.deepEqual(await drawn(), { all: 2, old: 0, last: [1] });
      await ask(page, 'Ho');
      assert.deepEqual(await drawn(), { all: 4, old: 2, last: [3] });
      await page.click('.message:last-child .message-tools button:last-of-type');
      await page.waitForSelector('.message:last-child:not([data-old]) .message-tools');
      assert.deepEqual(await drawn(), { all: 4, old: 3, last: [3] });

      await sendMessage(page, '7'.repeat(300)); // too long for the 256 tokens that the model holds
      await page.waitForSelector('.problem');
      assert.deepEqual(await drawn(), { all: 5, old: 4, last: [] });
      await page.click('.problem .button-main');
      assert.deepEqual(await drawn(), { all: 4, old: 4, last: [3] });

      await page.click('#new-chat');
      await page.waitForSelector('#chat-empty:not([hidden])');
      assert.deepEqual(await drawn(), { all: 0, old: 0, last: [] });
      await page.click('#open-history');
      await page.locator('.history-open').click();
      await page.waitForSelector('.message');
      assert.deepEqual(await drawn(), { all: 4, old: 0, last: [3] });
    },
  );
}

test('a full context is explained and the chat goes on', { skip: skipReason(), timeout: 240_000 }, async (t) => {
  const { page } = await openSite(t, { settings: { temperature: 0, max_tokens: 16 } });
  await startModel(page);
  const half = 'The quick brown fox jumps over the lazy dog again. '.repeat(200); // more than 2,048 of 4,096 tokens
  await ask(page, `${half} What is this about?`);
  await sendMessage(page, `${half} And this?`);
  const problem = await page.waitForSelector('.problem');
  assert.match((await problem?.evaluate((node) => node.textContent)) ?? '', /memory for this conversation is full/);
  assert.equal((await page.$$('.message-user')).length, 2, 'both messages stay');
  await page.click('.problem .button-main');
  await page.waitForSelector('.cut-line');
  await page.waitForSelector('.cut-line ~ .message-answer .message-tools');
  const { messages, sentFrom } = await savedConversation(page);
  assert.equal(messages.length, 4);
  assert.equal(sentFrom, 2);
});

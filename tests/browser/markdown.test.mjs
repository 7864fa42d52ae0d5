/** The Markdown of an answer while it streams, in real browsers: a tiny model writes, and its words are replaced by those of a script. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openSite, savedConversation, sendMessage, skipReason, slowSteps } from './harness.mjs';

/** @typedef {import('puppeteer-core').Page} Page */

const kModel = fileURLToPath(new URL('../data/tiny-thinker.gguf', import.meta.url));

/** @param {Page} page */
async function openModel(page) {
  const input = await page.$('#file-input');
  await /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (input).uploadFile(kModel);
  await page.waitForSelector('#chat:not([hidden])');
}

for (const browser of /** @type {const} */ (['chrome', 'firefox'])) {
  /** @param {import('node:test').TestContext} t @param {string[]} pieces */
  async function answerOf(t, pieces) {
    const opened = await openSite(t, {
      browser,
      settings: { temperature: 0, max_tokens: 40 },
      prepare: (page) => page.evaluateOnNewDocument(slowSteps, pieces),
    });
    await openModel(opened.page);
    await sendMessage(opened.page, 'Hi');
    return opened;
  }
  const options = { skip: skipReason({ browser }), timeout: 120_000 };

  test(`an answer nested beyond any depth does not block the chat in ${browser}`, options, async (t) => {
    const deep = `Before\n\n${'- '.repeat(5_000)}x\n`;
    const { page, watch } = await answerOf(t, ['Before', deep.slice(6), '\nAfter']);
    await page.waitForSelector('.message-tools');
    const shown = () => page.$eval('.message-answer .prose', (node) => node.textContent);
    assert.equal(await shown(), `${deep}\nAfter`);
    assert.equal((await savedConversation(page)).messages[1].finish, 'stop');
    await page.waitForSelector('#stop', { hidden: true });

    await page.reload();
    await openModel(page);
    await page.waitForSelector('.message-tools');
    assert.equal(await shown(), `${deep}\nAfter`);
    await page.click('#new-chat');
    await page.waitForSelector('#chat-empty:not([hidden])');
    assert.deepEqual(watch.errors, []);
  });

  test(`an address at the end of an answer makes its links in ${browser}`, options, async (t) => {
    const { page } = await answerOf(t, ['See [the docs][1].\n\n', 'More.\n\n', '[1]: https://example.org/docs']);
    await page.waitForSelector('.message-tools');
    const links = await page.$$eval('.prose a', (all) =>
      all.map((node) => [node.textContent, node.getAttribute('href')]),
    );
    assert.deepEqual(links, [['the docs', 'https://example.org/docs']]);
    assert.equal(await page.$eval('.prose', (node) => node.textContent), 'See the docs.More.');
  });

  test(`lists keep their numbers and columns their sides in ${browser}`, options, async (t) => {
    const steps = '1. One:\n\n```sh\nmake\n```\n\n2. Two\n3. Three\n\n';
    const table = '| a | b | c | d |\n|---|:--|:-:|--:|\n| 1 | 2 | 3 | 4 |\n';
    const { page } = await answerOf(t, ['2024. A year\n\n---\n\n', steps, table]);
    await page.waitForSelector('.message-tools');
    const starts = await page.$$eval('.prose ol', (all) => all.map((list) => /** @type {any} */ (list).start));
    assert.deepEqual(starts, [2024, 1, 2]);
    const rooms = await page.$$eval('.prose ol', (all) =>
      all.map((list) => parseFloat(getComputedStyle(list).paddingLeft)),
    );
    assert.ok(rooms[0] > 45 && rooms[1] === 24, `room for the numbers: ${rooms}`);
    for (const cell of ['th', 'td']) {
      const sides = await page.$$eval(`.prose ${cell}`, (all) => all.map((node) => getComputedStyle(node).textAlign));
      assert.deepEqual(
        sides.map((side) => side.replace(/^-(webkit|moz)-/, '')),
        ['start', 'left', 'center', 'right'],
      );
    }
  });

  test(`HTML outside a code block keeps its lines in ${browser}`, options, async (t) => {
    const lines = '<div class="a">\n  <b>Title</b>\n</div>';
    const { page } = await answerOf(t, ['Here:\n\n', `${lines}\n\n`, 'Press <kbd>x</kbd>.']);
    await page.waitForSelector('.message-tools');
    const shown = await page.$$eval('.prose p', (all) => all.map((node) => node.innerText));
    assert.deepEqual(shown, ['Here:', lines, 'Press <kbd>x</kbd>.']);
  });
}

/** The list of chats: what can be read of it on a phone, and the files that it makes. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { overflow, smallTargets, violations } from './accessibility.mjs';
import { openSite, skipReason, startButton, storeConversations } from './harness.mjs';

const kQuestion = 'What is the difference between a sloop, a ketch and a yawl, and which one is the best for two?';
const kAnswer = 'The number of masts, and where the second one stands.';
const kConversations = [1, 2].map((number) => ({
  id: `chat-${number}`,
  created: 1,
  updated: Date.UTC(2026, 10, 28, 12, number),
  model: 'Some model',
  sentFrom: 0,
  messages: [
    { role: 'user', content: number === 1 ? 'Hello' : kQuestion },
    { role: 'assistant', content: kAnswer, finish: 'stop' },
  ],
}));
const kOptions = { skip: skipReason(), timeout: 120_000 };

/** @param {import('./harness.mjs').Scope} t */
async function openList(t) {
  const { page, watch } = await openSite(t);
  await storeConversations(page, kConversations);
  await page.setViewport({ width: 360, height: 740, hasTouch: true });
  await page.reload();
  await startButton(page);
  await page.click('#open-history');
  await page.waitForSelector('.history-row + .history-row');
  return { page, watch };
}

test('on a phone the title has the width, and date and number of messages are whole', kOptions, async (t) => {
  const { page } = await openList(t);
  const [row] = await page.$$eval('.history-row', (rows) =>
    rows.map((each) => {
      const title = /** @type {HTMLElement} */ (each.querySelector('.history-title'));
      const tools = [...each.querySelectorAll('.tool')].map((tool) => tool.getBoundingClientRect());
      const dates = [...each.querySelectorAll('.history-date span')].map((part) => part.getBoundingClientRect());
      const apart = (/** @type {DOMRect} */ a, /** @type {DOMRect} */ b) => a.right <= b.left || a.bottom <= b.top;
      return {
        width: title.clientWidth,
        lines: Math.round(title.clientHeight / 20),
        full: title.title,
        said: each.querySelector('.history-date')?.textContent,
        apart: [title.getBoundingClientRect(), ...dates].every((text) => tools.every((tool) => apart(text, tool))),
      };
    }),
  );
  assert.ok(row.width >= 290, `the title has ${row.width} of 360 px`);
  assert.ok(row.lines >= 2, `${row.lines} lines of the title`);
  assert.match(row.full ?? '', /^What is the difference/);
  assert.match(row.said ?? '', /2026.*2 messages$/);
  assert.ok(row.apart, 'the tools cover a text');
  assert.deepEqual(await violations(page), []);
  assert.ok((await overflow(page)) <= 0);
  assert.deepEqual(await smallTargets(page), []);
});

test('a chat becomes a Markdown file and a JSON file', kOptions, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tessera-exports-'));
  t.after(() => rm(folder, { recursive: true }));
  const { page, watch } = await openList(t);
  const session = await page.createCDPSession();
  await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: folder });
  for (const [kind, expected] of /** @type {const} */ ([
    ['.md', `## You\n\n> ${kQuestion}`],
    ['.json', JSON.stringify(kAnswer)],
  ])) {
    await page.click(`.history-row .tool[aria-label$="as ${kind}"]`);
    const made = async () => (await readdir(folder)).find((name) => name.endsWith(kind));
    for (let tries = 0; !(await made()); tries++) {
      assert.ok(tries < 100, `no ${kind} came`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const text = await readFile(join(folder, /** @type {string} */ (await made())), 'utf8');
    assert.ok(text.includes(expected), text);
  }
  assert.deepEqual(watch.errors, []);
});

/** What stands around a chat: code to copy, a first message to choose, the settings' defaults, the system's own colours. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSite, savedConversations, skipReason, startButton, startModel, storeConversations } from './harness.mjs';

const kCode = 'for each in all:\n    print(each)';
const kConversation = {
  id: 'with-code',
  created: 1,
  updated: 1,
  model: 'Some model',
  sentFrom: 0,
  messages: [
    { role: 'user', content: 'Print all.' },
    { role: 'assistant', content: `Like this:\n\n\`\`\`py\n${kCode}\n\`\`\``, finish: 'stop' },
  ],
};
const kSettings = { temperature: 0.1, max_tokens: 8, system: 'Be brief.' };

test('the tools around a chat', { skip: skipReason(), timeout: 240_000 }, async (t) => {
  const { browser, site, page, watch } = await openSite(t, { settings: kSettings });
  await storeConversations(page, [kConversation]);
  await page.evaluate((id) => localStorage.setItem('tessera.current-chat', id), kConversation.id);
  await page.reload();
  await startButton(page);
  await startModel(page);

  await t.test('code is copied as it is', async () => {
    const kinds = /** @type {const} */ (['clipboard-read', 'clipboard-sanitized-write']);
    await browser.defaultBrowserContext().overridePermissions(new URL(site.url).origin, [...kinds]);
    await page.locator('.code-head button').click();
    await page.waitForSelector('.code-head ::-p-text(Copied)');
    assert.equal((await page.evaluate(() => navigator.clipboard.readText())).trimEnd(), kCode);
  });

  await t.test('in forced colours a frame tells the messages of the reader from answers', async () => {
    const session = await page.createCDPSession();
    const frame = () =>
      page.$eval('.message-user', (node) => {
        const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(node);
        return `${outlineStyle} ${outlineWidth} ${outlineColor}`;
      });
    assert.match(await frame(), /rgba\(0, 0, 0, 0\)$/);
    await session.send('Emulation.setEmulatedMedia', { features: [{ name: 'forced-colors', value: 'active' }] });
    assert.match(await frame(), /^solid 1px rgb\(/);
    await session.send('Emulation.setEmulatedMedia', { features: [] });
  });

  await t.test('a suggested first message is sent', async () => {
    await page.click('#new-chat');
    await page.locator('.suggestion').click();
    await page.waitForSelector('.message-answer .message-tools');
    const [{ messages }] = await savedConversations(page);
    assert.equal(messages[0].content, 'What is a mosaic? Give a short answer.');
    assert.equal(messages.length, 2);
  });

  await t.test('the defaults come back into the settings, and are saved with them', async () => {
    const fields = () =>
      page.$$eval('#settings-form :is(input, textarea)', (all) =>
        all.map((field) => /** @type {HTMLInputElement} */ (field).value),
      );
    await page.click('#open-settings');
    await page.waitForSelector('#settings-dialog[open]');
    const before = await fields();
    assert.ok(before.includes('Be brief.') && before.includes('0.1'), before.join());
    await page.locator('#settings-dialog ::-p-text(Defaults)').click();
    const defaults = await fields();
    assert.ok(!defaults.includes('Be brief.') && defaults.includes('512'), defaults.join());
    await page.click('#settings-dialog [type=submit]');
    const { system, temperature, max_tokens } = await page.evaluate(() =>
      JSON.parse(localStorage.getItem('tessera.settings') ?? '{}'),
    );
    assert.deepEqual([system, temperature, max_tokens], ['', 0.3, 512]);
  });
  assert.deepEqual(watch.errors, []);
});

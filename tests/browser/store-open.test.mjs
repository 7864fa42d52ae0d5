/** Models of the store in real browsers: first and second visit, tabs side by side, the page's view, files of the reader's own. */
import assert from 'node:assert/strict';
import { FaultyServer, sha256 } from '../web/faulty-server.mjs';
import { modelPattern } from '../web/store-contract.mjs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { testInBrowsers } from './store-harness.mjs';

const kFile = modelPattern(5_000_000, 3);
const kHash = sha256(kFile);

/** @param {string} root puts the model's shards into the served folder */
async function writeModel(root) {
  const model = new FaultyServer();
  model.addModel(kFile, 700_000, '/models/test');
  model.files.set('/models/plain.gguf', kFile);
  for (const [path, bytes] of model.files) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), bytes);
  }
}

/**
 * @param {import('puppeteer-core').Page} page
 * @param {'list' | 'verify' | 'remove'} what
 * @param {string} [id]
 * @returns {Promise<any>}
 */
function inPage(page, what, id) {
  return page.evaluate(
    async (name, argument) => {
      if (!('models' in window)) await import(String('/store-page.js'));
      return /** @type {any} */ (window).models[name](argument).catch((/** @type {any} */ error) => ({
        code: error.code,
      }));
    },
    what,
    id,
  );
}

testInBrowsers('stored models', async ({ page, ask, url, root }, t) => {
  await writeModel(root);
  /** @type {string[]} */
  const requests = [];
  page.on('request', (request) => void requests.push(new URL(request.url()).pathname));
  const modelRequests = () => requests.filter((path) => path.startsWith('/models/'));

  for (const path of ['models/test/manifest.json', 'models/plain.gguf']) {
    for (const backend of /** @type {const} */ ([undefined, 'cache'])) {
      await t.test(`${path} into ${backend ?? 'the default store'}, then without the network`, async () => {
        const first = await ask({ url: url + path, backend });
        assert.deepEqual([first.error, first.hashes, first.storedIn], [undefined, [kHash], backend ?? 'opfs']);
        requests.length = 0;
        // Out of reach: were any request made, this second visit would fail.
        await writeFile(join(root, path), 'gone');
        const second = await ask({ url: url + path, backend });
        assert.deepEqual([second.error, second.hashes], [undefined, [kHash]]);
        assert.deepEqual(modelRequests(), []);
        await writeModel(root);
      });
    }
  }

  await t.test('cache: false keeps nothing', async () => {
    const before = await inPage(page, 'list');
    const { hashes, storedIn } = await ask({ url: `${url}models/test/manifest.json?again`, cache: false });
    assert.deepEqual([hashes, storedIn], [[kHash], 'memory']);
    assert.deepEqual(await inPage(page, 'list'), before);
  });

  await t.test('two tabs that want the same new model at once both get it', async () => {
    const message = { url: `${url}models/test/manifest.json?tabs` };
    const answers = await Promise.all([ask(message), ask(message)]);
    for (const { error, hashes } of answers) assert.deepEqual([error, hashes], [undefined, [kHash]]);
  });

  await t.test('the page lists, verifies and removes', async () => {
    const list = await inPage(page, 'list');
    assert.equal(list.length, 3);
    const entry = list.find((/** @type {any} */ { url: from }) => from === `${url}models/test/manifest.json`);
    assert.deepEqual([entry.complete, entry.bytes, entry.storedBytes], [true, kFile.length, kFile.length]);
    assert.deepEqual(await inPage(page, 'verify', entry.id), { ok: true, badShards: [], missingShards: [] });
    await inPage(page, 'remove', entry.id);
    assert.equal((await inPage(page, 'list')).length, 2);
    assert.deepEqual(await inPage(page, 'remove', entry.id), { code: 'not_found' });
  });

  await t.test('files of the reader: one, a split GGUF, shards in any order, and no GGUF', async () => {
    const one = await ask({ files: [{ name: 'my model.gguf', text: 'GGUFone' }] });
    assert.deepEqual([one.name, one.storedIn, one.hashes], ['my model', 'file', [sha256(Buffer.from('GGUFone'))]]);
    const split = await ask({
      files: [
        { name: 's-2.gguf', text: 'GGUFb' },
        { name: 's-1.gguf', text: 'GGUFa' },
      ],
    });
    assert.deepEqual(split.hashes, [sha256(Buffer.from('GGUFa')), sha256(Buffer.from('GGUFb'))]);
    const shards = await ask({
      files: ['c:10', 'b:9', 'GGUFa:1'].map((text) => ({ name: `x-${text.split(':')[1]}`, text })),
    });
    assert.deepEqual(shards.hashes, [sha256(Buffer.from('GGUFa:1b:9c:10'))]);
    const none = await ask({ files: [{ name: 'manifest.json', text: '{}' }] });
    assert.equal(none.error.code, 'not_gguf');
    assert.match(none.error.message, /manifest\.json/);
  });
});

testInBrowsers('what the policy of the site does not allow', async ({ ask }, t) => {
  const other = await new FaultyServer().start();
  t.after(() => other.stop());
  const start = performance.now();
  for (const path of ['model.gguf', 'manifest.json?a=b']) {
    const { error } = await ask({ url: `${other.url}/${path}`, network: { retries: 4, backoffMs: 1_000 } });
    assert.equal(error.code, 'blocked', error.message);
    assert(error.message.includes(`does not allow ${other.url}`), error.message);
  }
  assert(performance.now() - start < 4_000, 'without waiting for another attempt');
  assert.deepEqual(other.requests, []);
});

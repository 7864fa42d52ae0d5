/** The store contract, and what older versions left, over the private file system and the Cache API of real browsers. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FaultyServer } from '../web/faulty-server.mjs';
import { kOldFile, kOldShard, oldRecords } from '../web/old-records.mjs';
import { contract } from '../web/store-contract.mjs';
import { testInBrowsers } from './store-harness.mjs';

testInBrowsers('store contract', async ({ ask, root }, t) => {
  const model = new FaultyServer();
  model.addModel(kOldFile, kOldShard, '/old');
  model.files.set('/old/plain.gguf', kOldFile);
  await mkdir(join(root, 'old'));
  for (const [path, bytes] of model.files) await writeFile(join(root, path), bytes);
  for (const backend of ['opfs', 'cache']) {
    for (const [suite, cases] of Object.entries({ contract, oldRecords })) {
      await t.test(`${suite}, ${backend}`, async (t) => {
        /** @type {{missing?: boolean, results?: {name: string, error: string}[]}} */
        const { missing, results = [] } = await ask({ task: 'suite', suite, backend });
        if (missing || results.length !== cases.length) throw new Error(`the ${backend} backend did not run`);
        for (const { name, error } of results) {
          await t.test(name, () => {
            if (error) throw new Error(error);
          });
        }
      });
    }
  }
});

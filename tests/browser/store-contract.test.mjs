/** The store contract over the private file system and the Cache API of real browsers. */
import { contract } from '../web/store-contract.mjs';
import { testInBrowsers } from './store-harness.mjs';

testInBrowsers('store contract', async ({ ask }, t) => {
  for (const backend of ['opfs', 'cache']) {
    await t.test(backend, async (t) => {
      /** @type {{missing?: boolean, results?: {name: string, error: string}[]}} */
      const { missing, results = [] } = await ask({ task: 'contract', backend });
      if (missing || results.length !== contract.length) throw new Error(`the ${backend} backend did not run`);
      for (const { name, error } of results) {
        await t.test(name, () => {
          if (error) throw new Error(error);
        });
      }
    });
  }
});

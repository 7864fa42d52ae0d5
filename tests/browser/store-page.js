/** What a page does with stored models, for store-open.test.mjs: hung on the window, where the test can call it. */
import * as models from '../../web/store/models.js';
import { verify } from '../../web/store/verify-model.js';

Object.assign(window, { models: { ...models, verify } });

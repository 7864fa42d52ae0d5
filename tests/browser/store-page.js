/** What a page does with stored models, for store-open.test.mjs: hung on the window, where the test can call it. */
import * as models from '../../web/store/models.js';

Object.assign(window, { models });

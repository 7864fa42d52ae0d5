/** SHA-256 against node's, whole and in pieces, with the browser's own code and without it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { sha256, startSha256 } from '../../web/store/hash.js';
import { pattern } from './store-contract.mjs';

const expected = (/** @type {Uint8Array} */ bytes) => createHash('sha256').update(bytes).digest('hex');

test('every length around one and two blocks, in pieces of every size', async () => {
  for (let length = 0; length < 200; ++length) {
    const bytes = pattern(length, length);
    assert.equal(await sha256(bytes), expected(bytes));
    for (const step of [1, 7, 55, 56, 63, 64, 65, 200]) {
      const hash = startSha256();
      for (let at = 0; at < length; at += step) hash.update(bytes.subarray(at, at + step));
      assert.equal(hash.digest(), expected(bytes), `${length} bytes in steps of ${step}`);
    }
  }
});

test('some megabytes', () => {
  const bytes = pattern(3_000_001, 5);
  const hash = startSha256();
  hash.update(bytes);
  assert.equal(hash.digest(), expected(bytes));
});

test('a page without WebCrypto (plain http)', async (t) => {
  t.mock.getter(globalThis, 'crypto', () => ({}));
  const bytes = pattern(1000, 3);
  assert.equal(await sha256(bytes), expected(bytes));
});

/** The engine in a tab of each browser against the native command line: the same tokens, the same logits to the bit, and its memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kModelId, native, openSite, skipReason } from './harness.mjs';

const kPrompt = 'Write two sentences about the sea.';
const kLogitsText = 'The old clock on the wall ticked slowly while rain fell on the roof.';
const kSpareBytes = 64 * 1024 * 1024;

/**
 * Runs in the page: everything the comparison needs, from one engine.
 * @param {{manifest: string, prompt: string, text: string}} input
 */
async function measure({ manifest, prompt, text }) {
  const { Tessera } = await import(/** @type {any} */ ('/tessera.js'));
  const estimates = [await Tessera.estimate(manifest)];
  const { shards } = await (await fetch(manifest)).json();
  const bodies = shards.map(async (/** @type {{ path: string }} */ { path }) =>
    (await fetch(new URL(path, new URL(manifest, document.baseURI)))).blob(),
  );
  estimates.push(await Tessera.estimate(new File(await Promise.all(bodies), 'm.gguf')));
  const engine = await Tessera.load({ model: manifest });
  estimates.push(await Tessera.estimate(manifest)); // from the store, while an engine runs
  const messages = [{ role: 'user', content: prompt }];
  const answer = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 48 });
  const ids = await engine.tokenize(text);
  const { hash } = await engine.logits(ids, { top: 1 });
  const back = await engine.detokenize(ids);
  const { info } = engine;
  await engine.dispose();
  return { estimates, tokens: answer.tokens, finish: answer.choices[0].finish_reason, ids, hash, back, info };
}

const kInput = { manifest: `models/${kModelId}/manifest.json`, prompt: kPrompt, text: kLogitsText };

/** @type {Record<'chrome' | 'firefox', string[]>} the variants each may run: Firefox has had relaxed SIMD since 145 */
const kVariants = { chrome: ['relaxed'], firefox: ['simd128', 'relaxed'] };

for (const browser of /** @type {('chrome' | 'firefox')[]} */ (Object.keys(kVariants)))
  test(
    `${browser} and the command line agree`,
    { skip: skipReason({ browser, native: true }), timeout: 240_000 },
    async (t) => {
      const { page } = await openSite(t, { browser });
      const inTab = await page.evaluate(measure, kInput);

      await t.test('greedy token ids', async () => {
        const { tokens, finish_reason } = await native('run', ['-p', kPrompt, '-n', '48', '--temp', '0']);
        assert.deepEqual(inTab.tokens, tokens);
        assert.equal(inTab.finish, finish_reason);
      });

      await t.test('the hash of all logits', async () => {
        assert.ok(kVariants[browser].includes(inTab.info.variant), inTab.info.variant);
        const { hash } = await native('logits', ['--tokens', inTab.ids.join(','), '--top', '1']);
        assert.equal(inTab.hash, hash);
      });

      await t.test('the estimate says what the engine takes: from the server, a file and the store', async () => {
        const { kv_bytes, workspace_bytes } = await native('estimate', []);
        for (const estimate of inTab.estimates) {
          const { weights, kv } = inTab.info.memory;
          assert.deepEqual([estimate.weights_bytes, estimate.kv_bytes, estimate.kv_bytes], [weights, kv, kv_bytes]);
          assert.deepEqual([estimate.workspace_bytes, estimate.fits], [workspace_bytes, true]);
          assert.ok(estimate.device.storageFree > 0, JSON.stringify(estimate.device));
          const { parameters, quantization, architecture, contextSize } = inTab.info;
          assert.deepEqual(
            [estimate.parameters, estimate.quantization, estimate.architecture, estimate.contextSize],
            [parameters, quantization, architecture, contextSize],
          );
        }
      });

      await t.test('text survives tokenising', () => assert.equal(inTab.back, kLogitsText));

      await t.test('memory stays within weights + KV + 64 MB', () => {
        const { weights, kv, heap } = inTab.info.memory;
        assert.ok(heap <= weights + kv + kSpareBytes, `heap ${heap}, weights ${weights}, kv ${kv}`);
      });
    },
  );

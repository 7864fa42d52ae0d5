/**
 * Loads a GGUF file from disk into a tab of the built site and says what that took: for files of some gigabytes
 * (scripts/make_large_model.py), which no test has. The logits must be those of the native program, bit for bit.
 * Usage: node scripts/large-model.mjs FILE.gguf
 */
import { execFileSync } from 'node:child_process';
import { kNative, launch, serveSite } from '../tests/browser/harness.mjs';

const kTokens = [5, 40, 7, 100, 3, 77, 12, 9];
const kMostBeside = 64 << 20;

const file = process.argv[2];
if (!file) throw new Error('usage: node scripts/large-model.mjs FILE.gguf');
const site = await serveSite();
/** @type {(() => Promise<void>)[]} */
const ends = [];
try {
  const browser = await launch({ after: (end) => ends.push(end) });
  const page = await browser.newPage();
  page.setDefaultTimeout(400_000);
  await page.goto(site.url);
  const input = await page.evaluateHandle(() => Object.assign(document.createElement('input'), { type: 'file' }));
  await /** @type {any} */ (input).uploadFile(file);
  const found = await page.evaluate(
    async (chooser, tokens) => {
      const { Tessera } = await import(/** @type {any} */ ('/tessera.js'));
      try {
        const engine = await Tessera.load({ model: /** @type {any} */ (chooser).files[0], contextSize: 256 });
        const { hash } = await engine.logits(tokens);
        return { hash, ...engine.info };
      } catch (error) {
        const { code, message, hint } = /** @type {any} */ (error);
        return { error: { code, message, hint } };
      }
    },
    input,
    kTokens,
  );
  if (found.error) {
    console.log(JSON.stringify(found.error, null, 2));
  } else {
    const { weights, kv, heap } = found.memory;
    console.log(
      `loaded in ${(found.loadMs / 1e3).toFixed(1)} s; weights ${weights}, KV cache ${kv}, heap ${heap} bytes`,
    );
    console.log(`heap beside weights and KV cache: ${((heap - weights - kv) / 1e6).toFixed(1)} MB`);
    const answer = execFileSync(kNative, ['logits', '-m', file, '--json', '--tokens', kTokens.join()], {
      maxBuffer: 1 << 28,
    });
    const same = JSON.parse(String(answer)).hash === found.hash;
    console.log(same ? 'logits: the same bits as the native program' : 'logits: NOT those of the native program');
    process.exitCode = same && heap - weights - kv <= kMostBeside ? 0 : 1;
  }
} finally {
  for (const end of ends) await end();
  await site.close();
}

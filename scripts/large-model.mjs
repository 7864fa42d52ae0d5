/**
 * Loads a GGUF file from disk into a tab of the built site and says what that took and how fast it is beside the native program: for
 * files of some gigabytes (scripts/make_large_model.py), which no test has. The logits must be those of the native program, bit for bit.
 * Usage: node scripts/large-model.mjs FILE.gguf [chrome|firefox]
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { kNative, launch, serveSite } from '../tests/browser/harness.mjs';

const kTokens = [5, 40, 7, 100, 3, 77, 12, 9];
/** Of each part. */
const kMostBeside = 64 << 20;
const kBench = { promptTokens: 32, generateTokens: 8, depth: 0, repetitions: 3 };
const kContext = 256;

const [file, name = 'chrome'] = process.argv.slice(2);
if (!file) throw new Error('usage: node scripts/large-model.mjs FILE.gguf [chrome|firefox]');

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
/** @param {Record<string, any>} report */
const rates = ({ prefill, decode }) =>
  `prefill ${median(prefill.tps).toFixed(2)}, decode ${median(decode.tps).toFixed(2)} tokens/s`;
/** @param {string[]} args */
const native = (...args) =>
  JSON.parse(String(execFileSync(kNative, [...args, '-m', file, '--json'], { maxBuffer: 1 << 28 })));

const site = await serveSite();
/** @type {(() => Promise<void>)[]} */
const ends = [];
try {
  const browser = await launch({ after: (end) => ends.push(end) }, name === 'firefox' ? 'firefox' : 'chrome');
  const page = await browser.newPage();
  page.setDefaultTimeout(400_000);
  await page.goto(site.url);
  const input = await page.evaluateHandle(() => Object.assign(document.createElement('input'), { type: 'file' }));
  await /** @type {any} */ (input).uploadFile(file);
  const found = await page.evaluate(
    async (chooser, tokens, contextSize, options) => {
      const { Tessera } = await import(/** @type {any} */ ('/tessera.js'));
      try {
        const engine = await Tessera.load({ model: /** @type {any} */ (chooser).files[0], contextSize });
        const { hash } = await engine.logits(tokens);
        const bench = await engine.bench(options);
        return { hash, bench, ...engine.info };
      } catch (error) {
        const { code, message, hint } = /** @type {any} */ (error);
        return { error: { code, message, hint } };
      }
    },
    input,
    kTokens,
    kContext,
    kBench,
  );
  if (found.error) {
    console.log(JSON.stringify(found.error, null, 2));
  } else {
    const { parts, loadMs, bench } = found;
    const { weights, kv, heap } = found.memory;
    console.log(`loaded in ${(loadMs / 1e3).toFixed(1)} s; weights ${weights}, KV cache ${kv}, heap ${heap} bytes`);
    console.log(`heap beside weights and KV cache: ${((heap - weights - kv) / 1e6).toFixed(1)} MB, parts: ${parts}`);
    const same = native('logits', '--tokens', kTokens.join()).hash === found.hash;
    console.log(same ? 'logits: the same bits as the native program' : 'logits: NOT those of the native program');
    console.log(`tab: ${rates(bench)}`);
    const sizes = ['-p', `${kBench.promptTokens}`, '-n', `${kBench.generateTokens}`, '-r', `${kBench.repetitions}`];
    const threads = ['-t', `${availableParallelism()}`, '-c', `${kContext}`];
    console.log(`native: ${rates(native('bench', ...sizes, ...threads))}`);
    process.exitCode = same && heap - weights - kv <= parts * kMostBeside ? 0 : 1;
  }
} finally {
  for (const end of ends) await end();
  await site.close();
}

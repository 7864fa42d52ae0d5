/**
 * How long a visitor waits whose browser has the model already: from Tessera.load to the first token of a short prompt, with what of it
 * is reading and packing the weights. Usage: node scripts/start-time.mjs [--runs 7] [--browser chrome|firefox]
 * [--site build/site]
 */
import { parseArgs } from 'node:util';
import { kModelId, kSite, launch, serveSite, skipReason } from '../tests/browser/harness.mjs';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    browser: { type: 'string', default: 'chrome' },
    site: { type: 'string', default: kSite },
  },
});
const name = values.browser === 'firefox' ? 'firefox' : 'chrome';
const missing = skipReason({ browser: name });
if (missing) throw new Error(missing);
const site = await serveSite({ root: values.site });
/** @type {(() => Promise<void>)[]} */
const ends = [];
/** @type {Record<string, number[]>} milliseconds of each run */
const times = {};
try {
  const browser = await launch({ after: (end) => ends.push(end) }, name);
  for (let run = 0; run <= Number(values.runs); ++run) {
    const page = await browser.newPage();
    // Not the start page: it would estimate its models meanwhile, which it ends when a visitor chooses one.
    await page.goto(`${site.url}THIRD-PARTY-NOTICES`);
    const measured = await page.evaluate(async (model) => {
      const { Tessera } = await import(/** @type {any} */ ('/tessera.js'));
      const start = performance.now();
      let warmup = start;
      let read = 0;
      let packed = 0;
      const onProgress = (/** @type {any} */ { stage }) => {
        if (stage === 'load') {
          packed = performance.now();
          read ||= packed;
        }
        if (stage === 'warmup') warmup = performance.now();
      };
      const engine = await Tessera.load({ model, onProgress });
      const loaded = performance.now();
      await engine.completions.create({ prompt: 'The capital of France is', max_tokens: 1, temperature: 0 });
      const first = performance.now();
      const { loadMs } = engine.info;
      await engine.dispose();
      return {
        total: first - start,
        'until the first byte': read - start,
        load: loadMs,
        'reading and packing': packed - read,
        warmup: loaded - warmup,
        prompt: first - loaded,
      };
    }, `models/${kModelId}/manifest.json`);
    await page.close();
    if (run === 0) continue; // the download
    for (const [step, ms] of Object.entries(measured)) (times[step] ??= []).push(ms);
  }
} finally {
  for (const end of ends) await end();
  await site.close();
}
for (const [step, all] of Object.entries(times)) {
  const sorted = all.toSorted((a, b) => a - b);
  console.log(
    `${step.padEnd(21)} ${sorted[sorted.length >> 1].toFixed(0).padStart(5)} ms  (${sorted[0].toFixed(0)} … ${sorted[sorted.length - 1].toFixed(0)})`,
  );
}

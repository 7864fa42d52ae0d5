/** The runners of scripts/bench that live in a page of headless Chromium: our own engine, and wllama where it is installed. */
import { existsSync } from 'node:fs';
import { cp, link, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kSite, launch, serveSite } from '../tests/browser/harness.mjs';

/**
 * @typedef {{model: string, threads: number, promptTokens: number, generateTokens: number, depth: number}} Task
 * @typedef {{prefill: number, decode: number, details: Record<string, unknown>}} Speed tokens per second
 * @typedef {{name: string, repeat: () => Promise<Speed>, close?: () => Promise<unknown>}} Runner
 * @typedef {{page: import('puppeteer-core').Page, close: () => Promise<void>}} OpenPage
 */

/** Time limit of one repetition of one runner. */
export const kRunMs = 600_000;
const kWllama = fileURLToPath(new URL('../node_modules/@wllama/wllama/esm', import.meta.url));

/** @returns {string | null} where wllama's files are */
export function wllamaFolder() {
  return existsSync(join(kWllama, 'index.js')) ? kWllama : null;
}

/** @param {any} report of `tessera bench` or engine.bench @returns {Speed} */
export function speedOf({ prefill, decode, ...details }) {
  return { prefill: prefill.tps[0], decode: decode.tps[0], details };
}

/**
 * An isolated page without scripts of its own; `files` lie beside it, as links.
 * @param {Record<string, string>} files name in the site → path
 * @returns {Promise<OpenPage>}
 */
async function openPage(files) {
  const root = await mkdtemp(join(resolve(kSite, '..'), 'bench-'));
  /** @type {(() => Promise<unknown>)[]} */
  const ends = [() => rm(root, { recursive: true })];
  const close = async () => {
    for (const end of ends) await end();
  };
  try {
    for (const [name, path] of Object.entries(files)) {
      await link(path, join(root, name)).catch(() => symlink(path, join(root, name)));
      if (!existsSync(join(root, name))) await cp(path, join(root, name));
    }
    const site = await serveSite({ root });
    ends.unshift(site.close);
    const browser = await launch({ after: (end) => ends.unshift(end) });
    const page = await browser.newPage();
    page.setDefaultTimeout(kRunMs);
    await page.setBypassCSP(true); // wllama starts workers from blobs
    await page.goto(`${site.url}THIRD-PARTY-NOTICES`);
    return { page, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Our engine, kept over all repetitions.
 * @param {Task} task
 * @returns {Promise<Runner>}
 */
export async function tab({ model, threads, promptTokens, generateTokens, depth }) {
  const site = (await readdir(kSite)).filter((name) => name !== 'models').map((name) => [name, join(kSite, name)]);
  const { page, close } = await openPage({ ...Object.fromEntries(site), [basename(model)]: model });
  try {
    const contextSize = Math.max(promptTokens, depth + generateTokens) + 1;
    const info = await page.evaluate(loadEngine, { model: `/${basename(model)}`, threads, contextSize });
    return {
      name: `tessera in Chromium (${info.variant}, ${info.threads} threads)`,
      repeat: async () => {
        const report = await page.evaluate(runBench, {
          ...{ promptTokens, generateTokens, depth },
          ...{ repetitions: 1, roofline: true },
        });
        return { ...speedOf(report), details: { ...speedOf(report).details, info } };
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Runs in the page. @param {object} options @returns {Promise<any>} */
async function loadEngine(options) {
  const { Tessera } = await import(/** @type {any} */ ('/tessera.js'));
  const engine = await Tessera.load(options);
  Object.assign(globalThis, { engine });
  return engine.info;
}

/** Runs in the page. @param {object} options @returns {Promise<any>} */
function runBench(options) {
  return /** @type {any} */ (globalThis).engine.bench(options);
}

/**
 * wllama as npm ships it, on the same file. It times text, not ids: a word a token, as many as the longer of prompt and depth.
 * @param {Task} task
 * @returns {Promise<Runner>}
 */
export async function wllama({ model, threads, promptTokens, generateTokens, depth }) {
  const notices = join(kSite, 'THIRD-PARTY-NOTICES');
  const { page, close } = await openPage({
    'THIRD-PARTY-NOTICES': notices,
    'wllama.js': join(kWllama, 'index.js'),
    'wllama.wasm': join(kWllama, 'wasm/wllama.wasm'),
    [basename(model)]: model,
  });
  try {
    const words = Math.max(promptTokens, depth);
    const used = await page.evaluate(loadWllama, {
      model: `/${basename(model)}`,
      threads,
      context: words + generateTokens + 64,
    });
    return {
      name: `wllama in Chromium (${used} threads)`,
      repeat: async () => {
        const details = await page.evaluate(runWllama, { words, generateTokens });
        return { prefill: details.prompt_per_second, decode: details.predicted_per_second, details };
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Runs in the page. @param {{model: string, threads: number, context: number}} options @returns {Promise<number>} threads in use */
async function loadWllama({ model, threads, context }) {
  const { Wllama } = await import(/** @type {any} */ ('/wllama.js'));
  const engine = new Wllama({ default: '/wllama.wasm' }, { suppressNativeLog: true });
  const blob = await (await fetch(model)).blob();
  await engine.loadModel([blob], { n_threads: threads, n_ctx: context, n_gpu_layers: 0 });
  Object.assign(globalThis, { engine });
  return engine.getNumThreads();
}

/** Runs in the page. @param {{words: number, generateTokens: number}} options @returns {Promise<any>} its timings */
async function runWllama({ words, generateTokens }) {
  const prompt = 'the'.padEnd(4 * words - 1, ' the');
  const options = { prompt, max_tokens: generateTokens, temperature: 0, ignore_eos: true, cache_prompt: false };
  const answer = await /** @type {any} */ (globalThis).engine.createCompletion(options);
  return answer.timings;
}

/**
 * Measures one model natively, in headless Chromium and with llama-bench where that is on the PATH. The three take turns, one
 * repetition each, so that a change of the machine's mood falls on all of them. scripts/bench builds first and starts this.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, link, mkdtemp, rm, symlink, readdir } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { basename, delimiter, join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { kModelFile, kNative, kSite, launch, serveSite } from '../tests/browser/harness.mjs';

const kRunMs = 600_000; // one repetition of one runner
const run = promisify(execFile);

/**
 * @typedef {{model: string, threads: number, promptTokens: number, generateTokens: number, depth: number}} Task
 * @typedef {{prefill: number, decode: number, details: Record<string, unknown>}} Speed tokens per second
 * @typedef {{name: string, repeat: () => Promise<Speed>, close?: () => Promise<unknown>}} Runner
 */

/** @param {Task} task @returns {Runner} */
function native({ model, threads, promptTokens, generateTokens, depth }) {
  const args = ['bench', '-m', model, '--json', '-r', '1', '-t', threads, '-p', promptTokens, '-n', generateTokens];
  return {
    name: 'tessera native',
    repeat: async () => {
      const { stdout } = await run(kNative, [...args, '-d', depth].map(String), { timeout: kRunMs });
      return speedOf(JSON.parse(stdout));
    },
  };
}

/** @param {any} report of `tessera bench` or engine.bench @returns {Speed} */
function speedOf({ prefill, decode, ...details }) {
  return { prefill: prefill.tps[0], decode: decode.tps[0], details };
}

/**
 * A page of the built site that keeps one engine; the model lies beside the site's files in a folder of links.
 * @param {Task} task
 * @returns {Promise<Runner>}
 */
async function tab({ model, threads, promptTokens, generateTokens, depth }) {
  const root = await mkdtemp(join(resolve(kSite, '..'), 'bench-'));
  for (const name of await readdir(kSite)) if (name !== 'models') await symlink(join(kSite, name), join(root, name));
  await link(model, join(root, basename(model))).catch(() => cp(model, join(root, basename(model))));
  /** @type {(() => Promise<unknown>)[]} */
  const ends = [() => rm(root, { recursive: true })];
  const close = async () => {
    for (const end of ends) await end();
  };
  try {
    const site = await serveSite({ root });
    ends.unshift(site.close);
    const browser = await launch({ after: (end) => ends.unshift(end) });
    const page = await browser.newPage();
    page.setDefaultTimeout(kRunMs);
    await page.goto(`${site.url}THIRD-PARTY-NOTICES`); // of the site, isolated, and with no page script of its own
    const contextSize = Math.max(promptTokens, depth + generateTokens) + 1;
    const info = await page.evaluate(loadEngine, { model: `/${basename(model)}`, threads, contextSize });
    return {
      name: `tessera in Chromium (${info.variant}, ${info.threads} threads)`,
      repeat: async () => {
        const report = await page.evaluate(runBench, { promptTokens, generateTokens, depth, repetitions: 1 });
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

/** @param {Task} task @returns {Runner} */
function llamaBench({ model, threads, promptTokens, generateTokens, depth }) {
  /** @param {(string | number)[]} args */
  const measure = async (...args) => {
    const all = ['-m', model, '-t', threads, '-r', 1, '-o', 'json', ...args].map(String);
    const [row] = JSON.parse((await run('llama-bench', all, { timeout: kRunMs })).stdout);
    return row.avg_ts;
  };
  return {
    name: 'llama.cpp native',
    repeat: async () => ({
      prefill: await measure('-p', promptTokens, '-n', 0),
      decode: await measure('-p', 0, '-n', generateTokens, '-d', depth),
      details: {},
    }),
  };
}

/** @param {number[]} values */
function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** @param {string} program */
function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', default: kModelFile },
      json: { type: 'boolean', default: false },
      prompt: { type: 'string', short: 'p', default: '512' },
      generate: { type: 'string', short: 'n', default: '64' },
      depth: { type: 'string', short: 'd', default: '512' },
      repetitions: { type: 'string', short: 'r', default: '3' },
      threads: { type: 'string', short: 't', default: String(availableParallelism()) },
    },
  });
  const [promptTokens, generateTokens, depth, repetitions, threads] = [
    ...[values.prompt, values.generate, values.depth, values.repetitions, values.threads],
  ].map((text) => {
    if (!/^\d{1,6}$/.test(text)) throw new Error(`expected a whole number, found "${text}"`);
    return Number(text);
  });
  const model = resolve(values.model);
  if (!existsSync(model)) throw new Error(`--model: there is no ${model}`);
  return { task: { model, threads, promptTokens, generateTokens, depth }, repetitions, json: values.json };
}

/**
 * @param {Runner[]} runners
 * @param {number} repetitions
 */
async function measureAll(runners, repetitions) {
  const rows = runners.map(({ name }) => ({
    name,
    prefill: /** @type {number[]} */ ([]),
    decode: /** @type {number[]} */ ([]),
    details: {},
  }));
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    for (const [index, runner] of runners.entries()) {
      console.error(`repetition ${repetition + 1} of ${repetitions}: ${runner.name}`);
      const { prefill, decode, details } = await runner.repeat();
      rows[index].prefill.push(prefill);
      rows[index].decode.push(decode);
      rows[index].details = details;
    }
  }
  return rows;
}

async function main() {
  const { task, repetitions, json } = readArguments();
  const runners = [native(task)];
  if (process.env.TESSERA_CHROMIUM) runners.push(await tab(task));
  if (onPath('llama-bench')) runners.push(llamaBench(task));
  try {
    const rows = await measureAll(runners, repetitions);
    const { model, ...settings } = task;
    if (json) {
      console.log(
        JSON.stringify({ model: basename(model), ...settings, processor: cpus()[0]?.model, rows: rows }, null, 2),
      );
      return;
    }
    console.log(
      `${basename(model)}, ${task.threads} threads; prefill of ${task.promptTokens}, decode of ${task.generateTokens} after ${task.depth}; median tokens/s (range)`,
    );
    for (const { name, prefill, decode } of rows) {
      console.log(`${name.padEnd(44)} prefill ${figures(prefill)}  decode ${figures(decode)}`);
    }
  } finally {
    for (const { close } of runners) await close?.();
  }
}

/** @param {number[]} values */
function figures(values) {
  const range = `(${Math.min(...values).toFixed(1)}-${Math.max(...values).toFixed(1)})`;
  return `${median(values).toFixed(1).padStart(8)} ${range.padEnd(16)}`;
}

try {
  await main();
} catch (error) {
  console.error(`error: ${/** @type {Error} */ (error).message}`);
  process.exit(1);
}

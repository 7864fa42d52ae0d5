/**
 * Measures one model natively, in headless Chromium, with llama-bench where that is on the PATH and with wllama where
 * `npm install --no-save @wllama/wllama` put it. They take turns, one repetition each, so that a change of the machine's mood falls on
 * all of them. scripts/bench builds first and starts this.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { basename, delimiter, join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { kModelFile, kNative } from '../tests/browser/harness.mjs';
import { kRunMs, speedOf, tab, wllama, wllamaFolder } from './bench-browser.mjs';

const run = promisify(execFile);

/** @typedef {import('./bench-browser.mjs').Task} Task @typedef {import('./bench-browser.mjs').Runner} Runner */

/** @param {Task} task @returns {Runner} */
function native({ model, threads, promptTokens, generateTokens, depth }) {
  const args = [
    'bench',
    '-m',
    model,
    '--json',
    '--roofline',
    '-r',
    '1',
    '-t',
    threads,
    '-p',
    promptTokens,
    '-n',
    generateTokens,
  ];
  return {
    name: 'tessera native',
    repeat: async () => {
      const { stdout } = await run(kNative, [...args, '-d', depth].map(String), { timeout: kRunMs });
      return speedOf(JSON.parse(stdout));
    },
  };
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
    /** The best of all repetitions. */
    roofline: { products_tps: 0, reading_tps: 0 },
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
      const { roofline } = /** @type {{ roofline?: { products_tps: number, reading_tps: number } }} */ (details);
      for (const rate of /** @type {const} */ (['products_tps', 'reading_tps']))
        rows[index].roofline[rate] = Math.max(rows[index].roofline[rate], roofline?.[rate] ?? 0);
    }
  }
  return rows;
}

async function main() {
  const { task, repetitions, json } = readArguments();
  const runners = [native(task)];
  if (process.env.TESSERA_CHROMIUM) {
    runners.push(await tab(task));
    if (wllamaFolder() !== null) runners.push(await wllama(task));
  }
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
    console.log('\nPasses a second over the weights of a token with nothing in between, the best of all repetitions:');
    for (const { name, decode, roofline } of rows) {
      if (roofline.products_tps === 0) continue;
      const share = Math.round((100 * median(decode)) / roofline.products_tps);
      console.log(
        `${name.padEnd(44)} multiplied ${roofline.products_tps.toFixed(1)}  read ${roofline.reading_tps.toFixed(1)}  decode is ${share} % of the first`,
      );
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

/**
 * Checks Tessera against llama.cpp: each opens the GGUF files that the other writes, and their greedy texts.
 *
 *   node scripts/check-peer.mjs [files] [greedy] [--tokens 32] [--types Q4_0,Q8_0] [--model NAME] [--prompts open|determined]
 *
 * files: in every type of `tessera quantize`, ours and llama-quantize's file of SmolLM2 are opened by both programs, which must go on alike with
 * a prompt; what llama-quantize writes only with an importance file, both write with one of ours. greedy: ten prompts of each kind for each
 * real model, as it is, as F32 and as our files of the types named; where two texts part, how close the two tokens are for each engine, and
 * for open prompts of a model as it is which of them float32 takes (scripts/oracle.py). Open prompts are tasks, or beginnings of prose;
 * determined ones have one continuation, whoever writes it. Nobody's sampler has a say: both get the same ids, and the likeliest is taken.
 * Needs llama-server and llama-quantize 0.7.0 on the PATH, build/native/tessera, the models of scripts/get-model, and for float32 a Python with
 * numpy and gguf (TESSERA_CONVERT_PYTHON names another than python3). Exit 1 when a file is not opened or not understood alike.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';

import { json, modelPath, realModels, root, tessera } from '../tests/golden/cli.mjs';
import { LlamaServer, kThreads } from './llama-server.mjs';
import { promptsFor } from './peer-prompts.mjs';

const run = promisify(execFile);
const kLimitMs = 600_000;
const kNeedImportance = ['Q2_K_S']; // llama-quantize refuses these without
const python = process.env.TESSERA_CONVERT_PYTHON ?? 'python3';
const folder = mkdtempSync(path.join(tmpdir(), 'tessera-peer-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** @typedef {import('./peer-prompts.mjs').Prompts} Prompts */
/** @typedef {{text: string, prompt: {text: string, ids: number[]}, ours: number[], theirs: number[], logprobs: Map<number, number>[], common: number}} Row */

/** Text of a prompt as the model is meant to read it, and its ids. @param {string} model @param {string} prompt @param {Prompts} prompts */
async function promptOf(model, prompt, { chat, bos }) {
  let text = prompt;
  if (chat) {
    const context = path.join(folder, 'context.json');
    writeFileSync(
      context,
      JSON.stringify({ messages: [{ role: 'user', content: prompt }], add_generation_prompt: true }),
    );
    text = (await json(['render', '-m', model, '--context', context])).text;
  }
  /** @type {number[]} */
  const ids = (await json(['tokenize', '-m', model, '--special', ...(bos ? ['--bos'] : [])], { input: text })).ids;
  return { text, ids };
}

/** @param {string} model @param {{text: string, ids: number[]}} prompt @param {number} count @param {string} kv @returns {Promise<number[]>} */
async function ourGreedy(model, prompt, count, kv) {
  const args = ['run', '-m', model, '--raw', '-p', prompt.text, '-n', String(count), '--temp', '0', '-t', kThreads];
  if (kv) args.push('--kv', kv);
  const answer = await json(args);
  if (answer.prompt_tokens !== prompt.ids.length)
    throw new Error(`we read ${answer.prompt_tokens} of ${prompt.ids.length} tokens`);
  return answer.tokens;
}

/** Tokens that two sequences share at their beginning. @param {number[]} a @param {number[]} b */
function commonLength(a, b) {
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; ++i) if (a[i] !== b[i]) return i;
  return end;
}

/** Per list of ids, float32's log-probabilities after each of them. @param {string} model @param {string[]} lists @returns {Promise<Map<number, number>[][]>} */
async function oracle(model, lists) {
  const args = [
    path.join(root, 'scripts/oracle.py'),
    'logits',
    model,
    '--top',
    '20',
    ...lists.flatMap((ids) => ['--tokens', ids]),
  ];
  const { stdout } = await run(python, args, { timeout: kLimitMs, maxBuffer: 1 << 28 });
  const reports = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return reports.map(({ positions }) =>
    positions.map((/** @type {{top: [number, number][]}} */ { top }) => new Map(top)),
  );
}

/** log p(a) - log p(b), where both are among the listed. @param {Map<number, number>} top @param {number} a @param {number} b */
const gap = (top, a, b) =>
  top.has(a) && top.has(b) ? /** @type {number} */ (top.get(a)) - /** @type {number} */ (top.get(b)) : NaN;

/** Tokens of `answer` that are float32's likeliest after what stands before them. @param {Map<number, number>[]} after @param {number} promptLength @param {number[]} answer */
function followsOracle(after, promptLength, answer) {
  const likeliest = answer.map((_, i) => /** @type {number} */ (after[promptLength + i - 1].keys().next().value));
  return commonLength(answer, likeliest);
}

/**
 * One line: how far the texts agree, how far float32 goes along with each, and how close the two tokens are where they part.
 * @param {string} model @param {Row} row @param {Map<number, number>[][]} reference float32 after ours and after theirs; empty if not asked
 */
async function describe(model, { text, prompt, ours, theirs, logprobs, common }, reference) {
  const parted = common < Math.max(ours.length, theirs.length);
  const parts = [parted ? `part after ${common}` : `equal (${common})`];
  const follows = reference.map((after, i) => followsOracle(after, prompt.ids.length, i ? theirs : ours));
  if (follows.length) parts.push(`float32 agrees with us for ${follows[0]}, with them for ${follows[1]}`);
  if (parted && common < ours.length && common < theirs.length) {
    const here = prompt.ids.length + common - 1;
    const ids = [...prompt.ids, ...ours.slice(0, common)].join(',');
    const { positions } = await json(['logits', '-m', model, '--tokens', ids, '--top', '20']);
    const tops = { us: new Map(positions[here].top), them: logprobs[common], float32: reference[0]?.[here] };
    for (const [who, top] of Object.entries(tops)) {
      if (top) parts.push(`gap for ${who} ${gap(top, ours[common], theirs[common]).toFixed(3)}`);
    }
  }
  console.log(`  ${parts.join('; ')}  ${JSON.stringify(text.slice(0, 40))}`);
  return { equal: !parted, us: follows[0] === ours.length, them: follows[1] === theirs.length };
}

/** Ten prompts with one file. @param {string} title @param {string} model @param {number} count @param {{prompts: Prompts, exact?: boolean, withOracle?: boolean}} options */
async function compareGreedy(title, model, count, { prompts, exact, withOracle }) {
  const peer = await LlamaServer.open(model, exact ? ['-ctk', 'f32', '-ctv', 'f32', '-fa', 'off'] : []);
  /** @type {Row[]} */
  const rows = [];
  try {
    for (const text of prompts.texts) {
      const prompt = await promptOf(model, text, prompts);
      const ours = await ourGreedy(model, prompt, count, exact ? 'f32' : '');
      const { tokens: theirs, logprobs } = await peer.greedy(prompt.ids, count);
      rows.push({ text, prompt, ours, theirs, logprobs, common: commonLength(ours, theirs) });
    }
  } finally {
    peer.close();
  }
  const lists = [
    ...new Set(
      rows.flatMap(({ prompt, ours, theirs }) => [ours, theirs].map((answer) => [...prompt.ids, ...answer].join(','))),
    ),
  ];
  const reports = withOracle ? await oracle(model, lists) : [];
  const after = new Map(lists.map((list, i) => [list, reports[i]]));
  console.log(`${title}:`);
  /** @type {{equal: boolean, us: boolean, them: boolean}[]} */
  const results = [];
  for (const row of rows) {
    const reference = [row.ours, row.theirs].flatMap((answer) => {
      const report = after.get([...row.prompt.ids, ...answer].join(','));
      return report ? [report] : [];
    });
    results.push(await describe(model, row, reference));
  }
  const counts = (/** @type {'equal' | 'us' | 'them'} */ key) => results.filter((result) => result[key]).length;
  const summary = withOracle
    ? `; float32 agrees throughout with us in ${counts('us')}, with them in ${counts('them')}`
    : '';
  console.log(`  ${counts('equal')} of ${rows.length} texts of ${count} tokens are equal${summary}`);
}

/** Both programs' files of one type, each opened by both. @param {string} type @param {number} count */
async function compareType(type, count) {
  const source = modelPath(realModels[0]);
  const files = { ours: path.join(folder, 'ours.gguf'), theirs: path.join(folder, 'theirs.gguf') };
  /** @type {string[]} */
  const options = [];
  if (kNeedImportance.includes(type)) {
    const importance = path.join(folder, 'importance.gguf');
    await json(['imatrix', '-m', source, '-f', path.join(root, 'tests/data/gpl-3.txt'), '-o', importance]);
    options.push('--imatrix', importance);
  }
  await json(['quantize', source, files.ours, type, ...options]);
  await run('llama-quantize', ['--allow-requantize', ...options, source, files.theirs, type, kThreads], {
    timeout: kLimitMs,
    maxBuffer: 1 << 28,
  });
  const prompts = promptsFor(realModels[0], 'open');
  const parts = [];
  for (const [whose, file] of Object.entries(files)) {
    const prompt = await promptOf(file, prompts.texts[0], prompts);
    const ours = await ourGreedy(file, prompt, count, '');
    const peer = await LlamaServer.open(file);
    const { tokens: theirs } = await peer.greedy(prompt.ids, count).finally(() => peer.close());
    if (ours.length === 0 || theirs.length === 0)
      throw new Error(`${type}: ${whose} file: no token from ${ours.length ? 'llama.cpp' : 'us'}`);
    parts.push(`${whose} file: opened by both, ${commonLength(ours, theirs)} of ${count} tokens alike`);
    rmSync(file);
  }
  console.log(`  ${type.padEnd(7)} ${parts.join('; ')}`);
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      tokens: { type: 'string', default: '32' },
      types: { type: 'string' },
      model: { type: 'string', multiple: true },
      prompts: { type: 'string' },
    },
  });
  const count = Number(values.tokens);
  const wanted = positionals.length ? positionals : ['files', 'greedy'];
  if (wanted.includes('files')) {
    const { stderr } = await tessera([
      'quantize',
      modelPath(realModels[0]),
      path.join(folder, 'none.gguf'),
      'nonsense',
    ]);
    const types = values.types?.split(',') ?? stderr.match(/^hint: use one of (.*)$/m)?.[1].split(', ') ?? [];
    console.log(`files of ${types.length} types, from ${realModels[0]}:`);
    for (const type of types) await compareType(type, count);
  }
  if (!wanted.includes('greedy')) return;
  const withOracle = await run(python, ['-c', 'import gguf, numpy']).then(
    () => true,
    () => false,
  );
  if (!withOracle) console.log(`${python} has no numpy and gguf: float32 is left out`);
  for (const name of values.model ?? realModels) {
    const kinds = values.prompts?.split(',') ?? ['open', 'determined'];
    for (const kind of kinds) {
      const options = { prompts: promptsFor(name, kind), withOracle: withOracle && kind === 'open' };
      await compareGreedy(`${name}, ${kind} prompts`, modelPath(name), count, options);
    }
    for (const type of ['F32', ...(values.types?.split(',') ?? [])]) {
      const exact = type === 'F32';
      const written = path.join(folder, 'written.gguf');
      await json(['quantize', modelPath(name), written, type]);
      for (const kind of kinds) {
        const title = `${name} as ${type}${exact ? ', caches in f32' : ''}, ${kind} prompts`;
        await compareGreedy(title, written, count, { prompts: promptsFor(name, kind), exact });
      }
      rmSync(written);
    }
  }
}

await main();

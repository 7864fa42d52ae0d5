// Drives `tessera quantize` as a user does: the file runs, keeps its quality, appears whole or not at all; refusals are clear.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import { json, missing, modelPath, program, root, tessera, tinyGemma, tinyLlama } from './cli.mjs';

const skip = missing();
const folder = mkdtempSync(path.join(tmpdir(), 'tessera-quantize-'));
after(() => rmSync(folder, { recursive: true }));
const out = path.join(folder, 'out.gguf');
const smol = modelPath('smollm2-135m-instruct-q4_1');

test('every type runs and answers', { skip }, async () => {
  const refused = await tessera(['quantize', tinyLlama, out, 'nonsense']);
  const types = refused.stderr.match(/^hint: use one of (.*)$/m)?.[1].split(', ') ?? [];
  assert.equal(types.length, 20);
  for (const type of types) {
    const report = await json(['quantize', tinyLlama, out, type.toLowerCase()]);
    assert.equal(report.type, type);
    assert.equal(report.output_bytes, readFileSync(out).length);
    const answer = await json(['run', '-m', out, '-p', 'x', '--temp', '0']);
    if (!type.startsWith('Q2')) assert.equal(answer.text, 'Hello! I am a tiny model.', type);
    assert.ok((await json(['inspect', '-m', out])).metadata['general.file_type'] >= 0);
  }
  assert.deepEqual(readdirSync(folder), ['out.gguf']);
});

test('options change the plan', { skip }, async () => {
  const formats = async (/** @type {string[]} */ ...options) => {
    await json(['quantize', tinyGemma, out, 'Q4_0', ...options]);
    const { tensors } = await json(['inspect', '-m', out]);
    return Object.fromEntries(tensors.map((/** @type {{name: string, dtype: string}} */ t) => [t.name, t.dtype]));
  };
  assert.equal((await formats('--token-embedding-type', 'f16'))['token_embd.weight'], 'F16');
  assert.equal((await formats('--output-tensor-type', 'q5_1'))['token_embd.weight'], 'Q5_1'); // tied: it is the output matrix
  const pure = await formats('--pure', '-t', '1');
  assert.equal(pure['token_embd.weight'], 'Q4_0');
  assert.equal(pure['blk.0.attn_norm.weight'], 'F32');
});

test('refusals leave what was there', { skip }, async () => {
  writeFileSync(out, 'precious');
  const fails = async (/** @type {string[]} */ args, /** @type {string} */ code, /** @type {RegExp} */ message) => {
    const result = await tessera(['quantize', ...args]);
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, new RegExp(`^error: ${code}: `, 'm'));
    assert.match(result.stderr, message);
    assert.equal(readFileSync(out, 'utf8'), 'precious');
    assert.deepEqual(readdirSync(folder), ['out.gguf']);
  };
  await fails([tinyLlama, out, 'Q9_Z'], 'invalid_argument', /Q9_Z[^]*Q4_K_M/);
  await fails([tinyLlama, out, 'Q4_0', '--output-tensor-type', 'Q4_K_M'], 'invalid_argument', /Q4_K_M/);
  await fails([out, out, 'Q4_0'], 'invalid_argument', /written over/);
  await fails([path.join(folder, 'none.gguf'), out, 'Q4_0'], 'not_found', /none\.gguf/);
  await fails([tinyLlama, out, 'Q4_0', '--imatrix', tinyGemma], 'bad_file', /imatrix/);
  await fails([tinyLlama, path.join(folder, 'no', 'folder.gguf'), 'Q4_0'], 'io', /folder\.gguf/);
  assert.equal((await tessera(['quantize', tinyLlama, out])).code, 2);
  assert.equal((await tessera(['quantize', tinyLlama, out, 'Q4_0', '--fast'])).code, 2);
});

test('what is no regular file, and the part of another run, stay', { skip }, async () => {
  const text = path.join(folder, 'words.txt');
  writeFileSync(text, 'the tiny model and the '.repeat(20));
  const [pipe, directory] = [path.join(folder, 'pipe'), path.join(folder, 'directory')];
  execFileSync('mkfifo', [pipe]);
  mkdirSync(directory);
  const fresh = path.join(folder, 'fresh.gguf');
  writeFileSync(`${fresh}.part`, 'of another run');
  const refused = async (/** @type {string} */ name, /** @type {RegExp} */ message) => {
    for (const args of [
      ['quantize', tinyLlama, name, 'Q4_0'],
      ['imatrix', '-m', tinyLlama, '-f', text, '--chunk', '32', '-o', name],
    ]) {
      const result = await tessera(args);
      assert.equal(result.code, 1);
      assert.match(result.stderr, message);
    }
  };
  await refused(pipe, /^error: invalid_argument: .*pipe is not a regular file/);
  await refused(directory, /^error: invalid_argument: .*directory is not a regular file/);
  await refused(fresh, /^error: invalid_argument: .*fresh\.gguf\.part exists already[^]*remove it/);
  assert.ok(lstatSync(pipe).isFIFO() && lstatSync(directory).isDirectory() && !existsSync(fresh));
  assert.equal(readFileSync(`${fresh}.part`, 'utf8'), 'of another run');
  for (const name of [pipe, directory, `${fresh}.part`, text]) rmSync(name, { recursive: true });
});

test('a symbolic link stays one: what it leads to is written', { skip }, async () => {
  const [link, behind, circle] = ['link.gguf', 'behind.gguf', 'circle.gguf'].map((name) => path.join(folder, name));
  symlinkSync('behind.gguf', link); // leads nowhere yet
  for (const type of ['Q8_0', 'F16']) {
    const report = await json(['quantize', tinyLlama, link, type]);
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.ok(lstatSync(behind).isFile());
    assert.equal(readFileSync(behind).length, report.output_bytes);
  }
  const onto = await tessera(['quantize', behind, link, 'Q8_0']);
  assert.match(onto.stderr, /^error: invalid_argument: .*written over .*behind\.gguf/);
  symlinkSync('circle.gguf', circle);
  assert.match((await tessera(['quantize', tinyLlama, circle, 'Q8_0'])).stderr, /circle\.gguf is not a regular file/);
  for (const name of [link, behind, circle]) rmSync(name);
});

test('Ctrl-C stops it and leaves nothing', { skip: missing(smol) }, async () => {
  const target = path.join(folder, 'stopped.gguf');
  const child = spawn(program, ['quantize', smol, target, 'Q3_K_L', '-t', '1']);
  while (!existsSync(`${target}.part`) && child.exitCode === null) await new Promise((next) => setTimeout(next, 10));
  child.kill('SIGINT');
  assert.equal(await new Promise((done) => child.on('close', done)), 1);
  assert.ok(!existsSync(target) && !existsSync(`${target}.part`));
});

test('progress does not get into the file when standard error is closed', { skip: missing(smol) }, () => {
  const line = '"$0" quantize "$1" "$2" Q4_0 -t 1 --json 2>&-'; // takes longer than the half second before its progress shows
  const written = execFileSync('sh', ['-c', line, program, smol, out], { encoding: 'utf8' });
  assert.equal(readFileSync(out).length, JSON.parse(written).output_bytes);
});

/**
 * Runs the command on a copy of SmolLM2 that is cut when `ready`, and expects the error that says so.
 * @param {string} name of the copy
 * @param {number} bytes that are left of it
 * @param {(model: string) => string[]} args
 * @param {(pid: number) => boolean} ready
 */
async function cutMeanwhile(name, bytes, args, ready) {
  const model = path.join(folder, name);
  copyFileSync(smol, model);
  const child = spawn(program, args(model));
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  const ended = new Promise((done) => child.on('close', done));
  while (child.exitCode === null && !ready(Number(child.pid))) await new Promise((next) => setTimeout(next, 1));
  child.kill('SIGSTOP');
  truncateSync(model, bytes);
  child.kill('SIGCONT');
  assert.equal(await ended, 1);
  assert.match(stderr, /^error: io: .* became shorter/m);
  rmSync(model);
}

test('a model that becomes shorter while it is read is an error', { skip: missing(smol) }, async () => {
  const target = path.join(folder, 'never.gguf');
  const args = (/** @type {string} */ model) => ['quantize', model, target, 'Q3_K_L', '-t', '1'];
  await cutMeanwhile('shrinking.gguf', 1000, args, () => existsSync(`${target}.part`));
  assert.ok(!existsSync(target) && !existsSync(`${target}.part`));
});

test('a model that becomes shorter while it is packed in place is an error', { skip: missing(smol) }, async () => {
  const args = (/** @type {string} */ model) => ['run', '-m', model, '-p', 'x', '-n', '1'];
  const someArePacked = (/** @type {number} */ pid) => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/RssAnon:\s*(\d+)/.exec(status)?.[1]) > 70_000; // kB
  };
  await cutMeanwhile('mapped.gguf', 1_800_000, args, someArePacked); // cut behind the header
});

test('SmolLM2 keeps its quality', { skip: missing(smol) }, async () => {
  const text = path.join(folder, 'text.txt');
  writeFileSync(text, readFileSync(path.join(root, 'tests/data/gpl-3.txt')).subarray(0, 3000));
  const perplexity = async (/** @type {string} */ model) =>
    (await json(['perplexity', '-m', model, '-f', text])).perplexity;
  const before = await perplexity(smol);
  for (const [type, factor] of /** @type {[string, number][]} */ ([
    ['Q4_K_M', 1.1],
    ['Q3_K_M', 1.25],
  ])) {
    const report = await json(['quantize', smol, out, type]);
    assert.ok(report.seconds < 240, `${report.seconds} s`);
    const ratio = (await perplexity(out)) / before;
    assert.ok(ratio < factor, `${type}: ${ratio}`);
  }
});

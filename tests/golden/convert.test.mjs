// Drives scripts/convert.py on a committed tiny Hugging Face folder (sharded F16, llama3 rope, byte-level BPE) and on damaged copies of it.
// Expected values are transformers' (scripts/check_convert.py --fixture). TESSERA_CONVERT_PYTHON names a Python that has gguf and numpy.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import { json, missing, root } from './cli.mjs';

const python = process.env.TESSERA_CONVERT_PYTHON ?? 'python3';
const probe = spawnSync(python, ['-c', 'import gguf, numpy'], { encoding: 'utf8' });
const absent = probe.status === 0 ? false : `${python} has no gguf and numpy (docs/convert.md says how to get them; TESSERA_CONVERT_PYTHON names another Python)`;
const source = path.join(root, 'tests/golden/convert');
const folder = mkdtempSync(path.join(tmpdir(), 'tessera-convert-'));
after(() => rmSync(folder, { recursive: true }));

/** @param {string} model @param {string} name @param {string[]} options */
function convert(model, name, ...options) {
  const out = path.join(folder, name);
  const done = spawnSync(python, [path.join(root, 'scripts/convert.py'), model, out, ...options], { encoding: 'utf8' });
  return { out, status: done.status, stdout: done.stdout, stderr: done.stderr };
}

for (const type of ['f32', 'f16']) {
  test(`a folder becomes a GGUF in ${type} that answers as transformers does`, { skip: missing() || absent }, async () => {
    const expected = JSON.parse(readFileSync(path.join(source, 'expected.json'), 'utf8'));
    const { out, status, stderr } = convert(source, `${type}.gguf`, '--type', type);
    assert.equal(status, 0, stderr);
    const { positions } = await json(['logits', '-m', out, '--kv', 'f32', '--tokens', expected.tokens.join(',')]);
    expected.next.forEach((/** @type {number} */ wanted, /** @type {number} */ i) => {
      assert.ok(Math.abs(positions[i].next - wanted) < 2e-3, `position ${i}: ${positions[i].next}, expected ${wanted}`);
    });
    for (const [text, ids] of expected.texts) {
      assert.deepEqual((await json(['tokenize', '-m', out, '--special', '--bos'], { input: text })).ids, ids, JSON.stringify(text));
    }
  });
}

/** @type {[string, string, (copy: string) => void, RegExp][]} */
const damages = [
  ['an unknown family', 'config.json', (file) => edit(file, (c) => (c.model_type = 'bert')), /^error: unsupported: config\.json: model_type is "bert"/],
  ['an unknown activation', 'config.json', (file) => edit(file, (c) => (c.hidden_act = 'relu')), /^error: unsupported: config\.json: hidden_act is "relu"/],
  ['an unknown pattern', 'tokenizer.json', (file) => edit(file, (t) => (t.pre_tokenizer.pretokenizers[0].pattern.Regex += '|x')), /none that is known/],
  ['a missing shard', 'model-00001-of', (file) => rmSync(file), /^error: not_found: model-00001-of/],
  ['a cut shard', 'model-00002-of', (file) => writeFileSync(file, readFileSync(file).subarray(0, -4)), /^error: bad_file: model-00002-of/],
  ['broken JSON', 'tokenizer.json', (file) => writeFileSync(file, '{'), /^error: bad_file: tokenizer\.json is no JSON/],
];

/** @param {string} file @param {(value: any) => void} change */
function edit(file, change) {
  const value = JSON.parse(readFileSync(file, 'utf8'));
  change(value);
  writeFileSync(file, JSON.stringify(value));
}

/** @param {(copy: string) => void} change @returns {string} a copy of the fixture, changed */
function changedCopy(change) {
  const copy = path.join(folder, 'copy');
  rmSync(copy, { recursive: true, force: true });
  cpSync(source, copy, { recursive: true });
  change(copy);
  return copy;
}

test("a normaliser is NFC where the tokeniser's file says so; an empty list of them (DeepSeek) is none", { skip: missing() || absent }, async () => {
  /** @param {unknown} normalizer */
  const ids = async (normalizer) => {
    const copy = changedCopy((to) => edit(path.join(to, 'tokenizer.json'), (t) => (t.normalizer = normalizer)));
    const { out, status, stderr } = convert(copy, 'normalised.gguf');
    assert.equal(status, 0, stderr);
    return (await json(['tokenize', '-m', out], { input: 'cafe\u0301' })).ids;
  };
  const none = await ids(null);
  assert.deepEqual(await ids({ type: 'Sequence', normalizers: [] }), none);
  assert.notDeepEqual(await ids({ type: 'Sequence', normalizers: [{ type: 'NFC' }] }), none);
});

test("fields that a config.json leaves out are those of the family's configuration class", { skip: missing() || absent }, async () => {
  const copy = changedCopy((to) =>
    edit(path.join(to, 'config.json'), (c) => {
      c.model_type = 'smollm3';
      for (const field of ['rope_theta', 'rope_scaling', 'rope_parameters']) delete c[field];
    }),
  );
  const { out, status, stderr } = convert(copy, 'defaults.gguf');
  assert.equal(status, 0, stderr);
  const { metadata } = await json(['inspect', '-m', out]);
  assert.equal(metadata['smollm3.rope.freq_base'], 2e6);
});

for (const [what, name, damage, message] of damages) {
  test(`${what} is refused in one line and leaves no file`, { skip: absent }, () => {
    const copy = changedCopy((to) => damage(path.join(to, readdirSync(to).find((file) => file.startsWith(name)) ?? name)));
    const { out, status, stderr } = convert(copy, 'refused.gguf');
    assert.equal(status, 1, stderr);
    assert.match(stderr, message);
    assert.equal(stderr.trim().split('\n').length, 1);
    assert.ok(!existsSync(out) && !existsSync(`${out}.part`));
  });
}

test('a Python without the packages is an error in one line that says how to get them', () => {
  const args = ['-S', path.join(root, 'scripts/convert.py'), source, 'x.gguf']; // -S: without what was installed
  const { status, stderr } = spawnSync(python, args, { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /^error: not_found: .* has no package gguf; make one that has it: python3 -m venv VENV .*\n$/);
});

test('bad usage ends with 2', { skip: absent }, () => {
  assert.equal(convert(source, 'x.gguf', '--type', 'q4_0').status, 2);
  assert.equal(convert(source, 'x.gguf', '--nonsense').status, 2);
});

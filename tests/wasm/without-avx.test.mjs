// The same bits on an x86-64 without AVX, where V8 translates relaxed dots in another way (and in 13.6 some of them wrongly).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { cli, formatsModel, inRepository, runCli, skipReason, tinyModel } from './support.mjs';

const program = inRepository('tests/wasm/logits-hash.mjs');
const ids = Array.from({ length: 40 }, (_, i) => 3 + ((37 * i) % 200));

const skip =
  process.arch === 'x64'
    ? skipReason({ variant: 'relaxed', files: [cli, tinyModel, formatsModel] })
    : `${process.arch} has no AVX to be switched off`;
for (const file of [tinyModel, formatsModel]) {
  test(`${file.split('/').at(-1)} without AVX`, { skip }, () => {
    const { hash } = runCli('logits', '-m', file, '--tokens', ids.join(','), '--top', '0');
    const args = ['--no-enable-avx', program, file, JSON.stringify(ids)];
    assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 }), hash);
  });
}

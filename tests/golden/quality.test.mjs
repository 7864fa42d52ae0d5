// Measures what 8-bit activations cost: KL divergence from the float32 oracle over 1,024 positions of a real text (README.md here).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  createReadStream,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { json, missing, modelPath } from './cli.mjs';

// What llama.cpp's own arithmetic with its f16 cache has on the same text.
const bounds = { 'smollm2-135m-instruct-q4_1': 0.003, 'gemma-3-270m-q4_k_m': 0.0046 };

/** @typedef {{nll: number, rest: number, ids: Uint32Array, logprobs: Float64Array}} Position */

/** Reads a .quality file; the layout is in README.md. @param {string} file */
function readGolden(file) {
  const data = readFileSync(file);
  assert.equal(data.toString('latin1', 0, 8), 'TSRAQUAL');
  const [vocab, chunks, tokens] = [8, 12, 16].map((at) => data.readUInt32LE(at));
  const ids = Array.from({ length: chunks }, (_, c) =>
    Array.from({ length: tokens }, (_, i) => data.readUInt32LE(20 + 4 * (c * tokens + i))),
  );
  const pages = Math.ceil(vocab / 65536);
  /** @type {Position[]} */
  const positions = [];
  for (let at = 20 + 4 * chunks * tokens; at < data.length;) {
    const [nll, rest] = [data.readFloatLE(at), data.readFloatLE(at + 4)];
    const counts = Array.from({ length: pages }, (_, p) => data.readUInt16LE(at + 8 + 2 * p));
    const page = counts.flatMap((count, p) => Array(count).fill(p * 65536));
    const low = at + 8 + 2 * pages;
    const codes = low + 2 * page.length;
    positions.push({
      nll,
      rest,
      ids: Uint32Array.from(page, (base, i) => base + data.readUInt16LE(low + 2 * i)),
      logprobs: Float64Array.from(page, (_, i) => -32 * (data.readUInt16LE(codes + 2 * i) / 65535) ** 2),
    });
    at = codes + 2 * page.length;
  }
  return { vocab, tokens, ids, positions };
}

/** log-softmax's normaliser and the best id. @param {Float32Array} logits */
function summarise(logits) {
  let best = 0;
  for (let i = 1; i < logits.length; ++i) if (logits[i] > logits[best]) best = i;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - logits[best]);
  return { best, normaliser: logits[best] + Math.log(sum) };
}

/** KL(golden || ours), all unlisted tokens as one bucket: a lower bound. @param {Position} golden @param {Float32Array} logits @param {number} normaliser */
function divergence(golden, logits, normaliser) {
  let kl = 0;
  let listed = 0;
  golden.ids.forEach((id, i) => {
    const ours = logits[id] - normaliser;
    listed += Math.exp(ours);
    kl += Math.exp(golden.logprobs[i]) * (golden.logprobs[i] - ours);
  });
  return kl + Math.exp(golden.rest) * (golden.rest - Math.log(Math.max(1 - listed, 1e-30)));
}

/** Calls `each` with the logits of every position, as `tessera logits` dumps them. @param {string} model @param {string} idsFile @param {number} vocab @param {(position: number, logits: Float32Array) => void} each */
async function forEachPosition(model, idsFile, vocab, each) {
  const row = new Float32Array(vocab);
  const bytes = new Uint8Array(row.buffer);
  let filled = 0;
  let position = 0;
  /** @param {string | Buffer} data a Buffer, as no encoding is set */
  const onDump = (data) => {
    const chunk = /** @type {Buffer} */ (data);
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + bytes.length - filled);
      bytes.set(part, filled);
      at += part.length;
      filled += part.length;
      if (filled === bytes.length) {
        each(position++, row);
        filled = 0;
      }
    }
  };
  // A named pipe instead of a file: a chunk of Gemma's logits is half a gigabyte.
  const pipe = `${idsFile}.pipe`;
  execFileSync('mkfifo', [pipe]);
  const stream = createReadStream(pipe, { highWaterMark: 1 << 20 }).on('data', onDump);
  const read = once(stream, 'end');
  try {
    await json(['logits', '-m', model, '--tokens', `@${idsFile}`, '--top', '0', '--dump', pipe]);
    await read;
  } finally {
    closeSync(openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK)); // wakes the reader if nobody ever wrote
    stream.destroy();
  }
}

for (const [name, bound] of Object.entries(bounds)) {
  const model = modelPath(name);
  test(`${name}: KL divergence from the float32 oracle`, { skip: missing(model) }, async (t) => {
    const golden = readGolden(new URL(`${name}.quality`, import.meta.url).pathname);
    const folder = mkdtempSync(path.join(tmpdir(), 'tessera-quality-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const half = golden.tokens / 2;
    let [kl, worst, same, nll, oracleNll, predicted, seen] = [0, 0, 0, 0, 0, 0, 0];
    for (const [c, ids] of golden.ids.entries()) {
      const idsFile = path.join(folder, `${c}.txt`);
      writeFileSync(idsFile, ids.join(','));
      await forEachPosition(model, idsFile, golden.vocab, (position, logits) => {
        if (position < half) return;
        const expected = golden.positions[c * half + position - half];
        const { best, normaliser } = summarise(logits);
        const here = divergence(expected, logits, normaliser);
        kl += here;
        worst = Math.max(worst, here);
        same += Number(best === expected.ids[expected.logprobs.indexOf(Math.max(...expected.logprobs))]);
        ++seen;
        if (position + 1 < ids.length) {
          nll += normaliser - logits[ids[position + 1]];
          oracleNll += expected.nll;
          ++predicted;
        }
      });
    }
    assert.equal(seen, golden.positions.length);
    assert.ok(seen >= 1000);
    const meanKl = kl / seen;
    const difference = Math.abs(nll - oracleNll) / predicted;
    t.diagnostic(
      `${seen} positions: mean KL ${meanKl.toFixed(5)}, largest ${worst.toFixed(4)}, ` +
        `same top token ${((100 * same) / seen).toFixed(2)} %, mean_nll differs by ${difference.toFixed(5)}`,
    );
    assert.ok(meanKl <= bound, `mean KL ${meanKl}, at most ${bound}`);
    assert.ok(same / seen >= 0.95, `same top token in ${same} of ${seen}`);
    assert.ok(difference <= 0.02, `mean_nll differs by ${difference}`);
  });
}

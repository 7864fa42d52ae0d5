// The tiny models against the float32 oracle (scripts/oracle.py tiny): every tensor format of them in a forward pass.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { json, root } from './cli.mjs';

// What 8-bit activations cost these small, random models: log-probabilities of the oracle's top ten, the largest difference with a cache in
// f32, and the root of the mean square with the default one. (The largest of 480 is no measure of a cache: f16 makes it larger than 16-bit codes do.)
const bounds = {
  'tiny-llama': { largest: 0.15, rms: 0.028 },
  'tiny-gemma3': { largest: 0.35, rms: 0.09 },
  'tiny-formats': { largest: 0.15, rms: 0.026 },
};

/** @param {string} name @param {string[]} options @returns {Promise<number[]>} the differences from the oracle */
async function differences(name, options) {
  const { ids, positions } = JSON.parse(readFileSync(path.join(root, `tests/golden/${name}.json`), 'utf8')).logits;
  const model = path.join(root, `tests/data/${name}.gguf`);
  const found = await json(['logits', '-m', model, '--tokens', ids.join(','), '--top', '200', ...options]);
  return positions.flatMap((/** @type {{top: [number, number][]}} */ { top }, /** @type {number} */ i) => {
    const ours = new Map(found.positions[i].top);
    return top.map(([id, logprob]) => Math.abs((ours.get(id) ?? -Infinity) - logprob));
  });
}

for (const [name, bound] of Object.entries(bounds)) {
  test(`${name} predicts what the oracle predicts`, async () => {
    const largest = Math.max(...(await differences(name, ['--kv', 'f32'])));
    assert.ok(largest < bound.largest, `largest difference ${largest}`);
    const own = await differences(name, []);
    const rms = Math.sqrt(own.reduce((sum, x) => sum + x * x, 0) / own.length);
    assert.ok(rms < bound.rms, `root of the mean square ${rms}`);
  });
}

// The tiny models against the float32 oracle (scripts/oracle.py tiny): every tensor format of them in a forward pass.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { json, root } from './cli.mjs';

// Largest difference of a log-probability among the oracle's top ten: what 8-bit activations cost these small, random models.
const bounds = { 'tiny-llama': 0.15, 'tiny-gemma3': 0.35, 'tiny-formats': 0.15 };

for (const [name, bound] of Object.entries(bounds)) {
  test(`${name} predicts what the oracle predicts`, async () => {
    const { ids, positions } = JSON.parse(readFileSync(path.join(root, `tests/golden/${name}.json`), 'utf8')).logits;
    const model = path.join(root, `tests/data/${name}.gguf`);
    const found = await json(['logits', '-m', model, '--tokens', ids.join(','), '--top', '200']);
    let largest = 0;
    for (const [i, { top }] of positions.entries()) {
      const ours = new Map(found.positions[i].top);
      for (const [id, logprob] of top) largest = Math.max(largest, Math.abs((ours.get(id) ?? -Infinity) - logprob));
    }
    assert.ok(largest < bound, `largest difference ${largest}`);
  });
}

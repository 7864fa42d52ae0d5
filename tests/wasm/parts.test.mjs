// Models in parts: where one memory is too small their layers lie in several, and nothing else changes. The real model with a long context
// takes more than the 512 MiB that this node is made to grant.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadInParts } from '../../web/engine/parts.js';
import { createMemory } from '../../web/engine/wasm-memory.js';
import { WasmRuntime } from '../../web/engine/wasm-runtime.js';
import { openFile } from './model-file.mjs';
import {
  cli,
  importVariant,
  inRepository,
  loadFile,
  realModel,
  runCli,
  skipReason,
  tinyModel,
  variants,
} from './support.mjs';

const kGranted = 512 * 2 ** 20;
const long = { contextSize: 8192, kvType: 'f32' };

for (const variant of variants) {
  const skip = skipReason({ variant, files: [realModel, cli] });
  describe(`models in parts, ${variant}`, { skip }, () => {
    const messages = [{ role: /** @type {const} */ ('user'), content: 'What is the capital of France?' }];

    for (const threads of [1, 2]) {
      test(`the same logits and the same answer as natively, ${threads} threads`, { timeout: 120_000 }, async () => {
        /** @type {number[]} */
        const loaded = [];
        const onProgress = (/** @type {any} */ { stage, loadedBytes, totalBytes }) =>
          void (stage === 'load' && loaded.push(loadedBytes / totalBytes));
        const engine = await loadFile(realModel, { variant, threads, ...long, onProgress }, { grantedBytes: kGranted });
        const { parts, memory } = engine.info;
        assert.equal(parts, 2);
        assert.ok(memory.heap <= memory.weights + memory.kv + parts * 64 * 2 ** 20, `${memory.heap} bytes`);
        const whole = runCli('estimate', '-m', realModel, '-c', '8192', '--kv', 'f32');
        assert.equal(memory.kv, whole.kv_bytes);
        assert.deepEqual([...loaded].sort(), loaded);
        assert.equal(loaded.at(-1), 1);

        const ids = await engine.tokenize('The capital of France is Paris, and the capital of Spain is Madrid.');
        const same = runCli('logits', '-m', realModel, '--kv', 'f32', '--tokens', ids.join(','));
        assert.equal((await engine.logits(ids)).hash, same.hash);
        const answer = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 24 });
        const run = ['run', '-m', realModel, '--kv', 'f32', '-p', messages[0].content, '--temp', '0', '-n', '24'];
        assert.deepEqual(answer.tokens, runCli(...run).tokens);
        await engine.dispose();
      });
    }
  });
}

describe('a model in parts', { skip: skipReason({ variant: 'simd128', files: [tinyModel] }) }, () => {
  const model = inRepository('tests/golden/architectures/llama.gguf');
  const lora = inRepository('tests/golden/architectures/llama.lora.gguf');
  const options = { threads: 1, context_size: 0, kv_type: 'f32' };
  const ids = [1, 5, 9, 13];

  /** An engine whose memories hold so many bytes beside what is left for the program. @param {number} bytes */
  async function loadInto(bytes) {
    const factory = await importVariant('simd128');
    let started = 0;
    const start = () => {
      ++started;
      return WasmRuntime.start(factory, 1, { ...createMemory(), maximum: bytes + (64 << 20) });
    };
    const { parts: files, close } = openFile(model);
    const runtime = await start();
    const loading = { files, options, onProgress: () => {}, signal: new AbortController().signal };
    try {
      const { parts } = await loadInParts(runtime, start, loading);
      assert.equal(started, parts);
      return { runtime, parts };
    } finally {
      await close();
    }
  }

  test('adapters work in all parts, and go again', async () => {
    const results = [];
    for (const bytes of [500_000, 400_000]) {
      const { runtime, parts } = await loadInto(bytes);
      const plain = runtime.logits(ids, 1).hash;
      const adapter = openFile(lora);
      runtime.setAdapters([{ ...adapter, scale: 0.5 }]);
      const changed = runtime.logits(ids, 1).hash;
      assert.throws(() => runtime.setAdapters([{ ...openFile(model), scale: 1 }]), /lora\[0\]/);
      assert.equal(runtime.logits(ids, 1).hash, changed);
      runtime.setAdapters([]);
      assert.equal(runtime.logits(ids, 1).hash, plain);
      results.push({ parts, plain, changed });
      await adapter.close();
      runtime.dispose();
    }
    const [whole, cut] = results;
    assert.deepEqual([whole.parts, cut.parts], [1, 2]);
    assert.notEqual(whole.plain, whole.changed);
    assert.deepEqual({ ...cut, parts: 1 }, whole);
  });

  test('what no number of memories holds is refused with numbers', async () => {
    await assert.rejects(loadInto(290_000), { code: 'out_of_memory', message: /which do not fit 8 memories of/ });
  });
});

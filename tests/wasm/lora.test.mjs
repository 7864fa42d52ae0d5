// LoRA adapters in each variant that this node can run: the bits of `tessera --lora`, and the base's again once they are taken off.
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { cli, inRepository, loadFile, runCli, skipReason, tinyModel, variants } from './support.mjs';

const base = inRepository('tests/golden/architectures/llama.gguf');
const adapter = inRepository('tests/golden/architectures/llama.lora.gguf');
const source = pathToFileURL(adapter).href;
const ids = Array.from({ length: 40 }, (_, index) => (index * 37 + 5) % 96);

/** The hash of `tessera logits`. @param {string[]} lora arguments of --lora */
function nativeHash(...lora) {
  const options = ['-m', base, '-t', '2', '--tokens', ids.join(','), ...lora.flatMap((text) => ['--lora', text])];
  return runCli('logits', ...options).hash;
}

for (const variant of variants) {
  describe(`tessera-${variant}, adapters`, { skip: skipReason({ variant, files: [base, adapter, cli] }) }, () => {
    /** @type {Awaited<ReturnType<typeof loadFile>>} */
    let engine;
    const hash = async () => (await engine.logits(ids)).hash;
    before(async () => {
      engine = await loadFile(base, { variant, threads: 2 });
    });
    after(() => engine?.dispose());

    test('they come, change and go with the bits of the command line', async () => {
      const plain = nativeHash();
      assert.equal(await hash(), plain);
      await engine.setLora(source);
      assert.equal(await hash(), nativeHash(adapter));
      assert.notEqual(await hash(), plain);
      await engine.setLora([
        { source, scale: 0.5 },
        { source, scale: -2 },
      ]);
      assert.equal(await hash(), nativeHash(`${adapter}:0.5`, `${adapter}:-2`));
      await engine.setLora([]);
      assert.equal(await hash(), plain);
    });

    test('an engine can begin with one, and says how far it is', async () => {
      /** @type {string[]} */
      const stages = [];
      const onProgress = (/** @type {any} */ { stage }) => stages.push(stage);
      const other = await loadFile(base, { variant, threads: 1, lora: { source, scale: 2 }, onProgress });
      assert.equal((await other.logits(ids)).hash, nativeHash(`${adapter}:2`));
      assert.equal(stages.at(-1), 'warmup');
      await other.dispose();
    });

    test('an answer after a change does not reuse what the old model computed', async () => {
      const request = { prompt: 'ab', temperature: 0, max_tokens: 4 };
      const first = await engine.completions.create(request);
      await engine.setLora({ source, scale: 3 });
      const adapted = await engine.completions.create(request);
      assert.equal(adapted.usage.prompt_tokens_details.cached_tokens, 0);
      await engine.setLora([]);
      assert.deepEqual((await engine.completions.create(request)).tokens, first.tokens);
    });

    test('what does not fit is refused by name, and all stays as it was', async () => {
      await engine.setLora(source);
      const adapted = await hash();
      const lora = [source, pathToFileURL(tinyModel).href];
      await assert.rejects(engine.setLora(lora), { code: 'not_found', message: /^lora\[1\]: .*general\.type/ });
      await assert.rejects(engine.setLora('absent.gguf'), { code: 'not_found', message: /absent\.gguf/ });
      await assert.rejects(engine.setLora(Array(9).fill(source)), { code: 'invalid_argument', message: /8/ });
      await assert.rejects(engine.setLora(source, { signal: AbortSignal.abort() }), { code: 'aborted' });
      assert.equal(await hash(), adapted);
      await engine.setLora([]);
    });

    test('an adapter of another model names the first tensor that does not fit', async () => {
      const refused = { code: 'bad_file', message: /^lora\[0\]: tensor blk\.0\.\S+\.lora_[ab] has / };
      const other = await loadFile(tinyModel, { variant, threads: 1 });
      await assert.rejects(other.setLora(source), refused);
      await other.dispose();
      await assert.rejects(loadFile(tinyModel, { variant, threads: 1, lora: source }), refused);
    });
  });
}

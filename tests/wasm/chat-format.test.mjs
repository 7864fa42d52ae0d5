// How conversations become prompts and answers come apart: chat templates of the file, built in and given, and what a model thinks.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { kBuiltIn } from '../../web/page/chat-template.js';
import { inRepository, loadFile, skipReason, thinkingModel, tinyModel, variants } from './support.mjs';

const bare = inRepository('tests/golden/architectures/llama.gguf'); // has no chat template
const thought = 'Someone greets me; a greeting is the right answer.';
const answer = 'Hello, friend!';
const messages = [{ role: 'user', content: 'Hi' }];
const greedy = { messages, temperature: 0, max_tokens: 40 };
/** A template that shows whether it is in use: its prompts are this long. */
const short = '{{ messages[0].content }}';
/** Has `fro` for `for`. */
const broken = join(mkdtempSync(join(tmpdir(), 'tessera-')), 'broken.gguf');
writeFileSync(broken, readFileSync(thinkingModel, 'latin1').replace('{% for message', '{% fro message'), 'latin1');
after(() => rmSync(join(broken, '..'), { recursive: true }));

for (const variant of variants) {
  const skip = skipReason({ variant, files: [bare, thinkingModel] });
  describe(`tessera-${variant}, thinking`, { skip }, () => {
    /** @type {Awaited<ReturnType<typeof loadFile>>} */
    let engine;
    before(async () => {
      engine = await loadFile(thinkingModel, { variant, threads: 1 });
    });
    after(() => engine?.dispose());

    test('comes apart from the answer', async () => {
      const { choices } = await engine.chat.completions.create(greedy);
      assert.deepEqual(choices[0].message, { role: 'assistant', content: answer, reasoning_content: thought });
      const raw = await engine.completions.create({
        prompt: '<|im_start|>assistant\n',
        temperature: 0,
        max_tokens: 40,
      });
      assert.equal(raw.choices[0].text, `<think>${thought}</think>\n\n${answer}`, 'a raw completion is left alone');
    });

    test('streams first, and no tag is seen', async () => {
      const stream = await engine.chat.completions.create({ ...greedy, stream: true });
      /** @type {any[]} */
      const deltas = [];
      for await (const { choices } of stream) deltas.push(choices[0].delta);
      const begun = deltas.findIndex(({ content }) => content);
      assert.equal(
        deltas
          .slice(0, begun)
          .map((delta) => delta.reasoning_content ?? '')
          .join(''),
        thought,
      );
      assert.equal(
        deltas
          .slice(begun)
          .map((delta) => delta.content ?? '')
          .join(''),
        answer,
      );
      assert.ok(deltas.slice(begun).every((delta) => delta.reasoning_content === undefined));
      assert.ok(begun > 10, 'piece by piece');
    });

    test('is there when the answer is cut before its end', async () => {
      const cut = await engine.chat.completions.create({ ...greedy, max_tokens: 5 });
      assert.deepEqual(cut.choices[0].message, {
        role: 'assistant',
        content: '',
        reasoning_content: 'Someone greets me;',
      });
    });

    test('is absent where nothing was thought', async () => {
      const other = await loadFile(tinyModel, { variant, threads: 1 });
      const { choices } = await other.chat.completions.create(greedy);
      assert.deepEqual(choices[0].message, { role: 'assistant', content: 'Hello! I am a tiny model.' });
      await other.dispose();
    });

    test('of earlier turns reaches the templates that want it', async () => {
      const turns = (/** @type {object} */ extra) => [
        ...messages,
        { role: 'assistant', content: answer, ...extra },
        ...messages,
      ];
      const size = async (/** @type {object} */ request) => {
        const { usage } = await engine.chat.completions.create({ ...greedy, max_tokens: 1, ...request });
        return usage.prompt_tokens;
      };
      const plain = await size({ messages: turns({}) });
      assert.ok((await size({ messages: turns({ reasoning_content: thought }) })) > plain + 5);
      assert.equal(
        await size({ messages: turns({ reasoning_content: thought }), chat_template: 'chatml' }),
        await size({ messages: turns({}), chat_template: 'chatml' }),
      );
    });
  });

  describe(`tessera-${variant}, chat templates`, { skip }, () => {
    /** @type {Awaited<ReturnType<typeof loadFile>>} */
    let engine;
    const size = async (/** @type {object} */ request) =>
      (await engine.chat.completions.create({ messages, max_tokens: 0, ...request })).usage.prompt_tokens;
    before(async () => {
      engine = await loadFile(broken, { variant, threads: 1 });
    });
    after(() => engine?.dispose());

    test('a file without one says so, and every built-in one stands in', async () => {
      const other = await loadFile(bare, { variant, threads: 1 });
      assert.equal(other.info.chatTemplate, false);
      const refused = { code: 'unsupported', message: /no chat template/ };
      await assert.rejects(other.chat.completions.create(greedy), refused);
      await other.dispose();
      const sizes = new Set();
      for (const [name] of kBuiltIn) sizes.add(await size({ chat_template: name }));
      assert.ok(sizes.size > 3, `prompts of ${[...sizes]} tokens`);
    });

    test('an unknown name lists the names, which are those of the page', async () => {
      await assert.rejects(size({ chat_template: 'chatlm' }), (/** @type {any} */ error) => {
        assert.equal(error.code, 'invalid_argument');
        assert.match(error.message, /^chat_template: .*'chatlm'/);
        const names = /expected one of (.*), or a Jinja template/.exec(error.hint)?.[1].split(', ');
        assert.deepEqual(names?.sort(), kBuiltIn.map(([name]) => name).sort());
        return true;
      });
      const loading = loadFile(broken, { variant, threads: 1, chatTemplate: 'chatlm' });
      await assert.rejects(loading, { code: 'invalid_argument', message: /^chatTemplate: .*'chatlm'/ });
    });

    test('one of the caller’s own is taken for a request or for good; one that does not parse names the place', async () => {
      assert.ok((await size({ chat_template: short })) < (await size({ chat_template: 'chatml' })));
      const wrong = { code: 'template', message: /chat_template: .*line 2.*column/ };
      await assert.rejects(size({ chat_template: 'a\n{% fro x in y %}' }), wrong);
      const other = await loadFile(broken, { variant, threads: 1, chatTemplate: short });
      assert.equal(other.info.chatTemplateError, '');
      const { usage } = await other.chat.completions.create({ messages, max_tokens: 0 });
      assert.equal(usage.prompt_tokens, await size({ chat_template: short }));
      await other.dispose();
    });

    test('a damaged one does not keep the model from loading, and is named with its place', async () => {
      assert.match(engine.info.chatTemplateError, /line 1.*column/);
      await assert.rejects(engine.chat.completions.create(greedy), { code: 'template', message: /line 1/ });
      const { choices } = await engine.chat.completions.create({ ...greedy, chat_template: 'chatml' });
      assert.equal(choices[0].message.content, answer);
    });
  });
}

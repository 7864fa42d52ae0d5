// Drives the command line as a user does, on the tiny models: outputs, exit codes, and one clear error for every kind of bad input.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import { json, missing, modelPath, program, realModels, root, tessera, tinyGemma, tinyLlama } from './cli.mjs';

const skip = missing();
const folder = mkdtempSync(path.join(tmpdir(), 'tessera-cli-'));
after(() => rmSync(folder, { recursive: true }));

/** Writes a file into the test's folder. @param {string} name @param {string | Buffer} content */
function file(name, content) {
  const full = path.join(folder, name);
  writeFileSync(full, content);
  return full;
}

/** Expects exit code 1 and `error: CODE: …` that matches. @param {string[]} args @param {string} code @param {RegExp} message @param {string} [input] */
async function fails(args, code, message, input) {
  const result = await tessera(args, { input, timeoutMs: 60_000 });
  assert.equal(result.code, 1, `${args.join(' ')}: ${result.signal ?? ''} ${result.stderr}`);
  assert.match(result.stderr, new RegExp(`^error: ${code}: `, 'm'));
  assert.match(result.stderr, message);
  assert.equal(result.stdout, '');
}

/** Runs a line of shell, in it `tessera` is the program and $1 the tiny model. @param {string} line */
function shell(line) {
  const script = `tessera() { "$0" "$@"; }; ${line}`;
  return spawnSync('sh', ['-c', script, program, tinyLlama], { cwd: folder, encoding: 'utf8', timeout: 60_000 });
}

const run = ['run', '-m', tinyLlama, '--temp', '0'];

test('run answers, with exactly one JSON object', { skip }, async () => {
  const plain = await tessera([...run, '-p', 'Who is there?']);
  assert.equal(plain.stdout, 'Hello! I am a tiny model.\n');
  assert.equal(plain.stderr, '');
  const answer = await json(run, { input: 'Who is there?\n' });
  assert.equal(answer.text, 'Hello! I am a tiny model.');
  assert.equal(answer.tokens.length, 8);
  assert.equal(answer.finish_reason, 'stop');
  assert.deepEqual(Object.keys(answer.timings), ['load_ms', 'prefill_ms', 'prefill_tps', 'decode_tps']);
  assert.equal((await json([...run, '-p', 'x', '-n', '2'])).finish_reason, 'length');
  assert.equal((await json([...run, '-p', 'x', '--stop', '[a,b]', '--stop', 'tiny'])).text, 'Hello! I am a ');
  assert.equal((await json([...run, '-p', 'x', '--logit-bias', '0:-100', '--system', '-n'])).finish_reason, 'stop');
});

test('run gives the same tokens for the same seed', { skip }, async () => {
  const drawn = async (/** @type {string} */ seed) =>
    (await json(['run', '-m', tinyGemma, '-p', 'Hello', '--temp', '2', '-n', '12', '--top-p', '1', '--seed', seed]))
      .tokens;
  assert.deepEqual(await drawn('7'), await drawn('7'));
  assert.notDeepEqual(await drawn('7'), await drawn('8'));
});

test('chat keeps the conversation, saves it and never overwrites a file', { skip }, async () => {
  const saved = path.join(folder, 'talk.json');
  const markdown = file('mine.md', 'precious');
  const input = `Hi\n/save ${saved}\nAgain\n/save ${saved}\n/save ${markdown}\n/regen\n/stats\n/nonsense\n/reset\n/help\n/quit\n`;
  const chat = await tessera(['chat', '-m', tinyLlama, '--temp', '0', '--system', 'Be brief.'], { input });
  assert.equal(chat.code, 0, chat.stderr);
  assert.equal(chat.stdout.match(/Hello! I am a tiny model\./g)?.length, 3);
  assert.match(chat.stdout, /unknown command \/nonsense/);
  assert.match(chat.stderr, /^error: invalid_argument: .*mine\.md exists already/m);
  assert.equal(readFileSync(markdown, 'utf8'), 'precious');
  const roles = JSON.parse(readFileSync(saved, 'utf8')).messages.map((/** @type {{role: string}} */ { role }) => role);
  assert.deepEqual(roles, ['system', 'user', 'assistant', 'user', 'assistant']);
});

test('a model that thinks: run keeps its text as it is unless asked, chat tells the two apart', { skip }, async () => {
  const thinker = path.join(root, 'tests/data/tiny-thinker.gguf');
  const [thought, answer] = ['Someone greets me; a greeting is the right answer.', 'Hello, friend!'];
  const run = ['run', '-m', thinker, '-p', 'Hi', '--temp', '0'];
  const whole = await json(run);
  assert.equal(whole.text, `<think>${thought}</think>\n\n${answer}`);
  assert.ok(!('reasoning' in whole));
  const apart = await json([...run, '--split-reasoning']);
  assert.deepEqual([apart.text, apart.reasoning], [answer, thought]);
  const shown = `(thinking)\n${thought}\n(answer)\n${answer}\n`;
  assert.equal((await tessera([...run, '--split-reasoning'])).stdout, shown);
  const raw = await tessera([...run, '--split-reasoning', '--raw']);
  assert.match(raw.stderr, /^error: invalid_argument: --raw does not go with .*--split-reasoning/);
  assert.equal((await tessera(['chat', '-m', thinker, '--temp', '0'], { input: 'Hi\n' })).stdout, shown);
});

const smol = modelPath(realModels[0]);
test('chat takes a message back that was stopped before its answer began', { skip: missing(smol) }, async () => {
  const saved = path.join(folder, 'stopped.json');
  const child = spawn(program, ['chat', '-m', smol, '-t', '1', '-c', '4096', '--system', 'Be brief.', '-n', '1']);
  const ended = new Promise((done) => child.on('close', done));
  let stdout = '';
  child.stdout.on('data', (text) => (stdout += text));
  child.stdin.write(`/reset\n${'all work and no play '.repeat(600)}\n`);
  while (!stdout.includes('new conversation')) await new Promise((next) => setTimeout(next, 20));
  await new Promise((next) => setTimeout(next, 1500)); // the prompt takes longer
  child.kill('SIGINT');
  child.stdin.end(`/save ${saved}\n/stats\n`);
  assert.equal(await ended, 0);
  assert.match(stdout, /\(stopped\)\n\(stopped before the answer began: your message was not added\)\n/);
  assert.deepEqual(JSON.parse(readFileSync(saved, 'utf8')).messages, [{ role: 'system', content: 'Be brief.' }]);
});

test('chat explains a full context and loses nothing', { skip }, async () => {
  const saved = path.join(folder, 'kept.md');
  const input = `Hi\n${'long '.repeat(60)}\n/save ${saved}\n`;
  const chat = await tessera(['chat', '-m', tinyLlama, '--temp', '0', '-c', '64'], { input });
  assert.equal(chat.code, 0);
  assert.match(chat.stderr, /^error: context_full: .*\b64\b/m);
  assert.match(chat.stderr, /Nothing is lost/);
  assert.match(readFileSync(saved, 'utf8'), /## user\n\nHi\n\n## assistant\n\nHello! I am a tiny model\.\n$/);
});

test('tokenize and render need no weights', { skip }, async () => {
  assert.equal((await json(['tokenize', '-m', tinyGemma, '--bos'], { input: '' })).ids[0], 2);
  const { ids } = await json(['tokenize', '-m', tinyLlama, '--special'], { input: '<|im_start|>Hello' });
  assert.equal(ids[0], 1);
  const decoded = await tessera(['tokenize', '-m', tinyLlama, '--decode', '--special'], { input: JSON.stringify(ids) });
  assert.equal(decoded.stdout, '<|im_start|>Hello');
  const context = file('context.json', JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], mood: 'fine' }));
  const template = file('t.jinja', '{{ messages[0].content }} {{ mood }} {{ strftime_now("%Y") }}');
  assert.equal(
    (await json(['render', '--template', template, '--context', context, '--now', '2026-11-22T12:00:00'])).text,
    'Hi fine 2026',
  );
  assert.match((await json(['render', '-m', tinyGemma, '--context', context])).text, /^<bos><start_of_turn>user\nHi/);
});

test('logits, perplexity, bench and inspect have their documented shapes', { skip }, async () => {
  const ids = file('ids.txt', '5, 6\n7');
  const logits = await json(['logits', '-m', tinyLlama, '--tokens', `@${ids}`, '--top', '3']);
  assert.deepEqual(Object.keys(logits), ['positions', 'hash']);
  assert.equal(logits.positions.length, 3);
  assert.equal(logits.positions[0].top.length, 3);
  assert.match(logits.hash, /^[0-9a-f]{64}$/);
  const text = file('text.txt', 'the tiny model and the '.repeat(20));
  const perplexity = await json(['perplexity', '-m', tinyLlama, '-f', text, '--chunk', '32']);
  assert.ok(Math.abs(Math.exp(perplexity.mean_nll) - perplexity.perplexity) < 1e-6 * perplexity.perplexity);
  const bench = await json(['bench', '-m', tinyLlama, '-p', '20', '-n', '3', '-d', '4', '-r', '2', '-t', '1']);
  assert.equal(bench.prefill.tps.length, 2);
  assert.deepEqual({ ...bench.decode, tps: bench.decode.tps.length }, { tokens: 3, depth: 4, tps: 2 });
  assert.equal(bench.threads, 1);
  assert.ok(bench.peak_bytes > 1e6);
  const inspected = await json(['inspect', '-m', tinyGemma]);
  assert.equal(inspected.architecture, 'gemma3');
  assert.ok(inspected.tensors.length > 50);
  assert.match((await tessera(['inspect', '-m', tinyGemma])).stdout, /token_embd\.weight/);
});

test('bench, perplexity and imatrix fit a model with a small context', { skip }, async () => {
  const text = file('small.txt', 'the tiny model and the '.repeat(80));
  const measured = await json(['bench', '-m', tinyLlama, '-r', '1']);
  assert.deepEqual([measured.prefill.tokens, measured.decode.tokens], [256, 64]);
  assert.equal((await json(['bench', '-m', tinyLlama, '-r', '1', '-c', '40'])).decode.tokens, 40);
  assert.equal((await json(['bench', '-m', tinyLlama, '-r', '1', '-d', '200'])).decode.tokens, 56);
  await fails(['bench', '-m', tinyLlama, '-p', '512'], 'context_full', /needs 512 tokens.* 256/);
  const long = ['-p', '1', '-n', '10', '-d', '2147483647'];
  await fails(['bench', '-m', tinyLlama, ...long], 'context_full', /needs 2147483657 tokens/);
  const perplexity = ['perplexity', '-m', tinyLlama, '-f', text];
  const small = await json([...perplexity, '-c', '32']);
  assert.deepEqual(small, await json([...perplexity, '--chunk', '32']));
  assert.deepEqual(await json(perplexity), await json([...perplexity, '--chunk', '256']));
  await fails([...perplexity, '--chunk', '64', '-c', '32'], 'invalid_argument', /--chunk is 64, .* 32 tokens/);
  await fails([...perplexity, '--chunk', '512'], 'invalid_argument', /--chunk is 512, .* 256 tokens/);
  const out = path.join(folder, 'small.imatrix.gguf');
  assert.ok((await json(['imatrix', '-m', tinyLlama, '-f', text, '-o', out])).chunks > 0);
});

test('estimate of what this version does not run gives the reasons, no sizes', { skip }, async () => {
  const foreign = Buffer.from(readFileSync(tinyLlama));
  const value = foreign.indexOf('general.architecture') + 'general.architecture'.length + 4 + 8;
  assert.equal(foreign.toString('latin1', value, value + 5), 'llama');
  foreign.write('rwkv7', value);
  const model = file('foreign.gguf', foreign);
  const estimate = await json(['estimate', '-m', model]);
  assert.deepEqual([estimate.fits_wasm32, estimate.parts, estimate.unsupported.length], [false, 0, 1]);
  assert.match((await tessera(['estimate', '-m', model])).stdout, /^unsupported: [^\n]*rwkv7[^\n]*\n$/);
});

const gemma = modelPath(realModels[1]);
test('memory stays near the estimate: the mapped file is given back', { skip: missing(gemma) }, async () => {
  const { total_bytes: total } = await json(['estimate', '-m', gemma, '-c', '1024']);
  // Read in one go, a file lies in the page cache in large pages, and to touch a byte maps all of its page.
  spawnSync('dd', [`if=${gemma}`, 'iflag=nocache', 'count=0', 'status=none']);
  readFileSync(gemma);
  const { peak_bytes: peak } = await json(['bench', '-m', gemma, '-c', '1024', '-p', '32', '-n', '2', '-r', '1']);
  // Beside it there are the vocabulary of 262,144 tokens and the program; the file has 253 MB.
  assert.ok(Math.abs(peak - total) < 32e6, `${peak} bytes at the peak, ${total} estimated`);
});

test('the peak is of the program, not of the one that started it', { skip }, async () => {
  const large = Buffer.alloc(300e6, 1);
  const { peak_bytes: peak } = await json(['bench', '-m', tinyLlama, '-p', '8', '-n', '2', '-d', '0', '-r', '1']);
  assert.ok(peak > 1e6 && peak < large.length / 2, `${peak} bytes at the peak`);
});

test('split makes shards that run as the original', { skip }, async () => {
  const shards = path.join(folder, 'shards');
  const manifest = await json(['split', '-m', tinyLlama, '--shard-size', '100k', shards]);
  assert.equal(readdirSync(shards).length, manifest.shards.length + 1);
  const hash = async (/** @type {string} */ model) => (await json(['logits', '-m', model, '--tokens', '1,2,3'])).hash;
  assert.equal(await hash(path.join(shards, 'manifest.json')), await hash(tinyLlama));
  writeFileSync(path.join(shards, manifest.shards[1].path), 'short');
  await fails(['inspect', '-m', path.join(shards, 'manifest.json')], 'bad_file', /shards\[1\]/);
  const outside = file(
    'manifest.json',
    JSON.stringify({ ...manifest, shards: [{ path: '../x', offset: 0, bytes: 1 }] }),
  );
  await fails(['inspect', '-m', outside], 'bad_file', /below the manifest's folder/);
});

test('a split that fails in a folder with older shards leaves no manifest', { skip }, async () => {
  const shards = path.join(folder, 'older');
  const { shards: list } = await json(['split', '-m', tinyGemma, '--shard-size', '100k', shards]);
  const last = path.join(shards, list[list.length - 1].path);
  rmSync(last);
  mkdirSync(last);
  await fails(['split', '-m', tinyGemma, '--shard-size', '100k', shards], 'io', /cannot write/);
  assert.ok(!existsSync(path.join(shards, 'manifest.json')));
});

test('no command writes over a file that it reads', { skip }, async () => {
  const model = file('read.gguf', readFileSync(tinyLlama));
  const adapter = path.join(root, 'tests/golden/architectures/llama.lora.gguf');
  const copied = file('adapter.gguf', readFileSync(adapter));
  const text = file('read.txt', 'the tiny model and the '.repeat(20));
  const imatrix = ['imatrix', '-m', model, '-f', text, '--chunk', '32', '-o'];
  for (const name of [model, text]) await fails([...imatrix, name], 'invalid_argument', /over .*read\./);
  const logits = ['logits', '-m', model, '--tokens', '1,2', '--lora', `${copied}:0.5`, '--dump'];
  for (const name of [model, copied]) await fails([...logits, name], 'invalid_argument', /over .*gguf/);
  const ids = file('read-ids.txt', '1,2');
  await fails(['logits', '-m', model, '--tokens', `@${ids}`, '--dump', ids], 'invalid_argument', /over .*read-ids\.txt/);
  assert.equal(readFileSync(ids, 'utf8'), '1,2');
  const shards = path.join(folder, 'read-shards');
  const { shards: list } = await json(['split', '-m', tinyLlama, '--shard-size', '100k', shards]);
  const shard = path.join(shards, list[1].path);
  const before = readFileSync(shard);
  await fails(['quantize', path.join(shards, 'manifest.json'), shard, 'Q4_0'], 'invalid_argument', /over .*00002/);
  assert.deepEqual(readFileSync(shard), before);
  assert.deepEqual(readFileSync(model), readFileSync(tinyLlama));
  assert.deepEqual(readFileSync(copied), readFileSync(adapter));
});

test('split of a manifest keeps the name of its model, and its shards', { skip }, async () => {
  const [first, second] = [path.join(folder, 'first'), path.join(folder, 'second')];
  const split = (/** @type {string} */ model) => ['split', '-m', model, '--shard-size'];
  const before = await json([...split(tinyLlama), '100k', first]);
  const manifest = path.join(first, 'manifest.json');
  await fails([...split(manifest), '200k', first], 'invalid_argument', /over .*manifest\.json/);
  await fails([...split(manifest), '100k', first], 'invalid_argument', /over .*manifest\.json/);
  const after = await json([...split(manifest), '100k', second]);
  assert.deepEqual(after, before);
  assert.equal(after.file.name, 'tiny-llama.gguf');
  // A shard is not written over either, whatever its manifest is called.
  const renamed = path.join(second, 'renamed.json');
  renameSync(path.join(second, 'manifest.json'), renamed);
  await fails([...split(renamed), '100k', second], 'invalid_argument', /over .*00001/);
  assert.equal((await json(['inspect', '-m', renamed])).name, (await json(['inspect', '-m', manifest])).name);
  const nameless = JSON.stringify({ ...before, file: {} });
  writeFileSync(manifest, nameless);
  await fails([...split(manifest), '100k', path.join(folder, 'third')], 'bad_file', /file\.name/);
});

test('bad files get one clear error', { skip }, async () => {
  const bytes = readFileSync(tinyLlama);
  for (const length of [0, 3, 4, 20, 1000, 9000, Math.floor(bytes.length / 2), bytes.length - 1]) {
    await fails(
      ['run', '-m', file('cut.gguf', bytes.subarray(0, length)), '-p', 'x'],
      '(bad_file|io)',
      /cut\.gguf|byte|length|size|GGUF/,
    );
  }
  const magic = Buffer.from(bytes);
  magic.write('GGML', 0);
  await fails(['run', '-m', file('magic.gguf', magic), '-p', 'x'], 'bad_file', /magic|GGUF/);
  await fails(['run', '-m', path.join(folder, 'none.gguf'), '-p', 'x'], 'not_found', /none\.gguf/);
  await fails(['run', '-m', folder, '-p', 'x'], 'io', /regular file/);
  await fails(['run', '-m', path.join(folder, 'big-00001-of-00002.gguf'), '-p', 'x'], 'not_found', /00001-of-00002/);
  await fails(['inspect', '-m', file('x.json', '{}')], 'bad_file', /format/);
  for (const [text, byte] of /** @type {[string, number][]} */ ([['{"messages": [}', 15], ['', 1], ['{"format": "tessera-sha', 24]])) {
    const place = new RegExp(`broken\\.json: not valid JSON at byte ${byte} of ${text.length}$`, 'm');
    await fails(['inspect', '-m', file('broken.json', text)], 'bad_file', place);
    await fails(['render', '--template', file('x', ''), '--context', file('broken.json', text)], 'bad_file', place);
  }
  const [open, close] = ['['.repeat(100_000), ']'.repeat(100_000)];
  for (const text of [open, `{"format":"tessera-shards","shards":${open}${close}}`]) {
    await fails(['inspect', '-m', file('deep.json', text)], 'bad_file', /deep\.json: nested more than 100 deep/);
    await fails(['render', '--template', file('x', ''), '--context', file('deep.json', text)], 'bad_file', /100 deep/);
  }
});

test('control characters of a file do not reach the terminal', { skip }, async () => {
  const hostile = Buffer.from(readFileSync(tinyLlama));
  const replace = (/** @type {string} */ old, /** @type {string} */ text, from = 0) => {
    assert.equal(Buffer.byteLength(text), old.length);
    hostile.write(text, hostile.indexOf(old, from));
  };
  const kept = hostile.indexOf('general.name') + 'general.name'.length + 12;
  const name = hostile.toString('latin1', kept, kept + 4);
  replace(name, '\x1b[H\x7f', kept);
  replace('llama.rope.freq_base', 'llama.rope\n\u009bfreq_ba');
  const model = file('hostile.gguf', hostile);
  const chat = await tessera(['chat', '-m', model], { input: '/stats\n' });
  assert.match(chat.stdout, /^\?\[H\?/);
  const inspected = await tessera(['inspect', '-m', model]);
  assert.match(inspected.stdout, /^ {2}llama\.rope\?\?\?freq_ba /m);
  replace('llama', 'l\n\x1b[m', hostile.indexOf('general.architecture'));
  const shown = await tessera(['run', '-m', file('hostile.gguf', hostile), '-p', 'x']);
  assert.match(shown.stderr, /^error: \w+: .*l\?\?\[m/);
  for (const text of [chat.stdout, inspected.stdout, shown.stderr]) assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
});

test('bad prompts and options get one clear error', { skip }, async () => {
  await fails(run, 'invalid_argument', /prompt is empty/);
  await fails([...run, '-p', ''], 'invalid_argument', /prompt is empty/);
  await fails([...run, '-p', 'long '.repeat(300)], 'context_full', /\b256\b/);
  await fails([...run, '-p', 'x', '-c', '9999'], 'invalid_argument', /9999.*256/);
  await fails([...run, '-p', 'x', '-t', '100'], 'invalid_argument', /threads is 100[^]*0 = as many as help/);
  await fails([...run, '-p', 'x', '--kernels', 'abacus'], 'invalid_argument', /abacus.*scalar/);
  await fails([...run, '-p', 'x', '--top-p', '0'], 'invalid_argument', /top_p/);
  await fails([...run, '-p', 'x', '--logit-bias', 'a:b'], 'invalid_argument', /logit-bias/);
  const template = [...run, '-p', 'x', '--chat-template', 'none/t.jinja'];
  await fails([...run, '-p', 'x', '--chat-template', 'nonsense'], 'not_found', /nonsense/);
  await fails(template, 'not_found', /'none\/t\.jinja' is unknown.* cannot open none\/t\.jinja: [^]*chatml.* Jinja file/);
  await fails(['logits', '-m', tinyLlama, '--tokens', '1,x'], 'invalid_argument', /"x"/);
  for (const list of ['1,,2', '1, ,2', ',2', '2,', '[1,2', '1]2']) {
    await fails(['logits', '-m', tinyLlama, '--tokens', list], 'invalid_argument', /token \d is ".*", expected a number/);
  }
  await fails(['logits', '-m', tinyLlama, '--tokens', '1,99999'], 'invalid_argument', /99999/);
  await fails(['logits', '-m', tinyLlama, '--tokens', ''], 'invalid_argument', /empty/);
  await fails(['tokenize', '-m', tinyLlama, '--decode'], 'invalid_argument', /99999/, '99999');
  const noBos = file('no-bos.gguf', Buffer.from(readFileSync(tinyLlama, 'latin1').replace('bos_token_id', 'bos_token_no'), 'latin1'));
  await fails(['tokenize', '-m', noBos, '--bos'], 'invalid_argument', /--bos: this vocabulary has no begin token/, 'x');
});

test('answers fit a grammar or a schema, from a file or as it stands', { skip }, async () => {
  const text = async (/** @type {string[]} */ ...args) => (await json([...run, '-p', 'x', ...args])).text;
  const sevens = 'root ::= "7"{3}';
  assert.equal(await text('--grammar', sevens), '777');
  assert.equal(await text('--grammar', file('sevens.gbnf', sevens)), '777');
  const schema = '{"properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}';
  assert.match(JSON.parse(await text('--json-schema', schema)).a, /^[xy]$/);
  assert.match(JSON.parse(await text('--json-schema', file('schema.json', schema))).a, /^[xy]$/);
  await fails([...run, '-p', 'x', '--grammar', sevens, '--json-schema', schema], 'invalid_argument', /does not go with/);
  await fails([...run, '-p', 'x', '--grammar', 'none.gbnf'], 'not_found', /none\.gbnf/);
  await fails([...run, '-p', 'x', '--json-schema', ''], 'not_found', /./);
  await fails([...run, '-p', 'x', '--json-schema', '{"type"'], 'bad_file', /--json-schema: not valid JSON at byte 8/);
  await fails([...run, '-p', 'x', '--json-schema', '{"not": {}}'], 'unsupported', /json_schema, #: 'not' is not supported/);
  await fails(['run', '-m', 'none.gguf', '-p', 'x', '--grammar', 'root ::= ('], 'invalid_argument', /line 1, column 11/);
});

test('--lora adds adapters, with a scale, and names the one that does not fit', { skip }, async () => {
  const architectures = path.join(root, 'tests/golden/architectures');
  const base = ['logits', '-m', path.join(architectures, 'llama.gguf'), '--tokens', '5,6,7'];
  const adapter = path.join(architectures, 'llama.lora.gguf');
  const hash = async (/** @type {string[]} */ ...extra) => (await json([...base, ...extra])).hash;
  const plain = await hash();
  const adapted = await hash('--lora', adapter);
  assert.notEqual(adapted, plain);
  assert.equal(await hash('--lora', `${adapter}:1`), adapted);
  assert.equal(await hash('--lora', `${adapter}:0`), plain);
  assert.notEqual(await hash('--lora', adapter, '--lora', `${adapter}:0.5`), adapted);
  await fails([...run, '-p', 'x', '--lora', adapter], 'bad_file', /llama\.lora\.gguf: tensor .*lora_a/);
  await fails([...run, '-p', 'x', '--lora', 'none.gguf'], 'not_found', /none\.gguf/);
});

test('every command that takes a model takes the common options and checks them', { skip }, async () => {
  const architectures = path.join(root, 'tests/golden/architectures');
  const adapter = path.join(architectures, 'llama.lora.gguf');
  const text = file('common.txt', 'āăĄ'.repeat(20));
  const context = file('common.json', JSON.stringify({ messages: [] }));
  /** @type {Record<string, string[]>} */
  const commands = {
    chat: ['--chat-template', 'chatml', '-n', '1'],
    run: ['-p', 'x', '--raw', '-n', '1'],
    tokenize: [],
    render: ['--template', file('common.jinja', 'x'), '--context', context],
    logits: ['--tokens', '5,6'],
    perplexity: ['-f', text, '--chunk', '16'],
    bench: ['-p', '2', '-n', '1', '-r', '1'],
    inspect: [],
    estimate: [],
    split: ['--shard-size', '20k', path.join(folder, 'common')],
    imatrix: ['-f', text, '--chunk', '16', '-o', path.join(folder, 'common.gguf')],
  };
  for (const [command, own] of Object.entries(commands)) {
    const args = [command, '-m', path.join(architectures, 'llama.gguf'), ...own];
    const common = ['-t', '1', '-c', '64', '--kernels', 'scalar', '--kv', 'f32', '--lora', `${adapter}:0.5`];
    assert.equal(typeof (await json([...args, ...common])), 'object', command);
    await fails([...args, '-t', '65'], 'invalid_argument', /threads is 65/);
    await fails([...args, '-c', '-1'], 'invalid_argument', /context size is -1/);
    await fails([...args, '--kernels', 'abacus'], 'invalid_argument', /abacus.*scalar/);
    await fails([...args, '--lora', 'none.gguf'], 'not_found', /none\.gguf/);
    await fails([...args, '--lora', text], 'bad_file', /lora .*common\.txt: .*GGUF/);
    await fails([...args, '--lora', `${adapter}:inf`], 'invalid_argument', /scale inf/);
    for (const bad of [['-t', '1,5'], ['-c', ''], ['--kv', 'f8'], ['--nonsense']]) {
      assert.equal((await tessera([...args, ...bad])).code, 2, `${command} ${bad}`);
    }
  }
});

test('estimate and inspect tell of adapters, from their headers, and refuse what does not fit', { skip }, async () => {
  const architectures = path.join(root, 'tests/golden/architectures');
  const adapter = path.join(architectures, 'llama.lora.gguf');
  const model = path.join(architectures, 'llama.gguf');
  const plain = await json(['estimate', '-m', model]);
  const adapted = await json(['estimate', '-m', model, '--lora', adapter]);
  assert.ok(adapted.lora_bytes > 5504 * 4); // its values in f32 and room for what they are multiplied with
  assert.equal(adapted.total_bytes, plain.total_bytes + adapted.lora_bytes);
  assert.match((await tessera(['estimate', '-m', model, '--lora', adapter])).stdout, /^adapters +28\.2 kB$/m);
  const { lora } = await json(['inspect', '-m', model, '--lora', adapter, '--lora', `${adapter}:2`]);
  assert.deepEqual([lora.length, lora[0].file, lora[0].metadata['adapter.type']], [2, adapter, 'lora']);
  assert.match((await tessera(['inspect', '-m', model, '--lora', adapter])).stdout, /^ {2}blk\.0\.attn_q\.weight\.lora_a /m);
  for (const command of ['estimate', 'inspect']) {
    await fails([command, '-m', tinyLlama, '--lora', adapter], 'bad_file', /llama\.lora\.gguf: tensor .*lora_a/);
  }
});

test('chat --json leaves standard output to the conversation', { skip }, async () => {
  const args = ['chat', '-m', tinyLlama, '--temp', '0', '--json'];
  const { code, stdout, stderr } = await tessera(args, { input: 'Hi\n/stats\n' });
  assert.equal(code, 0, stderr);
  const [user, assistant] = ['Hi', 'Hello! I am a tiny model.'];
  const messages = [
    { role: 'user', content: user },
    { role: 'assistant', content: assistant },
  ];
  assert.deepEqual(JSON.parse(stdout), { messages });
  assert.match(stderr, /^Hello! I am a tiny model\.\nTiny Llama/);
});

test('bad usage ends with exit code 2, help and version with 0', { skip }, async () => {
  for (const args of [
    [],
    ['dance'],
    ['run', '--nonsense'],
    ['run', '-t', 'many'],
    ['run', '--kv', 'f8'],
    ['render'],
    ...['0,7', '1_0', '', 'true', '1.5.'].map((number) => ['run', '--temp', number]),
    ...['010', '1,5', 'true', '', '2147483648'].map((number) => ['run', '-n', number]),
    ...['1,6', ''].map((number) => ['bench', '-p', number]),
    ['estimate', '-c', '2,5'],
    ['run', '-t', ''],
    ['run', '--seed', ''],
    ['run', '--seed', '-1'],
    ['logits', '--tokens', '1', '--top', '1,0'],
    ['quantize', tinyLlama, 'none.gguf', 'Q4_0', '-t', '1,0'],
  ]) {
    const { code, stdout, stderr } = await tessera(args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, /^usage: /);
  }
  assert.match((await tessera(['dance'])).stderr, /^usage: expected a command, found "dance"$/m);
  assert.match((await tessera(['--version'])).stdout, /^tessera \d+\.\d+\.\d+\n$/);
  for (const command of ['chat', 'run', 'tokenize', 'render', 'logits', 'perplexity', 'bench', 'inspect', 'split', 'quantize', 'imatrix']) {
    const { code, stdout } = await tessera([command, '--help']);
    assert.equal(code, 0);
    assert.ok(stdout.length > 200, command);
  }
});

test('output that does not arrive and input that cannot be read are errors', { skip: missing('/dev/full') }, () => {
  const context = file('one.json', JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }] }));
  for (const line of [
    'tessera run -m $1 -p hi >/dev/full',
    'echo hi | tessera chat -m $1 >/dev/full',
    `tessera render -m $1 --context ${context} >/dev/full`,
    'tessera inspect -m $1 >/dev/full',
    'tessera logits -m $1 --tokens 1 >/dev/full',
    'tessera logits -m $1 --tokens 1 --dump /dev/full',
    'echo x | tessera tokenize -m $1 --json >&-',
    'tessera --help >/dev/full',
    'tessera tokenize -m $1 </',
    'tessera tokenize -m $1 --decode </',
    'tessera run -m $1 </',
    'tessera chat -m $1 </',
  ]) {
    const { status, stdout, stderr } = shell(line);
    assert.equal(status, 1, line);
    assert.match(stderr, /^error: io: cannot (write all of|read)/m, line);
    assert.equal(stdout, '', line);
  }
  const piped = shell('tessera inspect -m $1 | head -n 1');
  assert.deepEqual([piped.status, piped.stderr], [0, '']);
});

// Tessera.quantize through the page's client, the worker's host and the built module: the bytes of `tessera quantize`, progress, stopping,
// and one clear error for everything that goes wrong.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { TesseraError } from '../../web/base/errors.js';
import { checkQuantizeOptions, kQuantizeTypes } from '../../web/engine/quantize-options.js';
import { quantizeModel } from '../../web/engine/quantizing.js';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import { openModel } from '../../web/store/open-model.js';
import { FaultyServer } from '../web/faulty-server.mjs';
import { cli, formatsModel, loadFile, planOf, quantizeFile, skipReason, tinyModel } from './support.mjs';

const folder = mkdtempSync(join(tmpdir(), 'tessera-'));
const copy = join(folder, 'copy.gguf');
after(() => rmSync(folder, { recursive: true }));

/**
 * @param {string} file
 * @param {string} type
 * @param {string[]} [more]
 */
function native(file, type, more = []) {
  const path = join(folder, `${type}.gguf`);
  const report = JSON.parse(execFileSync(cli, ['quantize', file, path, type, '--json', ...more], { encoding: 'utf8' }));
  return { report, bytes: readFileSync(path) };
}

/**
 * @param {Promise<unknown>} promise
 * @param {string} code
 * @param {RegExp} [message]
 */
async function rejects(promise, code, message = /./) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof TesseraError);
    assert.equal(error.code, code, error.message);
    assert.match(`${error.message} ${error.hint}`, message);
    return true;
  });
  assert.equal(existsSync(copy), false);
}

describe('quantize', { skip: skipReason({ variant: 'simd128', files: [cli, tinyModel, formatsModel] }) }, () => {
  for (const file of [tinyModel, formatsModel]) {
    test(`the bytes are those of the command line: ${file.split('/').pop()}`, async () => {
      for (const type of kQuantizeTypes) {
        const expected = native(file, type);
        for (const threads of [1, 2]) {
          const report = await quantizeFile(file, copy, { type, threads });
          const bytes = readFileSync(copy);
          rmSync(copy);
          assert.ok(bytes.equals(expected.bytes), `${type}, ${threads} threads`);
          assert.equal(report.bytes, bytes.length);
          assert.equal(report.converted, expected.report.converted);
          assert.deepEqual(report.bytesPerFormat, expected.report.bytes_per_type);
        }
      }
    });
  }

  test('with an importance file, too; one that is none, or of another model, is refused', async () => {
    const importance = join(folder, 'test.gguf'); // the name that these tests' files have in the worker
    const text = join(folder, 'text.txt');
    writeFileSync(text, 'Once upon a time there was a small model. '.repeat(20));
    execFileSync(cli, ['imatrix', '-m', tinyModel, '-f', text, '-o', importance, '--chunk', '32'], { stdio: 'ignore' });
    for (const type of /** @type {const} */ (['Q2_K_S', 'Q4_K_M', 'IQ4_XS'])) {
      const expected = native(tinyModel, type, ['--imatrix', importance]);
      assert.ok(!expected.bytes.equals(native(tinyModel, type).bytes), `${type} is another file without it`);
      const report = await quantizeFile(tinyModel, copy, { type, importance: pathToFileURL(importance).href });
      const bytes = readFileSync(copy);
      rmSync(copy);
      assert.ok(bytes.equals(expected.bytes), type);
      assert.equal(report.unweighted, expected.report.unweighted);
    }
    const none = pathToFileURL(tinyModel).href;
    await rejects(quantizeFile(tinyModel, copy, { importance: none }), 'bad_file', /importance/);
    const other = quantizeFile(formatsModel, copy, { importance: pathToFileURL(importance).href });
    await rejects(other, 'bad_file', /importance|columns|width/);
    await rejects(quantizeFile(tinyModel, copy, { importance: 7 }), 'invalid_argument', /importance/);
  });

  test('the copy runs, and progress tells the way to it', async () => {
    /** @type {any[]} */
    const told = [];
    const { name, type } = await quantizeFile(tinyModel, copy, {
      onProgress: (/** @type {any} */ event) => told.push(event),
    });
    assert.deepEqual([name, type], ['test-Q4_K_M', 'Q4_K_M']);
    assert.ok(told.every(({ stage, loadedBytes, totalBytes }) => stage === 'quantize' && loadedBytes <= totalBytes));
    assert.equal(told.at(-1).loadedBytes, told.at(-1).totalBytes);
    const engine = await loadFile(copy, { threads: 1 });
    rmSync(copy);
    const { choices } = await engine.completions.create({ prompt: 'a', max_tokens: 2, temperature: 0 });
    assert.ok(choices.length === 1);
    await engine.dispose();
  });

  test('an abort ends it between two steps', async () => {
    const stop = new AbortController();
    let events = 0;
    const onProgress = () => {
      events += 1;
      stop.abort();
    };
    await rejects(quantizeFile(tinyModel, copy, { threads: 1, signal: stop.signal, onProgress }), 'aborted');
    assert.equal(events, 1);
    await rejects(quantizeFile(tinyModel, copy, { signal: AbortSignal.abort() }), 'aborted');
  });

  test('what is wrong is one typed error', async () => {
    await rejects(quantizeFile(tinyModel, copy, { type: 'Q4_X' }), 'invalid_argument', /Q4_X.*'Q4_K_M'.*'IQ4_XS'/);
    await rejects(quantizeFile(tinyModel, copy, { kind: 'Q4_0' }), 'invalid_argument', /unknown option 'kind'.*type/);
    await rejects(quantizeFile(tinyModel, copy, { threads: 65 }), 'invalid_argument', /threads/);
    await rejects(quantizeFile(join(folder, 'none.gguf'), copy), 'not_found');
    await rejects(quantizeFile(tinyModel, copy, {}, { truncateTo: 1000 }), 'bad_file');
    await rejects(quantizeFile(tinyModel, copy, {}, { failFrom: 200_000 }), 'io', /the disk is gone/);
    const hostile = readFileSync(tinyModel);
    hostile.writeBigUInt64LE(2n ** 60n, 8);
    writeFileSync(join(folder, 'hostile.gguf'), hostile);
    await rejects(quantizeFile(join(folder, 'hostile.gguf'), copy), 'bad_file');
    const spoilt = readFileSync(tinyModel);
    spoilt.fill(0xff, spoilt.length - 4096);
    writeFileSync(join(folder, 'spoilt.gguf'), spoilt);
    await rejects(quantizeFile(join(folder, 'spoilt.gguf'), copy, { type: 'F16' }), 'bad_file', /not a finite number/);
  });
});

describe('quantizePlan', { skip: skipReason({ variant: 'simd128', files: [cli, tinyModel] }) }, () => {
  /** @type {FaultyServer} */
  let server;
  before(async () => {
    server = await new FaultyServer().start();
  });
  after(() => server.stop());

  test('says the size of every type from the beginning of the file', async () => {
    const file = readFileSync(tinyModel);
    server.files.set('/tiny-F32.gguf', file);
    const plan = await planOf(`${server.url}/tiny-F32.gguf`);
    assert.deepEqual(Object.keys(plan.types).sort(), [...kQuantizeTypes].sort());
    for (const type of kQuantizeTypes) assert.equal(plan.types[type], native(tinyModel, type).bytes.length, type);
    assert.equal(plan.fileBytes, file.length);
    assert.equal(plan.name, 'tiny');
    assert.ok(plan.parameters > 0 && plan.quantization !== '');
    await rejects(planOf(`${server.url}/none.gguf`), 'http');
    await rejects(planOf(`${server.url}/tiny-F32.gguf`, { type: 'Q8_0' }), 'invalid_argument', /unknown option 'type'/);
  });
});

test("the token goes to the model's own server, of which the importance file may be or not", async (t) => {
  const server = await new FaultyServer().start();
  const other = await new FaultyServer().start();
  t.after(() => Promise.all([server.stop(), other.stop()]));
  const refuse = () => Promise.reject(new Error('nothing asks for this'));
  /** @param {string} importance */
  const asked = async (importance) => {
    for (const { files } of [server, other]) files.set('/imatrix.gguf', readFileSync(tinyModel));
    const { request } = checkQuantizeOptions(`${server.url}/none.gguf`, { importance, token: 'secret' }, server.url);
    const ports = {
      openModel,
      nextTurn: refuse,
      readHeaders: refuse,
      keepingBackend: async () => createMemoryBackend(),
      storeMade: refuse,
      verifyModel: refuse,
      importModule: refuse,
      notes: { read: refuse, write: refuse },
    };
    const watch = { signal: new AbortController().signal, onProgress() {} };
    await rejects(quantizeModel(request, ports, watch), 'http', /none\.gguf/);
    return [server, other].map(({ asked }) => asked.splice(0).map(({ authorization }) => authorization));
  };
  const [own, foreign] = await asked(`${other.url}/imatrix.gguf`);
  assert.deepEqual(new Set(own), new Set(['Bearer secret']));
  assert.ok(foreign.length > 0);
  assert.deepEqual(new Set(foreign), new Set([undefined]));
  const [both] = await asked(`${server.url}/imatrix.gguf`);
  assert.ok(both.length > own.length);
  assert.deepEqual(new Set(both), new Set(['Bearer secret']));
});

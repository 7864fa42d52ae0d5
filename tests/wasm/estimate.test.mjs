// Tessera.estimate through the page's client, the worker's host and the built module, over real servers: the numbers of the command line,
// from few bytes, and one clear error for everything that goes wrong.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';
import { TesseraError } from '../../web/base/errors.js';
import { FaultyServer } from '../web/faulty-server.mjs';
import { cli, estimateOf, formatsModel, realModel, runCli, skipReason, tinyModel } from './support.mjs';

/**
 * @param {string} file
 * @param {string[]} options
 */
function native(file, ...options) {
  return runCli('estimate', '-m', file, ...options);
}

/**
 * The fields that the command line prints, too. The packed weights of its kernels may be a little larger than the module's.
 * @param {Record<string, any>} found
 */
const common = ({ kv_bytes, workspace_bytes, fits_wasm32, parts, unsupported }) => ({
  kv_bytes,
  workspace_bytes,
  fits_wasm32,
  parts,
  unsupported,
});

/**
 * The tiny model with a header that is longer by `extra` bytes, and zeros behind its tensors.
 * @param {number} extra
 * @param {number} tail
 */
function withLongHeader(extra, tail) {
  const model = readFileSync(tinyModel);
  const key = Buffer.from('x.long');
  const entry = Buffer.alloc(extra); // a multiple of the alignment, so that the tensors' data stay where the header says
  entry.writeBigUInt64LE(BigInt(key.length), 0);
  key.copy(entry, 8);
  const value = 8 + key.length;
  entry.writeUInt32LE(8, value); // a string
  entry.writeBigUInt64LE(BigInt(extra - value - 12), value + 4);
  const start = Buffer.from(model.subarray(0, 24));
  start.writeBigUInt64LE(start.readBigUInt64LE(16) + 1n, 16);
  return Buffer.concat([start, entry, model.subarray(24), Buffer.alloc(tail)]);
}

/**
 * @param {Promise<unknown>} promise
 * @param {string} code
 * @param {RegExp} [message]
 */
async function rejects(promise, code, message = /./) {
  await assert.rejects(promise, (/** @type {unknown} */ error) => {
    assert.ok(error instanceof TesseraError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

/** Why a workspace is not that of the command line: without relaxed SIMD its codes have two bytes (KernelTable::code_bytes). @param {string[]} files */
const sameCodes = (...files) => skipReason({ variant: 'relaxed', files });
const skip = sameCodes();

describe('Tessera.estimate', { skip: skipReason({ variant: 'simd128', files: [tinyModel, cli] }) }, () => {
  /** @type {FaultyServer} */
  let server;
  before(async () => void (server = await new FaultyServer().start()));
  after(() => server.stop());
  beforeEach(() => {
    server.files.clear();
    server.faults.clear();
    server.requests.length = 0;
    server.sentBytes = 0;
    server.ranges = true;
    server.hidesRange = false;
    server.files.set('/tiny.gguf', readFileSync(tinyModel));
  });
  const at = (/** @type {string} */ path, options = {}) => estimateOf(server.url + path, options);

  test('says what the command line says, what the model is and what this device offers', { skip }, async () => {
    const found = await at('/tiny.gguf', { contextSize: 100, kvType: 'f16' });
    assert.deepEqual(common(found), common(native(tinyModel, '-c', '100', '--kv', 'f16')));
    const { weights_bytes, kv_bytes, workspace_bytes, other_bytes } = found;
    assert.equal(found.total_bytes, weights_bytes + kv_bytes + workspace_bytes + other_bytes);
    assert.ok(weights_bytes > 0 && kv_bytes > 0 && workspace_bytes > 0 && other_bytes > 0);
    const { architecture, contextSize, kvType, fileBytes, fits } = found;
    const size = readFileSync(tinyModel).length;
    assert.deepEqual(
      { architecture, contextSize, kvType, fileBytes, fits },
      { architecture: 'llama', contextSize: 100, kvType: 'f16', fileBytes: size, fits: true },
    );
    assert.ok(found.parameters > 0 && found.bitsPerWeight > 1 && found.bitsPerWeight <= 32);
    assert.equal(found.device.memoryLimit, 4 * 2 ** 30);
  });

  test('every form of a model gives the same: file, manifest, parts of a split one', async () => {
    const { name, ...whole } = await at('/tiny.gguf');
    assert.equal(typeof name, 'string');
    server.addModel(readFileSync(tinyModel), 5000);
    const { name: _, ...sharded } = await at('/m/manifest.json');
    assert.deepEqual(sharded, whole);
    for (const [part, file] of splitOf(readFileSync(tinyModel)).entries()) {
      server.files.set(`/s-0000${part + 1}-of-00002.gguf`, file);
    }
    const { name: __, fileBytes, ...split } = await at('/s-00002-of-00002.gguf');
    const { fileBytes: ___, ...expected } = whole;
    assert.deepEqual(split, expected);
    assert.ok(fileBytes !== null && fileBytes > 0);
  });

  test('a long header comes in a few growing ranges, and nothing behind it', async () => {
    const file = withLongHeader(3_200_000, 20_000_000);
    server.files.set('/long.gguf', file);
    const found = await at('/long.gguf');
    assert.equal(found.fileBytes, file.length);
    assert.equal(found.kv_bytes, (await at('/tiny.gguf')).kv_bytes);
    assert.equal(server.requests.filter((path) => path === '/long.gguf').length, 3); // 1, 2, 4 MB
    assert.ok(server.sentBytes <= 4 * 2 ** 20 + file.length - 20_000_000, `${server.sentBytes} bytes`);
    server.sentBytes = 0;
    server.addModel(file, 1_500_000);
    await at('/m/manifest.json');
    assert.ok(server.sentBytes <= 4 * 2 ** 20, `${server.sentBytes} bytes of shards`);
  });

  test('a server that hides its answers, drops connections and is busy still serves', async () => {
    server.files.set('/long.gguf', withLongHeader(3_200_000, 10_000_000));
    const { fileBytes, ...whole } = await at('/long.gguf');
    assert.ok(fileBytes !== null);
    server.hidesRange = true;
    server.faults.set('/long.gguf', ['drop', 'ok', 'cut', 'busy']);
    const { fileBytes: hidden, ...again } = await at('/long.gguf');
    assert.deepEqual(again, whole);
    assert.equal(hidden, null);
  });

  test('of a server without ranges the stream is left when the header is there', async () => {
    const file = withLongHeader(3_200_000, 80_000_000);
    let sent = 0;
    let requests = 0;
    /** A socket may end a little later than its server. @type {Promise<unknown>[]} */
    const ended = [];
    const plain = createServer((request, response) => {
      requests += 1;
      const { socket } = request;
      ended.push(new Promise((resolve) => socket.on('close', resolve)).then(() => (sent += socket.bytesWritten)));
      response.writeHead(200, { 'Content-Length': file.length });
      response.on('error', () => {});
      const send = (/** @type {number} */ from) => {
        if (from < file.length && !response.destroyed)
          response.write(file.subarray(from, from + 65536), () => send(from + 65536));
      };
      send(0);
    });
    await new Promise((resolve) => plain.listen(0, '127.0.0.1', () => resolve(undefined)));
    try {
      const { port } = /** @type {import('node:net').AddressInfo} */ (plain.address());
      const found = await estimateOf(`http://127.0.0.1:${port}/long.gguf`);
      assert.equal(found.fileBytes, file.length);
      assert.equal(requests, 1);
    } finally {
      plain.closeAllConnections();
      await new Promise((resolve) => plain.close(resolve));
    }
    await Promise.all(ended);
    assert.ok(sent > 3_200_000 && sent < 40_000_000, `${sent} bytes`);
  });

  test('what is wrong is one typed error', async () => {
    await rejects(at('/none.gguf'), 'http', /404/);
    await rejects(at('/tiny.gguf', { contextSize: 1 << 30 }), 'invalid_argument');
    await rejects(at('/tiny.gguf', { threads: 2 }), 'invalid_argument', /unknown option 'threads'/);
    await rejects(estimateOf(/** @type {any} */ (7)), 'invalid_argument', /^model/);
    server.files.set('/page.gguf', Buffer.from('<html>no model</html>'));
    await rejects(at('/page.gguf'), 'bad_file', /GGUF/);
    server.files.set('/cut.gguf', readFileSync(tinyModel).subarray(0, 1000));
    await rejects(at('/cut.gguf'), 'bad_file');
    server.files.set('/empty.gguf', Buffer.alloc(0));
    await rejects(at('/empty.gguf'), 'bad_file');
    server.setManifest({ format: 'other' });
    await rejects(at('/m/manifest.json'), 'manifest_invalid');
    const aborted = new AbortController();
    server.faults.set('/tiny.gguf', ['stall']);
    setTimeout(() => aborted.abort(), 100);
    await rejects(at('/tiny.gguf', { signal: aborted.signal }), 'aborted');
  });

  test('hostile counts and lengths are refused after few bytes, whatever size the server claims', async () => {
    for (const [place, count] of /** @type {const} */ ([
      [8, 2n ** 60n],
      [8, 3_000_000n],
      [16, 2n ** 32n],
      [24, 2n ** 62n],
      [24, 1n << 31n],
    ])) {
      const file = withLongHeader(32_000, 10_000_000);
      file.writeBigUInt64LE(count, place);
      server.files.set('/hostile.gguf', file);
      server.sentBytes = 0;
      await rejects(at('/hostile.gguf'), 'bad_file');
      assert.ok(server.sentBytes <= 8 * 2 ** 20, `${server.sentBytes} bytes for ${count} at ${place}`);
    }
  });

  test('an unsupported model is described, with the reason', async () => {
    const file = readFileSync(tinyModel);
    file.write('lxxma', file.indexOf('llama'), 'latin1');
    server.files.set('/other.gguf', file);
    const found = await at('/other.gguf');
    assert.equal(found.architecture, 'lxxma');
    assert.equal(found.fits, false);
    assert.match(found.unsupported[0], /lxxma/);
  });

  test('the real model: from at most twice its header', { skip: sameCodes(realModel) }, async () => {
    server.files.set('/real.gguf', readFileSync(realModel));
    const found = await at('/real.gguf');
    assert.deepEqual(common(found), common(native(realModel)));
    assert.equal(found.name, 'Smollm2 135M 8k Lc100K Mix1 Ep2');
    assert.ok(server.sentBytes <= 4 * 2 ** 20, `${server.sentBytes} bytes`);
  });

  test('the model of many formats', { skip: sameCodes(formatsModel) }, async () => {
    server.files.set('/formats.gguf', readFileSync(formatsModel));
    assert.deepEqual(common(await at('/formats.gguf')), common(native(formatsModel)));
  });
});

/**
 * A GGUF as gguf-split would cut it: all metadata and no tensor in the first file, the tensors in the second.
 * @param {Buffer} file
 */
function splitOf(file) {
  const tensors = Number(file.readBigUInt64LE(8));
  const keys = Number(file.readBigUInt64LE(16));
  const directory = directoryOf(file, keys);
  const number = (/** @type {string} */ key, /** @type {number} */ value) => {
    const entry = Buffer.alloc(8 + key.length + 8);
    entry.writeBigUInt64LE(BigInt(key.length));
    entry.write(key, 8, 'latin1');
    entry.writeUInt32LE(4, 8 + key.length); // u32
    entry.writeUInt32LE(value, 12 + key.length);
    return entry;
  };
  const head = (/** @type {number} */ no, /** @type {number} */ held, /** @type {number} */ more) => {
    const start = Buffer.from(file.subarray(0, 24));
    start.writeBigUInt64LE(BigInt(held), 8);
    start.writeBigUInt64LE(BigInt(more + 3), 16);
    const split = [number('split.no', no), number('split.count', 2), number('split.tensors.count', tensors)];
    return Buffer.concat([start, ...split]);
  };
  const first = Buffer.concat([head(0, 0, keys), file.subarray(24, directory)]);
  const second = Buffer.concat([head(1, tensors, 0), file.subarray(directory)]);
  return [first, second];
}

/**
 * @param {Buffer} file
 * @param {number} keys
 * @returns {number} where its tensor directory begins
 */
function directoryOf(file, keys) {
  const sizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
  let at = 24;
  const text = () => void (at += 8 + Number(file.readBigUInt64LE(at)));
  const value = (/** @type {number} */ type) => (type === 8 ? text() : void (at += sizes[type]));
  for (let i = 0; i < keys; ++i) {
    text();
    const type = file.readUInt32LE(at);
    at += 4;
    if (type !== 9) {
      value(type);
      continue;
    }
    const element = file.readUInt32LE(at);
    const count = Number(file.readBigUInt64LE(at + 4));
    at += 12;
    for (let n = 0; n < count; ++n) value(element);
  }
  return at;
}

/** manifest.json: a right one is read as it is, and each wrong field is refused by its name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TesseraError } from '../../web/base/errors.js';
import { checkManifest, parseManifest, shardUrls } from '../../web/store/manifest.js';

const kHash = 'a'.repeat(64);

/** @returns {any} */
function good() {
  return {
    format: 'tessera-shards',
    version: 1,
    name: 'Model',
    architecture: 'llama',
    quantization: 'Q4_1',
    license: '',
    file: { name: 'model.gguf', bytes: 25, sha256: kHash },
    context_length: 8192,
    shards: [
      { path: 'model-00001.bin', offset: 0, bytes: 10, sha256: kHash },
      { path: 'parts/model 2.bin', offset: 10, bytes: 15, sha256: 'b'.repeat(64) },
    ],
    chat_template: true,
  };
}

test('a good manifest comes back as it was written', () => {
  assert.deepEqual(parseManifest(JSON.stringify(good())), good());
  const inBlocks = good();
  inBlocks.shards[1].sha256_blocks = 'c'.repeat(64);
  assert.deepEqual(parseManifest(JSON.stringify(inBlocks)), inBlocks);
});

/** @type {[field: string, damage: (manifest: any) => void][]} */
const damages = [
  ['format', (m) => (m.format = 'gguf')],
  ['version', (m) => (m.version = 2)],
  ['version', (m) => (m.version = '1')],
  ['name', (m) => (m.name = '')],
  ['name', (m) => (m.name = 'x'.repeat(501))],
  ['architecture', (m) => delete m.architecture],
  ['quantization', (m) => (m.quantization = 4)],
  ['license', (m) => (m.license = null)],
  ['file', (m) => (m.file = 'model.gguf')],
  ['file.name', (m) => (m.file.name = 'folder/model.gguf')],
  ['file.name', (m) => (m.file.name = '..')],
  ['file.bytes', (m) => (m.file.bytes = 24)],
  ['file.bytes', (m) => (m.file.bytes = -1)],
  ['file.bytes', (m) => (m.file.bytes = 2 ** 53)],
  ['file.sha256', (m) => (m.file.sha256 = kHash.toUpperCase())],
  ['context_length', (m) => (m.context_length = 0)],
  ['context_length', (m) => (m.context_length = 1.5)],
  ['shards', (m) => (m.shards = {})],
  ['shards', (m) => (m.shards = [])],
  ['shards', (m) => (m.shards = new Array(65537).fill(m.shards[0]))],
  ['shards[1]', (m) => (m.shards[1] = null)],
  ['shards[0].offset', (m) => (m.shards[0].offset = 1)],
  ['shards[1].offset', (m) => (m.shards[1].offset = 9)],
  ['shards[1].offset', (m) => (m.shards[1].offset = 11)],
  ['shards[1].bytes', (m) => (m.shards[1].bytes = 0)],
  ['shards[0].bytes', (m) => (m.shards[0].bytes = '10')],
  ['shards[1].sha256', (m) => (m.shards[1].sha256 = kHash.slice(1))],
  ['shards[1].sha256_blocks', (m) => (m.shards[1].sha256_blocks = '')],
  ['shards[1].sha256', (m) => delete m.shards[1].sha256],
  ['chat_template', (m) => (m.chat_template = 'yes')],
];

for (const [field, damage] of damages) {
  test(`refuses a manifest by its field ${field}: ${damage}`, () => {
    const manifest = good();
    damage(manifest);
    assert.throws(
      () => checkManifest(manifest),
      (error) => {
        assert(error instanceof TesseraError);
        assert.equal(error.code, 'manifest_invalid');
        assert(error.message.startsWith(`manifest: ${field}: expected `), error.message);
        assert.match(error.message, /, found /);
        return true;
      },
    );
  });
}

const escapes = [
  '../x',
  'a/../../x',
  '/x',
  '//host/x',
  'https://host/x',
  'data:,x',
  '\\\\host\\x',
  'a\\..\\x',
  '%2e%2e/x',
  '.%2E/x',
].concat(['', '.', './x', 'a//b', 'a/', 'x?y', 'x#y', ' x', 'x\n', 'x\0', '\t../x']);

for (const path of escapes) {
  test(`refuses the shard path ${JSON.stringify(path)}`, () => {
    const manifest = good();
    manifest.shards[0].path = path;
    assert.throws(() => checkManifest(manifest), /shards\[0\]\.path/);
  });
}

test('refuses what is no manifest at all', () => {
  for (const text of ['', '<!doctype html>', 'null', '[]', '3', '"text"', '{}', '{"format":"tessera-shards"}']) {
    assert.throws(() => parseManifest(text), { code: 'manifest_invalid' }, text);
  }
});

test('shard addresses stay in the folder of the manifest, whatever its query, or of a mirror', () => {
  const manifest = checkManifest({ ...good(), mirrors: ['https://other/models', 'http://third/x/'] });
  const [first, spaced] = shardUrls(manifest, 'https://host/a/b/manifest.json?x=/../y');
  const name = 'model-00001.bin';
  assert.deepEqual(first, [`https://host/a/b/${name}`, `https://other/models/${name}`, `http://third/x/${name}`]);
  assert.equal(spaced[0], 'https://host/a/b/parts/model%202.bin');
  const outside = { ...good(), shards: [{ ...good().shards[0], path: '../x' }] };
  assert.throws(() => shardUrls(outside, 'https://host/a/b/manifest.json'), { code: 'manifest_invalid' });
  for (const mirrors of [
    'https://host/',
    ['models/'],
    ['ftp://host/'],
    ['https://host/?a'],
    new Array(9).fill('https://h/'),
  ]) {
    assert.throws(() => checkManifest({ ...good(), mirrors }), { code: 'manifest_invalid', message: /mirrors/ });
  }
});

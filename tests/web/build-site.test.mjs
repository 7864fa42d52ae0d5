/** scripts/build-site.mjs: a folder that works from any path, keeps its models and lists them, and has all notices. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { FaultyServer } from './faulty-server.mjs';
import { pattern } from './store-contract.mjs';

const kScript = fileURLToPath(new URL('../../scripts/build-site.mjs', import.meta.url));
const kModules = ['tessera-core.wasm', 'tessera-kernels-simd128.wasm', 'tessera-kernels-relaxed.wasm'];

/** @type {string} */
let folder;
/** @param {string} path */
const read = (path) => readFile(join(folder, 'site', path), 'utf8');

/**
 * @param {string} ending
 * @returns {Promise<string>} the file of the page that ends so, with the hash in its name
 */
async function asset(ending) {
  const names = await readdir(join(folder, 'site/assets'));
  return `assets/${names.find((name) => new RegExp(`^main-[0-9A-Z]{8}\\.${ending}$`).test(name))}`;
}

/**
 * @param {string[]} [extra]
 * @returns {Promise<{code: number, stdout: string, stderr: string}>}
 */
async function run(extra = []) {
  const args = [kScript, '--out', join(folder, 'site'), '--wasm', join(folder, 'wasm'), ...extra];
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, args)) };
  } catch (error) {
    return /** @type {any} */ (error);
  }
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tessera-build-'));
  await mkdir(join(folder, 'wasm'));
  for (const name of kModules) await writeFile(join(folder, 'wasm', name), name);
  await writeFile(join(folder, 'wasm/tessera-core.js'), '/* A comment. */ export default 1 + 1;');
});
after(() => rm(folder, { recursive: true }));

test('a site without a model lists none', async () => {
  const { code, stdout, stderr } = await run();
  assert.equal(code, 0, stderr);
  assert.match(stdout, /site without models: \d+ bytes gzip/);
  assert.deepEqual(JSON.parse(await read('models.json')), { models: [] });
  for (const name of kModules) assert.equal(await read(name), name);
  assert.doesNotMatch(await read('tessera-core.js'), /comment/);
});

test('models stay when the site is rebuilt, and are listed from their manifests; old files go', async () => {
  const manifest = new FaultyServer().addModel(pattern(100, 1), 60);
  await mkdir(join(folder, 'site/models/tiny'), { recursive: true });
  await writeFile(join(folder, 'site/models/tiny/manifest.json'), JSON.stringify(manifest));
  await writeFile(join(folder, 'site/stale.js'), '');
  assert.equal((await run()).code, 0);
  const description = 'llama, Q4_1, context of 2048 tokens.';
  const entry = {
    id: 'tiny',
    name: 'Test model',
    manifest: 'models/tiny/manifest.json',
    bytes: 100,
    license: 'apache-2.0',
  };
  assert.deepEqual(JSON.parse(await read('models.json')), { models: [{ ...entry, description }] });
  await assert.rejects(read('stale.js'), { code: 'ENOENT' });
});

test('the page names its files relative to itself and no other host', async () => {
  const page = await read('index.html');
  const addresses = [...page.matchAll(/\b(?:src|href)="([^"]*)"/g)].map(([, address]) => address);
  for (const ending of ['js', 'css']) assert(addresses.includes(await asset(ending)));
  for (const address of addresses) assert.doesNotMatch(address, /^\/|^[a-z]+:/i);
  assert.doesNotMatch(await read(await asset('css')), /@import|url\((?!["']?(?:data:|#))/);
});

test('the page shares tessera.js instead of bundling it, and both modules stand alone otherwise', async () => {
  assert.match(await read(await asset('js')), /from"\.\.\/tessera\.js"/);
  for (const name of ['tessera.js', 'tessera-worker.js']) {
    assert.doesNotMatch(await read(name), /(?:^|;)import\s*["{*a-z]/i);
  }
  assert.match(await read('tessera.js'), /new URL\("\.\/tessera-worker\.js",\s*import\.meta\.url\)/);
});

test('the service worker knows each file of the shell by its hash, and no model', async () => {
  const text = await read('sw.js');
  for (const path of [await asset('js'), await asset('css'), 'tessera.js', 'tessera-worker.js', 'tessera-core.wasm']) {
    const hash = createHash('sha256').update(await readFile(join(folder, 'site', path)));
    assert(text.includes(`["${path}","sha256-${hash.digest('base64')}"]`), path);
  }
  for (const path of ['models/', 'models.json', 'THIRD-PARTY', '_headers']) assert(!text.includes(path), path);
});

test('the policy opens for the model hosts that are listed, and the headers for hosts say the same', async () => {
  assert.match(await read('index.html'), /connect-src 'self';/);
  assert.equal((await run(['--model-host', 'https://models.example/x', '--compress'])).code, 0);
  assert.match(await read('index.html'), /connect-src 'self' https:\/\/models\.example;/);
  const headers = await read('_headers');
  assert.match(headers, /connect-src 'self' https:\/\/models\.example;/);
  assert.match(headers, /Cross-Origin-Embedder-Policy: require-corp/);
  assert.match(headers, /\/assets\/\*\n {2}Cache-Control: public, max-age=31536000, immutable/);
  for (const name of ['index.html', 'tessera.js', await asset('css')]) {
    const plain = await readFile(join(folder, 'site', name));
    assert.deepEqual(brotliDecompressSync(await readFile(join(folder, 'site', `${name}.br`))), plain);
    assert.deepEqual(gunzipSync(await readFile(join(folder, 'site', `${name}.gz`))), plain);
  }
  assert.equal((await run()).code, 0);
});

test('the notices hold every package of the bundles with its licence', async () => {
  const text = await read('THIRD-PARTY-NOTICES');
  for (const name of ['dompurify', 'marked', 'nlohmann/json', 'Emscripten', 'musl', 'libc++']) {
    assert(text.includes(name), name);
  }
  assert(text.split('Permission is hereby granted, free of charge').length > 3);
});

test('a missing module, a broken manifest and a site that is too large are errors', async () => {
  await writeFile(join(folder, 'site/models/tiny/manifest.json'), '{}');
  const broken = await run();
  assert.deepEqual([broken.code, broken.stderr.split(':', 3).slice(0, 3)], [1, ['error', ' manifest', ' format']]);
  await rm(join(folder, 'site/models/tiny'), { recursive: true });
  // Bytes that do not compress.
  await writeFile(join(folder, 'wasm/tessera-core.wasm'), pattern(700_000, 7));
  assert.match((await run()).stderr, /larger than its limit/);
  await rm(join(folder, 'wasm/tessera-core.wasm'));
  assert.match((await run()).stderr, /tessera-core\.wasm is missing/);
});

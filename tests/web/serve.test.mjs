/** scripts/serve.mjs: headers, types, ranges, and nothing from outside its folder. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { serve } from '../../scripts/serve.mjs';

/** @type {string} */
let folder;
/** @type {import('../../scripts/serve.mjs').Server} */
let server;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tessera-serve-'));
  await mkdir(join(folder, 'site/sub'), { recursive: true });
  await mkdir(join(folder, 'site-other'));
  await writeFile(join(folder, 'secret.txt'), 'secret');
  await writeFile(join(folder, 'site-other/secret.txt'), 'secret');
  await writeFile(join(folder, 'site/index.html'), '<!doctype html>');
  await writeFile(join(folder, 'site/sub/index.html'), 'sub');
  await writeFile(join(folder, 'site/data.gguf'), '0123456789');
  await writeFile(join(folder, 'site/empty.bin'), '');
  for (const name of ['a.js', 'a.wasm', 'a.json', 'a.css', 'a.d.ts', 'a.svg', 'NOTICES', 'sp ace.js']) {
    await writeFile(join(folder, 'site', name), 'x');
  }
  server = await serve({ root: join(folder, 'site') });
});
after(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

/**
 * The path goes out as it is: fetch would tidy it up first.
 * @param {string} path
 * @param {{method?: string, range?: string, port?: number, headers?: Record<string, string>}} [options]
 * @returns {Promise<{status: number, headers: import('node:http').IncomingHttpHeaders, body: string}>}
 */
function get(path, { method = 'GET', range, port = server.port, headers: more = {} } = {}) {
  return new Promise((resolve, reject) => {
    const headers = range ? { ...more, Range: range } : more;
    request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    })
      .on('error', reject)
      .end();
  });
}

test('every answer, errors too, carries the isolation and security headers', async () => {
  for (const path of ['/', '/a.js', '/none', '/%zz']) {
    const { headers } = await get(path);
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
    assert.equal(headers['cross-origin-embedder-policy'], 'require-corp');
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    const policy = String(headers['content-security-policy']);
    assert(policy.startsWith("default-src 'self'; script-src 'self' 'wasm-unsafe-eval';"), policy);
    assert(!policy.includes('unsafe-inline') && !policy.includes("'unsafe-eval'"));
  }
});

test('without isolation only those headers are gone', async (t) => {
  const plain = await serve({ root: join(folder, 'site'), isolation: false });
  t.after(() => plain.close());
  const { status, headers } = await get('/', { port: plain.port });
  assert.equal(status, 200);
  assert.deepEqual(
    Object.keys(headers).filter((name) => name.startsWith('cross-origin')),
    [],
  );
  assert.match(String(headers['content-security-policy']), /^default-src 'self'/);
});

test('types', async () => {
  const expected = {
    '/': 'text/html; charset=utf-8',
    '/sub/': 'text/html; charset=utf-8',
    '/a.js?version=1': 'text/javascript; charset=utf-8',
    '/sp%20ace.js': 'text/javascript; charset=utf-8',
    '/a.wasm': 'application/wasm',
    '/a.json': 'application/json',
    '/a.css': 'text/css; charset=utf-8',
    '/a.svg': 'image/svg+xml',
    '/a.d.ts': 'text/plain; charset=utf-8',
    '/NOTICES': 'text/plain; charset=utf-8',
    '/data.gguf': 'application/octet-stream',
  };
  for (const [path, type] of Object.entries(expected)) {
    const { status, headers } = await get(path);
    assert.deepEqual([status, headers['content-type']], [200, type], path);
  }
});

test('ranges', async () => {
  /** @type {[range: string, status: number, body: string, contentRange?: string][]} */
  const cases = [
    ['bytes=0-0', 206, '0', 'bytes 0-0/10'],
    ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
    ['bytes=8-', 206, '89', 'bytes 8-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=-30', 206, '0123456789', 'bytes 0-9/10'],
    ['bytes=5-99', 206, '56789', 'bytes 5-9/10'],
    ['bytes=10-', 416, 'range not satisfiable\n', 'bytes */10'],
    ['bytes=4-2', 416, 'range not satisfiable\n', 'bytes */10'],
    ['bytes=-0', 416, 'range not satisfiable\n', 'bytes */10'],
    ['bytes=0-1,3-4', 200, '0123456789'],
    ['lines=1-2', 200, '0123456789'],
    ['bytes=-', 200, '0123456789'],
  ];
  for (const [range, status, body, contentRange] of cases) {
    const answer = await get('/data.gguf', { range });
    assert.deepEqual(
      [answer.status, answer.body, answer.headers['content-range']],
      [status, body, contentRange],
      range,
    );
  }
  assert.equal((await get('/empty.bin')).headers['content-length'], '0');
  assert.equal((await get('/empty.bin', { range: 'bytes=0-' })).status, 416);
});

test('a packed copy is sent to who takes it, and never for a range', async () => {
  await writeFile(join(folder, 'site/packed.js'), '0123456789');
  await writeFile(join(folder, 'site/packed.js.br'), 'br');
  await writeFile(join(folder, 'site/packed.js.gz'), 'gz');
  const packed = async (/** @type {string} */ encoding, /** @type {Record<string, string>} */ more = {}) => {
    const { headers, body } = await get('/packed.js', { headers: { 'Accept-Encoding': encoding, ...more } });
    return [body, headers['content-encoding'], headers.vary, headers['content-type']];
  };
  const type = 'text/javascript; charset=utf-8';
  assert.deepEqual(await packed('gzip, deflate, br'), ['br', 'br', 'Accept-Encoding', type]);
  assert.deepEqual(await packed('gzip'), ['gz', 'gzip', 'Accept-Encoding', type]);
  assert.deepEqual(await packed('identity'), ['0123456789', undefined, undefined, type]);
  assert.deepEqual(await packed('br', { Range: 'bytes=2-3' }), ['23', undefined, undefined, type]);
});

test('HEAD has the headers and no body; other methods are refused', async () => {
  const { status, headers, body } = await get('/data.gguf', { method: 'HEAD' });
  assert.deepEqual([status, headers['content-length'], headers['accept-ranges'], body], [200, '10', 'bytes', '']);
  assert.equal((await get('/data.gguf', { method: 'POST' })).status, 405);
});

test('nothing outside the folder is served', async () => {
  const paths = [
    '/../secret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e/secret.txt',
    '/sub/../../secret.txt',
    '/sub/..%2f..%2fsecret.txt',
  ].concat([
    '/../site-other/secret.txt',
    '//secret.txt',
    '/..\\secret.txt',
    `${folder}/secret.txt`,
    '/%00',
    '/a.js%00',
    '/%zz',
    '/sub',
    '*',
  ]);
  for (const path of paths) {
    const { status, body } = await get(path);
    assert([400, 404].includes(status), `${path}: ${status}`);
    assert(!body.includes('secret'), path);
  }
});

test('a link to a large model file elsewhere is followed, and a broken one is not found', async () => {
  await symlink(join(folder, 'secret.txt'), join(folder, 'site/link.gguf'));
  await symlink(join(folder, 'never'), join(folder, 'site/broken.gguf'));
  assert.equal((await get('/link.gguf')).body, 'secret');
  assert.equal((await get('/broken.gguf')).status, 404);
});

test('a reader that goes away in the middle does not stop the server', async () => {
  await writeFile(join(folder, 'site/large.bin'), Buffer.alloc(8 << 20));
  for (let i = 0; i < 5; ++i) {
    const controller = new AbortController();
    const response = await fetch(`${server.url}large.bin`, { signal: controller.signal });
    await response.body?.getReader().read();
    controller.abort();
  }
  assert.equal((await get('/')).status, 200);
});

test('a port that is taken is an error', async () => {
  await assert.rejects(serve({ root: folder, port: server.port }), { code: 'EADDRINUSE' });
});

test('the program says what is wrong with the folder that it shall serve, not with its port', () => {
  const script = join(folder, 'repository/scripts/serve.mjs'); // beside which there is no build/site
  cpSync(fileURLToPath(new URL('../../scripts', import.meta.url)), join(folder, 'repository/scripts'), {
    recursive: true,
  });
  /** @param {string[]} options */
  const run = (...options) =>
    spawnSync(process.execPath, [script, '--port', '0', ...options], { encoding: 'utf8', timeout: 20_000 });
  /** @type {[options: string[], message: RegExp][]} */
  const cases = [
    [[], /^error: --root: .*build\/site is not built: scripts\/demo --build-only does it\n$/],
    [['--root', 'build/none'], /^error: --root: build\/none is no folder\n$/],
    [['--root', script], /^error: --root: .*serve\.mjs is no folder\n$/],
  ];
  for (const [options, message] of cases) {
    const { status, stdout, stderr } = run(...options);
    assert.deepEqual([status, stdout], [1, ''], options.join(' '));
    assert.match(stderr, message);
  }
});

/**
 * Runs real servers with the very snippets of docs/hosting.md and visits the site on each with Chromium: isolated from the first visit
 * on, packed files, the headers of each kind of file, ranges of models, a chat. By hand, after `scripts/site`; it needs the programs
 * nginx, apache2 and caddy (those that are missing are left out and said).
 */
import { execFileSync, spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ask, kExpected, kModelId, kQuestion, launch, startModel, watchPage } from '../tests/browser/harness.mjs';
import { kIsolationHeaders, securityHeaders } from './host-headers.mjs';

const kRoot = fileURLToPath(new URL('..', import.meta.url));
const kPublished = '/srv/tessera'; // the folder that the snippets name
const kApacheModules = 'mpm_event authz_core mime dir alias headers rewrite deflate filter'.split(' ');

/**
 * @typedef {object} Host
 * @property {number} port
 * @property {string} path where the site is
 * @property {string} version command that prints it
 * @property {(snippet: string, folder: string, port: number) => string} config
 * @property {(config: string, folder: string) => string[]} command
 */

/** @type {Record<string, Host>} */
const kHosts = {
  nginx: {
    port: 18431,
    path: '/tessera/',
    version: 'nginx -v',
    config: (snippet, folder, port) => `daemon off; pid ${folder}/nginx.pid; error_log ${folder}/error.log; user root;
events {}
http { access_log off; client_body_temp_path ${folder}/t1; proxy_temp_path ${folder}/t2; fastcgi_temp_path ${folder}/t3;
uwsgi_temp_path ${folder}/t4; scgi_temp_path ${folder}/t5;
server { listen 127.0.0.1:${port};
${snippet.replace('include mime.types', 'include /etc/nginx/mime.types')}
} }`,
    command: (config) => ['nginx', '-c', config],
  },
  apache: {
    port: 18432,
    path: '/tessera/',
    version: 'apache2 -v',
    config: (snippet, folder, port) => `ServerName localhost
ServerRoot ${folder}
PidFile ${folder}/apache.pid
ErrorLog ${folder}/error.log
Listen 127.0.0.1:${port}
${kApacheModules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
TypesConfig /etc/mime.types
AddType application/x-gzip .gz
Alias /tessera ${folder}/site
${snippet}`,
    command: (config) => ['apache2', '-f', config, '-DFOREGROUND'],
  },
  caddy: {
    port: 18433,
    path: '/',
    version: 'caddy version',
    config: (snippet, _, port) =>
      `{\n  admin off\n  auto_https off\n}\n${snippet.replace('example.com {', `http://127.0.0.1:${port} {`)}`,
    command: (config) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', config],
  },
};

if (process.argv.includes('--help')) {
  console.log(`usage: node scripts/check-hosts.mjs [--site build/site] [${Object.keys(kHosts).join('|')}]…`);
  process.exit(0);
}
const { values, positionals } = parseArgs({
  options: { site: { type: 'string', default: join(kRoot, 'build/site') } },
  allowPositionals: true,
});
/** @type {string[]} */
const problems = [];
/**
 * @param {boolean} holds
 * @param {string} what
 */
function expect(holds, what) {
  if (holds) return;
  problems.push(what);
  console.log(`  WRONG: ${what}`);
}

/**
 * @param {string} url
 * @param {Record<string, string>} [headers]
 */
async function head(url, headers = {}) {
  const all = [
    '-s',
    '-o',
    '/dev/null',
    '-D',
    '-',
    ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
  ];
  const lines = execFileSync('curl', [...all, url], { encoding: 'utf8' }).split('\r\n');
  /** @type {Record<string, string>} */
  const found = { status: lines[0].split(' ')[1] };
  for (const line of lines.slice(1)) {
    const [, name, value] = /^([^:]+): *(.*)$/.exec(line) ?? [];
    if (name)
      found[name.toLowerCase()] = name.toLowerCase() in found ? `${found[name.toLowerCase()]} | ${value}` : value;
  }
  return found;
}

/**
 * @param {string} name
 * @param {string} url of the site
 */
async function checkHeaders(name, url) {
  const script = (await readdir(join(values.site, 'assets'))).find((file) => /^main-\w+\.js$/.test(file));
  const page = await head(url);
  for (const [header, value] of Object.entries({
    ...kIsolationHeaders,
    ...securityHeaders(),
    'Cache-Control': 'no-cache',
  })) {
    expect(
      page[header.toLowerCase()] === value,
      `${name}: the page's ${header}: ${page[header.toLowerCase()]}, expected ${value}`,
    );
  }
  /** @type {[string, string, string][]} */
  const files = [
    [`assets/${script}`, 'text/javascript', 'public, max-age=31536000, immutable'],
    ['tessera-core.wasm', 'application/wasm', 'no-cache'],
    ['', 'text/html', 'no-cache'],
  ];
  for (const [path, type, keep] of files) {
    for (const encoding of name === 'nginx' ? ['gzip'] : ['gzip', 'br']) {
      const found = await head(url + path, { 'Accept-Encoding': encoding });
      const said = `${name}: /${path} in ${encoding}`;
      expect(found['content-encoding'] === encoding, `${said}: Content-Encoding ${found['content-encoding']}`);
      expect(
        Boolean(found['content-type']?.startsWith(type)),
        `${said}: Content-Type ${found['content-type']}, expected ${type}`,
      );
      expect(found['cache-control'] === keep, `${said}: Cache-Control ${found['cache-control']}, expected ${keep}`);
      expect(/accept-encoding/i.test(found.vary ?? ''), `${said}: Vary ${found.vary}`);
      expect(found['cross-origin-embedder-policy'] === 'require-corp', `${said}: no isolation header`);
    }
    expect(
      (await head(url + path))['content-encoding'] === undefined,
      `${name}: /${path} is packed for a reader that takes none`,
    );
  }
  const { shards } = JSON.parse(await readFile(join(values.site, 'models', kModelId, 'manifest.json'), 'utf8'));
  const shard = await head(`${url}models/${kModelId}/${shards[0].path}`, {
    Range: 'bytes=100-199',
    'Accept-Encoding': 'gzip, br',
  });
  expect(
    shard.status === '206' && shard['content-length'] === '100' && !shard['content-encoding'],
    `${name}: a range of a shard: ${JSON.stringify(shard)}`,
  );
}

/**
 * @param {string} name
 * @param {string} url
 */
async function checkChat(name, url) {
  /** @type {(() => Promise<void>)[]} */
  const ends = [];
  try {
    const browser = await launch({ after: (end) => ends.push(end) });
    const page = await browser.newPage();
    const watch = watchPage(page, new URL(url).origin);
    await page.evaluateOnNewDocument(() =>
      localStorage.setItem('tessera.settings', '{"temperature":0,"max_tokens":32}'),
    );
    let visits = 0;
    page.on('request', (request) => void (visits += request.isNavigationRequest() ? 1 : 0));
    await page.goto(url);
    expect(await page.evaluate(() => crossOriginIsolated), `${name}: the page is not isolated`);
    await startModel(page);
    const answer = await ask(page, kQuestion);
    expect(kExpected.test(answer), `${name}: the answer is ${answer}`);
    expect(visits === 1, `${name}: ${visits} visits instead of one`);
    expect(watch.errors.length + watch.foreign.length === 0, `${name}: ${JSON.stringify(watch)}`);
  } finally {
    for (const end of ends) await end();
  }
}

/** @param {number} port */
async function listening(port) {
  for (let tries = 0; tries < 100; ++tries) {
    const open = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true)));
      socket.on('error', () => resolve(false));
    });
    if (open) return;
    await sleep(100);
  }
  throw new Error(`nothing answers at port ${port}`);
}

/** @param {string} name */
async function checkHost(name) {
  const { port, path, version, config, command } = kHosts[name];
  const [program, ...rest] = version.split(' ');
  try {
    execFileSync('which', [program]);
  } catch {
    return console.log(`${name}: ${program} is not installed, left out`);
  }
  console.log(
    `${name}: ${execFileSync('sh', ['-c', `${[program, ...rest].join(' ')} 2>&1`], { encoding: 'utf8' }).split('\n')[0]}`,
  );
  const text = await readFile(join(kRoot, 'docs/hosting.md'), 'utf8');
  const snippet = new RegExp(`\`\`\`${name}\n([^]*?)\n\`\`\``).exec(text)?.[1];
  if (!snippet) throw new Error(`docs/hosting.md has no snippet for ${name}`);
  const folder = await mkdtemp(join(tmpdir(), `tessera-${name}-`));
  await cp(values.site, join(folder, 'site'), { recursive: true });
  const file = join(folder, 'server.conf');
  await writeFile(file, config(snippet.replaceAll(kPublished, join(folder, 'site')), folder, port));
  const [command0, ...args] = command(file, folder);
  const server = spawn(command0, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaints = '';
  server.stderr.on('data', (data) => (complaints += data));
  try {
    await listening(port);
    const url = `http://127.0.0.1:${port}${path}`;
    await checkHeaders(name, url);
    await checkChat(name, url);
  } catch (error) {
    expect(false, `${name}: ${error}\n${complaints.slice(-2000)}`);
  } finally {
    server.kill('SIGTERM');
    await new Promise((resolve) => server.once('exit', resolve));
    await rm(folder, { recursive: true });
  }
}

for (const name of positionals.length > 0 ? positionals : Object.keys(kHosts)) {
  if (!(name in kHosts)) throw new Error(`${name}: expected one of ${Object.keys(kHosts).join(', ')}`);
  await checkHost(name);
}
console.log(problems.length === 0 ? 'all as docs/hosting.md says' : `${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;

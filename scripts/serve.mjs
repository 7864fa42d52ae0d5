/** A small static server for the built site: what a host must send (MIME types, isolation and security headers) and nothing more. */
import { existsSync, statSync } from 'node:fs';
import { open, readFile, realpath } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { kIsolationHeaders, securityHeaders } from './host-headers.mjs';

const kSite = fileURLToPath(new URL('../build/site', import.meta.url));
const kPort = 8080;

/** @type {Record<string, string>} */
const kTypes = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.ts': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '': 'text/plain; charset=utf-8',
};

/**
 * @typedef {object} Server
 * @property {string} url with a slash at its end
 * @property {number} port
 * @property {() => Promise<void>} close
 */

/**
 * @param {object} [options]
 * @param {string} [options.root] the folder to serve
 * @param {number} [options.port] 0: any free one
 * @param {string} [options.host]
 * @param {boolean} [options.isolation] false: like a plain host, without the isolation headers
 * @param {string[]} [options.modelHosts] further origins that models may come from
 * @returns {Promise<Server>} rejects when the port is taken
 */
export async function serve({ root = kSite, port = 0, host = '127.0.0.1', isolation = true, modelHosts = [] } = {}) {
  const folder = await realpath(root);
  const headers = {
    ...securityHeaders(modelHosts),
    ...(isolation ? kIsolationHeaders : {}),
    'Cache-Control': 'no-store',
  };
  const server = createServer(async (request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    try {
      await answer(folder, request, response);
    } catch {
      response.destroy(); // the reader went away, or the file became unreadable after its headers were sent
    }
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(undefined));
  });
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}/`,
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * @param {string} folder without symbolic links
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function answer(folder, request, response) {
  /**
   * @param {number} status
   * @param {string} text
   * @param {Record<string, string>} [headers]
   */
  const refuse = (status, text, headers) => {
    response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers }).end(`${text}\n`);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return refuse(405, 'method not allowed', { Allow: 'GET, HEAD' });
  const path = filePath(folder, request.url ?? '/');
  if (path === null) return refuse(400, 'bad address');
  const file = await open(path, 'r').catch(() => null);
  try {
    const stat = await file?.stat();
    if (!file || !stat?.isFile()) return refuse(404, 'not found');
    if (!request.headers.range && (await sendPacked(path, request, response))) return;
    const range = byteRange(request.headers.range, stat.size);
    if (range === null) return refuse(416, 'range not satisfiable', { 'Content-Range': `bytes */${stat.size}` });
    const { start, end } = range ?? { start: 0, end: stat.size - 1 };
    response.writeHead(range ? 206 : 200, {
      'Content-Type': kTypes[extname(path)] ?? 'application/octet-stream',
      'Content-Length': end - start + 1,
      'Accept-Ranges': 'bytes',
      ...(range ? { 'Content-Range': `bytes ${start}-${end}/${stat.size}` } : {}),
    });
    if (request.method === 'HEAD' || stat.size === 0) response.end();
    else await pipeline(file.createReadStream({ start, end, autoClose: false }), response);
  } finally {
    await file?.close();
  }
}

/**
 * The copy that build-site --compress has put beside a file, if the reader takes it.
 * @param {string} path
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 * @returns {Promise<boolean>} false: nothing was sent
 */
async function sendPacked(path, request, response) {
  const accepted = String(request.headers['accept-encoding'] ?? '');
  for (const [encoding, ending] of [
    ['br', '.br'],
    ['gzip', '.gz'],
  ]) {
    if (!new RegExp(`\\b${encoding}\\b`).test(accepted)) continue;
    const packed = await readFile(path + ending).catch(() => null);
    if (packed === null) continue;
    response.writeHead(200, {
      'Content-Type': kTypes[extname(path)] ?? 'application/octet-stream',
      'Content-Encoding': encoding,
      'Content-Length': packed.length,
      Vary: 'Accept-Encoding',
    });
    response.end(request.method === 'HEAD' ? undefined : packed);
    return true;
  }
  return false;
}

/**
 * @param {string} folder
 * @param {string} address path and query of the request
 * @returns {string | null} a path inside the folder, or null for an address that is none
 */
function filePath(folder, address) {
  let path;
  try {
    path = decodeURIComponent(address.split(/[?#]/, 1)[0]);
  } catch {
    return null;
  }
  if (!path.startsWith('/') || path.includes('\0')) return null;
  const full = join(folder, path.endsWith('/') ? `${path}index.html` : path);
  return full.startsWith(folder + sep) ? full : null;
}

/**
 * @param {string | undefined} header
 * @param {number} size
 * @returns {{start: number, end: number} | undefined | null} undefined: the whole file; null: outside of it
 */
function byteRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined; // several ranges may be answered with the whole file
  const [, first, last] = match;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start <= end ? { start, end } : null;
}

const kUsage = `usage: node scripts/serve.mjs [--port ${kPort}] [--host 127.0.0.1] [--root build/site] [--no-isolation] [--model-host URL]…`;

/**
 * @param {string} root absolute
 * @returns {string | null} why it cannot be served
 */
function unfitRoot(root) {
  if (root === kSite && !existsSync(join(root, 'index.html'))) return 'is not built: scripts/demo --build-only does it';
  return statSync(root, { throwIfNoEntry: false })?.isDirectory() ? null : 'is no folder';
}

async function main() {
  /** @type {{port: string, host: string, root: string, 'no-isolation': boolean, 'model-host': string[], help: boolean}} */
  let values;
  try {
    values = parseArgs({
      options: {
        port: { type: 'string', default: String(kPort) },
        host: { type: 'string', default: '127.0.0.1' },
        root: { type: 'string', default: kSite },
        'no-isolation': { type: 'boolean', default: false },
        'model-host': { type: 'string', multiple: true, default: [] },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    console.error(`error: ${/** @type {Error} */ (error).message}\n${kUsage}`);
    process.exit(2);
  }
  const { port, host, root } = values;
  if (values.help) {
    console.log(kUsage);
    return;
  }
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) {
    console.error(`error: --port: expected a number up to 65535, found ${port}\n${kUsage}`);
    process.exit(2);
  }
  const unfit = unfitRoot(resolve(root));
  if (unfit) {
    console.error(`error: --root: ${root} ${unfit}`);
    process.exit(1);
  }
  try {
    const modelHosts = values['model-host'].map((address) => new URL(address).origin);
    const { url } = await serve({ port: Number(port), host, root, isolation: !values['no-isolation'], modelHosts });
    console.log(url);
  } catch (error) {
    console.error(`error: cannot listen on port ${port}: ${/** @type {Error} */ (error).message}; try --port`);
    process.exit(1);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();

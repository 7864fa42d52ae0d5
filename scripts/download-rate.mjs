/**
 * How fast a model is downloaded into a real browser's store, everything included (ranges, hashing, chunk files), beside what a
 * plain fetch written to one file of the same store does, by turns, with the processor time of all programs that take part (Linux).
 * With a manifest the plain fetch is measured in two ways: of the whole model at one address, and of the same shards one after another.
 * Usage: node scripts/download-rate.mjs [--megabytes 1000] [--runs 5] [--browser chrome|firefox] [--manifest: in shards with hashes]
 * The profile, and so the store, lies in the folder for temporary files: TMPDIR=/dev/shm leaves the disk out.
 */
import { build } from 'esbuild';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { launch } from '../tests/browser/harness.mjs';
import { inBlocksOf, sha256 } from '../tests/web/faulty-server.mjs';
import { pattern } from '../tests/web/store-contract.mjs';

const kPiece = pattern(16 << 20, 1);
const kTicks = 100; // of /proc, a second
const kHeaders = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cache-Control': 'no-store',
};

const kShardBytes = 16e6; // no divisor of the piece: no two shards are equal

/**
 * The made-up model's bytes from start to end, in pieces.
 * @param {number} start
 * @param {number} end
 */
function* bytesOf(start, end) {
  for (let at = start; at < end;) {
    const inside = at % kPiece.length;
    const piece = kPiece.subarray(inside, Math.min(inside + (1 << 20), kPiece.length, inside + end - at));
    yield at === 0 ? Buffer.concat([Buffer.from('GGUF'), piece.subarray(4)]) : piece;
    at += piece.length;
  }
}

/** @param {number} size of the whole file */
function makeManifest(size) {
  const shards = [];
  for (let offset = 0; offset < size; offset += kShardBytes) {
    const bytes = Math.min(kShardBytes, size - offset);
    const all = Buffer.concat([...bytesOf(offset, offset + bytes)]);
    const hash = sha256(all);
    shards.push({ path: `shard-${offset}`, offset, bytes, sha256: hash, sha256_blocks: inBlocksOf(hash, all) });
  }
  const about = { name: 'made up', architecture: 'llama', quantization: 'Q4_1', license: '', chat_template: false };
  const file = { name: 'model.gguf', bytes: size, sha256: '0'.repeat(64) };
  return JSON.stringify({
    format: 'tessera-shards',
    version: 1,
    ...about,
    context_length: 1,
    file,
    shards,
  });
}

/**
 * @param {number} size of /model.gguf, whose bytes are made up as they are sent; /shard-N are its parts
 * @param {Record<string, string>} pages what lies at the other paths
 */
async function startServer(size, pages) {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://host').pathname;
    const shard = /^\/shard-(\d+)$/.exec(path);
    if (path !== '/model.gguf' && !shard) {
      const headers = { ...kHeaders, 'Content-Type': path.endsWith('.js') ? 'text/javascript' : 'text/html' };
      return void response.writeHead(200, headers).end(pages[path] ?? '');
    }
    const first = Number(shard?.[1] ?? 0);
    const bytes = shard ? Math.min(kShardBytes, size - first) : size;
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const start = Number(range?.[1] ?? 0);
    const end = range ? Math.min(bytes, Number(range[2]) + 1) : bytes;
    const of = { ...kHeaders, ETag: '"1"', 'Content-Length': end - start };
    response.writeHead(
      range ? 206 : 200,
      range ? { ...of, 'Content-Range': `bytes ${start}-${end - 1}/${bytes}` } : of,
    );
    const closed = once(response, 'close');
    for (const piece of bytesOf(first + start, first + end)) {
      if (response.destroyed) return;
      if (!response.write(piece)) await Promise.race([once(response, 'drain'), closed]);
    }
    response.end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}/`, close: () => (server.closeAllConnections(), server.close()) };
}

/**
 * @param {number} root a process
 * @returns {Promise<number>} seconds of processor time that this program, that process and its children have used
 */
async function processorSeconds(root) {
  const { user, system } = process.cpuUsage();
  let seconds = (user + system) / 1e6;
  const family = new Set([root]);
  const numbers = (await readdir('/proc').catch(() => [])).map(Number).filter(Boolean);
  for (const id of numbers.sort((a, b) => a - b)) {
    const stat = await readFile(`/proc/${id}/stat`, 'utf8').catch(() => '');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from the third one on: proc(5)
    if (id !== root && !family.has(Number(fields[1]))) continue;
    family.add(id);
    seconds += (Number(fields[11]) + Number(fields[12])) / kTicks;
  }
  return seconds;
}

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '5' },
    browser: { type: 'string', default: 'chrome' },
    manifest: { type: 'boolean', default: false },
  },
});
const size = Number(values.megabytes) * 1e6;
const worker = fileURLToPath(new URL('../tests/browser/store-worker.js', import.meta.url));
const { outputFiles } = await build({ entryPoints: [worker], bundle: true, format: 'esm', write: false });
const pages = { '/worker.js': outputFiles[0].text, '/manifest.json': values.manifest ? makeManifest(size) : '' };
const server = await startServer(size, pages);
/** @type {(() => Promise<void>)[]} */
const ends = [];
try {
  const name = values.browser === 'firefox' ? 'firefox' : 'chrome';
  // Who watches the network hears of every piece of every answer.
  const browser = await launch({ after: (end) => ends.push(end) }, name, { networkEnabled: false });
  const root = Number(browser.process()?.pid);
  const page = await browser.newPage();
  page.setDefaultTimeout(300_000);
  await page.goto(server.url);
  const measure = (/** @type {object} */ message) =>
    page.evaluate(async (content) => {
      const [running, helping] = [1, 2].map(() => new Worker('/worker.js', { type: 'module' }));
      const { port1, port2 } = new MessageChannel();
      helping.postMessage({ task: 'lane', port: port1 }, [port1]);
      const answer = await new Promise((resolve) => {
        running.onmessage = ({ data }) => resolve(data);
        running.postMessage({ ...content, port: port2 }, [port2]);
      });
      for (const worker of [running, helping]) worker.terminate();
      return answer;
    }, message);
  const shards = values.manifest ? JSON.parse(pages['/manifest.json']).shards : [];
  /** @type {Record<string, object>} */
  const tasks = {
    plain: { task: 'plain', urls: [`${server.url}model.gguf`] },
    ...(values.manifest && {
      'plain shards': {
        task: 'plain',
        urls: shards.map((/** @type {{path: string}} */ { path }) => server.url + path),
      },
    }),
    store: { task: 'download', url: server.url + (values.manifest ? 'manifest.json' : 'model.gguf') },
  };
  const rates = Object.fromEntries(Object.keys(tasks).map((task) => [task, /** @type {number[]} */ ([])]));
  for (let run = 0; run < Number(values.runs); ++run) {
    for (const [task, message] of Object.entries(tasks)) {
      const before = await processorSeconds(root);
      const { milliseconds, error } = await measure(message);
      if (error) throw new Error(JSON.stringify(error));
      const cpu = ((await processorSeconds(root)) - before) * (1e9 / size);
      rates[task].push(size / 1e3 / milliseconds);
      console.log(`${task.padEnd(12)} ${(size / 1e3 / milliseconds).toFixed(0)} MB/s, ${cpu.toFixed(1)} s of CPU a GB`);
    }
  }
  const median = (/** @type {number[]} */ all) => all.toSorted((a, b) => a - b)[all.length >> 1];
  for (const task of Object.keys(tasks).filter((each) => each !== 'store')) {
    const parts = rates.store.map((rate, run) => (100 * rate) / rates[task][run]);
    console.log(`store, in % of ${task}: ${parts.map(Math.round).join(' ')}; median ${median(parts).toFixed(0)} %`);
  }
} finally {
  for (const end of ends) await end();
  server.close();
}

/**
 * How fast a model is downloaded into a real Chromium's store, everything included (ranges, hashing, chunk files), beside what a
 * plain fetch written to one file of the same store does, by turns. Usage: node scripts/download-rate.mjs [--megabytes 1000] [--runs 5]
 * [--browser chrome|firefox]
 */
import { build } from 'esbuild';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { launch } from '../tests/browser/harness.mjs';
import { pattern } from '../tests/web/store-contract.mjs';

const kPiece = pattern(16 << 20, 1);
const kHeaders = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cache-Control': 'no-store',
};

/**
 * @param {number} size of /model.gguf, whose bytes are made up as they are sent
 * @param {string} workerCode
 */
async function startServer(size, workerCode) {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://host').pathname;
    const headers = { ...kHeaders, 'Content-Type': path.endsWith('.js') ? 'text/javascript' : 'text/html' };
    if (path !== '/model.gguf')
      return void response.writeHead(200, headers).end(path === '/worker.js' ? workerCode : '');
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const start = Number(range?.[1] ?? 0);
    const end = range ? Math.min(size, Number(range[2]) + 1) : size;
    const of = { ...kHeaders, ETag: '"1"', 'Content-Length': end - start };
    response.writeHead(range ? 206 : 200, range ? { ...of, 'Content-Range': `bytes ${start}-${end - 1}/${size}` } : of);
    const closed = once(response, 'close');
    for (let at = start; at < end && !response.destroyed;) {
      const inside = at % kPiece.length;
      const piece = kPiece.subarray(inside, Math.min(inside + (1 << 20), kPiece.length, inside + end - at));
      const sent = at === 0 ? Buffer.concat([Buffer.from('GGUF'), piece.subarray(4)]) : piece;
      at += sent.length;
      if (!response.write(sent)) await Promise.race([once(response, 'drain'), closed]);
    }
    response.end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}/`, close: () => (server.closeAllConnections(), server.close()) };
}

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '5' },
    browser: { type: 'string', default: 'chrome' },
  },
});
const size = Number(values.megabytes) * 1e6;
const worker = fileURLToPath(new URL('../tests/browser/store-worker.js', import.meta.url));
const { outputFiles } = await build({ entryPoints: [worker], bundle: true, format: 'esm', write: false });
const server = await startServer(size, outputFiles[0].text);
/** @type {(() => Promise<void>)[]} */
const ends = [];
try {
  const browser = await launch({ after: (end) => ends.push(end) }, values.browser === 'firefox' ? 'firefox' : 'chrome');
  const page = await browser.newPage();
  page.setDefaultTimeout(300_000);
  await page.goto(server.url);
  const measure = (/** @type {object} */ message) =>
    page.evaluate(async (content) => {
      const running = new Worker('/worker.js', { type: 'module' });
      const answer = await new Promise((resolve) => {
        running.onmessage = ({ data }) => resolve(data);
        running.postMessage(content);
      });
      running.terminate();
      return answer;
    }, message);
  const rates = { plain: /** @type {number[]} */ ([]), store: /** @type {number[]} */ ([]) };
  for (let run = 0; run < Number(values.runs); ++run) {
    for (const task of /** @type {const} */ (['plain', 'store'])) {
      const { milliseconds, error } = await measure({
        task: task === 'plain' ? 'plain' : 'download',
        url: `${server.url}model.gguf`,
      });
      if (error) throw new Error(JSON.stringify(error));
      rates[task].push(size / 1e3 / milliseconds);
      console.log(`${task.padEnd(5)} ${(size / 1e3 / milliseconds).toFixed(0)} MB/s`);
    }
  }
  const median = (/** @type {number[]} */ all) => all.toSorted((a, b) => a - b)[all.length >> 1];
  const parts = rates.store.map((rate, run) => (100 * rate) / rates.plain[run]);
  console.log(
    `store, in % of the plain fetch before it: ${parts.map(Math.round).join(' ')}; median ${median(parts).toFixed(0)} %`,
  );
} finally {
  for (const end of ends) await end();
  server.close();
}

/** The worker of the store tests: runs a suite over one real backend, or opens a model as the engine's worker does. */
import { createCacheBackend } from '../../web/store/cache-backend.js';
import { createOpfsBackend } from '../../web/store/opfs-backend.js';
import { openModel } from '../../web/store/open-model.js';
import { startSha256 } from '../../web/store/hash.js';
import { serveLane } from '../../web/store/lane-worker.js';
import { TesseraError } from '../../web/base/errors.js';
import { oldRecords } from '../web/old-records.mjs';
import { contract } from '../web/store-contract.mjs';

const kFactories = { opfs: createOpfsBackend, cache: createCacheBackend };
const kSuites = { contract, oldRecords };

/** @param {{backend: 'opfs' | 'cache', suite: keyof typeof kSuites}} message */
async function runSuite({ backend: kind, suite }) {
  const backend = await kFactories[kind]();
  if (!backend) return { missing: true };
  const empty = async () => {
    for (const { path } of await backend.list()) await backend.deleteFolder(path.split('/', 1)[0]);
  };
  const results = [];
  for (const { name, run } of kSuites[suite]) {
    await empty();
    try {
      await run(backend, `${location.origin}/`);
      results.push({ name, error: '' });
    } catch (error) {
      results.push({ name, error: String(/** @type {any} */ (error)?.stack ?? error) });
    }
  }
  await empty();
  return { results };
}

/**
 * Opens a model and hashes what its readers give, through shared memory where there is some.
 * @param {{url?: string, files?: {name: string, text: string}[], backend?: 'opfs' | 'cache', cache?: boolean, hold?: boolean,
 *   network?: import('../../web/store/network.js').NetworkOptions, port?: MessagePort}} message port: to a worker that takes half of the download
 */
async function open({ url = '', files, backend: kind, cache, hold, network = { retries: 0 }, port }) {
  const source = files ? files.map(({ name, text }) => new File([text], name)) : url;
  const backend = kind && ((await kFactories[kind]()) ?? undefined);
  const startLane = port && (() => ({ port, end: () => {} }));
  const start = performance.now();
  try {
    const model = await openModel(source, { cache }, { backend, network, startLane });
    const milliseconds = performance.now() - start;
    const target = new Uint8Array(typeof SharedArrayBuffer === 'function' ? new SharedArrayBuffer(1 << 20) : 1 << 20);
    const hashes = [];
    for (const part of model.parts) {
      const hash = startSha256();
      for (let at = 0; at < part.size; at += target.length) {
        const piece = target.subarray(0, Math.min(target.length, part.size - at));
        part.read(piece, at);
        hash.update(piece.slice());
      }
      hashes.push(hash.digest());
    }
    if (!hold) await model.close();
    return {
      name: model.name,
      storedIn: model.storedIn,
      hashes,
      milliseconds,
      readMilliseconds: performance.now() - start,
    };
  } catch (error) {
    return { error: TesseraError.from(error).toPlain() };
  }
}

/**
 * Downloads a model into the store and forgets it again.
 * @param {{url: string, port: MessagePort}} message port: to a worker that takes half of the download
 */
async function download({ url, port }) {
  const backend = /** @type {import('../../web/store/contract.js').Backend} */ (await createOpfsBackend());
  const start = performance.now();
  try {
    await (await openModel(url, {}, { backend, startLane: () => ({ port, end: () => {} }) })).close();
    return { milliseconds: performance.now() - start };
  } catch (error) {
    return { error: TesseraError.from(error).toPlain() };
  } finally {
    for (const { path } of await backend.list()) await backend.delete(path);
  }
}

/**
 * What a page without a store would do: each file with one request, one after another, written to one file as it comes.
 * @param {{urls: string[]}} message
 */
async function plainDownload({ urls }) {
  const root = await navigator.storage.getDirectory();
  const access = await (await root.getFileHandle('plain', { create: true })).createSyncAccessHandle();
  const start = performance.now();
  let at = 0;
  for (const url of urls) {
    const { body } = await fetch(url, { cache: 'no-store' });
    const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      at += access.write(value, { at });
    }
  }
  access.flush();
  access.close();
  const milliseconds = performance.now() - start;
  await root.removeEntry('plain');
  return { milliseconds };
}

/** @type {Record<string, (message: any) => Promise<unknown>>} */
const tasks = { suite: runSuite, download, plain: plainDownload };

self.onmessage = async ({ data }) => {
  if (data.task === 'lane') serveLane(data.port);
  else self.postMessage(await (tasks[data.task] ?? open)(data));
};

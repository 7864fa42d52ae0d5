/** The store in the Cache API, for browsers without a private file system that workers can use. */
import { TesseraError } from '../base/errors.js';
import { blobReader } from './readers.js';

const kCacheName = 'tessera-models';
const kBytesHeader = 'x-tessera-bytes';

/**
 * @returns {Promise<import('./contract.js').Backend | null>} null where the browser has no Cache API or refuses it
 */
export async function createCacheBackend() {
  if (!('caches' in globalThis)) return null;
  /** @type {Cache} */
  let cache;
  try {
    cache = await caches.open(kCacheName);
  } catch {
    return null;
  }
  const base = new URL(`/${kCacheName}/`, globalThis.location.origin).href;

  /** @param {string} path */
  const find = async (path) => {
    const response = await cache.match(base + path);
    if (!response) throw new TesseraError('not_found', `no stored file ${path}`);
    return response;
  };

  return {
    kind: 'cache',
    persistent: true,
    async list(folder) {
      const files = [];
      for (const request of await cache.keys()) {
        if (folder !== undefined && !request.url.startsWith(`${base}${folder}/`)) continue;
        const response = await cache.match(request);
        if (!response) continue; // deleted by another tab since keys()
        const bytes = response.headers.get(kBytesHeader) ?? (await response.blob()).size;
        files.push({ path: request.url.slice(base.length), bytes: Number(bytes) });
      }
      return files;
    },
    async open(path) {
      return blobReader(await (await find(path)).blob());
    },
    async blob(path) {
      return (await find(path)).blob();
    },
    async createWriter(path, expectedBytes) {
      return openWriter(cache, base + path, expectedBytes);
    },
    async delete(path) {
      await cache.delete(base + path);
    },
    async deleteFolder(folder) {
      for (const request of await cache.keys()) {
        if (request.url.startsWith(`${base}${folder}/`)) await cache.delete(request);
      }
    },
  };
}

/**
 * The entry is put as a stream: the cache holds it only when the stream ends well, so commit ends it and abort breaks it.
 * @param {Cache} cache
 * @param {string} url
 * @param {number} [expectedBytes]
 * @returns {import('./contract.js').FileWriter}
 */
function openWriter(cache, url, expectedBytes) {
  /** @type {TransformStream<Uint8Array, Uint8Array>} */
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  const headers = expectedBytes === undefined ? undefined : { [kBytesHeader]: String(expectedBytes) };
  const stored = cache.put(url, new Response(readable, { headers }));
  // When the put fails (a full store), the stream may never be read again: whatever waits for it must hear of the failure.
  const failed = stored.then(() => new Promise(() => {}));
  failed.catch(() => {});
  writer.closed.catch(() => {});
  return {
    async write(chunk) {
      await Promise.race([writer.write(chunk.slice()), failed]);
    },
    async commit() {
      await Promise.race([writer.close(), failed]);
      await stored;
    },
    async abort() {
      await writer.abort(new DOMException('given up', 'AbortError')).catch(() => {});
      await stored.catch(() => {});
    },
  };
}

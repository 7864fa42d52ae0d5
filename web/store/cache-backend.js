/** The store in the Cache API, for browsers without a private file system that workers can use. */
import { TesseraError } from '../base/errors.js';
import { renamed } from './contract.js';
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
    async createWriter(path) {
      return openWriter(cache, path, base);
    },
    async unfinished() {
      return []; // there are no files before commit
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
 * An entry is put whole when all of it is there, as only then its name is certain.
 * @param {Cache} cache
 * @param {string} path
 * @param {string} base of all paths
 * @returns {import('./contract.js').FileWriter}
 */
function openWriter(cache, path, base) {
  /** @type {Blob[]} */
  let pieces = [];
  const abort = async () => void (pieces = []);
  return {
    resumed: 0,
    async readBack(target, offset) {
      target.set(new Uint8Array(await new Blob(pieces).slice(offset, offset + target.length).arrayBuffer()));
    },
    async write(chunk) {
      pieces.push(new Blob([new Uint8Array(chunk)]));
    },
    async commit(name) {
      const all = new Blob(pieces);
      const headers = { [kBytesHeader]: String(all.size) };
      await cache.put(base + renamed(path, name), new Response(all, { headers }));
    },
    abort,
    leave: abort,
  };
}

/** Which place models are kept in: the private file system, else the Cache API, else this page's memory. */
import { createCacheBackend } from './cache-backend.js';
import { createMemoryBackend } from './memory-backend.js';
import { createOpfsBackend } from './opfs-backend.js';

/**
 * @param {{cache?: boolean}} [options] cache: false keeps nothing
 * @returns {Promise<import('./contract.js').Backend>}
 */
export async function chooseBackend({ cache = true } = {}) {
  if (!cache) return createMemoryBackend();
  return (await createOpfsBackend()) ?? (await createCacheBackend()) ?? createMemoryBackend();
}

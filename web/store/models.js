/** The stored models: what there is, throwing one away, checking one. Works in the page and in workers. */
import { TesseraError } from '../base/errors.js';
import { chooseBackend } from './choose-backend.js';
import { createHash } from './hash.js';
import { withModelLock } from './locks.js';
import { isStored, readLastUsed, readRecord, storedFiles } from './records.js';

/** @typedef {import('./contract.js').Backend} Backend */

/**
 * @typedef {object} StoredModel
 * @property {string} id for remove and verify
 * @property {string} name
 * @property {number | null} bytes of the whole model; null while unknown
 * @property {number} storedBytes
 * @property {boolean} complete whether it can be opened without the network
 * @property {number | null} lastUsed milliseconds since 1970
 * @property {string} url
 */

/**
 * @param {Backend} [backend] default: the browser's store
 * @returns {Promise<StoredModel[]>} last used first
 */
export async function list(backend) {
  const store = backend ?? (await chooseBackend());
  /** @type {StoredModel[]} */
  const models = [];
  for (const [id, files] of await storedFiles(store)) {
    const record = await readRecord(store, id);
    const { name, url, parts } = record ?? { name: `unreadable entry ${id}`, url: '', parts: [] };
    models.push({
      id,
      name,
      bytes: parts.every((part) => part.bytes !== null)
        ? parts.reduce((sum, part) => sum + Number(part.bytes), 0)
        : null,
      storedBytes: [...files.values()].reduce((sum, bytes) => sum + bytes, 0),
      complete: record !== null && parts.every((part) => isStored(part, files)),
      lastUsed: await readLastUsed(store, id),
      url,
    });
  }
  return models.sort((a, b) => (b.lastUsed ?? 0) - (a.lastUsed ?? 0));
}

/**
 * @param {string} id
 * @param {Backend} [backend]
 * @returns {Promise<void>} rejects with 'not_found', or 'in_use' while another tab downloads or reads it
 */
export async function remove(id, backend) {
  const store = backend ?? (await chooseBackend());
  await withModelLock(id, { wait: false }, async () => {
    if (!(await storedFiles(store)).has(id)) throw unknownModel(id);
    await store.deleteFolder(id);
  });
}

/**
 * Reads every stored shard again and compares its SHA-256. A shard that is wrong is deleted, so that the next load fetches it anew.
 * @param {string} id
 * @param {Backend} [backend]
 * @returns {Promise<{ok: boolean, badShards: string[], missingShards: string[]}>} shard paths; ok: all are there and right
 */
export async function verify(id, backend) {
  const store = backend ?? (await chooseBackend());
  return withModelLock(id, { wait: false }, async () => {
    const files = (await storedFiles(store)).get(id);
    const record = files && (await readRecord(store, id));
    if (!record) throw unknownModel(id);
    const badShards = [];
    const missingShards = [];
    for (const part of record.parts) {
      const path = `${id}/${part.file}`;
      if (!files.has(part.file)) {
        missingShards.push(part.path);
      } else if (!isStored(part, files) || (await hashFile(store, path)) !== part.sha256) {
        badShards.push(part.path);
        await store.delete(path);
        files.delete(part.file);
      }
    }
    return { ok: badShards.length + missingShards.length === 0, badShards, missingShards };
  });
}

/**
 * @param {Backend} store
 * @param {string} path
 */
async function hashFile(store, path) {
  const hash = await createHash();
  const reader = (await store.stream(path)).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return hash.digest();
    hash.update(value);
  }
}

/** @param {string} id */
function unknownModel(id) {
  return new TesseraError('not_found', `no stored model has the id '${id}'`, 'models.list() shows the ids.');
}

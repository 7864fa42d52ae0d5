/** Checking a stored model: every chunk is read again and hashed. Runs in the engine's worker, away from the page. */
import { chooseBackend } from './choose-backend.js';
import { BlocksHash, sha256 } from './hash.js';
import { withModelLock } from './locks.js';
import { ModelFolder } from './model-folder.js';
import { unknownModel } from './models.js';
import { blocksOf, chunkCount } from './records.js';

/**
 * A chunk that is wrong is deleted, so that the next load fetches it, and nothing else, anew.
 * @param {string} id
 * @param {import('./contract.js').Backend} [backend]
 * @returns {Promise<{ok: boolean, badShards: string[], missingShards: string[]}>} files with wrong and with missing parts; ok: none
 */
export async function verify(id, backend) {
  const store = backend ?? (await chooseBackend());
  return withModelLock(id, { wait: false }, async () => {
    const folder = await ModelFolder.read(store, id);
    if (!folder.record) throw unknownModel(id);
    const badShards = new Set();
    const missingShards = new Set();
    for (const source of folder.record.sources) {
      if (source.bytes === null) missingShards.add(source.path);
      for (let i = 0; i < chunkCount(source); ++i) {
        const chunk = folder.chunk(source, i);
        if (!chunk) {
          missingShards.add(source.path);
        } else if (!folder.has(source, i) || (await hashOf(folder, source, i)) !== chunk.hash) {
          badShards.add(source.path);
          await folder.drop(source, i);
        }
      }
    }
    const ok = badShards.size + missingShards.size === 0;
    return { ok, badShards: [...badShards], missingShards: [...missingShards] };
  });
}

/**
 * @param {ModelFolder} folder
 * @param {import('./records.js').Source} source
 * @param {number} index
 * @returns {Promise<string>} '' when the bytes cannot be read any more
 */
async function hashOf(folder, source, index) {
  try {
    const bytes = new Uint8Array(await (await folder.blob(source, index)).arrayBuffer());
    const block = blocksOf(source);
    if (!block.cut) return await sha256(bytes);
    const hash = new BlocksHash();
    for (let at = 0; at < bytes.length; at += block.bytes) hash.add(bytes.subarray(at, at + block.bytes));
    return await hash.finish();
  } catch {
    return '';
  }
}

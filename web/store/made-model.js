/** A model that is made on this device, into the store while it comes: cut, hashed and recorded like one that is downloaded. */
import { TesseraError } from '../base/errors.js';
import { madeAddress, modelId } from './addresses.js';
import { BegunChunks } from './begun-chunks.js';
import { chooseBackend } from './choose-backend.js';
import { withModelLock } from './locks.js';
import { ModelFolder } from './model-folder.js';
import { checkSpace, isQuotaError, quotaError } from './quota.js';
import { chunkCount, recordOfFiles } from './records.js';
import { Span } from './span.js';

const kSpaceHint = 'Remove a stored model or free disk space, or choose a type of fewer bits a weight.';

/**
 * Worker only. Until all of it is there it is listed as incomplete; whatever fails takes it away again.
 * @param {{ name: string, bytes: number }} model
 * @param {(write: (piece: Uint8Array) => Promise<void>) => Promise<void>} produce gives all its bytes, in order
 * @param {{ backend: import('./contract.js').Backend, network?: import('./network.js').NetworkOptions }} environment
 * @returns {Promise<{ id: string, url: string }>} `url` is what openModel takes. Rejects with what `produce` throws, and with
 *   TesseraError 'quota_exceeded' (before anything is made, if the browser says so)
 */
export async function storeMade({ name, bytes }, produce, { backend, network }) {
  if (backend.persistent) await checkSpace(bytes, kSpaceHint);
  const url = madeAddress(name);
  const id = await modelId(url);
  return withModelLock(id, { wait: true }, async () => {
    const folder = await ModelFolder.read(backend, id);
    const record = { ...recordOfFiles(url, [url], network?.chunkBytes), name };
    const [source] = record.sources;
    source.bytes = bytes;
    try {
      await folder.save(record);
      await fill({ folder, begun: new BegunChunks(backend, id) }, source, produce);
      source.pins = Array.from({ length: chunkCount(source) }, (_, i) => String(folder.chunk(source, i)?.hash));
      await folder.save(record);
      await folder.touch();
    } catch (error) {
      const missing = bytes - folder.storedBytesOf(source);
      await backend.deleteFolder(id).catch(() => {}); // what went wrong first is what the reader needs to know
      throw isQuotaError(error) ? await quotaError(missing, error, kSpaceHint) : error;
    }
    return { id, url };
  });
}

/**
 * @param {{ folder: ModelFolder, begun: BegunChunks }} place
 * @param {import('./records.js').Source} source
 * @param {(write: (piece: Uint8Array) => Promise<void>) => Promise<void>} produce
 */
async function fill(place, source, produce) {
  const span = new Span(source, 0, null, { ...place, progress: { add() {} }, spare: [] });
  try {
    await produce(async (piece) => {
      await span.take(piece);
      await span.settle(); // what was written is kept: nothing comes meanwhile, as it does from a network
    });
    await span.ended();
  } finally {
    await span.close();
  }
}

/** Where models can be made: rejects with TesseraError 'unsupported' where nothing can be kept. */
export async function keepingBackend() {
  const backend = await chooseBackend();
  if (backend.persistent) return backend;
  const message = 'this browser keeps no files for this page, so a copy of the model could not be kept';
  throw new TesseraError('unsupported', message, 'Use a window that is not private, over https.');
}

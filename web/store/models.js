/** The stored models: what there is, throwing one away, checking one, giving one back as a file. Works in the page and in workers. */
import { TesseraError } from '../base/errors.js';
import { fileNameOf, isMade } from './addresses.js';
import { chooseBackend } from './choose-backend.js';
import { withModelLock } from './locks.js';
import { ModelFolder } from './model-folder.js';
import { chunkCount } from './records.js';

/** @typedef {import('./contract.js').Backend} Backend */
/** @typedef {import('./records.js').ModelRecord} ModelRecord */

/**
 * @typedef {object} StoredModel
 * @property {string} id for remove, verify and exportFile
 * @property {'model' | 'adapter'} kind
 * @property {string} name
 * @property {number | null} bytes of the whole model; null while unknown
 * @property {number} storedBytes
 * @property {boolean} complete whether it can be opened without the network
 * @property {number | null} lastUsed milliseconds since 1970
 * @property {boolean} made on this device: there is nowhere to fetch it from
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
  /** @type {Map<string, import('./contract.js').StoredFile[]>} */
  const files = new Map();
  for (const file of await store.list()) {
    const [id] = file.path.split('/', 1);
    const own = files.get(id) ?? [];
    own.push(file);
    files.set(id, own);
  }
  for (const [id, own] of files) {
    const folder = await ModelFolder.read(store, id, own);
    const unreadable = { name: `unreadable entry ${id}`, url: '', sources: [], kind: undefined };
    const { name, url, sources, kind = 'model' } = folder.record ?? unreadable;
    models.push({
      id,
      kind,
      name,
      bytes: wholeBytes(sources),
      storedBytes: folder.storedBytes,
      complete: folder.complete,
      lastUsed: await folder.lastUsed(),
      made: isMade(url),
      url,
    });
  }
  return models.sort((a, b) => (b.lastUsed ?? 0) - (a.lastUsed ?? 0));
}

/** @param {import('./records.js').Source[]} sources */
function wholeBytes(sources) {
  const known = sources.length > 0 && sources.every(({ bytes }) => bytes !== null);
  return known ? sources.reduce((sum, { bytes }) => sum + Number(bytes), 0) : null;
}

/**
 * @param {string} id
 * @param {Backend} [backend]
 * @returns {Promise<void>} rejects with 'not_found', or 'in_use' while another tab downloads or reads it
 */
export async function remove(id, backend) {
  const store = backend ?? (await chooseBackend());
  await withModelLock(id, { wait: false }, async () => {
    if ((await store.list(id)).length === 0) throw unknownModel(id);
    await store.deleteFolder(id);
  });
}

/**
 * The model as one file, or as its GGUF parts. The bytes stay where they are: the files refer to them.
 * @param {string} id
 * @param {Backend} [backend]
 * @returns {Promise<File[]>} rejects with 'not_found' unless the model is complete
 */
export async function exportFiles(id, backend) {
  const store = backend ?? (await chooseBackend());
  const folder = await ModelFolder.read(store, id);
  if (!folder.record) throw unknownModel(id);
  if (!folder.complete) throw incompleteModel(folder.record, folder.storedBytes);
  const { split, sources, url } = folder.record;
  const blobs = [];
  for (const source of sources) {
    const chunks = [];
    for (let i = 0; i < chunkCount(source); ++i) chunks.push(await folder.blob(source, i));
    blobs.push(new Blob(chunks));
  }
  if (split) return blobs.map((blob, i) => new File([blob], sources[i].path));
  return [new File(blobs, ggufName(url, folder.record))];
}

/**
 * @param {string} url
 * @param {ModelRecord} record
 */
function ggufName(url, { name }) {
  const file = fileNameOf(url);
  return file.endsWith('.gguf') ? file : `${name.replace(/[^\w.-]+/g, '-')}.gguf`;
}

/**
 * @param {ModelRecord} record
 * @param {number} storedBytes
 */
function incompleteModel({ name, url, sources }, storedBytes) {
  const message = `${name} is not complete: ${storedBytes} of ${wholeBytes(sources) ?? 'an unknown number of'} bytes are stored`;
  const hint = isMade(url) ? 'Remove what is left of it, and make it again.' : 'Load it: what is missing is fetched.';
  return new TesseraError('not_found', message, hint);
}

/** @param {string} id */
export function unknownModel(id) {
  return new TesseraError('not_found', `no stored model has the id '${id}'`, 'models.list() shows the ids.');
}

/** Models from the reader's own disk: read in place, nothing is copied into the store. */
import { TesseraError } from '../base/errors.js';
import { blobReader, joinedReader } from './readers.js';

/** @typedef {import('./contract.js').OpenFile} OpenFile */

/**
 * @param {File | File[]} source one GGUF file; the files of a split GGUF; or the shards of one GGUF. Taken in the order of their names
 * @returns {import('./open-model.js').OpenedModel}
 */
export function openFiles(source) {
  const files = source instanceof File ? [source] : source;
  if (!Array.isArray(files) || files.length === 0 || !files.every((file) => file instanceof File)) {
    throw new TesseraError('invalid_argument', 'model: expected a URL, a File or a list of Files');
  }
  const order = new Intl.Collator('en', { numeric: true }); // shard-2 before shard-10, whatever the reader's language
  const sorted = files.toSorted((a, b) => order.compare(a.name, b.name));
  const readers = sorted.map(blobReader);
  const isGguf = readers.map(startsWithMagic);
  if (!isGguf[0]) {
    const hint = 'Choose a .gguf file, or all shards of one model (and not its manifest.json).';
    throw new TesseraError('not_gguf', `${sorted[0].name}: expected a file that begins with 'GGUF'`, hint);
  }
  const parts = isGguf.every(Boolean) ? readers : [joinedReader(readers)];
  const name = sorted[0].name.replace(/\.gguf$/i, '');
  return { name, parts, storedIn: 'file', close: async () => {}, mark: async () => {} };
}

/** @param {OpenFile} reader */
function startsWithMagic(reader) {
  if (reader.size < 4) return false;
  const magic = new Uint8Array(4);
  reader.read(magic, 0);
  return String.fromCharCode(...magic) === 'GGUF';
}

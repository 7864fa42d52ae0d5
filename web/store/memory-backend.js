/** The store that lives in this page only: for `cache: false`, and where the browser offers no storage at all. */
import { TesseraError } from '../base/errors.js';
import { renamed } from './contract.js';
import { bufferReader, joinedReader } from './readers.js';

/** @returns {import('./contract.js').Backend} */
export function createMemoryBackend() {
  /** Each file as it was written, so that nothing is ever copied to a larger buffer. @type {Map<string, Uint8Array<ArrayBuffer>[]>} */
  const files = new Map();
  /** What writers left. @type {typeof files} */
  const left = new Map();

  /** @param {string} path */
  const find = (path) => {
    const pieces = files.get(path);
    if (!pieces) throw new TesseraError('not_found', `no stored file ${path}`);
    return pieces;
  };

  return {
    kind: 'memory',
    persistent: false,
    async list(folder) {
      const wanted = [...files].filter(([path]) => folder === undefined || path.startsWith(`${folder}/`));
      return wanted.map(([path, pieces]) => ({ path, bytes: pieces.reduce((sum, { length }) => sum + length, 0) }));
    },
    async open(path) {
      return joinedReader(find(path).map(bufferReader));
    },
    async blob(path) {
      return new Blob(find(path));
    },
    async createWriter(path, { mark = Infinity, resume = false } = {}) {
      const pieces = (resume && left.get(path)) || [];
      const resumed = pieces.length && mark;
      left.delete(path);
      return {
        resumed,
        readBack: async (target, offset) => joinedReader(pieces.map(bufferReader)).read(target, offset),
        async write(chunk) {
          if (chunk.length > 0) pieces.push(new Uint8Array(chunk));
        },
        async commit(name) {
          files.set(renamed(path, name), pieces);
        },
        async abort() {},
        async leave() {
          const all = new Blob(pieces);
          if (all.size > mark || resumed) left.set(path, [new Uint8Array(await all.slice(0, mark).arrayBuffer())]);
        },
      };
    },
    async unfinished(folder) {
      return [...left.keys()].filter((path) => path.startsWith(`${folder}/`));
    },
    async delete(path) {
      files.delete(path);
    },
    async deleteFolder(folder) {
      for (const kept of [files, left]) {
        for (const path of [...kept.keys()]) if (path.startsWith(`${folder}/`)) kept.delete(path);
      }
    },
  };
}

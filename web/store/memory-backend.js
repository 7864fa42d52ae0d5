/** The store that lives in this page only: for `cache: false`, and where the browser offers no storage at all. */
import { TesseraError } from '../base/errors.js';
import { checkRange } from './readers.js';

const kSegment = 4 << 20; // files grow by whole segments, so nothing is ever copied to a larger buffer

/** @typedef {{bytes: number, segments: Uint8Array[]}} MemoryFile */

/** @returns {import('./contract.js').Backend} */
export function createMemoryBackend() {
  /** @type {Map<string, MemoryFile>} */
  const files = new Map();

  /** @param {string} path */
  const find = (path) => {
    const file = files.get(path);
    if (!file) throw new TesseraError('not_found', `no stored file ${path}`);
    return file;
  };

  return {
    kind: 'memory',
    persistent: false,
    async list() {
      return [...files].map(([path, file]) => ({ path, bytes: file.bytes }));
    },
    async open(path) {
      const { bytes, segments } = find(path);
      return {
        size: bytes,
        read(target, offset) {
          checkRange(bytes, target, offset);
          for (let done = 0; done < target.length;) {
            const at = offset + done;
            const inside = at % kSegment;
            const count = Math.min(kSegment - inside, target.length - done);
            target.set(segments[Math.floor(at / kSegment)].subarray(inside, inside + count), done);
            done += count;
          }
        },
        close() {},
      };
    },
    async stream(path) {
      const { bytes, segments } = find(path);
      let next = 0;
      return new ReadableStream({
        pull(controller) {
          const start = next * kSegment;
          if (start >= bytes) return controller.close();
          controller.enqueue(segments[next++].slice(0, Math.min(kSegment, bytes - start)));
        },
      });
    },
    async createWriter(path) {
      /** @type {MemoryFile} */
      const file = { bytes: 0, segments: [] };
      return {
        async write(chunk) {
          for (let done = 0; done < chunk.length;) {
            const inside = file.bytes % kSegment;
            if (inside === 0) file.segments.push(new Uint8Array(kSegment));
            const count = Math.min(kSegment - inside, chunk.length - done);
            file.segments[file.segments.length - 1].set(chunk.subarray(done, done + count), inside);
            file.bytes += count;
            done += count;
          }
        },
        async commit() {
          files.set(path, file);
        },
        async abort() {},
      };
    },
    async delete(path) {
      files.delete(path);
    },
    async deleteFolder(folder) {
      for (const path of [...files.keys()]) if (path.startsWith(`${folder}/`)) files.delete(path);
    },
  };
}

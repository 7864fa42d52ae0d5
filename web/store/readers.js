/** Synchronous readers over what the browser offers: a Blob or File, and several readers laid end to end. */
import { TesseraError } from '../base/errors.js';

/** @typedef {import('./contract.js').SyncReader} SyncReader */
/** @typedef {import('./contract.js').OpenFile} OpenFile */

const kBlobStep = 4 << 20; // FileReaderSync copies into a fresh buffer: read large ranges in steps to bound it
const kReadHint = 'The file may have been moved or changed since it was chosen; choose it again.';

/**
 * @param {number} size
 * @param {Uint8Array} target
 * @param {number} offset
 */
export function checkRange(size, target, offset) {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + target.length > size) {
    throw new TesseraError(
      'read_failed',
      `read of ${target.length} bytes at offset ${offset} goes outside the file of ${size} bytes`,
    );
  }
}

/**
 * @param {Blob} blob
 * @returns {OpenFile}
 */
export function blobReader(blob) {
  if (typeof FileReaderSync !== 'function') {
    throw new TesseraError('internal', 'files can be read synchronously only inside a worker');
  }
  const reader = new FileReaderSync();
  return {
    size: blob.size,
    read(target, offset) {
      checkRange(blob.size, target, offset);
      try {
        for (let done = 0; done < target.length; done += kBlobStep) {
          const end = Math.min(done + kBlobStep, target.length);
          target.set(new Uint8Array(reader.readAsArrayBuffer(blob.slice(offset + done, offset + end))), done);
        }
      } catch (cause) {
        throw new TesseraError('read_failed', 'the browser could not read the file', kReadHint, cause);
      }
    },
    close() {},
  };
}

/**
 * @param {Uint8Array} bytes
 * @returns {OpenFile}
 */
export function bufferReader(bytes) {
  return {
    size: bytes.length,
    read(target, offset) {
      checkRange(bytes.length, target, offset);
      target.set(bytes.subarray(offset, offset + target.length));
    },
    close() {},
  };
}

/**
 * Shards laid end to end as one file.
 * @param {OpenFile[]} parts
 * @returns {OpenFile}
 */
export function joinedReader(parts) {
  /** @type {number[]} */
  const starts = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part.size;
  }
  return {
    size,
    read(target, offset) {
      checkRange(size, target, offset);
      let index = partAt(starts, offset);
      for (let done = 0; done < target.length; ++index) {
        const inside = offset + done - starts[index];
        const count = Math.min(parts[index].size - inside, target.length - done);
        parts[index].read(target.subarray(done, done + count), inside);
        done += count;
      }
    },
    close() {
      for (const part of parts) part.close();
    },
  };
}

/**
 * @param {number[]} starts ascending, starts[0] = 0
 * @param {number} offset
 * @returns {number} the last index whose start is not after the offset
 */
function partAt(starts, offset) {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

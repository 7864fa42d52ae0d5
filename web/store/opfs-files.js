/** Files of the origin private file system through synchronous access handles, in a worker. */
import { TesseraError } from '../base/errors.js';

/** At the end of a file's name until all of it is there. */
export const kUnfinished = '.part';
/** Chromium copies what is read or written at once: larger steps are several times slower. */
export const kStepBytes = 1 << 20;
const kLooks = 20;
const kLookMs = 50;

/**
 * @param {FileSystemDirectoryHandle} directory
 * @param {string} name
 * @param {import('./contract.js').WriterOptions} [options]
 * @returns {Promise<import('./contract.js').FileWriter>}
 */
export async function openWriter(directory, name, { mark = Infinity, resume = false } = {}) {
  const file = await directory.getFileHandle(name + kUnfinished, { create: true });
  const access = await openAlone(file);
  // That it is longer proves that the bytes before the mark were flushed. So it stays longer, until these bytes are written again.
  const resumed = resume && access.getSize() > mark ? mark : 0;
  if (resumed === 0) askForRoom(access, mark);
  let size = resumed;
  const abort = async () => {
    access.close();
    await directory.removeEntry(name + kUnfinished).catch((cause) => {
      if (!missing(cause)) throw cause;
    });
  };
  return {
    resumed,
    readBack: async (target, offset) => readAll(access, target, offset, size),
    async write(chunk) {
      for (let done = 0; done < chunk.length;) {
        if (size === mark) access.flush();
        const most = size < mark ? Math.min(kStepBytes, mark - size) : kStepBytes;
        const piece = chunk.subarray(done, done + most);
        const written = access.write(piece, { at: size });
        // Some engines report a full disk as a short write instead of an exception.
        if (written !== piece.length) throw new DOMException('the disk is full', 'QuotaExceededError');
        size += written;
        done += written;
      }
    },
    async commit(final = name) {
      if (access.getSize() > size) access.truncate(size);
      access.flush();
      access.close();
      await file.move(directory, final);
    },
    abort,
    async leave() {
      if (access.getSize() > mark) access.close();
      else await abort();
    },
  };
}

/**
 * A tab or a thread that was ended holds its files for a moment more.
 * @param {FileSystemFileHandle} file
 */
async function openAlone(file) {
  for (let look = 1; ; ++look) {
    try {
      return await file.createSyncAccessHandle();
    } catch (cause) {
      if (!locked(cause) || look === kLooks) throw cause;
      await new Promise((resolve) => setTimeout(resolve, kLookMs));
    }
  }
}

/**
 * As long as the mark at once: Chromium asks another process for room, a millisecond each time, when a file grows to 1, 2, 4 … MB. Never
 * longer, not for a moment: a tab that is killed in it would leave what looks like a first half.
 * @param {FileSystemSyncAccessHandle} access
 * @param {number} mark
 */
function askForRoom(access, mark) {
  try {
    access.truncate(mark === Infinity ? 0 : mark);
  } catch {
    access.truncate(0); // whether there is room for what comes is found out when it does
  }
}

/**
 * @param {FileSystemSyncAccessHandle} access
 * @param {Uint8Array} target
 * @param {number} offset
 * @param {number} size of the file
 */
export function readAll(access, target, offset, size) {
  for (let done = 0; done < target.length;) {
    const count = access.read(target.subarray(done, done + kStepBytes), { at: offset + done });
    if (count <= 0) throw new TesseraError('read_failed', `the stored file ended at ${offset + done} of ${size} bytes`);
    done += count;
  }
}

/** @param {unknown} error */
export function missing(error) {
  return error instanceof DOMException && error.name === 'NotFoundError';
}

/** @param {unknown} error */
export function locked(error) {
  return error instanceof DOMException && error.name === 'NoModificationAllowedError';
}

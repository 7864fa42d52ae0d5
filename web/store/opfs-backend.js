/**
 * The store in the origin private file system: writing and reading through synchronous access handles inside a worker, listing,
 * streaming and deleting anywhere. A file is written as NAME.part and moved to NAME by commit.
 */
import { TesseraError } from '../base/errors.js';
import { kStepBytes, kUnfinished, locked, missing, openWriter, readAll } from './opfs-files.js';
import { blobReader, checkRange } from './readers.js';

const kRoot = 'tessera-models';

/** @typedef {import('./contract.js').Backend} Backend */
/** @typedef {import('./contract.js').OpenFile} OpenFile */

/**
 * @returns {Promise<Backend | null>} null where the browser lacks what this backend needs, or refuses it (private windows)
 */
export async function createOpfsBackend() {
  const inWorker = typeof window === 'undefined';
  const prototype = globalThis.FileSystemFileHandle?.prototype;
  if (!prototype || !('move' in prototype) || (inWorker && !('createSyncAccessHandle' in prototype))) return null;
  /** @type {FileSystemDirectoryHandle} */
  let root;
  try {
    root = await (await navigator.storage.getDirectory()).getDirectoryHandle(kRoot, { create: true });
  } catch {
    return null;
  }
  return backendIn(root);
}

/**
 * @param {FileSystemDirectoryHandle} root
 * @returns {Backend}
 */
function backendIn(root) {
  /** Asked for once: each asking takes as long as to make a file. @type {Map<string, Promise<FileSystemDirectoryHandle>>} */
  const directories = new Map();
  /**
   * @param {string} folder
   * @param {FileSystemGetDirectoryOptions} [options]
   */
  const directoryHandle = (folder, options) => {
    const known = directories.get(folder);
    if (known) return known;
    const asked = root.getDirectoryHandle(folder, options);
    directories.set(folder, asked);
    asked.catch(() => directories.delete(folder));
    return asked;
  };
  /** @param {string} path */
  const fileHandle = async (path) => {
    const [folder, name] = path.split('/');
    try {
      return await (await directoryHandle(folder)).getFileHandle(name);
    } catch (cause) {
      throw missing(cause) ? new TesseraError('not_found', `no stored file ${path}`) : cause;
    }
  };

  return {
    kind: 'opfs',
    persistent: true,
    async list(folder) {
      const files = [];
      for await (const [name, directory] of root.entries()) {
        if (directory.kind !== 'directory' || (folder !== undefined && name !== folder)) continue;
        files.push(...(await filesIn(name, /** @type {FileSystemDirectoryHandle} */ (directory))));
      }
      return files;
    },
    async open(path) {
      const handle = await fileHandle(path);
      try {
        return handleReader(await handle.createSyncAccessHandle({ mode: 'read-only' }));
      } catch {
        // Engines without the read-only mode lock the file for one tab; a Blob of it can still be read in the others.
        return blobReader(await handle.getFile());
      }
    },
    async blob(path) {
      return (await fileHandle(path)).getFile();
    },
    async createWriter(path, options) {
      const [folder, name] = path.split('/');
      return openWriter(await directoryHandle(folder, { create: true }), name, options);
    },
    async unfinished(folder) {
      const paths = [];
      for await (const name of (await directoryHandle(folder, { create: true })).keys()) {
        if (name.endsWith(kUnfinished)) paths.push(`${folder}/${name.slice(0, -kUnfinished.length)}`);
      }
      return paths;
    },
    async delete(path) {
      const [folder, name] = path.split('/');
      try {
        await (await directoryHandle(folder)).removeEntry(name);
      } catch (cause) {
        if (!missing(cause)) throw deleteError(path, cause);
      }
    },
    async deleteFolder(folder) {
      directories.delete(folder);
      try {
        await root.removeEntry(folder, { recursive: true });
      } catch (cause) {
        if (!missing(cause)) throw deleteError(folder, cause);
      }
    },
  };
}

/**
 * @param {string} folder
 * @param {FileSystemDirectoryHandle} directory
 */
async function filesIn(folder, directory) {
  const files = [];
  for await (const [name, handle] of directory.entries()) {
    if (handle.kind !== 'file' || name.endsWith(kUnfinished)) continue;
    try {
      const { size } = await /** @type {FileSystemFileHandle} */ (handle).getFile();
      files.push({ path: `${folder}/${name}`, bytes: size });
    } catch (cause) {
      if (!missing(cause)) throw cause; // another tab finished or deleted it meanwhile
    }
  }
  return files;
}

/**
 * @param {FileSystemSyncAccessHandle} access
 * @returns {OpenFile}
 */
function handleReader(access) {
  const size = access.getSize();
  /** @type {Uint8Array | null} */
  let bounce = null;

  return {
    size,
    read(target, offset) {
      checkRange(size, target, offset);
      if (!bounce) {
        try {
          return readAll(access, target, offset, size);
        } catch (cause) {
          if (!(cause instanceof TypeError) || target.buffer instanceof ArrayBuffer) throw cause;
          bounce = new Uint8Array(kStepBytes); // this engine refuses shared memory: copy through a buffer of our own
        }
      }
      for (let done = 0; done < target.length; done += bounce.length) {
        const piece = bounce.subarray(0, Math.min(bounce.length, target.length - done));
        readAll(access, piece, offset + done, size);
        target.set(piece, done);
      }
    },
    close: () => access.close(),
  };
}

/**
 * @param {string} what
 * @param {unknown} cause
 */
function deleteError(what, cause) {
  if (!locked(cause)) return cause;
  const hint = 'Close the other tabs that use this model and try again.';
  return new TesseraError('in_use', `${what} cannot be deleted: it is being read or written`, hint, cause);
}

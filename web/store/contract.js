/**
 * The contract between the model store and the places it can keep files in. It holds types; tests/web/store-contract.mjs is
 * the same contract as a test suite, and every backend passes it.
 *
 * Paths are `<folder>/<file>`, each part of [A-Za-z0-9._-], one folder per model. A file exists only once its writer has
 * committed: whatever happens before (crash, closed tab, abort) leaves the old file or none. Backends know nothing about
 * models, hashes or the network.
 */

/**
 * Synchronous random access to bytes that do not change while it is open; worker only.
 * @typedef {object} SyncReader
 * @property {number} size in bytes
 * @property {(target: Uint8Array, offset: number) => void} read fills all of `target` from `offset` on; `target` may be a view on
 *   shared memory. Throws a TesseraError 'read_failed' when the range does not lie inside the file or the bytes cannot be read.
 */

/** @typedef {SyncReader & {close: () => void}} OpenFile close() frees the handle; a second call does nothing */

/**
 * @typedef {object} FileWriter chunks are laid end to end; use only one call at a time, and nothing after commit or abort
 * @property {(chunk: Uint8Array) => Promise<void>} write the chunk may be reused as soon as it resolves; this or commit rejects with an
 *   error named 'QuotaExceededError' when the store is full
 * @property {(name?: string) => Promise<void>} commit the file now exists, in its folder under this name if one is given, and replaces
 *   an older one there
 * @property {() => Promise<void>} abort nothing is kept; safe to call after a failed write or commit
 * @property {() => Promise<void>} leave as a tab does that ends now: what createWriter can resume is kept
 * @property {number} resumed bytes that an earlier writer left: what is written follows them
 * @property {(target: Uint8Array, offset: number) => Promise<void>} readBack fills all of `target` from what has been written, by that one too
 */

/**
 * @typedef {object} WriterOptions
 * @property {number} [mark] what comes before it is on the disk before any byte behind it is written
 * @property {boolean} [resume] where a writer of this path and mark ended behind it, without commit or abort, the new one goes on at the mark
 */

/** @typedef {{path: string, bytes: number}} StoredFile */

/**
 * @typedef {object} Backend
 * @property {'opfs' | 'cache' | 'memory'} kind
 * @property {boolean} persistent whether the files outlive the page
 * @property {(folder?: string) => Promise<StoredFile[]>} list all files, or those of one folder, in no particular order
 * @property {(path: string) => Promise<OpenFile>} open rejects with TesseraError 'not_found'; worker only (except memory)
 * @property {(path: string) => Promise<Blob>} blob the file as it is now, without reading it where that can be; rejects with
 *   'not_found'; works in page and worker
 * @property {(path: string, options?: WriterOptions) => Promise<FileWriter>} createWriter worker only (except cache, memory); the Cache API
 *   resumes nothing
 * @property {(folder: string) => Promise<string[]>} unfinished paths of writers that ended without commit or abort
 * @property {(path: string) => Promise<void>} delete of a file that is not there does nothing; rejects with 'in_use' while another
 *   tab reads it
 * @property {(folder: string) => Promise<void>} deleteFolder everything in it, unfinished files too
 */

/**
 * @param {string} path
 * @param {string} [name] of the file
 * @returns {string} the path of that name in the same folder; without one the path as it is
 */
export function renamed(path, name) {
  return name === undefined ? path : `${path.split('/', 1)[0]}/${name}`;
}

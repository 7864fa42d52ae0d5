// Owns the files of the node tests on the disk: models with synchronous readers like the store's, which can also be told to fail; modules.
import { closeSync, fstatSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { TesseraError } from '../../web/base/errors.js';

/**
 * @param {string} path
 * @param {{ truncateTo?: number, failFrom?: number }} [faults] pretend to be shorter; fail from an offset on
 */
export function openFile(path, { truncateTo, failFrom = Infinity } = {}) {
  /** @type {number} */
  let handle;
  try {
    handle = openSync(path, 'r');
  } catch (error) {
    throw new TesseraError('not_found', `${path} cannot be opened`, '', error);
  }
  const part = {
    size: truncateTo ?? fstatSync(handle).size,
    read(/** @type {Uint8Array} */ target, /** @type {number} */ offset) {
      if (offset >= failFrom) throw new TesseraError('io', 'the disk is gone');
      for (let done = 0; done < target.length;) {
        done += readSync(handle, target, done, target.length - done, offset + done);
      }
    },
  };
  return { name: 'test', parts: [part], close: async () => closeSync(handle), mark: async () => {} };
}

/**
 * What the store does with a copy, in one file, which appears when it is whole.
 * @param {string} path
 * @param {number} bytes foretold
 * @param {(write: (piece: Uint8Array) => Promise<void>) => Promise<void>} produce
 */
export async function writeCopy(path, bytes, produce) {
  const part = `${path}.part`;
  const handle = openSync(part, 'w');
  let written = 0;
  try {
    await produce(async (piece) => void (written += writeSync(handle, piece)));
  } finally {
    closeSync(handle);
  }
  if (written !== bytes) throw new TesseraError('internal', `${written} bytes came, ${bytes} were foretold`);
  renameSync(part, path);
  return { id: 'copy', url: 'made-here:/copy.gguf' };
}

/** @param {string} url @returns {Promise<WebAssembly.Module>} */
export const compileFile = async (url) => WebAssembly.compile(await readFile(new URL(url)));

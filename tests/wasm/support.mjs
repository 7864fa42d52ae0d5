// Owns what the tests of the WebAssembly modules share: where things are, what this node can run, and engines in node workers.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { loadEngine } from '../../web/engine/client.js';
import { estimateModel, planQuantization, quantizeModel } from '../../web/engine/errands.js';
import { importModule } from '../../web/engine/module-files.js';
import { supportedVariants } from '../../web/engine/variant.js';
import { compileFile } from './model-file.mjs';

// The baseline compiler of node 20's V8 (11.3) never returns from memory.atomic.wait32 in a threaded module; TurboFan is right.
if (Number(process.versions.v8.split('.')[0]) < 12) setFlagsFromString('--no-liftoff');

const root = new URL('../../', import.meta.url);
const wasmUrl = process.env.TESSERA_WASM_DIR
  ? pathToFileURL(`${process.env.TESSERA_WASM_DIR}/`)
  : new URL('build/wasm/', root);

/** @param {string} path relative to the repository */
export const inRepository = (path) => fileURLToPath(new URL(path, root));
export const tinyModel = inRepository('tests/data/tiny-llama.gguf');
export const thinkingModel = inRepository('tests/data/tiny-thinker.gguf');
export const formatsModel = inRepository('tests/data/tiny-formats.gguf');
export const realModel = inRepository('build/models/smollm2-135m-instruct-q4_1.gguf');
export const cli = process.env.TESSERA_CLI ?? inRepository('build/native/tessera');

/** @type {('relaxed' | 'simd128')[]} */
export const variants = ['simd128', 'relaxed'];

/** What the command line answers. @param {string[]} args @returns {Record<string, any>} */
export const runCli = (...args) => JSON.parse(execFileSync(cli, [...args, '--json'], { encoding: 'utf8' }));

/**
 * Why a test cannot run here, or false.
 * @param {{ variant?: 'relaxed' | 'simd128', files?: string[] }} needs
 */
export function skipReason({ variant, files = [] }) {
  if (variant && !supportedVariants().includes(variant))
    return `node ${process.version} cannot run the ${variant} variant`;
  const module = fileURLToPath(new URL(`tessera-kernels-${variant}.wasm`, wasmUrl));
  const missing = [...(variant ? [module] : []), ...files].find((file) => !existsSync(file));
  return missing ? `${missing} is not there` : false;
}

/** The modules of a variant. @param {'relaxed' | 'simd128'} variant */
export const importVariant = (variant) => importModule(variant, wasmUrl.href, compileFile);

/**
 * An engine in a node worker, through the same client and host as in a browser.
 * @param {string} file
 * @param {Record<string, any>} [options] as of Tessera.load
 * @param {{ truncateTo?: number, failFrom?: number, grantedBytes?: number }} [workerData] see model-file.mjs; the most that a memory may
 *   ask for
 */
export function loadFile(file, options = {}, workerData = {}) {
  const base = pathToFileURL(file).href;
  return loadEngine({ model: base, wasmUrl: wasmUrl.href, ...options }, base, makers(workerData));
}

/**
 * Tessera.estimate with a node worker.
 * @param {string} model URL
 * @param {Record<string, any>} [options]
 */
export function estimateOf(model, options = {}) {
  return estimateModel(model, { wasmUrl: wasmUrl.href, ...options }, root.href, makers({}));
}

/**
 * Tessera.quantizePlan with a node worker.
 * @param {string} model URL
 * @param {Record<string, any>} [options]
 */
export function planOf(model, options = {}) {
  return planQuantization(model, { wasmUrl: wasmUrl.href, ...options }, root.href, makers({}));
}

/**
 * Tessera.quantize with a node worker; the copy becomes a file of this machine.
 * @param {string} file
 * @param {string} copy
 * @param {Record<string, any>} [options]
 * @param {{ truncateTo?: number, failFrom?: number }} [faults] see model-file.mjs
 */
export function quantizeFile(file, copy, options = {}, faults = {}) {
  const base = pathToFileURL(file).href;
  return quantizeModel(base, { wasmUrl: wasmUrl.href, ...options }, base, makers({ ...faults, copy }));
}

/** @param {object} workerData see model-file.mjs */
function makers(workerData) {
  return {
    engine: () => domWorker(new Worker(new URL('engine-worker.mjs', import.meta.url), { workerData })),
    // Node's glue starts threads by itself.
    thread: () => assert.fail('no thread was expected to be asked for'),
  };
}

/**
 * @param {Worker} worker
 * @returns {import('../../web/engine/connection.js').WorkerLike}
 */
function domWorker(worker) {
  return {
    postMessage: (message) => worker.postMessage(message),
    terminate: () => void worker.terminate(),
    addEventListener: (type, listener) =>
      void worker.on(type, (/** @type {any} */ value) => listener(type === 'message' ? { data: value } : value)),
  };
}

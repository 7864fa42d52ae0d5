// Owns quantising inside the worker: what the types would give, and a copy of a model in one of them, step by step into the store.
import { modelAddress } from '../store/addresses.js';
import { storageRoom } from '../store/quota.js';
import { abortedError, inIntervals, startModule } from './loading.js';
import { askHeaders } from './model-headers.js';
import { chooseThreads, chooseVariant, currentDevice } from './variant.js';
import { WasmQuantizer } from './wasm-quantizer.js';

/** @typedef {import('./protocol.js').QuantizeRequest} QuantizeRequest */
/** @typedef {import('./protocol.js').QuantizePlan} QuantizePlan */
/** @typedef {import('./protocol.js').QuantizeResult} QuantizeResult */
/** @typedef {import('./loading.js').LoadPorts & { nextTurn: () => Promise<void> }} QuantizePorts */

/**
 * @param {QuantizeRequest} request
 * @param {QuantizePorts} ports
 * @param {AbortSignal} signal
 * @returns {Promise<QuantizePlan>}
 */
export async function planQuantization(request, ports, signal) {
  const quantizer = await startQuantizer(request, ports, 1);
  const { headers, answer } = await askHeaders(request, ports, (parts) => quantizer.sizes(parts), signal);
  const { format, parameters, types } = answer;
  const { free } = await storageRoom();
  return {
    name: baseName(headers.name),
    quantization: format,
    parameters,
    fileBytes: headers.fileBytes,
    types,
    storageFree: free,
  };
}

/**
 * @param {QuantizeRequest} request
 * @param {QuantizePorts} ports
 * @param {import('./loading.js').Watch} watch
 * @returns {Promise<QuantizeResult>}
 */
export async function quantizeModel(request, ports, { signal, onProgress }) {
  const backend = await ports.keepingBackend(); // before anything is fetched
  const importance = await openImportance(request, ports, signal);
  try {
    const { token } = request;
    const options = { cache: true, token, mostBytes: Infinity, signal, onProgress };
    const model = await ports.openModel(request.model, options);
    try {
      return await makeCopy({ ...request, model, importance, backend }, ports, { signal, onProgress });
    } finally {
      await model.close();
    }
  } finally {
    await importance.close();
  }
}

/** @typedef {import('./loading.js').OpenedModel} OpenedModel */
/** @typedef {import('../store/contract.js').Backend} Backend */

/**
 * @param {Omit<QuantizeRequest, 'model' | 'importance'> & { model: OpenedModel, backend: Backend, importance: Pick<OpenedModel, 'parts' | 'name'> }} request
 * @param {QuantizePorts} ports
 * @param {import('./loading.js').Watch} watch
 * @returns {Promise<QuantizeResult>}
 */
async function makeCopy({ model, importance, backend, type, ...request }, ports, { signal, onProgress }) {
  const { threads } = chooseThreads(request.threads, currentDevice());
  const quantizer = await startQuantizer(request, ports, threads);
  const report = quantizer.open(model.parts, type, threads, importance);
  const name = copyName(model.name, type);
  const told = inIntervals((done, total) => onProgress({ stage: 'quantize', loadedBytes: done, totalBytes: total }));
  const produce = async (/** @type {(piece: Uint8Array) => Promise<void>} */ write) => {
    for (let more = true; more;) {
      await ports.nextTurn();
      if (signal.aborted) throw abortedError();
      const step = nextStep(quantizer);
      for (const piece of step.pieces) await write(piece);
      told(step.done, step.total);
      more = step.more;
    }
  };
  const stored = await ports.storeMade({ name, bytes: report.output_bytes }, produce, { backend });
  return { ...stored, name, ...describe(report) };
}

/**
 * Of some megabytes; nothing of it is kept.
 * @param {QuantizeRequest} request
 * @param {QuantizePorts} ports
 * @param {AbortSignal} signal
 */
async function openImportance({ importance, model, token }, ports, signal) {
  if (importance === null) return { parts: [], name: '', close: async () => {} };
  const opened = await ports.openModel(importance, {
    cache: false,
    // It is for the model's server, and nothing to any other one.
    token: token && serverOf(importance) === serverOf(model) ? token : '',
    mostBytes: Infinity,
    signal,
    onProgress() {},
  });
  const { name, parts, close } = opened;
  return { parts, name: name.endsWith('.gguf') ? name : `${name}.gguf`, close };
}

/** @param {QuantizeRequest['model']} source @returns {string} '' for files */
function serverOf(source) {
  return typeof source === 'string' ? new URL(modelAddress(source)).origin : '';
}

/** @param {WasmQuantizer} quantizer */
function nextStep(quantizer) {
  /** @type {Uint8Array[]} */
  const pieces = [];
  const step = quantizer.step((bytes) => pieces.push(bytes.slice()));
  return { ...step, pieces };
}

/**
 * @param {Pick<QuantizeRequest, 'wasmUrl'>} request
 * @param {QuantizePorts} ports
 * @param {number} threads
 */
function startQuantizer({ wasmUrl }, ports, threads) {
  const { variant } = chooseVariant('auto');
  return startModule(ports, variant, wasmUrl, (factory) => WasmQuantizer.start(factory, threads));
}

/** @param {Record<string, any>} report of core/quantize/quantize_file.h */
function describe(report) {
  const { type, tensors, converted, unweighted, parameters, input_bytes, output_bytes, bytes_per_type } = report;
  return {
    type,
    bytes: output_bytes,
    inputBytes: input_bytes,
    tensors,
    converted,
    unweighted,
    parameters,
    bitsPerWeight: parameters > 0 ? (8 * output_bytes) / parameters : 0,
    bytesPerFormat: bytes_per_type,
  };
}

/** A model's name without what says how its file is cut and in which type it is. @param {string} name */
function baseName(name) {
  return name
    .replace(/\.gguf$/i, '')
    .replace(/-\d{5}-of-\d{5}$/, '')
    .replace(/[-_. ](?:bf16|fp?16|fp?32|i?q\d(?:_[0-9a-z]+)*)$/i, '');
}

/**
 * @param {string} name
 * @param {string} type
 */
function copyName(name, type) {
  const base = baseName(name);
  return `${base}${base.includes(' ') ? ' ' : '-'}${type}`;
}

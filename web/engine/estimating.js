// Owns the estimate inside the worker: what a model would take, from the first bytes of its files, and what this browser offers.
import { storageRoom } from '../store/quota.js';
import { startModule } from './loading.js';
import { askHeaders } from './model-headers.js';
import { chooseVariant } from './variant.js';
import { createMemory } from './wasm-memory.js';
import { WasmRuntime } from './wasm-runtime.js';

/** @typedef {import('./protocol.js').EstimateRequest} EstimateRequest */
/** @typedef {import('./protocol.js').ModelEstimate} ModelEstimate */

/**
 * @param {EstimateRequest} request
 * @param {import('./loading.js').LoadPorts} ports
 * @param {AbortSignal} signal
 * @returns {Promise<ModelEstimate>}
 */
export async function estimateModel(request, ports, signal) {
  const granted = createMemory();
  const start = (/** @type {import('./wasm-runtime.js').ModuleFactory} */ factory) =>
    WasmRuntime.start(factory, 1, granted);
  const runtime = await startModule(ports, chooseVariant('auto').variant, request.wasmUrl, start);
  const options = { context_size: request.contextSize, kv_type: request.kvType };
  const ask = (/** @type {import('./wasm-border.js').SyncReader[]} */ parts) => runtime.estimate(parts, options);
  const { headers, answer: core } = await askHeaders(request, ports, ask, signal);
  const device = { memoryLimit: granted.maximum, ...(await currentOffer()) };
  const { name, bits_per_weight, context_size, trained_context, kv_type, ...rest } = core;
  const fits = rest.unsupported.length === 0 && rest.parts > 0 && rest.total_bytes <= (device.deviceMemory ?? Infinity);
  return {
    .../** @type {any} */ (rest),
    name: name || headers.name,
    bitsPerWeight: bits_per_weight,
    contextSize: context_size,
    trainedContext: trained_context,
    kvType: kv_type,
    fileBytes: headers.fileBytes,
    fits,
    device,
  };
}

/** What this browser tells about its device; null where it does not. */
async function currentOffer() {
  const { quota, free } = await storageRoom();
  const { deviceMemory } = /** @type {{ deviceMemory?: number }} */ (globalThis.navigator ?? {});
  return {
    deviceMemory: deviceMemory === undefined ? null : deviceMemory * 2 ** 30,
    storageQuota: quota,
    storageFree: free,
  };
}

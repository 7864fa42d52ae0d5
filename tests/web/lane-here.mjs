/** The second worker of a download, on this thread: over a real port and a store that both sides see. */
import { serveLane } from '../../web/store/lane-worker.js';
import { createMemoryBackend } from '../../web/store/memory-backend.js';

/** @typedef {import('../../web/store/contract.js').Backend} Backend */

/** @returns {Backend} in memory, but one that a second worker may open */
export function sharedMemory() {
  return { ...createMemoryBackend(), kind: 'opfs' };
}

/**
 * @param {Backend} backend
 * @param {(port: MessagePort) => void} [serve]
 * @returns {import('../../web/store/second-lane.js').LaneWorker}
 */
export function startLaneHere(backend, serve = (port) => serveLane(port, async () => backend)) {
  const { port1, port2 } = new MessageChannel();
  serve(port2);
  return { port: port1, end: () => port1.close() };
}

/** What of a model is still to be fetched, and in which requests. */
import { chunkCount } from './records.js';

/** @typedef {import('./records.js').ModelRecord} ModelRecord */
/** @typedef {import('./records.js').Source} Source */
/** @typedef {import('./begun-chunks.js').Place} Place */
/** @typedef {import('./model-folder.js').ModelFolder} ModelFolder */

/** One for each thread (second-lane.js). A third and a fourth are not faster, and a killed tab costs half a chunk in each. */
export const kParallel = 2;
const kChunksPerRequest = 4;

/**
 * @param {ModelRecord} record
 * @param {ModelFolder} folder
 */
export function missingChunks(record, folder) {
  /** @type {Map<string, Source>} */
  const sources = new Map(record.sources.map((source) => [source.key, source])); // equal shards are fetched and kept once
  return [...sources.values()].flatMap((source) => missingOf(source, folder).map((index) => ({ source, index })));
}

/**
 * Chunks that follow one another, as requests: some chunks each, but not so many that a lane is left without work. What is begun is
 * gone on with at the start of a request.
 * @param {Place[]} chunks
 * @param {import('./begun-chunks.js').BegunChunks} begun
 * @param {import('./network.js').NetworkOptions} network
 * @returns {{source: Source, first: number, last: number}[]}
 */
export function runs(chunks, begun, { parallel = kParallel, chunksPerRequest = kChunksPerRequest }) {
  const most = Math.max(1, Math.min(chunksPerRequest, Math.floor(chunks.length / (2 * parallel))));
  /** @type {{source: Source, first: number, last: number}[]} */
  const found = [];
  for (const { source, index } of chunks) {
    const run = found.at(-1);
    const follows = run?.source === source && run.last === index - 1 && !begun.has(source, index);
    if (follows && index - run.first < most) run.last = index;
    else found.push({ source, first: index, last: index });
  }
  return found;
}

/**
 * @param {Source} source
 * @param {ModelFolder} folder
 */
export function missingOf(source, folder) {
  return Array.from({ length: chunkCount(source) }, (_, i) => i).filter((i) => !folder.has(source, i));
}

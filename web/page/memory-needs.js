/** Owns the sum that says what a model needs and what this device offers, before anything is downloaded. */

import { Tessera } from '../tessera.js';
import { h } from './dom.js';
import { formatBytes, formatCount } from './format.js';
import { keep, keptObject } from './kept.js';

/** @typedef {import('../tessera.js').ModelEstimate} ModelEstimate */

const kKept = 'tessera.estimates';

/**
 * What a model would take. It is found out once: a file that changes has another size.
 * @param {string} url
 * @param {number} bytes 0 while unknown
 * @param {AbortSignal} [signal]
 * @param {typeof Tessera.estimate} [ask]
 * @returns {Promise<ModelEstimate>} rejects with a TesseraError
 */
export async function estimateOf(url, bytes, signal, ask = Tessera.estimate) {
  const key = (/** @type {number | null} */ size) => `${url}#${size}`;
  const known = keptObject(kKept)[key(bytes)];
  // What older versions kept says less, and what they could not run this one may.
  if (known && 'other_bytes' in known && known.unsupported.length === 0) return known;
  const estimate = await ask(url, { signal });
  const kept = { ...keptObject(kKept), [key(bytes || estimate.fileBytes)]: estimate };
  keep(kKept, JSON.stringify(kept));
  return estimate;
}

/** What this device gives a model in so many parts. @param {ModelEstimate} estimate */
function offered({ parts, device: { memoryLimit, deviceMemory } }) {
  return Math.min(Math.max(1, parts) * memoryLimit, deviceMemory ?? Infinity);
}

/** In one sentence. @param {ModelEstimate} estimate */
export function headline(estimate) {
  const { total_bytes: total, fits, unsupported } = estimate;
  if (unsupported.length > 0) return `This version does not run it: ${unsupported[0]}`;
  const needs = `Needs ${formatBytes(total)} of memory; this device offers ${formatBytes(offered(estimate))}`;
  return fits ? `${needs}.` : `${needs}: it is too large.`;
}

/** The sum, line by line: what it is for and how much. @param {ModelEstimate} estimate @returns {[string, string][]} */
export function sumOf(estimate) {
  const { parameters, weights_bytes: weights, contextSize, parts, device } = estimate;
  const room = offered(estimate);
  const all = device.deviceMemory === null ? '' : ` of ${formatBytes(device.deviceMemory)} or more`;
  const here = room === device.deviceMemory ? `${formatBytes(room)} or more` : `${formatBytes(room)}${all} for a tab`;
  return [
    ['Weights', `${formatCount(parameters)} × ${bitsOf(estimate)} bits = ${formatBytes(weights)}`],
    ['Conversation', `${contextSize.toLocaleString('en')} tokens: ${formatBytes(estimate.kv_bytes)}`],
    ['Computing', formatBytes(estimate.workspace_bytes)],
    ['Program', formatBytes(estimate.other_bytes)],
    ['In all', formatBytes(estimate.total_bytes)],
    ...(parts > 1
      ? /** @type {[string, string][]} */ ([
          ['Laid out', `in ${parts} parts of up to ${formatBytes(device.memoryLimit)}`],
        ])
      : []),
    ['This device', here],
  ];
}

/** As the weights lie in memory. @param {ModelEstimate} estimate */
function bitsOf({ parameters, weights_bytes: weights }) {
  return ((8 * weights) / Math.max(1, parameters)).toFixed(1);
}

/**
 * Fills the places of cards one after the other; where nothing can be said, nothing is: starting the model will tell.
 * @param {{ place: Element, url: string, bytes: number }[]} cards
 * @param {AbortSignal} signal
 */
export async function showNeeds(cards, signal) {
  for (const { place, url, bytes } of cards) {
    const estimate = await estimateOf(url, bytes, signal).catch(() => null);
    if (signal.aborted) return;
    if (estimate) place.replaceChildren(needsView(estimate));
  }
}

/** @param {ModelEstimate} estimate */
export function needsView(estimate) {
  const lines = sumOf(estimate).flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]);
  const { parameters, weights_bytes: weights } = estimate;
  const why =
    'A parameter is one number that the model has learned, and 8 bits are a byte: ' +
    `${formatCount(parameters)} × ${bitsOf(estimate)} ÷ 8 = ${formatBytes(weights)}. By the same sum a model of 7 billion ` +
    'parameters in 4.5 bits takes 3.94 GB before it has read a word.';
  const known = estimate.unsupported.length === 0;
  return h(
    `details.model-needs${estimate.fits ? '' : '.too-large'}`,
    {},
    h('summary', {}, headline(estimate)),
    known && h('dl.facts', {}, ...lines),
    known && h('p.hint', {}, why),
  );
}

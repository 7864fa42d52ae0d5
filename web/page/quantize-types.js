/** Owns the choice of a type for a smaller copy: what each is good for in plain words, and the size it gives. */

import { h } from './dom.js';
import { formatBytes } from './format.js';

/** @typedef {import('../tessera.js').QuantizePlan} QuantizePlan */
/** @typedef {import('../tessera.js').QuantizeType} QuantizeType */

/** Those that are worth a reader's thought, the largest first. @type {[QuantizeType, string][]} */
const kOffered = [
  ['Q8_0', 'Nearly the original'],
  ['Q6_K', 'Hard to tell from the original'],
  ['Q4_K_M', 'Small and good: recommended'],
  ['Q4_0', 'Smaller, with a little more loss'],
  ['IQ4_XS', 'The smallest that is still good'],
  ['Q2_K', 'Very small: answers become worse'],
];
const kRecommended = 'Q4_K_M';
const kUnquantised = ['F32', 'F16', 'BF16'];

/** Whether a model has lost something already. @param {QuantizePlan} plan */
export function isQuantised({ quantization }) {
  return !kUnquantised.includes(quantization);
}

/** The recommended type, or the next smaller one where that is no smaller than what there is. @param {QuantizePlan} plan */
export function firstChoice({ types, fileBytes }) {
  const names = kOffered.map(([name]) => name);
  const smaller = names.slice(names.indexOf(kRecommended)).find((name) => types[name] < (fileBytes ?? Infinity));
  return smaller ?? kRecommended;
}

/**
 * A group of radio buttons.
 * @param {QuantizePlan} plan
 * @param {(type: QuantizeType) => void} choose
 */
export function typeChoice(plan, choose) {
  const first = firstChoice(plan);
  const option = (/** @type {QuantizeType} */ type, /** @type {string} */ words) => {
    const input = h('input', { type: 'radio', name: 'quantize-type', value: type, checked: type === first });
    input.addEventListener('change', () => choose(type));
    const name = h('span.type-name', {}, h('strong', {}, type), words && h('span', {}, words));
    return h('label.type-choice', {}, input, name, h('span.type-size', {}, formatBytes(plan.types[type])));
  };
  const offered = new Set(kOffered.map(([name]) => name));
  const others = /** @type {QuantizeType[]} */ (Object.keys(plan.types))
    .filter((type) => !offered.has(type))
    .sort((a, b) => plan.types[b] - plan.types[a]);
  return h(
    'fieldset.type-choices',
    {},
    h('legend', {}, 'Numbers of the copy'),
    ...kOffered.map(([type, words]) => option(type, words)),
    h('details', {}, h('summary', {}, 'All types'), ...others.map((type) => option(type, ''))),
  );
}

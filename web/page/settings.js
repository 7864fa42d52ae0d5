/** Owns the reader's settings: their ranges, their defaults, and keeping them in this browser. */

import { keep, keptObject } from './kept.js';

const kKey = 'tessera.settings';

/**
 * @typedef {object} Settings
 * @property {string} system the system prompt; '' = the template's own
 * @property {number} temperature
 * @property {number} top_p
 * @property {number} top_k
 * @property {number} min_p
 * @property {number} max_tokens
 * @property {number | null} seed null = a new one each time
 *
 * @typedef {object} NumberField
 * @property {'temperature' | 'top_p' | 'top_k' | 'min_p' | 'max_tokens' | 'seed'} name
 * @property {string} label
 * @property {string} hint
 * @property {number} min
 * @property {number} max
 * @property {number} step
 * @property {boolean} [optional]
 */

/** @type {Readonly<Settings>} */
export const kDefaults = Object.freeze({
  system: '',
  temperature: 0.3,
  top_p: 0.9,
  top_k: 40,
  min_p: 0.05,
  max_tokens: 512,
  seed: null,
});

/** @type {NumberField[]} */
export const kNumberFields = [
  { name: 'temperature', label: 'Temperature', hint: '0 is strict, higher is freer.', min: 0, max: 2, step: 0.05 },
  { name: 'max_tokens', label: 'Longest answer', hint: 'In tokens, about a word each.', min: 1, max: 32768, step: 1 },
  { name: 'top_p', label: 'Top-p', hint: 'Share of likely words kept.', min: 0.01, max: 1, step: 0.01 },
  { name: 'top_k', label: 'Top-k', hint: 'Most words kept; 0 keeps all.', min: 0, max: 1000, step: 1 },
  { name: 'min_p', label: 'Min-p', hint: 'Least share of the best word.', min: 0, max: 1, step: 0.01 },
  {
    name: 'seed',
    label: 'Seed',
    hint: 'Repeats an answer; empty: new.',
    min: 0,
    max: 4294967295,
    step: 1,
    optional: true,
  },
];

/**
 * What is wrong with a value, or ''.
 * @param {NumberField} field
 * @param {unknown} value
 */
export function checkField(field, value) {
  if (value === null && field.optional) return '';
  const fits = typeof value === 'number' && Number.isFinite(value) && value >= field.min && value <= field.max;
  const whole = field.step < 1 || Number.isInteger(value);
  return fits && whole ? '' : `${field.step < 1 ? 'A number' : 'A whole number'} from ${field.min} to ${field.max}.`;
}

/**
 * Kept settings; a value that is missing or no longer possible becomes its default.
 * @returns {Settings}
 */
export function loadSettings() {
  const kept = keptObject(kKey);
  /** @type {any} */
  const settings = { ...kDefaults };
  if (typeof kept.system === 'string') settings.system = kept.system;
  for (const field of kNumberFields) {
    if (field.name in kept && checkField(field, kept[field.name]) === '') settings[field.name] = kept[field.name];
  }
  return settings;
}

/** @param {Settings} settings */
export function saveSettings(settings) {
  keep(kKey, JSON.stringify(settings));
}

/**
 * The sampling options of a request.
 * @param {Settings} settings
 */
export function samplingOptions({ temperature, top_p, top_k, min_p, max_tokens, seed }) {
  return { temperature, top_p, top_k, min_p, max_tokens, ...(seed === null ? {} : { seed }) };
}

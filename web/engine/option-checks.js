// Owns the checks of single values from a caller: type, range, spelling; each failure names the field, what was found and what was expected.
import { TesseraError } from '../base/errors.js';

/** @typedef {Record<string, unknown>} Options */

/**
 * @param {string} field
 * @param {unknown} found
 * @param {string} expected
 */
export function invalid(field, found, expected) {
  const shown = shownValue(found);
  return new TesseraError('invalid_argument', `${field}: found ${shown.slice(0, 60)}, expected ${expected}`);
}

/** @param {unknown} found */
function shownValue(found) {
  if (typeof found === 'object' && found !== null) return kindOf(found);
  if (typeof found === 'bigint') return `${found}n`;
  return typeof found === 'string' ? JSON.stringify(found) : String(found); // JSON has null for NaN
}

/** @param {unknown} value @returns {string} 'Object', 'Array', 'Map', … */
export function kindOf(value) {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/**
 * The given options without those that are undefined or null.
 * @param {unknown} given
 * @param {ReadonlySet<string>} known
 * @param {string} where
 * @returns {Options}
 */
export function knownOptions(given, known, where) {
  if (given === undefined) return {};
  if (typeof given !== 'object' || given === null) throw invalid(where, given, 'an object of options');
  const present = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  for (const [field] of present) {
    if (known.has(field)) continue;
    throw new TesseraError(
      'invalid_argument',
      `${where}: unknown option '${field}'`,
      `Known: ${[...known].join(', ')}.`,
    );
  }
  return Object.fromEntries(present);
}

/**
 * @param {Options} options
 * @param {string} field
 * @param {{ from?: number, to?: number, otherwise: number }} range
 * @returns {number}
 */
export function integer(options, field, { from = 0, to = Number.MAX_SAFE_INTEGER, otherwise }) {
  const value = options[field];
  if (value === undefined) return otherwise;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= from && value <= to) return value;
  throw invalid(
    field,
    value,
    to === Number.MAX_SAFE_INTEGER ? `an integer from ${from}` : `an integer from ${from} to ${to}`,
  );
}

/**
 * @param {Options} options
 * @param {string} field
 * @param {boolean} otherwise
 */
export function boolean(options, field, otherwise) {
  const value = options[field] ?? otherwise;
  if (typeof value !== 'boolean') throw invalid(field, value, 'true or false');
  return value;
}

/**
 * Text as the tokenizer takes it: valid UTF-16, lone surrogates become U+FFFD.
 * @param {unknown} value
 * @param {string} field
 */
export function text(value, field) {
  if (typeof value !== 'string') throw invalid(field, value, 'a string');
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(value));
}

/**
 * @param {Options} options
 * @param {string} field
 * @param {string} otherwise
 */
export function textOr(options, field, otherwise) {
  return options[field] === undefined ? otherwise : text(options[field], field);
}

/**
 * A secret as a header takes it, without the line break that copying leaves. What is wrong with it is told without showing it.
 * @param {unknown} value
 * @param {string} field
 */
export function bearerToken(value, field) {
  if (typeof value !== 'string') throw invalid(field, kindOf(value), 'a string');
  const token = value.trim();
  const place = token.search(/[^\x21-\x7e]/);
  if (place < 0) return token;
  const code = token.charCodeAt(place).toString(16).toUpperCase().padStart(4, '0');
  throw new TesseraError(
    'invalid_argument',
    `${field}: found U+${code} as character ${place + 1} of ${token.length}, expected letters, digits and signs of ASCII`,
    'Copy it again: it may have been broken into lines, or a sign of it replaced.',
  );
}

/**
 * @param {unknown} value
 * @param {string} field
 * @returns {number[]}
 */
export function tokenIds(value, field) {
  const ids =
    ArrayBuffer.isView(value) || Array.isArray(value)
      ? Array.from(/** @type {ArrayLike<unknown>} */ (value))
      : undefined;
  if (!ids) throw invalid(field, value, 'an array of token ids');
  const bad = ids.findIndex((id) => typeof id !== 'number' || !Number.isInteger(id) || Math.abs(id) > 0x7fffffff);
  if (bad >= 0) throw invalid(`${field}[${bad}]`, ids[bad], 'a token id');
  return /** @type {number[]} */ (ids);
}

/**
 * @param {Options} options
 * @returns {AbortSignal | undefined}
 */
export function signalOf(options) {
  const { signal } = options;
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw invalid('signal', signal, 'an AbortSignal');
}

/**
 * @param {Options} options
 * @returns {((progress: any) => void) | undefined}
 */
export function progressOf({ onProgress }) {
  if (onProgress === undefined || typeof onProgress === 'function') return /** @type {any} */ (onProgress);
  throw invalid('onProgress', onProgress, 'a function');
}

/**
 * @template {string} T
 * @param {Options} options
 * @param {string} field
 * @param {readonly T[]} values the first one is the default
 * @returns {T}
 */
export function oneOf(options, field, values) {
  const value = options[field] ?? values[0];
  if (values.includes(/** @type {T} */ (value))) return /** @type {T} */ (value);
  throw invalid(field, value, values.map((name) => `'${name}'`).join(', '));
}

/**
 * Whether it is an address. An empty one is none: it would be the page itself.
 * @param {unknown} value
 * @param {string} base
 * @returns {value is string | URL}
 */
export function isAddress(value, base) {
  const written = (typeof value === 'string' && value.trim() !== '') || value instanceof URL;
  return written && URL.canParse(String(value), base);
}

/**
 * @param {Options} options
 * @param {string} field
 * @param {string} base
 * @returns {string} '' when absent
 */
export function urlOf(options, field, base) {
  const value = options[field];
  if (value === undefined) return '';
  if (isAddress(value, base)) return new URL(String(value), base).href;
  throw invalid(field, value, 'a URL');
}

// Owns what a caller may name as the bytes of a model or of a LoRA adapter.
import { bearerToken, invalid, isAddress, knownOptions } from './option-checks.js';

/**
 * @param {unknown} source
 * @param {string} field
 * @param {string} base what a relative URL is relative to
 * @returns {string | File | File[]} a URL is absolute
 */
export function sourceOf(source, field, base) {
  const isFile = (/** @type {unknown} */ value) => typeof File !== 'undefined' && value instanceof File;
  if (isFile(source)) return /** @type {File} */ (source);
  if (Array.isArray(source) && source.length > 0 && source.every(isFile)) return /** @type {File[]} */ (source);
  if (isAddress(source, base)) return new URL(String(source), base).href;
  throw invalid(
    field,
    source,
    'the URL of a .gguf or a manifest.json, hf:owner/repo/file.gguf, a File or an array of Files',
  );
}

/**
 * @param {unknown} lora one adapter or an array of them, each a source or {source, scale, token}
 * @param {string} base
 * @returns {import('./protocol.js').AdapterRequest[]}
 */
export function adaptersOf(lora, base) {
  return (Array.isArray(lora) ? lora : [lora]).map((item, index) => {
    const field = `lora[${index}]`;
    const named = item?.source === undefined ? { source: item } : item;
    const { source, scale = 1, token = '' } = knownOptions(named, new Set(['source', 'scale', 'token']), field);
    if (typeof scale !== 'number' || !Number.isFinite(scale)) throw invalid(`${field}.scale`, scale, 'a number');
    return { source: sourceOf(source, field, base), scale, token: bearerToken(token, `${field}.token`) };
  });
}

/** Reading of manifest.json, the description of a model in shards: every field is checked before anything is fetched. */
import { TesseraError } from '../base/errors.js';

/**
 * @typedef {object} Shard
 * @property {string} path relative to the manifest
 * @property {number} offset of its first byte in the whole file
 * @property {number} bytes
 * @property {string} sha256 64 lower-case hex digits
 * @property {string} [sha256_blocks] SHA-256 of the text that is `sha256` and then that of each block of 512 KiB, in hex digits: tells
 *   block by block whether the shard has that sha256, in half the time. Where it does not fit, sha256 alone counts.
 */

/**
 * @typedef {object} Manifest
 * @property {'tessera-shards'} format
 * @property {1} version
 * @property {string} name
 * @property {string} architecture
 * @property {string} quantization
 * @property {string} license
 * @property {{name: string, bytes: number, sha256: string}} file the GGUF file that the shards make when laid end to end
 * @property {number} context_length
 * @property {Shard[]} shards in file order, without gaps
 * @property {boolean} chat_template
 * @property {string[]} [mirrors] absolute URLs of folders that hold the same shards
 */

const kMaxText = 500; // characters of a name or a path
const kMaxShards = 65536;
const kMaxMirrors = 8;

/**
 * @param {string} text the JSON text
 * @returns {Manifest}
 */
export function parseManifest(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid('the text', 'JSON', text.slice(0, 40), cause);
  }
  return checkManifest(value);
}

/**
 * @param {unknown} value
 * @returns {Manifest}
 */
export function checkManifest(value) {
  const root = object(value, 'the manifest');
  if (root.format !== 'tessera-shards') throw invalid('format', "'tessera-shards'", root.format);
  if (root.version !== 1) throw invalid('version', '1', root.version);
  const file = object(root.file, 'file');
  /** @type {Manifest} */
  const manifest = {
    format: 'tessera-shards',
    version: 1,
    name: text(root.name, 'name'),
    architecture: text(root.architecture, 'architecture'),
    quantization: text(root.quantization, 'quantization'),
    license: text(root.license, 'license', { mayBeEmpty: true }),
    file: {
      name: fileName(file.name, 'file.name'),
      bytes: integer(file.bytes, 'file.bytes', 1),
      sha256: sha256(file.sha256, 'file.sha256'),
    },
    context_length: integer(root.context_length, 'context_length', 1),
    shards: [],
    chat_template: boolean(root.chat_template, 'chat_template'),
  };
  manifest.shards = shards(root.shards, manifest.file.bytes);
  if (root.mirrors !== undefined) manifest.mirrors = mirrorList(root.mirrors);
  return manifest;
}

/**
 * @param {Manifest} manifest
 * @param {string} manifestUrl absolute
 * @returns {string[][]} for each shard its absolute URLs: beside the manifest or below it, then in each mirror
 */
export function shardUrls({ shards, mirrors = [] }, manifestUrl) {
  const folders = [new URL('.', manifestUrl).href, ...mirrors];
  return shards.map(({ path }) => folders.map((folder) => urlInside(folder, path)));
}

/**
 * @param {string} folder
 * @param {string} path
 */
function urlInside(folder, path) {
  const url = new URL(path, folder).href;
  if (!url.startsWith(folder)) throw invalid('shard path', `a path inside ${folder}`, path);
  return url;
}

/**
 * @param {unknown} value
 * @returns {string[]} each with a slash at its end
 */
function mirrorList(value) {
  if (!Array.isArray(value) || value.length > kMaxMirrors)
    throw invalid('mirrors', `a list of at most ${kMaxMirrors} addresses`, value);
  return value.map((entry, index) => {
    const url = URL.canParse(String(entry)) ? new URL(String(entry)) : null;
    if (!url || !['http:', 'https:'].includes(url.protocol) || url.search || url.hash)
      throw invalid(`mirrors[${index}]`, 'an absolute http(s) URL of a folder', entry);
    return url.href.replace(/\/?$/, '/');
  });
}

/**
 * @param {unknown} value
 * @param {number} fileBytes
 * @returns {Shard[]}
 */
function shards(value, fileBytes) {
  if (!Array.isArray(value) || value.length === 0 || value.length > kMaxShards) {
    throw invalid(
      'shards',
      `a list of 1 to ${kMaxShards} shards`,
      Array.isArray(value) ? `${value.length} shards` : value,
    );
  }
  let end = 0;
  const list = value.map((entry, index) => {
    const at = `shards[${index}]`;
    const shard = object(entry, at);
    const offset = integer(shard.offset, `${at}.offset`, 0);
    if (offset !== end) throw invalid(`${at}.offset`, `${end}, the end of the shard before it`, offset);
    const bytes = integer(shard.bytes, `${at}.bytes`, 1);
    const { sha256_blocks: blocks } = shard;
    end += bytes;
    return {
      path: relativePath(shard.path, `${at}.path`),
      offset,
      bytes,
      sha256: sha256(shard.sha256, `${at}.sha256`),
      ...(blocks !== undefined && { sha256_blocks: sha256(blocks, `${at}.sha256_blocks`) }),
    };
  });
  if (end !== fileBytes) throw invalid('file.bytes', `${end}, the sum of the shards`, fileBytes);
  return list;
}

/**
 * @param {unknown} value
 * @param {string} field
 * @returns {Record<string, unknown>}
 */
function object(value, field) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(field, 'an object', value);
  return /** @type {Record<string, unknown>} */ (value);
}

/**
 * @param {unknown} value
 * @param {string} field
 * @param {{mayBeEmpty?: boolean}} [options]
 */
function text(value, field, { mayBeEmpty = false } = {}) {
  const good = typeof value === 'string' && (mayBeEmpty || value !== '') && value.length <= kMaxText;
  if (!good) throw invalid(field, `a text of ${mayBeEmpty ? 0 : 1} to ${kMaxText} characters`, value);
  return value;
}

/**
 * @param {unknown} value
 * @param {string} field
 */
function fileName(value, field) {
  const name = relativePath(value, field);
  if (name.includes('/')) throw invalid(field, 'a file name without folders', value);
  return name;
}

/**
 * @param {unknown} value
 * @param {string} field
 * @param {number} least
 */
function integer(value, field, least) {
  if (!Number.isSafeInteger(value) || Number(value) < least)
    throw invalid(field, `a whole number of at least ${least}`, value);
  return Number(value);
}

/**
 * @param {unknown} value
 * @param {string} field
 */
function boolean(value, field) {
  if (typeof value !== 'boolean') throw invalid(field, 'true or false', value);
  return value;
}

/**
 * @param {unknown} value
 * @param {string} field
 */
function sha256(value, field) {
  if (typeof value !== 'string' || !/^[0-9a-f]{64}$/.test(value))
    throw invalid(field, '64 lower-case hex digits', value);
  return value;
}

/**
 * A path that means the same file for every URL parser: no scheme or host, no climbing, no escapes, no query.
 * @param {unknown} value
 * @param {string} field
 */
function relativePath(value, field) {
  const path = text(value, field);
  const plain = !/[\\?#%:\u0000-\u001f\u007f]/.test(path) && path.trim() === path;
  if (!plain || path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw invalid(field, "a relative path without '..', ':', '\\', '%', '?' or '#'", value);
  }
  return path;
}

/**
 * @param {string} field
 * @param {string} expected
 * @param {unknown} found
 * @param {unknown} [cause]
 */
function invalid(field, expected, found, cause) {
  const shown = (JSON.stringify(found) ?? String(found)).slice(0, 80);
  const hint = 'Check that the URL names a manifest.json written by `tessera split`, and make it anew if so.';
  return new TesseraError('manifest_invalid', `manifest: ${field}: expected ${expected}, found ${shown}`, hint, cause);
}

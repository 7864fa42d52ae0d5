/** What a caller may write for a model on a server, as URLs: an address, the hub shorthand, and the parts of a split GGUF. */
import { bytesToHex } from '@noble/hashes/utils.js';
import { TesseraError } from '../base/errors.js';
import { hashText } from './hash.js';

/** Of models that were made on this device: nobody can fetch them. */
const kMade = 'made-here:';
const kHub = 'https://huggingface.co';
const kSplit = /-(\d{5})-of-(\d{5})\.gguf$/i;
const kMostParts = 1000;

/**
 * @param {string} model absolute http(s) URL, or hf:owner/repo/path/file.gguf, at a revision with hf:owner/repo@revision/…; or what
 *   madeAddress gave
 * @returns {string} absolute URL
 */
export function modelAddress(model) {
  if (/^hf:/i.test(model)) return hubAddress(model);
  const url = URL.canParse(model) ? new URL(model) : null;
  if (!url || !['http:', 'https:', kMade].includes(url.protocol)) {
    const found = model.slice(0, 80);
    throw new TesseraError('invalid_argument', `model: expected an absolute http(s) URL, found '${found}'`);
  }
  url.hash = '';
  return url.href;
}

/**
 * The address of a model that is made on this device; each is another one.
 * @param {string} name
 */
export function madeAddress(name) {
  const file = name.replace(/[^\w.-]+/g, '-') || 'model';
  return `${kMade}/${bytesToHex(crypto.getRandomValues(new Uint8Array(8)))}/${file}.gguf`;
}

/** @param {string} url @returns {boolean} whether madeAddress gave it */
export function isMade(url) {
  return url.startsWith(kMade);
}

/**
 * @param {string} url of a model that is not stored, or not all of it
 * @throws {TesseraError} 'not_found' if it was made on this device
 */
export function checkFetchable(url) {
  if (!isMade(url)) return;
  const message = `${url.split('/').pop()} was made on this device, so there is nowhere to fetch it from`;
  throw new TesseraError(
    'not_found',
    message,
    'Remove what is left of it, and make it again from the model it came from.',
  );
}

/** @param {string} model */
function hubAddress(model) {
  const name = '[A-Za-z0-9][\\w.-]*';
  const match = new RegExp(`^hf:(${name}/${name})(?:@(${name}))?/((?:${name}/)*${name}\\.(?:gguf|json))$`, 'i').exec(
    model,
  );
  if (match) return `${kHub}/${match[1]}/resolve/${match[2] ?? 'main'}/${match[3]}`;
  const message = `model: expected hf:owner/repo/file.gguf, found '${model.slice(0, 80)}'`;
  throw new TesseraError('invalid_argument', message, hubHint(model.slice('hf:'.length)));
}

/** @param {string} rest of an address behind hf: that is none */
function hubHint(rest) {
  if (/[?:]|^[^/]*@/.test(rest)) return 'A token for the hub is the option `token`, not part of the address.';
  const folder = /^[^/]+\/[^/]+$/.exec(rest.replace(/\/$/, ''));
  if (folder && !rest.endsWith('.gguf')) return `Name the file in it: hf:${folder[0]}/file.gguf.`;
  return 'Owner and repository come first, then a file of it that ends in .gguf or .json.';
}

/**
 * @param {string} url of modelAddress
 * @returns {Promise<string>} the name of its folder in the store
 */
export async function modelId(url) {
  return (await hashText(url)).slice(0, 16);
}

/** @param {string} url @returns {string} the name of its file, as people write it */
export function fileNameOf(url) {
  const name = new URL(url).pathname.split('/').pop() ?? '';
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // a % that begins nothing
  }
}

/**
 * @param {string} url of a GGUF file, or of any part of one that gguf-split made
 * @returns {string[]} of all its parts, in order
 */
export function partAddresses(url) {
  const address = new URL(url);
  const match = kSplit.exec(address.pathname);
  if (!match) return [url];
  const count = Number(match[2]);
  if (count < 1 || count > kMostParts || Number(match[1]) < 1 || Number(match[1]) > count) {
    const message = `model: expected a part from 00001 of at most ${kMostParts}, found '${match[0]}'`;
    throw new TesseraError('invalid_argument', message);
  }
  const base = address.pathname.slice(0, match.index);
  return Array.from({ length: count }, (_, i) => {
    address.pathname = `${base}-${String(i + 1).padStart(5, '0')}-of-${match[2]}.gguf`;
    return address.href;
  });
}

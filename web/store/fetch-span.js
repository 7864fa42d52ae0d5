/**
 * One span of a source over HTTP: asks for the bytes that are still to come, finds out what the server can do and whether it still
 * has the same file, and tries again where that can help.
 */
import { TesseraError } from '../base/errors.js';
import { bodyBytes, fetchBody, pathOf, Transient, withRetries } from './network.js';
import { mismatch, Span } from './span.js';

/** @typedef {import('./records.js').Source} Source */

/** The server sends no ranges of this source: it is to be fetched from start to end. */
class NoRanges extends Error {}

/** The file on the server is not the one that the stored chunks are of. */
export class Changed extends Error {
  /** @param {Source} source */
  constructor(source) {
    super(`${source.path} has changed`);
    this.source = source;
  }
}

/** Less than this part of a chunk between two failures counts as no progress. */
const kProgressPart = 16;

/** @typedef {import('./span.js').SpanPorts} SpanPorts */

/**
 * @typedef {SpanPorts & {signal: AbortSignal, network: import('./network.js').NetworkOptions, learned: () => Promise<void>,
 *   arrived?: () => void}} FetchContext learned: called when the source's size became known, before anything is stored; arrived: when all
 *   bytes are there, and what is left is to hash and store the last of them
 */

/**
 * @param {Source} source its size, validator and `whole` are learned from the first answer
 * @param {number} first chunk
 * @param {number | null} last chunk; null: to the end of the source
 * @param {FetchContext} context
 * @returns {Promise<void>} rejects with TesseraError, Changed, or an error named 'QuotaExceededError'
 */
export async function fetchInto(source, first, last, context) {
  const span = new Span(source, first, last, context);
  try {
    await span.prepare();
    await fetchSpan(source, span, context);
  } catch (error) {
    if (!(error instanceof NoRanges)) throw error;
  } finally {
    await span.close();
    if (!span.done) span.rewind();
  }
  if (source.bytes === null) await fetchInto(source, 0, null, context);
}

/**
 * @param {Source} source
 * @param {Span} span
 * @param {FetchContext} context
 */
async function fetchSpan(source, span, context) {
  const { signal, network } = context;
  let mark = span.position;
  await withRetries(signal, network, async (attempt, progressed) => {
    const url = source.urls[attempt % source.urls.length];
    const mirrored = source.urls.length > 1;
    if (source.whole) span.rewind(0);
    const headers = rangeHeaders(source, span);
    try {
      await fetchBody({ url, headers, expected: [416], mirrored }, signal, network, async (response, consume) => {
        await accept(response, { source, span, url, ranged: 'Range' in headers, ...context });
        await consume((piece) => span.take(piece));
        if (span.done) context.arrived?.();
        await span.ended();
      });
    } catch (error) {
      if (span.position - mark >= source.chunkBytes / kProgressPart) progressed();
      mark = Math.max(mark, span.position);
      throw error;
    }
  });
}

/**
 * Without If-Range: the answers' validators are compared, and where an address leads to another site, that one would have to allow it
 * (CORS), which few do.
 * @param {Source} source
 * @param {Span} span
 * @returns {Record<string, string>} empty when all of the source is wanted
 */
function rangeHeaders(source, span) {
  const everything = source.bytes !== null && span.position === 0 && span.end === source.bytes;
  return source.whole || everything ? {} : { Range: `bytes=${span.position}-${Number(span.end) - 1}` };
}

/**
 * Decides whether the body that follows is what the span needs.
 * @param {Response} response
 * @param {{source: Source, span: Span, url: string, ranged: boolean, signal: AbortSignal,
 *   network: import('./network.js').NetworkOptions, learned: () => Promise<void>}} context
 */
async function accept(response, context) {
  const { source, span, ranged } = context;
  const { status } = response;
  const validator = validatorOf(response);
  if (status === 416) {
    if (source.bytes === null) return refuseRanges(source); // an empty file
    if (source.sha256 === null) throw new Changed(source);
    throw new Transient(mismatch('size_mismatch', source.path, `${source.bytes} bytes`, `${span.position}`));
  }
  if (status !== 200 && status !== 206) {
    throw new TesseraError('http', `${source.path}: expected the answer 200 or 206, found ${status}`);
  }
  // A hash tells more than a validator, and mirrors have validators of their own.
  const comparable = source.sha256 === null && source.urls.length === 1;
  if (comparable && source.validator !== '' && validator !== '' && validator !== source.validator) {
    throw new Changed(source);
  }
  if (status === 206) await acceptRange(response, context);
  else if (ranged && source.bytes !== null) refuseRanges(source);
  else await acceptWhole(response, context);
  source.validator ||= validator;
}

/**
 * @param {Source} source
 * @returns {never}
 */
function refuseRanges(source) {
  source.whole = true;
  throw new NoRanges();
}

/**
 * @param {Response} response
 * @param {Parameters<typeof accept>[1]} context
 */
async function acceptRange(response, { source, span, url, signal, network, learned }) {
  const encoding = response.headers.get('content-encoding') ?? 'identity';
  // Another site may hide this header from the page (CORS); the sizes are then compared as the bytes arrive.
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '') ?? [];
  if (encoding !== 'identity' || (start && Number(start) !== span.position)) refuseRanges(source);
  if (source.bytes === null) {
    source.bytes = total ? Number(total) : await sizeByHead(url, signal, network);
    if (source.bytes === null) refuseRanges(source);
    source.validator = validatorOf(response);
    await learned();
  } else if (total && Number(total) !== source.bytes) {
    if (source.sha256 === null) throw new Changed(source);
    throw new Transient(mismatch('size_mismatch', source.path, `${source.bytes} bytes`, total));
  }
}

/**
 * @param {Response} response
 * @param {Parameters<typeof accept>[1]} context
 */
async function acceptWhole(response, { source, span, learned }) {
  const bytes = bodyBytes(response);
  if (source.bytes !== null) {
    if (bytes !== null && bytes !== source.bytes && source.sha256 === null) throw new Changed(source);
    return;
  }
  source.whole = true;
  source.bytes = bytes || null; // an empty file is found out when its body ends
  source.validator = validatorOf(response);
  span.widen();
  await learned();
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {import('./network.js').NetworkOptions} network
 */
function sizeByHead(url, signal, network) {
  return fetchBody({ url, method: 'HEAD' }, signal, network, async (response) => bodyBytes(response));
}

/** @param {Response} response */
function validatorOf({ headers }) {
  return headers.get('etag') ?? headers.get('last-modified') ?? '';
}

/** @param {Source} source @returns {TesseraError} for a file that would not keep still, or that is no longer the one kept */
export function changedError({ path, urls, pins }) {
  const what = pins
    ? 'the server has another file now than the one that is kept here'
    : 'the file on the server kept changing while it was fetched';
  const hint = pins ? 'Remove the stored model to download the new one.' : 'Try again later, or ask its publisher.';
  return new TesseraError('changed', `${path} (${pathOf(urls[0])}): ${what}`, hint);
}

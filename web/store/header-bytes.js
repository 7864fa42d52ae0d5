/**
 * The beginning of a model, as far as its header reaches: for what can be said of it before it is downloaded. Some megabytes are
 * fetched, nothing is stored.
 */
import { TesseraError } from '../base/errors.js';
import { checkFetchable, fileNameOf, modelAddress, modelId, partAddresses } from './addresses.js';
import { chooseBackend } from './choose-backend.js';
import { openFiles } from './local-files.js';
import { parseManifest, shardUrls } from './manifest.js';
import { exportFiles } from './models.js';
import { bodyBytes, fetchBody, fetchText, withRetries } from './network.js';
import { blobReader, checkRange } from './readers.js';

/** @typedef {import('./contract.js').SyncReader} SyncReader */
/** @typedef {{ urls: string[], bytes: number | null, whole?: boolean }} Piece a file on the server; whole: it sends no ranges of it */

/**
 * Says whether the header is all there; when it had to read further than that, the header's `short` is set.
 * @typedef {(header: HeaderBytes) => boolean} Enough
 */

/**
 * @typedef {object} ModelHeaders
 * @property {string} name for people, where the model itself has none
 * @property {SyncReader[]} parts one per GGUF file, readable as far as its header reaches
 * @property {number | null} fileBytes of the whole model; null when the server does not say
 */

/** No header is longer: a vocabulary of 262,144 tokens takes 7 MB. */
const kMostBytes = 64 << 20;
/** What is asked for first; parts of a split GGUF but the first have no vocabulary. */
const kFirstBytes = 1 << 20;
const kFirstOfOtherParts = 1 << 16;
const kMaxManifestBytes = 16 << 20;
/** Ends a request whose answer goes on. */
const kEnough = Symbol('enough');

/** The bytes of one GGUF file that have arrived, as a reader of the file. @implements {SyncReader} */
export class HeaderBytes {
  /** What the reader may ask for, as far as is known. */
  size = kMostBytes;
  /** Bytes that are there. */
  length = 0;
  /** Bytes to have before it is worth looking again. */
  wanted;
  /** More was asked for than is there. */
  short = false;
  #bytes = new Uint8Array(0);

  /** @param {number} wanted */
  constructor(wanted) {
    this.wanted = wanted;
  }

  /** @param {number | null} bytes of the whole file */
  limit(bytes) {
    if (bytes !== null) this.size = Math.min(this.size, bytes);
    this.wanted = Math.min(this.wanted, this.size);
  }

  /** @param {Uint8Array} piece what comes next */
  take(piece) {
    if (this.length + piece.length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.wanted, this.length + piece.length));
      larger.set(this.#bytes.subarray(0, this.length));
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.length);
    this.length += piece.length;
  }

  /** @param {Enough} enough @returns {boolean} whether no more bytes are needed, or none are to be had */
  judge(enough) {
    this.short = false;
    if (enough(this) || this.length >= this.size) return true;
    this.wanted = Math.min(2 * this.length, this.size);
    return false;
  }

  /**
   * @param {Uint8Array} target
   * @param {number} offset
   */
  read(target, offset) {
    checkRange(this.size, target, offset);
    if (offset + target.length > this.length) {
      this.short = true;
      throw new TesseraError('bad_file', `the header needs more than the ${this.length} bytes that are there`);
    }
    target.set(this.#bytes.subarray(offset, offset + target.length));
  }
}

/**
 * Worker only. A model that is stored completely is read from there, without any request.
 * @param {string | File | File[]} source as of openModel
 * @param {Enough} enough
 * @param {{ token?: string, signal?: AbortSignal }} [options]
 * @param {import('./open-model.js').Environment} [environment]
 * @returns {Promise<ModelHeaders>} rejects as openModel
 */
export async function readHeaders(source, enough, { token, signal } = {}, environment = {}) {
  try {
    signal?.throwIfAborted();
    if (typeof source !== 'string') return readable(openFiles(source));
    const url = modelAddress(source);
    const backend = environment.backend ?? (await chooseBackend());
    const stored = await exportFiles(await modelId(url), backend).catch(() => null);
    if (stored) return readable({ name: stored[0].name, parts: stored.map(blobReader) });
    checkFetchable(url);
    const authorization = token ? { origin: new URL(url).origin, value: `Bearer ${token}` } : undefined;
    return await fetchHeaders(url, enough, { signal, network: { ...environment.network, authorization } });
  } catch (error) {
    if (signal?.aborted) throw new TesseraError('aborted', 'the reading of the header was stopped');
    throw TesseraError.from(error);
  }
}

/** @param {{ name: string, parts: SyncReader[] }} model @returns {ModelHeaders} */
function readable({ name, parts }) {
  return { name, parts, fileBytes: parts.reduce((sum, { size }) => sum + size, 0) };
}

/**
 * @param {string} url
 * @param {Enough} enough
 * @param {{ signal?: AbortSignal, network: import('./network.js').NetworkOptions }} context
 * @returns {Promise<ModelHeaders>}
 */
async function fetchHeaders(url, enough, context) {
  let name = fileNameOf(url) || url;
  /** One list of pieces a GGUF file. @type {Piece[][]} */
  let files;
  if (name.endsWith('.json')) {
    const manifest = parseManifest(await fetchText(url, context.signal, context.network, kMaxManifestBytes));
    const urls = shardUrls(manifest, url);
    name = manifest.name;
    files = [manifest.shards.map(({ bytes }, i) => ({ urls: urls[i], bytes }))];
  } else {
    files = partAddresses(url).map((address) => [{ urls: [address], bytes: null }]);
  }
  const parts = [];
  for (const pieces of files) {
    const header = new HeaderBytes(parts.length === 0 ? kFirstBytes : kFirstOfOtherParts);
    await fetchHeader(header, pieces, enough, context);
    parts.push(header);
  }
  return { name, parts, fileBytes: sizeOf(files.flat()) };
}

/** @param {Piece[]} pieces @returns {number | null} */
function sizeOf(pieces) {
  let sum = 0;
  for (const { bytes } of pieces) {
    if (bytes === null) return null;
    sum += bytes;
  }
  return sum;
}

/**
 * @param {HeaderBytes} header
 * @param {Piece[]} pieces of one file, end to end
 * @param {Enough} enough
 * @param {Parameters<typeof fetchHeaders>[2]} context
 */
async function fetchHeader(header, pieces, enough, context) {
  const job = { header, pieces, enough, ...context };
  try {
    for (const piece of pieces) {
      const start = header.length;
      while (!(await fetchMore(piece, start, job)));
    }
    header.limit(header.length); // that was the whole file
    header.judge(enough);
  } catch (error) {
    if (error !== kEnough) throw error;
  }
}

/**
 * One request for what is wanted next. Throws kEnough when nothing more is.
 * @param {Piece} piece
 * @param {number} start of the piece in the file
 * @param {{ header: HeaderBytes, pieces: Piece[], enough: Enough } & Parameters<typeof fetchHeaders>[2]} job
 * @returns {Promise<boolean>} whether the piece has ended
 */
function fetchMore(piece, start, { header, pieces, enough, signal, network }) {
  return withRetries(signal, network, (attempt) => {
    const url = piece.urls[attempt % piece.urls.length];
    const mirrored = piece.urls.length > 1;
    const from = header.length - start;
    const end = Math.min(header.wanted - start, piece.bytes ?? Infinity);
    /** @type {Record<string, string>} */
    const headers = piece.whole ? {} : { Range: `bytes=${from}-${end - 1}` };
    return fetchBody({ url, headers, expected: [416], mirrored }, signal, network, async (response, consume) => {
      if (response.status === 416) return true;
      let skipped = 0;
      if (response.status === 206) {
        const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '') ?? [];
        piece.whole =
          (response.headers.get('content-encoding') ?? 'identity') !== 'identity' || Number(first ?? from) !== from;
        if (piece.whole) return false;
        piece.bytes ??= total ? Number(total) : null;
      } else {
        skipped = from; // all of the piece comes, again and again
        piece.bytes ??= bodyBytes(response);
      }
      header.limit(sizeOf(pieces));
      await consume((bytes) => {
        const fresh = bytes.subarray(Math.min(skipped, bytes.length));
        skipped -= bytes.length - fresh.length;
        header.take(fresh);
        if (header.length >= header.wanted && header.judge(enough)) throw kEnough;
      });
      const position = header.length - start;
      const asked = response.status === 206 ? end : Infinity;
      return position === from || position >= (piece.bytes ?? Infinity) || (piece.bytes === null && position < asked);
    });
  });
}

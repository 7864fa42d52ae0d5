/** Fetching with a stall limit, retries and errors in plain words. It knows nothing about models or where bytes are kept. */
import { TesseraError } from '../base/errors.js';
import { fetchAllowed } from './policy.js';

/**
 * @typedef {object} NetworkOptions
 * @property {number} [retries] further attempts after a failure of the network or a busy server
 * @property {number} [backoffMs] the wait before the first of them; it doubles each time
 * @property {number} [stallMs] a connection that is silent for this long counts as broken
 * @property {number} [parallel] requests under way at once
 * @property {number} [chunkBytes] for tests: the size of chunks
 * @property {number} [chunksPerRequest] at most
 * @property {{origin: string, value: string}} [authorization] a header that goes to this origin and nowhere else
 */

/** A failure that another attempt may get over. */
export class Transient extends Error {
  /**
   * @param {TesseraError} error what to report when no attempt helps
   * @param {number} [waitMs] how long to wait, where that is known better than by doubling
   */
  constructor(error, waitMs) {
    super(error.message);
    this.error = error;
    this.waitMs = waitMs;
  }
}

const kBusyStatus = [408, 425, 429, 500, 502, 503, 504];
const kLongestWaitMs = 30_000;
const kPieceBytes = 1 << 20;
const kStallParts = 8;
export const kStallMs = 30_000;

/**
 * Repeats an attempt that fails for a passing reason. An attempt that got somewhere is not held against the next.
 * @template Result
 * @param {AbortSignal | undefined} signal
 * @param {NetworkOptions} options
 * @param {(attempt: number, progressed: () => void) => Promise<Result>} run errors that are not Transient end it
 * @returns {Promise<Result>}
 */
export async function withRetries(signal, { retries = 4, backoffMs = 500 }, run) {
  let failures = 0;
  for (let attempt = 0; ; ++attempt) {
    try {
      return await run(attempt, () => void (failures = 0));
    } catch (error) {
      if (signal?.aborted) throw stopped();
      if (!(error instanceof Transient)) throw error;
      if (failures === retries) throw error.error;
      await wait(Math.min(error.waitMs ?? backoffMs * 2 ** failures, kLongestWaitMs), signal);
      ++failures;
    }
  }
}

/**
 * One request: hands the body over piece by piece, in order, one call at a time; a piece's memory is used again after its call.
 * @template Result
 * @param {{url: string, method?: string, headers?: Record<string, string>, expected?: number[], mirrored?: boolean}} request
 *   expected: statuses beyond 200…299 that are answers too; mirrored: the next attempt is at another place
 * @param {AbortSignal | undefined} signal
 * @param {NetworkOptions} options
 * @param {(response: Response, consume: (onChunk: (chunk: Uint8Array) => void | Promise<void>) => Promise<void>) => Promise<Result>} use
 * @returns {Promise<Result>} rejects with Transient when another attempt may succeed
 */
export async function fetchBody({ url, method, headers, expected = [], mirrored = false }, signal, options, use) {
  signal?.throwIfAborted();
  const { stallMs = kStallMs, authorization } = options;
  const controller = new AbortController();
  const stop = () => controller.abort();
  signal?.addEventListener('abort', stop);
  // Not every engine wakes a read that waits when its request is aborted.
  const ended = new Promise((_, reject) => controller.signal.addEventListener('abort', () => reject(stopped())));
  ended.catch(() => {});
  /**
   * @template T
   * @param {Promise<T>} step one wait for the network
   * @returns {Promise<T>}
   */
  const guarded = async (step) => {
    const noted = afterSilence(stallMs, stop);
    try {
      return /** @type {T} */ (await Promise.race([step, ended]));
    } catch (cause) {
      if (cause instanceof TesseraError && cause.code === 'blocked') throw mirrored ? new Transient(cause, 0) : cause;
      const what = controller.signal.aborted ? `silent for ${stallMs / 1000} s` : 'broken';
      throw new Transient(networkError(url, what, cause));
    } finally {
      noted();
    }
  };

  try {
    const sent = new Headers(headers);
    if (authorization?.origin === new URL(url).origin) sent.set('Authorization', authorization.value);
    const settings = { method, headers: sent, signal: controller.signal };
    // no-store: the model store keeps the bytes, a second copy in the HTTP cache would only take space.
    const asked = fetchAllowed(url, { cache: 'no-store', referrerPolicy: 'no-referrer', ...settings });
    const response = await guarded(asked);
    if (!response.ok && !expected.includes(response.status)) throw httpError(url, response);
    const read = response.body && pieceReader(response.body);
    return await use(response, async (onChunk) => {
      while (read) {
        const { done, value } = await guarded(read());
        if (done) return;
        await onChunk(value);
      }
    });
  } finally {
    signal?.removeEventListener('abort', stop);
    stop(); // nothing to stop after success; after an error of the consumer it closes the connection
  }
}

/**
 * A limit that runs only while this thread does: after the page slept, or its thread or the whole machine was busy, a plain timer is
 * due before anybody has looked whether bytes came meanwhile, and they would be fetched once more. Here each part waits for its turn.
 * @param {number} ms
 * @param {() => void} act
 * @returns {() => void} to be called when there was no silence
 */
export function afterSilence(ms, act) {
  let left = kStallParts;
  const timer = setInterval(() => {
    if (--left > 0) return;
    clearInterval(timer);
    act();
  }, ms / kStallParts);
  return () => clearInterval(timer);
}

/**
 * Reads into the same memory again and again where the engine can: to get fresh pages for every piece takes longer than to copy it.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {() => Promise<{done: boolean, value?: any}>} value: valid until the next call
 */
function pieceReader(body) {
  /** @type {ReadableStreamBYOBReader} */
  let reader;
  try {
    reader = body.getReader({ mode: 'byob' });
  } catch {
    const plain = body.getReader(); // no byte stream in this engine
    return () => plain.read();
  }
  let memory = new ArrayBuffer(kPieceBytes);
  return async () => {
    const { done, value } = await reader.read(new Uint8Array(memory));
    if (value) memory = value.buffer;
    return { done, value };
  };
}

/**
 * A small text file.
 * @param {string} url
 * @param {AbortSignal | undefined} signal
 * @param {NetworkOptions} options
 * @param {number} maxBytes
 * @returns {Promise<string>}
 */
export function fetchText(url, signal, options, maxBytes) {
  const attempt = () =>
    fetchBody({ url }, signal, options, async (_, consume) => {
      const decoder = new TextDecoder();
      let text = '';
      let bytes = 0;
      await consume((chunk) => {
        bytes += chunk.length;
        if (bytes > maxBytes) {
          throw new TesseraError('too_large', `${pathOf(url)} is larger than the ${maxBytes} bytes allowed for it`);
        }
        text += decoder.decode(chunk, { stream: true });
      });
      return text + decoder.decode();
    });
  return withRetries(signal, options, attempt);
}

/**
 * The size of the body as the reader will see it, where the answer tells: Content-Length counts compressed bytes when the body is
 * compressed, and across origins a compression may be hidden.
 * @param {Response} response
 * @returns {number | null}
 */
export function bodyBytes(response) {
  const length = response.headers.get('content-length');
  const encoding = response.headers.get('content-encoding');
  if (!length || !/^\d+$/.test(length) || (encoding && encoding !== 'identity')) return null;
  return Number(length);
}

export function stopped() {
  return new TesseraError('aborted', 'the download was stopped');
}

/** @param {string} url */
export function pathOf(url) {
  return new URL(url).pathname; // without the query, which may hold a secret
}

/**
 * @param {string} url
 * @param {Response} response
 */
function httpError(url, { status, statusText, headers }) {
  const message = `${pathOf(url)}: the server answered ${status}${statusText ? ` ${statusText}` : ''}`;
  if (kBusyStatus.includes(status)) {
    const seconds = Number(headers.get('retry-after')) || undefined; // a date, or nothing: our own waits do
    const error = new TesseraError('http', message, 'The server is busy or broken; try again later.');
    return new Transient(error, seconds && seconds * 1000);
  }
  let hint = 'Check the address of the model.';
  if (status === 404 || status === 410)
    hint = 'The file is not on the server: check the address, or that all shards were uploaded.';
  if (status === 401 || status === 403) hint = 'The server does not give this file to everybody: it may need a token.';
  return new TesseraError('http', message, hint);
}

/**
 * @param {string} url
 * @param {string} what
 * @param {unknown} cause
 */
function networkError(url, what, cause) {
  const hint =
    'Check the connection and try again: what is complete has been kept. Another site must allow this page (CORS).';
  return new TesseraError('network', `${pathOf(url)}: the connection was ${what}`, hint, cause);
}

/**
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function wait(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(stopped());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

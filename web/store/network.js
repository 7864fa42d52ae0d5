/** Fetching with a stall limit, retries and errors in plain words. It knows nothing about models or where bytes are kept. */
import { TesseraError } from '../base/errors.js';

/**
 * @typedef {object} NetworkOptions
 * @property {number} [retries] further attempts after a failure of the network or a busy server
 * @property {number} [backoffMs] the wait before the first of them; it doubles each time
 * @property {number} [stallMs] a connection that is silent for this long counts as broken
 */

/** A failure that another attempt may get over. */
class Transient extends Error {
  /** @param {TesseraError} error */
  constructor(error) {
    super(error.message);
    this.error = error;
  }
}

const kBusyStatus = [408, 425, 429, 500, 502, 503, 504];

/**
 * Gets a URL and hands its body over piece by piece, in order, one call at a time. Each attempt starts with a sink of its own.
 * @template Result
 * @param {string} url
 * @param {AbortSignal | undefined} signal
 * @param {NetworkOptions} options
 * @param {(consume: (onChunk: (chunk: Uint8Array) => void | Promise<void>) => Promise<void>, response: Response) => Promise<Result>} use
 *   called once an attempt has a good answer; errors of its own end the whole fetch
 * @returns {Promise<Result>}
 */
export async function fetchBody(url, signal, { retries = 4, backoffMs = 500, stallMs = 30000 }, use) {
  for (let attempt = 0; ; ++attempt) {
    try {
      return await fetchOnce(url, signal, stallMs, use);
    } catch (error) {
      if (signal?.aborted) throw new TesseraError('aborted', 'the download was stopped');
      if (!(error instanceof Transient)) throw error;
      if (attempt === retries) throw error.error;
      await wait(backoffMs * 2 ** attempt, signal);
    }
  }
}

/**
 * @template Result
 * @param {string} url
 * @param {AbortSignal | undefined} signal
 * @param {number} stallMs
 * @param {(consume: (onChunk: (chunk: Uint8Array) => void | Promise<void>) => Promise<void>, response: Response) => Promise<Result>} use
 * @returns {Promise<Result>}
 */
async function fetchOnce(url, signal, stallMs, use) {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const stop = () => controller.abort();
  signal?.addEventListener('abort', stop);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /**
   * @template T
   * @param {Promise<T>} step one wait for the network
   * @returns {Promise<T>}
   */
  const guarded = async (step) => {
    timer = setTimeout(stop, stallMs);
    try {
      return await step;
    } catch (cause) {
      throw new Transient(
        networkError(url, controller.signal.aborted ? `silent for ${stallMs / 1000} s` : 'broken', cause),
      );
    } finally {
      clearTimeout(timer);
    }
  };

  try {
    // no-store: the model store keeps the bytes, a second copy in the HTTP cache would only take space.
    const response = await guarded(
      fetch(url, { signal: controller.signal, cache: 'no-store', referrerPolicy: 'no-referrer' }),
    );
    if (!response.ok) throw httpError(url, response);
    const reader = response.body?.getReader();
    return await use(async (onChunk) => {
      while (reader) {
        const { done, value } = await guarded(reader.read());
        if (done) return;
        await onChunk(value);
      }
    }, response);
  } finally {
    signal?.removeEventListener('abort', stop);
    stop(); // nothing to stop after success; after an error of the consumer it closes the connection
  }
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
  return fetchBody(url, signal, options, async (consume) => {
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

/** @param {string} url */
export function pathOf(url) {
  return new URL(url).pathname; // without the query, which may hold a secret
}

/**
 * @param {string} url
 * @param {Response} response
 */
function httpError(url, { status, statusText }) {
  const message = `${pathOf(url)}: the server answered ${status}${statusText ? ` ${statusText}` : ''}`;
  if (kBusyStatus.includes(status)) {
    return new Transient(new TesseraError('http', message, 'The server is busy or broken; try again later.'));
  }
  let hint = 'Check the address of the model.';
  if (status === 404 || status === 410)
    hint = 'The file is not on the server: check the address, or that all shards were uploaded.';
  if (status === 401 || status === 403) hint = 'The server does not give this file to everybody: it may need a login.';
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
      reject(new TesseraError('aborted', 'the download was stopped'));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

// Owns what trials on this device found: the fastest kernels, how many threads help, and in how many streams memory is read best. They are
// kept for a day, so that not every load tries again.
import { TesseraError } from '../base/errors.js';

/** @typedef {{ kernels: string, threads: number, streams: number }} Settings '' and 0: not known */
/** @typedef {Pick<import('./wasm-runtime.js').WasmRuntime, 'tune' | 'warmup'>} Tunable */

/**
 * A place for small texts that outlives the engine.
 * @typedef {{ read(key: string): Promise<string | undefined>, write(key: string, text: string): Promise<void> }} Notes
 */

const kCacheName = 'tessera-trials';
/** The device may have been busy with something else during a trial. */
const kMostAge = 86_400_000;

/**
 * Notes in the Cache API, which workers have too; where the browser refuses it, nothing is kept.
 * @returns {Notes}
 */
export function cachedNotes() {
  const address = (/** @type {string} */ key) => `./trials?${encodeURIComponent(key)}`;
  return {
    read: async (key) => (await (await caches.open(kCacheName)).match(address(key)))?.text(),
    write: async (key, text) => (await caches.open(kCacheName)).put(address(key), new Response(text)),
  };
}

/**
 * Lets the engine compute with what is known to be best here, and finds out what is not known. It is warm then: with what is remembered
 * from the start, as it is this that the browser must have compiled; before a trial with what it began with.
 * @param {Tunable} engine
 * @param {Settings} wanted
 * @param {string} subject what the trial depends on, beside `wanted`
 * @param {Notes | undefined} notes
 * @param {number} [now] milliseconds since 1970
 * @returns {Promise<Settings & { tuned: 'given' | 'remembered' | 'tried' }>}
 */
export async function tuneHere(engine, wanted, subject, notes, now = Date.now()) {
  const given = wanted.kernels !== '' && wanted.threads !== 0;
  const key = JSON.stringify([wanted.kernels, wanted.threads, subject]);
  const found = parse(await notes?.read(key).catch(() => undefined));
  if (found && now - found.time < kMostAge && now >= found.time) {
    try {
      const { kernels, threads, streams } = found;
      const settings = engine.tune({ kernels, threads, streams });
      engine.warmup();
      return { ...settings, tuned: given ? 'given' : 'remembered' };
    } catch (error) {
      // Of another version, with other kernels.
      if (TesseraError.from(error).code !== 'invalid_argument') throw error;
    }
  }
  engine.warmup();
  const settings = engine.tune(wanted);
  await notes?.write(key, JSON.stringify({ ...settings, time: now })).catch(() => {});
  return { ...settings, tuned: given ? 'given' : 'tried' };
}

/**
 * @param {string | undefined} text
 * @returns {(Settings & { time: number }) | undefined}
 */
function parse(text) {
  try {
    const { kernels, threads, streams, time } = JSON.parse(text ?? '');
    const counts = [threads, streams].every((count) => Number.isInteger(count) && count > 0);
    const valid = typeof kernels === 'string' && counts && typeof time === 'number';
    return valid ? { kernels, threads, streams, time } : undefined;
  } catch {
    return undefined;
  }
}

// Owns what trials on this device found: the fastest kernels, how many threads help, and in how many streams memory is read best. They are
// kept for a day, so that not every load tries again; fewer threads than processors only once two loads in turn have found them best.
import { TesseraError } from '../base/errors.js';

/** @typedef {{ kernels: string, threads: number, streams: number }} Settings '' and 0: not known */
/** @typedef {Settings & { usualThreads: number }} Wanted `usualThreads`: those of the engine that there are processors for */
/** @typedef {Settings & { time: number, agreed: boolean }} Note `agreed`: the load before had found as many threads best */
/** @typedef {Pick<import('./wasm-runtime.js').WasmRuntime, 'tune' | 'warmup'>} Tunable */

/**
 * A place for small texts that outlives the engine.
 * @typedef {{ read(key: string): Promise<string | undefined>, write(key: string, text: string): Promise<void> }} Notes
 */

const kCacheName = 'tessera-trials';
/** The device may have been busy with something else during a trial. */
const kMostAge = 86_400_000;
/** For what a browser still does behind a first load, compiling above all. */
const kRestMs = 300;

const restAWhile = () => new Promise((/** @type {(value: void) => void} */ resolve) => setTimeout(resolve, kRestMs));

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
 * @param {Wanted} wanted
 * @param {string} subject what the trial depends on, beside `wanted`
 * @param {Notes | undefined} notes
 * @param {number} [now] milliseconds since 1970
 * @param {() => Promise<void>} [rest] before what seems to be disturbed is tried again
 * @returns {Promise<Settings & { tuned: 'given' | 'remembered' | 'tried' }>}
 */
export async function tuneHere(engine, wanted, subject, notes, now = Date.now(), rest = restAWhile) {
  const { usualThreads, ...asked } = wanted;
  const given = asked.kernels !== '' && asked.threads !== 0;
  const key = JSON.stringify([asked.kernels, asked.threads, subject]);
  const found = recent(parse(await notes?.read(key).catch(() => undefined)), now);
  // Something else may have had the processors when fewer threads seemed better.
  const fewer = (/** @type {Settings} */ { threads }) => asked.threads === 0 && threads < usualThreads;
  const doubtful = found !== undefined && fewer(found) && !found.agreed;
  const used = found && useFound(engine, doubtful ? { ...found, threads: usualThreads } : found);
  if (used && !doubtful) return { ...used, tuned: given ? 'given' : 'remembered' };
  if (!used) engine.warmup();
  let settings = engine.tune(used ? { ...used, threads: 0 } : asked);
  if (!used && fewer(settings)) {
    await rest();
    settings = engine.tune({ ...settings, threads: 0 });
  }
  const agreed = doubtful && settings.threads === found.threads;
  await notes?.write(key, JSON.stringify({ ...settings, time: now, agreed })).catch(() => {});
  return { ...settings, tuned: given ? 'given' : 'tried' };
}

/**
 * @param {Note | undefined} note
 * @param {number} now
 */
function recent(note, now) {
  return note && now >= note.time && now - note.time < kMostAge ? note : undefined;
}

/**
 * @param {Tunable} engine
 * @param {Settings} found
 * @returns {Settings | undefined} undefined: they are of another version, with other kernels
 */
function useFound(engine, { kernels, threads, streams }) {
  try {
    const used = engine.tune({ kernels, threads, streams });
    engine.warmup();
    return used;
  } catch (error) {
    if (TesseraError.from(error).code !== 'invalid_argument') throw error;
    return undefined;
  }
}

/**
 * @param {string | undefined} text
 * @returns {Note | undefined}
 */
function parse(text) {
  try {
    const { kernels, threads, streams, time, agreed } = JSON.parse(text ?? '');
    const counts = [threads, streams].every((count) => Number.isInteger(count) && count > 0);
    const valid = typeof kernels === 'string' && counts && typeof time === 'number';
    return valid ? { kernels, threads, streams, time, agreed: agreed === true } : undefined;
  } catch {
    return undefined;
  }
}

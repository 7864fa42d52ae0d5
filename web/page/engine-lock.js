/** Owns the agreement between the tabs of this site that only one of them has a model in memory at a time. */

const kName = 'tessera-engine';
/** How long a tab gets to give its engine up before it is taken away. */
const kYieldMs = 3000;

/** A model runs in another tab. */
export class EngineElsewhere extends Error {}

/** @type {(() => void) | null} */
let release = null;
/** On which the others say that they want it. @type {BroadcastChannel | null} */
let channel = null;

/**
 * @param {boolean} takeOver ask the other tab to end its engine, if there is one; else that rejects
 * @param {() => Promise<void>} onLost another tab wants it: end the engine
 * @returns {Promise<void>} rejects with EngineElsewhere
 */
export async function takeEngine(takeOver, onLost) {
  if (release || !navigator.locks) return;
  /** @type {BroadcastChannel | undefined} */
  let own;
  try {
    own = new BroadcastChannel(kName);
    if (takeOver) own.postMessage('yield');
    const polite = takeOver ? { signal: AbortSignal.timeout(kYieldMs) } : { ifAvailable: true };
    const got = (await hold(polite, onLost)) || (takeOver && (await hold({ steal: true }, onLost)));
    if (!got) throw new EngineElsewhere();
    channel = own;
    channel.onmessage = async () => {
      channel?.close(); // one such message is enough
      await onLost();
      releaseEngine();
    };
  } catch (error) {
    own?.close();
    // A browser that keeps nothing of a site tells its tabs nothing of each other either.
    if (/** @type {any} */ (error)?.name !== 'SecurityError') throw error;
  }
}

/** Whether a tab has an engine, or is loading a model for one; false where the browser does not say. */
export async function engineRuns() {
  const { held = [] } = (await navigator.locks?.query().catch(() => null)) ?? {};
  return held.some(({ name }) => name === kName);
}

/** The engine of this tab has ended. */
export function releaseEngine() {
  release?.();
  release = null;
  channel?.close();
  channel = null;
}

/**
 * @param {LockOptions} options
 * @param {() => Promise<void>} onLost
 * @returns {Promise<boolean>} false when the lock could not be had; rejects where the browser refuses locks
 */
function hold(options, onLost) {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(kName, options, (lock) => {
        resolve(lock !== null);
        return lock && new Promise((done) => (release = () => done(undefined)));
      })
      .catch((error) => {
        if (error?.name === 'SecurityError') return reject(error);
        // Either it never came within its time, or a tab that did not want to wait has stolen it.
        if (release) void onLost();
        releaseEngine();
        resolve(false);
      });
  });
}

/** Owns the page's side of its service worker: registering it, the one reload that isolates the page, and taking up a new build. */

const kReloaded = 'tessera.reloaded';

let reason = 'The page is still setting itself up. Reload it to use several threads.';

/** @returns {string} why the page is not cross-origin isolated, and what would help; for a page that is not */
export function whyNotIsolated() {
  return reason;
}

/**
 * @param {() => boolean} mayReload whether the reader would lose nothing
 */
export async function startShell(mayReload) {
  if (!navigator.serviceWorker) {
    reason = isSecureContext
      ? 'This browser does not allow service workers here (a private window?), which could make up for that.'
      : 'The page was opened without https, so the browser does not let it make up for that.';
    return;
  }
  if (navigator.serviceWorker.controller) followBuild(mayReload);
  try {
    const registration = await navigator.serviceWorker.register(new URL('sw.js', document.baseURI), {
      updateViaCache: 'none',
    });
    if (registration.waiting && mayReload()) {
      registration.waiting.postMessage('activate');
    } else if (!crossOriginIsolated) {
      await isolate(mayReload);
    }
    if (crossOriginIsolated) sessionStorage.removeItem(kReloaded);
  } catch (error) {
    reason = `The service worker that could make up for that did not start (${error}).`;
  }
}

/** The files that this page has not loaded yet would now be those of another build. @param {() => boolean} mayReload */
function followBuild(mayReload) {
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    if (mayReload()) location.reload();
  });
}

/** Once a tab: what did not help the first time would reload for ever. @param {() => boolean} mayReload */
async function isolate(mayReload) {
  if (sessionStorage.getItem(kReloaded) !== null) {
    reason = 'The service worker that could make up for that had no effect in this browser.';
    return;
  }
  const { active } = await navigator.serviceWorker.ready;
  if (active?.state !== 'activated' && !navigator.serviceWorker.controller) await controllerChange();
  if (!mayReload()) return;
  sessionStorage.setItem(kReloaded, '1');
  location.reload();
}

/** @returns {Promise<void>} */
function controllerChange() {
  return new Promise((resolve) => {
    navigator.serviceWorker.addEventListener('controllerchange', () => resolve(), { once: true });
  });
}

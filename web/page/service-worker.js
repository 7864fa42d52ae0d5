/**
 * The service worker of the site: gives the page the isolation headers that a plain host does not send, and keeps the app shell for
 * visits without the network. It answers for the files of this build and for nothing else; models never pass through it.
 */

/** Path from the site's folder and SHA-256 of each file; '' is the page. Written in by scripts/build-site.mjs. @type {[string, string][]} */
const kFiles = /** @type {any} */ (globalThis).SHELL_FILES;
const kHeaders = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** Asking again from the page instead made Chromium take 30 s in one visit of five. */
const kLooks = 50;
const kBetweenLooksMs = 100;

/** The worker's own global, as far as it is used. @type {any} */
const worker = globalThis;
const site = worker.registration.scope;
/** Sites in other folders of the same origin have caches of their own. */
const cachePrefix = `tessera-shell ${site} `;
const cacheName = cachePrefix + /** @type {any} */ (globalThis).SHELL_VERSION;
const known = new Set(kFiles.map(([path]) => path));

/** All or nothing: a file that is not of this build (a host in the middle of an update) keeps the older worker in charge. */
async function install() {
  const cache = await caches.open(cacheName);
  const store = async (/** @type {[string, string]} */ [path, integrity]) => {
    const url = new URL(path, site).href;
    const response = await fetch(url, { cache: 'no-cache', integrity });
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    await cache.put(url, response);
  };
  await Promise.all(kFiles.map(store));
}

async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith(cachePrefix) && name !== cacheName) await caches.delete(name);
  }
  await worker.clients.claim();
}

/**
 * Two pages of different builds must not share one worker, so a new one waits until only the page that asks is left. The page that was in its
 * tab before may be counted for a moment after it has gone.
 */
async function takeOver() {
  for (let looks = 0; looks < kLooks; ++looks) {
    const pages = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
    if (pages.length === 1) return worker.skipWaiting();
    await new Promise((resolve) => setTimeout(resolve, kBetweenLooksMs));
  }
}

/** @param {Response} response */
function isolated(response) {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(kHeaders)) headers.set(name, value);
  // The body has been unpacked already.
  for (const name of ['content-encoding', 'content-length']) headers.delete(name);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

/**
 * @param {Request} request
 * @param {string} path
 */
async function answer(request, path) {
  const cache = await caches.open(cacheName);
  return isolated((await cache.match(new URL(path, site).href)) ?? (await fetch(request)));
}

worker.addEventListener('install', (/** @type {any} */ event) => event.waitUntil(install()));
worker.addEventListener('activate', (/** @type {any} */ event) => event.waitUntil(activate()));
worker.addEventListener('message', (/** @type {any} */ event) => {
  if (event.data === 'activate') event.waitUntil(takeOver());
});
worker.addEventListener('fetch', (/** @type {any} */ event) => {
  const { method, url } = event.request;
  if (method !== 'GET' || !url.startsWith(site)) return;
  const path = url
    .slice(site.length)
    .split(/[?#]/, 1)[0]
    .replace(/^index\.html$/, '');
  if (known.has(path)) event.respondWith(answer(event.request, path));
});

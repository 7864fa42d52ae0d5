/** Owns the field for a model's address: which hosts it can name, and what is wrong with what was written. */

import { byId } from './dom.js';
import { explain, notice } from './notices.js';

const kHub = 'https://huggingface.co';

/** @param {(address: string) => void} open */
export function initAddressField(open) {
  const field = /** @type {HTMLInputElement} */ (byId('address'));
  byId('address-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const address = field.value.trim();
    if (address !== '') open(address);
  });
  const hosts = listedHosts();
  byId('address-hosts').textContent =
    hosts.length > 0
      ? `Besides this site, its owner allows ${hosts.join(', ')}.`
      : 'Only models of this site: its owner allows no other host. A file from elsewhere can be downloaded first, and opened from this device.';
  if (hosts.includes(kHub)) field.placeholder = 'hf:owner/repo/model.gguf';
}

/** Where the page's policy lets a model come from, beside the site itself. */
function listedHosts() {
  const policy = document.querySelector('meta[http-equiv="Content-Security-Policy"]')?.getAttribute('content') ?? '';
  const listed = /connect-src 'self'([^;]*)/.exec(policy)?.[1] ?? '';
  return listed.split(' ').filter((host) => host !== '');
}

/** @param {any} error 'invalid_argument' of an address */
export function notAnAddress(error) {
  const { hint, detail } = explain(error);
  const text = error.hint ? hint : 'Write the address of a .gguf file or of a manifest.json, beginning with https://.';
  return notice({ kind: 'error', title: 'This is not the address of a model.', text, detail });
}

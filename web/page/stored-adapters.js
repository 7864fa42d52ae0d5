/** Owns the list of LoRA adapters that pages of this site have downloaded: they take room, so they can be removed. */

import { Tessera } from '../tessera.js';
import { h } from './dom.js';
import { formatBytes } from './format.js';
import { errorNotice } from './notices.js';

/** @param {HTMLElement} node is filled, or left empty where there are none */
export async function showStoredAdapters(node) {
  const stored = (await Tessera.models.list().catch(() => [])).filter(({ kind }) => kind === 'adapter');
  const rows = stored.map(({ id, name, storedBytes }) => {
    const remove = h('button.button.button-plain', { type: 'button', 'aria-label': `Remove ${name}` }, 'Remove');
    remove.addEventListener('click', async () => {
      try {
        await Tessera.models.remove(id);
        await showStoredAdapters(node);
      } catch (error) {
        remove.replaceWith(errorNotice(error));
      }
    });
    return h('li.stored-adapter', {}, h('span', {}, `${name} · ${formatBytes(storedBytes)}`), remove);
  });
  const title = `${stored.length === 1 ? 'One adapter' : `${stored.length} adapters`} (LoRA) on this device`;
  const list = h('details.model-stored', {}, h('summary', {}, title), h('ul', {}, ...rows));
  node.replaceChildren(...(rows.length > 0 ? [list] : []));
}

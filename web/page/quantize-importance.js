/** Owns the choice of an importance file for a smaller copy. */

import { h } from './dom.js';
import { onFilesChosen } from './local-files.js';

/** @param {(file: File | undefined) => void} choose undefined: none */
export function importanceChoice(choose) {
  const input = /** @type {HTMLInputElement} */ (
    h('input.visually-hidden', { type: 'file', accept: '.gguf', tabindex: -1, 'aria-hidden': 'true' })
  );
  const open = h('button.button.button-quiet', { type: 'button' }, 'Choose a file');
  const without = h('button.button.button-plain', { type: 'button', hidden: true }, 'Do without');
  const chosen = h('p.importance-chosen', { role: 'status' });
  const use = (/** @type {File | undefined} */ file) => {
    choose(file);
    chosen.textContent = file ? `${file.name} will be used.` : '';
    without.hidden = !file;
  };
  onFilesChosen(open, input, ([file]) => use(file));
  without.addEventListener('click', () => {
    use(undefined);
    open.focus();
  });
  const text =
    'Measured of this very model by “tessera imatrix” or llama-imatrix (GGUF): what matters less takes more of the rounding. ' +
    'It helps most below 4 bits.';
  return h(
    'details.quantize-importance',
    {},
    h('summary', {}, 'Importance file (optional)'),
    h('p.hint', {}, text),
    chosen,
    h('div.importance-buttons', {}, open, without),
    input,
  );
}

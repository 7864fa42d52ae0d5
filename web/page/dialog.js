/** Owns what all dialogs share: the frame, closing, and giving the focus back. */

import { byId, h, icon } from './dom.js';

/**
 * Fills a <dialog> of index.html and opens it. The browser's own modal dialog keeps the focus inside, closes on Escape
 * and gives the focus back to the button that opened it.
 * @param {string} name 'settings' for #settings-dialog, whose title is #settings-title
 * @param {string} title
 * @param {(Node | string)[]} body
 * @param {Node[]} [foot]
 * @returns {HTMLDialogElement}
 */
export function openDialog(name, title, body, foot = []) {
  const dialog = /** @type {HTMLDialogElement} */ (byId(`${name}-dialog`));
  const close = h(
    'button.tool.tool-icon',
    { type: 'button', 'aria-label': 'Close', onclick: () => dialog.close() },
    icon('close'),
  );
  // The live region is made once and stays, as one that is put in again is not heard.
  const region = dialog.querySelector(':scope > [role=status]') ?? h('div.visually-hidden', { role: 'status' });
  for (const old of [...dialog.children]) if (old !== region) old.remove();
  if (!region.parentNode) dialog.append(region);
  if (!dialog.open) region.textContent = ''; // what was said before it was closed
  const middle = h('div.dialog-body', { tabindex: 0, role: 'group', 'aria-labelledby': `${name}-title` }, ...body);
  dialog.prepend(
    h('div.dialog-head', {}, h('h2', { id: `${name}-title` }, title), close),
    middle,
    ...(foot.length > 0 ? [h('div.dialog-foot', {}, ...foot)] : []),
  );
  // Beside the dialog is a press that began there: a text selected with the mouse may end outside, too.
  let beside = false;
  dialog.onpointerdown = ({ target }) => (beside = target === dialog);
  dialog.onclick = ({ target }) => {
    if (beside && target === dialog) dialog.close();
  };
  if (dialog.open)
    middle.focus(); // what had the focus is gone
  else dialog.showModal();
  return dialog;
}

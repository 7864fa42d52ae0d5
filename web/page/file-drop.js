/** Owns dropping files anywhere on the page. */

import { byId } from './dom.js';

/** @param {(files: File[]) => void} onFiles */
export function initFileDrop(onFiles) {
  const veil = byId('drop-veil');
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    veil.hidden = true;
    onFiles([...(event.dataTransfer?.files ?? [])]);
  });
}

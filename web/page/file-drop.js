/** Owns dropping files anywhere on the page. */

import { byId } from './dom.js';

/**
 * @param {(files: File[]) => void} onFiles some files were dropped
 * @param {(files: File[]) => void} onShrink they were dropped where smaller copies are made
 */
export function initFileDrop(onFiles, onShrink) {
  const veil = byId('drop-veil');
  const place = byId('drop-shrink');
  const isShrink = (/** @type {DragEvent} */ { target }) => target instanceof Node && place.contains(target);
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    veil.hidden = false;
    place.classList.toggle('over', isShrink(event));
  });
  addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    veil.hidden = true;
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length === 0) return;
    if (isShrink(event)) onShrink(files);
    else onFiles(files);
  });
}

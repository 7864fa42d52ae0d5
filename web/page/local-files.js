/** Owns what the reader chooses from the device: the button for it, and the model that the files are. */

import { isAdapter } from './adapters.js';
import { notice } from './notices.js';

/**
 * @param {HTMLElement} button
 * @param {HTMLInputElement} input of type file, hidden
 * @param {(files: File[]) => void} use some files were chosen
 */
export function onFilesChosen(button, input, use) {
  button.addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    const files = [...(input.files ?? [])];
    input.value = ''; // the same files may be chosen again
    if (files.length > 0) use(files);
  });
}

/** @param {File[]} files of one model @returns {{model: File | File[], name: string}} */
export function localModel(files) {
  return { model: files.length === 1 ? files[0] : files, name: files[0].name.replace(/\.gguf$/i, '') };
}

/**
 * @param {File[]} files
 * @returns {Promise<HTMLElement | null>} says why they are no model; null when they may be one
 */
export async function whyNoModel(files) {
  const adapters = await Promise.all(files.map(isAdapter));
  if (adapters.includes(true)) {
    const text = 'It adds to a model. Start the model it was made for, then drop the adapter on the chat.';
    return notice({ kind: 'warn', title: 'This is a LoRA adapter, not a model.', text });
  }
  const wrong = files.find((file) => !file.name.toLowerCase().endsWith('.gguf'));
  if (!wrong) return null;
  const text = `“${wrong.name}” does not end in .gguf. Choose a model in the GGUF format.`;
  return notice({ kind: 'error', title: 'This is not a model file.', text });
}

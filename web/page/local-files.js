/** Owns what the reader chooses from the device: the button for it, and the model that the files are. */

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

/** Owns the LoRA adapters that the reader has given to the running model: which, how strong, on or off. */

/** @typedef {{ file: File, scale: number, on: boolean }} Adapter */

/** The engine takes no more at a time. */
export const kMostAdapters = 8;

const kHeadBytes = 65536;
/** As GGUF writes it: the key, the type of a string, its length. */
const kAdapterMark = 'general.type\x08\0\0\0\x07\0\0\0\0\0\0\0adapter';

/**
 * Whether a file says of itself that it is an adapter and not a model. One that cannot be read, as a folder, says nothing.
 * @param {File} file
 */
export async function isAdapter(file) {
  const head = await file
    .slice(0, kHeadBytes)
    .arrayBuffer()
    .catch(() => new ArrayBuffer(0));
  return new TextDecoder('latin1').decode(head).includes(kAdapterMark);
}

export class Adapters {
  #engine;
  /** As they work in the engine. @type {readonly Adapter[]} */
  list = [];

  /** @param {import('./status-line.js').Engine} engine */
  constructor(engine) {
    this.#engine = engine;
  }

  /** How many are switched on. */
  get active() {
    return this.list.filter(({ on }) => on).length;
  }

  /**
   * Puts these in place of those before, without loading the model again; waits for an answer that is being written.
   * @param {Adapter[]} list
   * @returns {Promise<void>} rejects with a TesseraError; then all is as it was
   */
  async replace(list) {
    const working = list.filter(({ on }) => on);
    const used = this.list.filter(({ on }) => on);
    const same = working.length === used.length && working.every((one, i) => sameWork(one, used[i]));
    if (!same) await this.#engine.setLora(working.map(({ file, scale }) => ({ source: file, scale })));
    this.list = list;
  }

  /**
   * What went wrong with `replace(list)`, in plain words.
   * @param {any} error
   * @param {Adapter[]} list
   */
  explain(error, list) {
    const index = Number(/^lora\[(\d+)\]/.exec(error?.message ?? '')?.[1] ?? NaN);
    const name = list.filter(({ on }) => on)[index]?.file.name;
    const model = this.#engine.info.name;
    const title = name ? `“${name}” does not fit this model.` : 'The adapters could not be changed.';
    const text = name
      ? `An adapter works only with the model it was made for, and this one was not made for ${model}. Nothing was changed.`
      : 'Nothing was changed.';
    return { title, text, detail: `${error?.code ?? 'internal'}: ${error?.message ?? error}` };
  }
}

/** @param {Adapter} a @param {Adapter} b */
function sameWork(a, b) {
  return a.file === b.file && a.scale === b.scale;
}

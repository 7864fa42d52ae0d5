/** Owns what goes wrong in words: error codes as a sentence and a way out, with the technical detail behind a disclosure. */

import { h, icon } from './dom.js';

/**
 * Code → what happened, and what the reader can do when the error brings no hint of its own.
 * @type {Record<string, {title: string, hint: string}>}
 */
const kTexts = {
  network: {
    title: 'The connection broke off.',
    hint: 'Check that you are online and try again. What has arrived is kept.',
  },
  blocked: {
    title: 'This site may not fetch a model from there.',
    hint: 'Its owner has to list the host. Or download the file yourself, and open it from your device.',
  },
  http: {
    title: 'The server could not hand out a part of the model.',
    hint: 'Try again later. What has arrived is kept.',
  },
  hash_mismatch: {
    title: 'A part of the model arrived damaged.',
    hint: 'It was thrown away, the rest is kept. Try again; if it happens once more, the file on the server is damaged.',
  },
  size_mismatch: {
    title: 'A part of the model arrived incomplete.',
    hint: 'It was thrown away, the rest is kept. Try again.',
  },
  manifest_invalid: {
    title: 'The description of this model cannot be read.',
    hint: 'Whoever runs this site has to repair its manifest.json. You can open a .gguf file of your own.',
  },
  quota_exceeded: {
    title: 'There is not enough room for this model in the browser.',
    hint: 'Free some disk space or remove another stored model, then try again.',
  },
  changed: {
    title: 'The server has another file now.',
    hint: 'Remove the stored model to download the new one, or try again later.',
  },
  in_use: { title: 'Another tab is using this model.', hint: 'Close the other tab, then try again.' },
  read_failed: {
    title: 'The model could not be read.',
    hint: 'If it is a file of yours, choose it again; else remove the model from this device and download it anew.',
  },
  not_gguf: { title: 'This is not a model in the GGUF format.', hint: 'Choose a file that ends in .gguf.' },
  bad_file: {
    title: 'This model file is damaged or incomplete.',
    hint: 'Download the file again, or choose another one.',
  },
  too_large: { title: 'This model is too large for a tab.', hint: 'Choose a smaller model.' },
  out_of_memory: {
    title: 'This model needs more memory than the tab can get.',
    hint: 'Close other tabs, or choose a smaller model.',
  },
  unsupported: {
    title: 'This model or browser cannot be used here.',
    hint: 'Choose another model, or update the browser.',
  },
  not_found: { title: 'Something that should be there is missing.', hint: 'Reload the page and try again.' },
  io: { title: 'The model could not be read.', hint: 'Has the file been moved or changed? Choose it again.' },
  template: {
    title: 'The chat template inside this model failed.',
    hint: 'Begin a new chat or empty the system prompt: this model expects a different kind of conversation.',
  },
  context_full: {
    title: 'This conversation no longer fits into the model’s memory.',
    hint: 'Nothing is lost. Begin a new chat, or go on while the model sees only the newest messages.',
  },
  disposed: { title: 'The engine has been closed.', hint: 'Start it again.' },
  invalid_argument: { title: 'A setting is not possible.', hint: 'Open the settings and check the values.' },
};

const kUnknown = {
  title: 'Something went wrong that should not.',
  hint: 'Reload the page and try again. Your conversations are saved.',
};

/**
 * @param {any} error usually a TesseraError {code, message, hint, cause}
 * @returns {{code: string, title: string, hint: string, detail: string}}
 */
export function explain(error) {
  const code = typeof error?.code === 'string' ? error.code : 'internal';
  const text = kTexts[code] ?? kUnknown;
  const lines = [];
  for (let at = error; at && lines.length < 6; at = at.cause)
    lines.push(at.code ? `${at.code}: ${at.message}` : String(at));
  return { code, title: text.title, hint: error?.hint || text.hint, detail: lines.join('\n') };
}

/**
 * @param {any} error
 * @returns {boolean} the reader asked for it: nothing to report
 */
export function isAbort(error) {
  return error?.code === 'aborted' || error?.name === 'AbortError';
}

/**
 * A box with a title, a text and buttons.
 * @param {{kind: 'info' | 'warn' | 'error', title: string, text: string, detail?: string, actions?: {label: string, main?: boolean, run: () => void}[], controls?: Node[]}} options
 */
export function notice({ kind, title, text, detail, actions = [], controls = [] }) {
  const buttons = actions.map(({ label, main, run }) =>
    h(`button.button.${main ? 'button-main' : 'button-quiet'}`, { type: 'button', onclick: run }, label),
  );
  const all = [...controls, ...buttons];
  return h(
    `div.notice.notice-${kind}`,
    kind === 'error' ? { role: 'alert' } : {},
    icon(kind === 'info' ? 'info' : 'warn'),
    h(
      'div.notice-body',
      {},
      h('p.notice-title', {}, title),
      h('p', {}, text),
      detail && h('details', {}, h('summary', {}, 'Technical details'), h('pre', { tabindex: 0 }, detail)),
      all.length > 0 && h('div.button-row', {}, ...all),
    ),
  );
}

/** @param {string} name of the model with which the tab ended last time */
export function crashNotice(name) {
  const title = `The tab ended while ${name} was starting.`;
  const text =
    'It may need more memory than this device gives a tab. Close other tabs before you try again, or choose a smaller ' +
    'model. If it keeps happening, check the model for damage below.';
  return notice({ kind: 'warn', title, text });
}

/** @param {() => void} takeOver */
export function elsewhereNotice(takeOver) {
  const text =
    'Two models at once would need twice the memory. The other tab keeps its conversation when you go on here.';
  const actions = [{ label: 'Use it in this tab', main: true, run: takeOver }];
  return notice({ kind: 'info', title: 'Tessera is running in another tab.', text, actions });
}

/**
 * @param {any} error
 * @param {{label: string, main?: boolean, run: () => void}[]} [actions]
 */
export function errorNotice(error, actions) {
  const { title, hint, detail, code } = explain(error);
  const box = notice({ kind: 'error', title, text: hint, detail, actions });
  box.dataset.code = code;
  return box;
}

/**
 * @param {any} error
 * @param {() => void} again
 * @param {() => void} restart
 */
export function failedAnswerNotice(error, again, restart) {
  return errorNotice(error, [
    { label: 'Try again', main: true, run: again },
    { label: 'Restart the engine', run: restart },
  ]);
}

/** The last message has no answer: it was stopped, or the page was closed. @param {() => void} answer */
export function unansweredNotice(answer) {
  const text = 'Your message is kept. Ask for the answer, or write another message.';
  const actions = [{ label: 'Answer it', main: true, run: answer }];
  return notice({ kind: 'info', title: 'There is no answer yet.', text, actions });
}

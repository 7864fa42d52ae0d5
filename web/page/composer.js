/** Owns the message box: growing with its text, sending, stopping, and a draft that survives a reload. */

import { byId, directionOf } from './dom.js';
import { keep, kept } from './kept.js';

const kDraft = 'tessera.draft';

export class Composer {
  #input = /** @type {HTMLTextAreaElement} */ (byId('prompt'));
  #send = /** @type {HTMLButtonElement} */ (byId('send'));
  #stop = /** @type {HTMLButtonElement} */ (byId('stop'));
  #busy = false;
  #onSend;

  /** @param {{send: (text: string) => void, stop: () => void}} actions */
  constructor({ send, stop }) {
    this.#onSend = send;
    this.#input.value = kept(kDraft) ?? '';
    this.#input.addEventListener('input', () => this.#changed());
    this.#input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || isComposing(event)) return;
      event.preventDefault();
      this.#submit();
    });
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#stop.addEventListener('click', stop);
    document.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || isComposing(event)) return;
      if (this.#busy && !document.querySelector('dialog[open]')) stop();
    });
    addEventListener('resize', () => this.#fit());
    this.#changed();
  }

  #submit() {
    const text = this.#input.value.trim();
    if (text === '' || this.#busy) return;
    this.setText('');
    this.#onSend(text);
  }

  #changed() {
    keep(kDraft, this.#input.value);
    this.#send.disabled = this.#input.value.trim() === '';
    this.#input.dir = directionOf(this.#input.value);
    this.#fit();
  }

  #fit() {
    this.#input.style.height = 'auto';
    const border = this.#input.offsetHeight - this.#input.clientHeight;
    if (this.#input.scrollHeight > 0) this.#input.style.height = `${this.#input.scrollHeight + border}px`;
  }

  /** @param {string} text */
  setText(text) {
    this.#input.value = text;
    this.#changed();
  }

  get text() {
    return this.#input.value;
  }

  /** @param {boolean} busy an answer is being written: the button stops it */
  setBusy(busy) {
    const focused = document.activeElement;
    this.#busy = busy;
    this.#stop.hidden = !busy;
    this.#send.hidden = busy;
    if (focused === this.#stop || focused === this.#send || focused === document.body) this.focus();
  }

  /** A phone would open its keyboard over the answer, so only where there is a mouse. */
  focus() {
    this.#fit();
    if (matchMedia('(hover: hover)').matches) this.#input.focus({ preventScroll: true });
  }
}

/** While an input method is composing (keyCode 229 in Safari), Enter takes a candidate and Escape leaves it. @param {KeyboardEvent} event */
function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}

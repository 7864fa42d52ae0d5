/** Owns autoscroll: follows a growing answer until the reader scrolls up, and resumes when they come back to the end. */

const kNearPx = 32;

export class ScrollFollow {
  #scroller;
  #following = true;
  #lastTop = 0;
  #onChange;

  /**
   * @param {HTMLElement} scroller
   * @param {(atEnd: boolean) => void} onChange called when following starts or ends
   */
  constructor(scroller, onChange) {
    this.#scroller = scroller;
    this.#onChange = onChange;
    scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    // The keyboard of a phone, or a growing composer, changes the height without a scroll.
    new ResizeObserver(() => this.keep()).observe(scroller);
  }

  get #distance() {
    const { scrollHeight, clientHeight, scrollTop } = this.#scroller;
    return scrollHeight - clientHeight - scrollTop;
  }

  #scrolled() {
    const top = this.#scroller.scrollTop;
    // Upwards is the reader's will, unless the content became shorter and the browser moved us.
    if (top < this.#lastTop && this.#distance > 4) this.#set(false);
    else if (this.#distance <= kNearPx) this.#set(true);
    this.#lastTop = top;
  }

  /** @param {boolean} following */
  #set(following) {
    if (following === this.#following) return;
    this.#following = following;
    this.#onChange(following);
  }

  /** After the content grew: stay at the end, if that is where the reader is. */
  keep() {
    if (this.#following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /** Goes to the end and follows again. */
  toEnd() {
    this.#set(true);
    this.keep();
  }
}

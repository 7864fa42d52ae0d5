/** Owns drawing what changes with every token: soon, but not so often that drawing takes the processor from the engine. */

/** Ten pictures a second still look like writing; with every frame drawn, two processors spent as much on that as on the answer. */
const kRestMs = 100;

export class Redraw {
  #draw;
  #drawnAt = -kRestMs;
  #timer = 0;
  #frame = 0;

  /** @param {() => void} draw */
  constructor(draw) {
    this.#draw = draw;
  }

  /** Draws with the next frame. */
  next() {
    this.cancel();
    this.#withNextFrame();
  }

  /** Draws with the next frame for which the last drawing was long enough ago. */
  soon() {
    if (this.#timer || this.#frame) return;
    const rest = this.#drawnAt + kRestMs - performance.now();
    if (rest > 0) this.#timer = window.setTimeout(() => this.#withNextFrame(), rest);
    else this.#withNextFrame();
  }

  cancel() {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#timer = 0;
    this.#frame = 0;
  }

  #withNextFrame() {
    this.#timer = 0;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#drawnAt = performance.now();
      this.#draw();
    });
  }
}

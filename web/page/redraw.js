/** Owns drawing what changes with every token: soon, but not so often that drawing takes the processor from the engine. */

/** Ten pictures a second still look like writing; with every frame drawn, two processors spent as much on that as on the answer. */
const kRestMs = 100;

/** What has changed since the last picture: a new one costs the browser more than what is drawn in it, so all of it is in the same. @type {Set<() => void>} */
const waiting = new Set();
let drawnAt = -kRestMs;
let timer = 0;
let frame = 0;

function withNextFrame() {
  clearTimeout(timer);
  timer = 0;
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    drawnAt = performance.now();
    for (const draw of waiting) {
      waiting.delete(draw);
      draw();
    }
  });
}

export class Redraw {
  #draw;

  /** @param {() => void} draw */
  constructor(draw) {
    this.#draw = draw;
  }

  /** Draws with the next frame. */
  next() {
    waiting.add(this.#draw);
    withNextFrame();
  }

  /** Draws with the next frame for which the last one was long enough ago. */
  soon() {
    waiting.add(this.#draw);
    if (timer || frame) return;
    const rest = drawnAt + kRestMs - performance.now();
    if (rest > 0) timer = window.setTimeout(withNextFrame, rest);
    else withNextFrame();
  }

  cancel() {
    waiting.delete(this.#draw);
  }
}

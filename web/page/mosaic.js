/** Owns the mosaic of the first view: a speech bubble of tiles, laid tile by tile as the model arrives. */

import { svg } from './dom.js';

const kTile = 20;
/** One character a tile: b bubble, o its rim, t terracotta, y ochre; the rest is ground. */
const kPicture = [
  '..................',
  '..................',
  '...oooooooooooo...',
  '..obbbbbbbbbbbbo..',
  '..obbbbbbbbbbbbo..',
  '.obbbbbbbbbbbbbbo.',
  '.obbbbbbbbbbbbbbo.',
  '.obbttbbyybbttbbo.',
  '.obbttbbyybbttbbo.',
  '.obbbbbbbbbbbbbbo.',
  '.obbbbbbbbbbbbbbo.',
  '..obbbbbbbbbbbbo..',
  '..obbbbbbbbbbbbo..',
  '...oooobbboooooo..',
  '......obbo........',
  '......obo.........',
  '......oo..........',
  '..................',
];

/**
 * Numbers in 0…1 that are the same on every visit.
 * @param {number} seed
 */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * @param {string} kind a character of kPicture
 * @param {number} chance 0…1
 * @returns {number} index of a --tile colour
 */
function colourOf(kind, chance) {
  if (kind === 'o') return 2;
  if (kind === 'b') return chance < 0.55 ? 4 : 3;
  if (kind === 't') return 5;
  if (kind === 'y') return 6;
  return chance < 0.7 ? 0 : 1;
}

export class Mosaic {
  /** @type {SVGElement[]} tiles in the order they are laid */
  #tiles = [];
  #laid = 0;

  /** @param {HTMLElement} parent */
  constructor(parent) {
    const random = randomNumbers(7);
    const size = kPicture.length * kTile;
    /** @type {{when: number, tile: SVGElement}[]} */
    const planned = [];
    kPicture.forEach((row, y) => {
      [...row].forEach((kind, x) => {
        const wobble = () => (random() - 0.5) * 2.6;
        const [left, top] = [x * kTile + 1.6, y * kTile + 1.6];
        const [right, bottom] = [left + kTile - 3.2, top + kTile - 3.2];
        const corners = [left, top, right, top, right, bottom, left, bottom].map((v) => (v + wobble()).toFixed(1));
        const tile = svg('polygon', { points: corners.join(' '), class: `tile c${colourOf(kind, random())}` });
        planned.push({ when: kPicture.length - y + random() * 3.5, tile });
      });
    });
    const picture = svg('svg', { class: 'mosaic', viewBox: `0 0 ${size} ${size}`, 'aria-hidden': 'true' });
    picture.append(...planned.map(({ tile }) => tile));
    this.#tiles = planned.sort((a, b) => a.when - b.when).map(({ tile }) => tile);
    parent.replaceChildren(picture);
  }

  /**
   * Lays this part of the tiles, from the bottom up.
   * @param {number} fraction 0…1
   */
  set(fraction) {
    const wanted = Math.round(Math.min(1, Math.max(0, fraction)) * this.#tiles.length);
    for (; this.#laid < wanted; this.#laid++) this.#tiles[this.#laid].classList.add('laid');
    for (; this.#laid > wanted; this.#laid--) this.#tiles[this.#laid - 1].classList.remove('laid');
  }
}

/** Owns the line under the message box: what runs, how fast, how full; and why it is not faster. */

import { byId, h, icon, svg } from './dom.js';
import { formatBytes, formatRate } from './format.js';
import { Redraw } from './redraw.js';
import { whyNotIsolated } from './shell.js';

const kMeterWidth = 56;
/** Figures that change more often cannot be read, and cost the engine time. */
const kReadMs = 500;

/**
 * @typedef {import('../tessera.js').Engine} Engine
 * @typedef {import('../tessera.js').EngineInfo} EngineInfo
 *
 * @typedef {object} Figures what the last answer brought; speeds are 0 while unknown
 * @property {number} prefillRate tokens a second
 * @property {number} decodeRate tokens a second
 * @property {number | null} contextUsed tokens; null for a conversation that the model has not read yet
 * @property {number} adapters that are on
 */

/** @returns {Figures} */
export function noFigures() {
  return { prefillRate: 0, decodeRate: 0, contextUsed: 0, adapters: 0 };
}

/**
 * How the engine runs, in a few words.
 * @param {EngineInfo} info engine.info
 */
export function describeEngine(info) {
  const simd = info.variant === 'relaxed' ? 'Relaxed SIMD' : 'SIMD128';
  return `${simd} · ${info.threads} ${info.threads === 1 ? 'thread' : 'threads'}`;
}

/**
 * @param {number | null} used tokens
 * @param {EngineInfo} info engine.info
 */
export function describeContext(used, { contextSize }) {
  return `${used?.toLocaleString('en') ?? '–'} of ${contextSize.toLocaleString('en')}`;
}

/**
 * Why the engine does less than this device could, or null.
 * @param {EngineInfo} info engine.info
 * @returns {{title: string, text: string} | null}
 */
export function fallbackOf(info) {
  if (!info.isolated) {
    return {
      title: 'One thread: this server does not send the isolation headers.',
      text: `Answers are right but slower. ${whyNotIsolated()}`,
    };
  }
  return info.fallbackReason ? { title: 'Not at full speed.', text: info.fallbackReason } : null;
}

/**
 * @param {number} used tokens
 * @param {number} size tokens
 */
function meter(used, size) {
  const part = Math.min(1, used / size);
  const bar = (/** @type {string} */ name, /** @type {number} */ width) =>
    svg('rect', { class: name, x: 0, y: 0, width, height: 6, rx: 3 });
  return svg(
    'svg',
    { class: `meter${part > 0.85 ? ' meter-full' : ''}`, viewBox: `0 0 ${kMeterWidth} 6`, 'aria-hidden': 'true' },
    bar('meter-back', kMeterWidth),
    bar('meter-fill', kMeterWidth * part),
  );
}

export class StatusLine {
  #button = byId('open-engine');
  /** @type {() => void} */
  #render = () => {};
  #drawnAt = -kReadMs;
  #redraw = new Redraw(() => {
    this.#drawnAt = performance.now();
    this.#render();
  });

  /**
   * Draws with the next frame.
   * @param {EngineInfo} info engine.info
   * @param {Figures} figures as they are when it is drawn
   */
  show(info, figures) {
    this.#render = () => this.#draw(info, figures);
    this.#redraw.next();
  }

  /**
   * The same while an answer grows, twice a second.
   * @param {EngineInfo} info
   * @param {Figures} figures
   */
  showGrowth(info, figures) {
    if (performance.now() - this.#drawnAt < kReadMs) return;
    this.#render = () => this.#draw(info, figures);
    this.#redraw.soon();
  }

  /**
   * @param {EngineInfo} info
   * @param {Figures} figures
   */
  #draw(info, { prefillRate, decodeRate, contextUsed, adapters }) {
    const fallback = fallbackOf(info) !== null;
    const items = [
      h(`span.status-item${fallback ? '.status-warn' : ''}`, {}, fallback && icon('warn'), describeEngine(info)),
      adapters > 0 && h('span.status-item', {}, adapters === 1 ? '1 adapter' : `${adapters} adapters`),
      decodeRate > 0 && h('span.status-item', {}, `${formatRate(decodeRate)} tokens/s`),
      prefillRate > 0 && h('span.status-item.status-wide', {}, `reads ${formatRate(prefillRate)} tokens/s`),
      h(
        'span.status-item',
        { title: 'Tokens of this conversation the model holds' },
        meter(contextUsed ?? 0, info.contextSize),
        describeContext(contextUsed, info),
      ),
      h('span.status-item.status-wide', {}, `${formatBytes(info.memory.heap)} memory`),
    ];
    const shown = /** @type {HTMLElement[]} */ (items.filter(Boolean));
    this.#button.replaceChildren(h('span.visually-hidden', {}, 'Engine details: '), ...shown);
  }
}

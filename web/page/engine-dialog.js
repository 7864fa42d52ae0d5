/** Owns the engine details: the model, how messages reach it, its adapters, how it runs, what it measured and what it occupies. */

import { openDialog } from './dialog.js';
import { h } from './dom.js';
import { formatBytes, formatCount, formatRate } from './format.js';
import { notice } from './notices.js';
import { describeContext, fallbackOf } from './status-line.js';

/**
 * @param {[string, string | false][]} facts those that are false are left out
 */
function list(facts) {
  const shown = facts.filter(([, value]) => value);
  return h('dl.facts', {}, ...shown.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value || '')]));
}

/**
 * @typedef {object} EngineParts
 * @property {import('./status-line.js').EngineInfo} info engine.info
 * @property {import('./status-line.js').Figures} figures
 * @property {Node} template the choice of a chat template
 * @property {Node} adapters
 * @property {() => void} leave the reader wants another model
 */

/** @param {EngineParts} parts */
export function openEngineDialog({ info, figures, template, adapters, leave }) {
  const fallback = fallbackOf(info);
  const { weights, kv, heap } = info.memory;
  const rate = (/** @type {number} */ value) => value > 0 && `${formatRate(value)} tokens a second`;
  const other = h('button.button.button-quiet', { type: 'button' }, 'Choose another model');
  const body = [
    ...(fallback ? [notice({ kind: 'warn', ...fallback })] : []),
    h('h3.facts-title', {}, 'Model'),
    list([
      ['Name', info.name],
      ['Architecture', info.architecture],
      ['Weights', `${info.quantization}, ${formatCount(info.parameters)} parameters`],
    ]),
    h('div.engine-template', {}, template),
    h('h3.facts-title', {}, 'Adapters (LoRA)'),
    adapters,
    h('h3.facts-title', {}, 'How it runs'),
    list([
      ['Instructions', info.variant === 'relaxed' ? 'WebAssembly relaxed SIMD' : 'WebAssembly SIMD128'],
      ['Kernels', info.kernels],
      ['Threads', String(info.threads)],
      ['Streams of memory', String(info.streams)],
      ['Addresses', `${info.addressBits} bits`],
      ['Shared memory', info.isolated ? 'yes, the page is isolated' : 'no, the isolation headers are missing'],
    ]),
    h('h3.facts-title', {}, 'Measured with the last answer'),
    list([
      ['Reading', rate(figures.prefillRate) || 'after the first answer'],
      ['Writing', rate(figures.decodeRate) || 'after the first answer'],
      ['Context', `${describeContext(figures.contextUsed, info)} tokens`],
    ]),
    h('h3.facts-title', {}, 'Memory'),
    list([
      ['Weights', formatBytes(weights)],
      ['Conversation', formatBytes(kv)],
      ['In all', info.parts > 1 ? `${formatBytes(heap)} in ${info.parts} parts` : formatBytes(heap)],
    ]),
  ];
  const dialog = openDialog('engine', 'Engine', body, [h('span'), other]);
  other.addEventListener('click', () => {
    dialog.close();
    leave();
  });
}

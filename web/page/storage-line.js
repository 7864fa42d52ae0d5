/** Owns what the page says about the browser's storage: how much of it is used, and whether it will be kept. */

import { h } from './dom.js';
import { formatBytes } from './format.js';

/**
 * Asks the browser to keep what this site stores even when the disk is nearly full. Asked at the first download, because then the
 * reader sees what for; some browsers ask the reader in turn.
 */
export async function askToKeep() {
  await navigator.storage?.persist?.().catch(() => false);
}

/** @returns {Promise<string>} a sentence or two; '' where the browser does not tell */
async function describe() {
  const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.()) ?? {};
  if (quota === 0) return '';
  const kept = await navigator.storage.persisted();
  const used = `${formatBytes(usage)} of ${formatBytes(quota)} that the browser allows are in use.`;
  if (usage === 0) return used;
  const fate = kept
    ? 'They stay until you remove them.'
    : 'The browser may remove them when the disk is full, or, in Safari, after a week without a visit.';
  return `${used} ${fate}`;
}

/** @param {HTMLElement} node is filled, or left empty */
export async function showStorage(node) {
  const text = await describe().catch(() => '');
  node.replaceChildren(...(text ? [h('span', {}, text)] : []));
}

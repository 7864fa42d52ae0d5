/** Owns the choice of colours: as the system, light, dark; kept in this browser. */

import { byId, announce } from './dom.js';
import { keep, kept } from './kept.js';

const kKey = 'tessera.theme';
const kThemes = ['system', 'light', 'dark'];
const kNames = { system: 'as the system', light: 'light', dark: 'dark' };

/** Applies the kept choice and makes the button walk through the three. */
export function initTheme() {
  const button = byId('toggle-theme');
  let theme = kept(kKey) ?? 'system';
  if (!kThemes.includes(theme)) theme = 'system';
  const apply = () => {
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const label = `Colours: ${kNames[/** @type {keyof typeof kNames} */ (theme)]}`;
    button.setAttribute('aria-label', label);
    button.title = label;
    return label;
  };
  apply();
  button.addEventListener('click', () => {
    theme = kThemes[(kThemes.indexOf(theme) + 1) % kThemes.length];
    keep(kKey, theme);
    announce(apply());
  });
}

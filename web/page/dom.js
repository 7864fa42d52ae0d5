/** Owns the few helpers with which the page builds elements; text always goes in as text, never as HTML. */

const kSvg = 'http://www.w3.org/2000/svg';

/**
 * The element of index.html with this id; a missing one is our own bug.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no element with id "${id}"`);
  return element;
}

/**
 * Makes an element. Properties named on… become listeners, true/false become present/absent attributes.
 * @param {string} tag 'p', or with classes 'p.hint.small'
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const element = document.createElement(name);
  if (classes.length > 0) element.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value != null) element.setAttribute(key, String(value));
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(kSvg, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/**
 * An icon of the sprite in index.html, hidden from assistive technology.
 * @param {string} name
 */
export function icon(name) {
  return svg('svg', { class: 'icon', 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }));
}

const kRightToLeft = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

/**
 * How a text runs: as its first letter does. What dir="auto" makes of boxes for text takes Chromium minutes with some megabytes.
 * @param {string} text
 */
export function directionOf(text) {
  const [letter = ''] = /\p{L}/u.exec(text.slice(0, 1000)) ?? [];
  return kRightToLeft.test(letter) ? 'rtl' : 'ltr';
}

/**
 * A small button with icon and text.
 * @param {string} iconName
 * @param {string} text
 * @param {() => void} onclick
 */
export function toolButton(iconName, text, onclick) {
  return h('button.tool', { type: 'button', onclick }, icon(iconName), h('span.tool-text', {}, text));
}

/**
 * A button that copies a text and says so for a moment.
 * @param {string} label
 * @param {() => string} text
 */
export function copyButton(label, text) {
  const name = h('span.tool-text', {}, label);
  const picture = h('span.tool-picture', {}, icon('copy'));
  const button = h('button.tool', { type: 'button' }, picture, name);
  button.addEventListener('click', async () => {
    const done = await copyText(text());
    picture.replaceChildren(icon(done ? 'check' : 'warn'));
    name.textContent = done ? 'Copied' : 'Not copied';
    announce(done ? 'Copied' : 'The browser did not allow copying');
    setTimeout(() => {
      picture.replaceChildren(icon('copy'));
      name.textContent = label;
    }, 1600);
  });
  return button;
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} false when the browser refuses
 */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

/** The older way: plain http pages have no clipboard. @param {string} text */
function copySelected(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const field = /** @type {HTMLTextAreaElement} */ (h('textarea.visually-hidden', { 'aria-hidden': 'true' }));
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  focused?.focus({ preventScroll: true });
  return done;
}

/**
 * Says a sentence through the live regions of the page and of a dialog: while one is open nothing outside is heard.
 * @param {string} text
 */
export function announce(text) {
  const regions = document.querySelectorAll('#announcer, dialog[open] > [role=status]');
  for (const region of regions) region.textContent = '';
  requestAnimationFrame(() => {
    for (const region of regions) region.textContent = text;
  });
}

/**
 * Hands the reader a file to save.
 * @param {string} name
 * @param {string} type
 * @param {string} text
 */
export function saveFile(name, type, text) {
  saveBlob(name, new Blob([text], { type }));
}

/**
 * @param {string} name
 * @param {Blob} blob
 */
export function saveBlob(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = h('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // a large file takes its time to be copied
}

/** Owns turning a model's Markdown into safe elements, and doing so bit by bit while an answer grows. */

import DOMPurify from 'dompurify';
import { Marked } from 'marked';
import { copyButton, h } from './dom.js';

/** @param {string} text */
function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

const marked = new Marked({
  gfm: true,
  breaks: true, // models end the lines of a poem with a single line break
  renderer: {
    // What looks like HTML is shown as the model wrote it; images would ask another server and become their text.
    html: ({ text, block }) => (block ? `<p class="as-written">${escapeHtml(text.trimEnd())}</p>` : escapeHtml(text)),
    image: ({ href, text }) => `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
    // The page's own headings end at level 2.
    heading({ tokens, depth }) {
      const level = Math.min(6, depth + 2);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
  },
});

const kAllowed = {
  ALLOWED_TAGS: [
    ...['p', 'br', 'strong', 'em', 'del', 'code', 'pre', 'ul', 'ol', 'li', 'blockquote', 'hr', 'a'],
    ...['h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td'],
  ],
  ALLOWED_ATTR: ['href', 'start', 'align', 'class'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: ['start', 'align'], // the others' values have to be addresses
  RETURN_DOM_FRAGMENT: /** @type {const} */ (true),
};

/**
 * @param {import('marked').Token[]} tokens
 * @returns {DocumentFragment}
 */
function render(tokens) {
  const fragment = DOMPurify.sanitize(marked.parser(tokens), kAllowed);
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
  }
  for (const block of fragment.children) if (block.localName !== 'pre') block.setAttribute('dir', 'auto');
  for (const pre of fragment.querySelectorAll('pre')) frameCode(pre);
  for (const table of fragment.querySelectorAll('table')) table.tabIndex = 0;
  for (const list of fragment.querySelectorAll('ol')) {
    const digits = String(list.start + list.childElementCount - 1).length;
    if (digits > 2) list.style.paddingInlineStart = `${digits + 1.5}ch`; // there is room for two
  }
  return fragment;
}

/**
 * Gives a code block a head with its language and a copy button.
 * @param {HTMLPreElement} pre
 */
function frameCode(pre) {
  const code = pre.querySelector('code');
  const language = /language-([\w+#.-]+)/.exec(code?.className ?? '')?.[1] ?? 'text';
  const frame = h(
    'div.code-block',
    { dir: 'ltr' },
    h(
      'div.code-head',
      {},
      h('span', {}, language),
      copyButton('Copy code', () => pre.textContent ?? ''),
    ),
  );
  pre.replaceWith(frame);
  pre.tabIndex = 0;
  frame.append(pre);
}

/**
 * The top-level blocks of a text. Nesting too deep for marked's recursion is a RangeError: the text is then one block, shown as it was written.
 * @param {string} source
 */
function blocksOf(source) {
  try {
    return marked.lexer(source);
  } catch {
    const asWritten = { type: 'none that marked knows', raw: source };
    return Object.assign([asWritten], { links: {} });
  }
}

/**
 * @param {import('marked').Token} block
 * @returns {ChildNode[]}
 */
function nodesOf(block) {
  try {
    const nodes = [...render([block]).childNodes];
    return nodes.filter((node) => node.nodeType !== Node.TEXT_NODE || node.textContent?.trim());
  } catch {
    return [h('p.as-written', {}, block.raw)];
  }
}

/**
 * One answer on screen. Each top-level block keeps its elements until its source changes, so that streaming touches only
 * the last block, and a selection or an opened code block further up stays as it is.
 */
export class MarkdownView {
  /** @type {{raw: string, nodes: ChildNode[]}[]} */
  #blocks = [];
  /** The addresses that the text has given so far. */
  #links = '{}';
  #parent;

  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.#parent = parent;
  }

  /** @param {string} source the whole text so far */
  update(source) {
    const blocks = blocksOf(source);
    const links = JSON.stringify(blocks.links);
    let same = 0;
    // An address given below turns the [words][1] of any block into a link.
    if (links === this.#links)
      while (same < this.#blocks.length && same < blocks.length && this.#blocks[same].raw === blocks[same].raw) same++;
    for (const { nodes } of this.#blocks.splice(same)) for (const node of nodes) node.remove();
    for (const block of blocks.slice(same)) {
      const nodes = nodesOf(block);
      this.#parent.append(...nodes);
      this.#blocks.push({ raw: block.raw, nodes });
    }
    this.#links = links;
  }
}

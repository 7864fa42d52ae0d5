/** What makes a page usable for everybody, as far as a program can check it. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const kAxe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/**
 * @param {import('puppeteer-core').Page} page
 * @returns {Promise<string[]>} serious and critical violations
 */
export async function violations(page) {
  await page.evaluate(await readFile(kAxe, 'utf8'));
  return page.evaluate(async () => {
    const { axe } = /** @type {any} */ (globalThis);
    const { violations: found } = await axe.run(document, { resultTypes: ['violations'] });
    return found
      .filter((/** @type {any} */ { impact }) => impact === 'serious' || impact === 'critical')
      .map(
        (/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ node) => node.html).join(' | ')}`,
      );
  });
}

/**
 * By how much the page, or a view of it that scrolls, is wider than it may be.
 * @param {import('puppeteer-core').Page} page
 */
export function overflow(page) {
  return page.evaluate(() => {
    const views = [...document.querySelectorAll('#start, #scroller, .bench-main, .dialog-body')];
    const beyond = views.map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth);
    return Math.max(document.documentElement.scrollWidth - innerWidth, ...beyond);
  });
}

/**
 * Controls below 44 px that can be seen; links in running text are exempt, and a box in a label is as large as its label.
 * @param {import('puppeteer-core').Page} page
 */
export function smallTargets(page) {
  return page.$$eval('button, .brand, summary, input:not([type=file]), select, textarea', (all) =>
    all
      .map((node) => (node.matches('[type=checkbox], [type=radio]') && node.closest('label')) || node)
      .map((node) => ({ box: node.getBoundingClientRect(), name: node.textContent?.trim() || node.id }))
      .filter(({ box }) => box.width > 0 && (box.width < 44 || box.height < 44))
      .map(({ box, name }) => `${name}: ${Math.round(box.width)}×${Math.round(box.height)}`),
  );
}

/**
 * What stands in live regions that assistive technology can hear; behind a modal dialog it hears none. Chromium only.
 * @param {import('puppeteer-core').Page} page
 * @returns {Promise<string[]>}
 */
export async function heard(page) {
  const root = await page.accessibility.snapshot({ interestingOnly: false });
  /** @type {(node: import('puppeteer-core').SerializedAXNode) => string} */
  const textOf = ({ role, name = '', children = [] }) => (role === 'StaticText' ? name : children.map(textOf).join(''));
  /** @type {(node: import('puppeteer-core').SerializedAXNode) => string[]} */
  const regionsIn = (node) => (node.role === 'status' ? [textOf(node)] : (node.children ?? []).flatMap(regionsIn));
  return (root ? regionsIn(root) : []).filter(Boolean);
}

/**
 * Placeholders of too little contrast (WCAG 2, AA), which axe-core does not look at.
 * @param {import('puppeteer-core').Page} page
 * @returns {Promise<string[]>}
 */
export function palePlaceholders(page) {
  return page.$$eval('[placeholder]', (all) => {
    const light = (/** @type {string} */ colour) => {
      const channels = (colour.match(/\d+/g) ?? []).slice(0, 3).map((value) => Number(value) / 255);
      const [r, g, b] = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    return all
      .map((node) => {
        const [ink, paper] = [getComputedStyle(node, '::placeholder').color, getComputedStyle(node).backgroundColor];
        const [dark, bright] = [light(ink), light(paper)].sort((a, b) => a - b);
        return { node, ratio: bright / dark };
      })
      .filter(({ ratio }) => ratio < 4.5)
      .map(({ node, ratio }) => `${node.id}: ${ratio.toFixed(1)}`);
  });
}

/** Owns bench.html: measures one model in this tab and shows the figures as a table that can be copied. */

import { Tessera } from '../tessera.js';
import { loadCatalog, withStored } from './catalog.js';
import { announce, byId, copyButton, h } from './dom.js';
import { EngineElsewhere, releaseEngine, takeEngine } from './engine-lock.js';
import { formatBytes } from './format.js';
import { LoadProgress } from './load-progress.js';
import { onFilesChosen } from './local-files.js';
import { elsewhereNotice, errorNotice, isAbort, notice } from './notices.js';
import { startShell } from './shell.js';
import { initTheme } from './theme.js';

/** @typedef {import('./status-line.js').Engine} Engine */
/** What can be measured. @typedef {{ name: string, bytes: number, model: string | File[] }} Candidate */
/** @typedef {{ prefill: number[], decode: number[] }} Figures tokens a second, one for each repetition */

const kTask = { promptTokens: 512, generateTokens: 64, depth: 512 };
const kContextSize = kTask.depth + kTask.generateTokens;
const kRepetitions = 5;
const kThreadChoices = [1, 2, 3, 4, 6, 8];

const models = /** @type {HTMLSelectElement} */ (byId('bench-model'));
const threads = /** @type {HTMLSelectElement} */ (byId('bench-threads'));
const status = byId('bench-status');
/** @type {Candidate[]} in the order of the list */
const candidates = [];
/** What the copied table says, row by row. @type {string[][]} */
const rows = [];
/** @type {AbortController | null} */
let running = null;

/** @param {Candidate} candidate */
function offer(candidate) {
  models.append(h('option', { value: candidates.length }, candidate.name));
  candidates.push(candidate);
}

/** @param {boolean} takeOver */
async function measure(takeOver) {
  if (running || candidates.length === 0) return;
  const candidate = candidates[models.selectedIndex];
  const abort = new AbortController();
  running = abort;
  status.replaceChildren();
  /** @type {Engine | undefined} */
  let engine;
  try {
    await takeEngine(takeOver, async () => abort.abort());
    engine = await load(candidate, abort);
    const figures = await repeat(engine, abort);
    addRow(candidate, engine.info, figures);
    status.replaceChildren();
  } catch (error) {
    showProblem(error);
  } finally {
    await engine?.dispose().catch(() => {});
    releaseEngine();
    running = null;
  }
}

/**
 * @param {Candidate} candidate
 * @param {AbortController} abort
 * @returns {Promise<Engine>}
 */
async function load({ name, bytes, model }, abort) {
  const local = typeof model !== 'string';
  const progress = new LoadProgress({ name, bytes, local, cancel: () => abort.abort() });
  status.replaceChildren(progress.node);
  progress.focus();
  try {
    return await Tessera.load({
      model,
      contextSize: await contextFor(model, abort.signal),
      ...(threads.value !== '' && { threads: Number(threads.value) }),
      signal: abort.signal,
      onProgress: (event) => progress.update(event),
    });
  } finally {
    progress.stop();
  }
}

/**
 * @param {Candidate['model']} model
 * @param {AbortSignal} signal
 */
async function contextFor(model, signal) {
  // What else is wrong with it, loading says.
  const known = await Tessera.estimate(model, { signal }).catch(() => null);
  return Math.min(kContextSize, known?.trainedContext || kContextSize);
}

/** What is measured: less, where the context holds less. @param {number} context */
function taskWithin(context) {
  const promptTokens = Math.min(kTask.promptTokens, context);
  const generateTokens = Math.max(1, Math.min(kTask.generateTokens, context >> 1));
  return { promptTokens, generateTokens, depth: Math.min(kTask.depth, context - generateTokens) };
}

/**
 * @param {Engine} engine
 * @param {AbortController} abort
 * @returns {Promise<Figures>}
 */
async function repeat(engine, abort) {
  const label = h('p', { role: 'status' });
  const bar = h('progress.progress-bar', { max: kRepetitions, value: 0, 'aria-label': 'Measuring' });
  const stop = h('button.button.button-plain', { type: 'button', onclick: () => abort.abort() }, 'Stop');
  status.replaceChildren(h('article.model-card', {}, label, bar, h('div.progress-foot', {}, h('span'), stop)));
  stop.focus();
  // A repetition cannot be interrupted, but an engine can be thrown away in the middle of one.
  abort.signal.addEventListener('abort', () => void engine.dispose());
  const task = taskWithin(engine.info.contextSize);
  /** @type {Figures} */
  const figures = { prefill: [], decode: [] };
  for (let done = 0; done < kRepetitions; done += 1) {
    label.textContent = `Measuring, ${done + 1} of ${kRepetitions}`;
    bar.setAttribute('value', String(done));
    const report = await engine.bench({ ...task, repetitions: 1 });
    figures.prefill.push(...report.prefill.tps);
    figures.decode.push(...report.decode.tps);
  }
  return figures;
}

/**
 * @param {Candidate} candidate
 * @param {Engine['info']} info
 * @param {Figures} figures
 */
function addRow({ name, bytes }, info, { prefill, decode }) {
  const { promptTokens, generateTokens, depth } = taskWithin(info.contextSize);
  const [read, written] =
    depth < kTask.depth ? [` of ${promptTokens}`, ` of ${generateTokens} after ${depth}`] : ['', ''];
  const row = [
    `${name} (${info.quantization})`,
    formatBytes(bytes),
    info.kernels,
    String(info.threads),
    summary(prefill) + read,
    summary(decode) + written,
  ];
  rows.push(row);
  const [first, ...others] = row;
  byId('bench-rows').append(h('tr', {}, h('th', { scope: 'row' }, first), ...others.map((text) => h('td', {}, text))));
  byId('bench-results').hidden = false;
  announce(`${name}: prefill ${summary(prefill)}, decode ${summary(decode)} tokens a second.`);
}

/** @param {number[]} values */
function summary(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, middle, high] = [sorted[0], sorted[sorted.length >> 1], sorted[sorted.length - 1]];
  return `${middle.toFixed(1)} (${low.toFixed(1)}–${high.toFixed(1)})`;
}

/** The table as Markdown, with what it was measured on. */
function asMarkdown() {
  const header = [...document.querySelectorAll('#bench-results th[scope=col]')].map((cell) => cell.textContent ?? '');
  const line = (/** @type {string[]} */ cells) => `| ${cells.join(' | ')} |`;
  const table = [header, header.map((_, index) => (index < 4 ? '---' : '--:')), ...rows].map(line);
  return [...table, '', `Tokens a second, median of ${kRepetitions} (lowest–highest). ${device()}`, ''].join('\n');
}

function device() {
  const isolated = crossOriginIsolated ? '' : ' Not cross-origin isolated: one thread only.';
  return `${navigator.userAgent}, ${navigator.hardwareConcurrency} logical processors, ${new Date().toISOString().slice(0, 10)}.${isolated}`;
}

/** @param {unknown} error */
function showProblem(error) {
  if (error instanceof EngineElsewhere) status.replaceChildren(elsewhereNotice(() => void measure(true)));
  else if (isAbort(error) || running?.signal.aborted)
    status.replaceChildren(notice({ kind: 'info', title: 'Stopped.', text: 'Nothing was measured this time.' }));
  else status.replaceChildren(errorNotice(error, [{ label: 'Try again', main: true, run: () => void measure(false) }]));
}

function initFiles() {
  const input = /** @type {HTMLInputElement} */ (byId('file-input'));
  onFilesChosen(byId('choose-file'), input, (files) => {
    offer({ name: files[0].name, bytes: files.reduce((sum, { size }) => sum + size, 0), model: files });
    models.selectedIndex = candidates.length - 1;
  });
}

initTheme();
void startShell(
  () => running === null && rows.length === 0 && candidates.every(({ model }) => typeof model === 'string'),
);
initFiles();
const most = navigator.hardwareConcurrency;
threads.append(h('option', { value: '' }, 'As many as help'));
for (const count of kThreadChoices) if (count <= most) threads.append(h('option', { value: count }, String(count)));
byId('bench-device').textContent = device();
byId('bench-tools').append(copyButton('Copy as a table', asMarkdown));
byId('bench-form').addEventListener('submit', (event) => {
  event.preventDefault();
  void measure(false);
});
try {
  for (const { model } of await withStored(await loadCatalog())) offer({ ...model, model: model.manifest });
} catch (error) {
  status.replaceChildren(errorNotice(error, []));
}

/** A model that is loaded and disposed of again and again leaves nothing behind. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { kModelId, openSite, skipReason } from './harness.mjs';

const kTimes = 20;
/** What the browser has not collected yet is gone at the latest some rounds later (seen: 457 MB, 483, 518, 473); what leaks is more with each. */
const kRounds = 5;
const kMost = 1.05;
/** Less than any browser has with a page open. */
const kBrowserBytes = 50e6;
const kRollup = 'smaps_rollup';
/** What reading a process gives that has just ended. */
const kEnded = ['ENOENT', 'ESRCH'];
const skip =
  skipReason() ||
  (existsSync(`/proc/self/${kRollup}`) ? false : `SKIPPED: memory of processes is read from /proc/PID/${kRollup}`);

/**
 * Bytes in real memory of a process and all that it has started; shared pages count in parts.
 * @param {number} root
 */
async function memoryOf(root) {
  /** @type {Map<number, number>} */
  const parents = new Map();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const own = new Set([root]);
  for (let before = 0; before < own.size;) {
    before = own.size;
    for (const [pid, parent] of parents) if (own.has(parent)) own.add(pid);
  }
  let sum = 0;
  for (const pid of own) {
    const rollup = await readFile(`/proc/${pid}/${kRollup}`, 'utf8').catch((error) => {
      if (!kEnded.includes(error.code)) throw error; // a process that hides what it has would count as nothing
      return '';
    });
    sum += 1024 * Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
  }
  return sum;
}

test('loaded and disposed of again and again', { skip, timeout: 240_000 }, async (t) => {
  const { browser, page, watch } = await openSite(t);
  const devtools = await page.createCDPSession();
  const loadOnce = () =>
    page.evaluate(async (model) => {
      const { Tessera } = await import(/** @type {any} */ ('/tessera.js'));
      const engine = await Tessera.load({ model });
      await engine.dispose();
    }, `models/${kModelId}/manifest.json`);
  const rest = async () => {
    await devtools.send('HeapProfiler.collectGarbage');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return memoryOf(Number(browser.process()?.pid));
  };
  await loadOnce(); // the download is no part of it
  await loadOnce();
  const first = await rest();
  let last = Infinity;
  let times = 2;
  for (let round = 0; round < kRounds && last > kMost * first; ++round) {
    for (let i = 0; i < kTimes; ++i) await loadOnce();
    times += kTimes;
    last = await rest();
  }
  t.diagnostic(`${(first / 1e6).toFixed(0)} MB after the first, ${(last / 1e6).toFixed(0)} MB after ${times}`);
  assert(first > kBrowserBytes, `${first} bytes: the browser's processes were not found`);
  assert(last <= kMost * first, `${first} bytes after the first, ${last} after ${times} times`);
  assert.deepEqual(watch.errors, []);
});

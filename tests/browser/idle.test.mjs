/** An engine that has nothing to do takes no processor time: neither its worker nor the workers of its threads. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ask, kQuestion, openSite, skipReason, startModel } from './harness.mjs';

const kIdleSeconds = 10;
/** Of one core. */
const kMost = 0.01;
/** A clock tick of /proc/…/stat, as Linux tells it to programs. */
const kTickSeconds = 0.01;

/**
 * Processor seconds of each worker thread of a process and all that it has started.
 * @param {number} root
 * @returns {Promise<Map<string, number>>}
 */
async function workerSeconds(root) {
  const fields = (/** @type {string} */ stat) => stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  /** @type {Map<number, number>} */
  const parents = new Map();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    parents.set(Number(name), Number(fields(stat)[1]));
  }
  const own = new Set([root]);
  for (let before = 0; before < own.size;) {
    before = own.size;
    for (const [pid, parent] of parents) if (own.has(parent)) own.add(pid);
  }
  /** @type {Map<string, number>} */
  const seconds = new Map();
  for (const pid of own) {
    for (const task of await readdir(`/proc/${pid}/task`).catch(() => [])) {
      const stat = await readFile(`/proc/${pid}/task/${task}/stat`, 'utf8').catch(() => '');
      // 'DedicatedWorker' in Chromium, 'DOM Worker' in Firefox.
      if (!/\((DedicatedWorker|DOM Worker)/.test(stat)) continue;
      seconds.set(task, (Number(fields(stat)[11]) + Number(fields(stat)[12])) * kTickSeconds);
    }
  }
  return seconds;
}

for (const browser of /** @type {const} */ (['chrome', 'firefox'])) {
  const onLinux = process.platform === 'linux' ? false : 'SKIPPED: processor time of threads is read from /proc';
  test(
    `no work in ${browser} after an answer`,
    { skip: skipReason({ browser }) || onLinux, timeout: 240_000 },
    async (t) => {
      const { browser: running, page } = await openSite(t, { browser });
      await startModel(page);
      await ask(page, kQuestion);
      const root = Number(running.process()?.pid);
      const rest = (/** @type {number} */ seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      await rest(3); // the browser tidies up and compiles to the end
      const before = await workerSeconds(root);
      assert.ok(
        [...before.values()].some((seconds) => seconds > 0.1),
        'the threads that answered were found',
      );
      await rest(kIdleSeconds);
      const after = await workerSeconds(root);
      const spent = [...before].map(([task, seconds]) => (after.get(task) ?? seconds) - seconds);
      const share = Math.max(...spent) / kIdleSeconds;
      t.diagnostic(`${before.size} workers, the busiest took ${(100 * share).toFixed(1)} % of a core`);
      assert.ok(share <= kMost, `a worker took ${(100 * share).toFixed(1)} % of a core with nothing to do`);
    },
  );
}

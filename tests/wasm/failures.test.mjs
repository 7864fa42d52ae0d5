// What ends an engine: a trap in the module, a worker that cannot start or dies, a worker that does not answer. Nothing may hang.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection } from '../../web/engine/connection.js';
import { ThreadOrders } from '../../web/engine/threads.js';
import { TesseraError } from '../../web/base/errors.js';
import { WasmRuntime } from '../../web/engine/wasm-runtime.js';

/** A worker whose messages the test makes up. */
class FakeWorker {
  /** @type {Record<string, (event: any) => void>} */
  listeners = {};
  /** @type {any[]} */
  posted = [];
  terminated = false;
  /** @param {any} message */
  postMessage(message) {
    this.posted.push(message);
  }
  /**
   * @param {string} type
   * @param {(event: any) => void} listener
   */
  addEventListener(type, listener) {
    this.listeners[type] = listener;
  }
  terminate() {
    this.terminated = true;
  }
}

const granted = { memory: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }), maximum: 65536 };

test('a trap ends the module: this call and all later ones say so', () => {
  const native = {
    steps: () => {
      throw new WebAssembly.RuntimeError('unreachable');
    },
    tokenize: () => '{"value": [1]}',
  };
  const runtime = new WasmRuntime(/** @type {any} */ (native), granted);
  assert.deepEqual(runtime.tokenize('a', false, false), [1]);
  assert.throws(() => runtime.steps(0), { code: 'internal', message: /unreachable/ });
  assert.throws(() => runtime.tokenize('a', false, false), { code: 'internal' });
});

test('a reader that fails gives its own error, not a message about it', () => {
  const gone = new TesseraError('read_failed', 'the file changed', 'choose it again');
  const part = {
    size: 8,
    read() {
      throw gone;
    },
  };
  const native = {
    load: (/** @type {any[]} */ readers) => {
      assert.equal(readers[0].readInto(0, 8, 0), 'the file changed');
      return '{"error": {"code": "io", "message": "reading the model failed", "hint": ""}}';
    },
  };
  const runtime = new WasmRuntime(/** @type {any} */ (native), granted);
  assert.throws(
    () => runtime.load([part], { threads: 1, context_size: 0, kv_type: 'f32' }, () => {}),
    (error) => error === gone,
  );
});

const noThreads = () => assert.fail('no thread was expected to be asked for');

test('a worker that cannot start rejects what waits and what comes', async () => {
  const worker = new FakeWorker();
  const connection = new Connection(worker, noThreads);
  const waiting = connection.call({ type: 'detokenize', ids: [] });
  worker.listeners.error({});
  await assert.rejects(waiting, { code: 'network', message: /could not be started/ });
  await assert.rejects(connection.call({ type: 'detokenize', ids: [] }), { code: 'network' });
  assert.ok(worker.terminated);
});

test('a fatal message ends every call with its reason', async () => {
  const worker = new FakeWorker();
  const connection = new Connection(worker, noThreads);
  const calls = [1, 2].map(() => connection.call({ type: 'detokenize', ids: [] }));
  worker.listeners.message({ data: { type: 'fatal', error: { code: 'internal', message: 'it trapped' } } });
  for (const call of calls) await assert.rejects(call, { code: 'internal', message: 'it trapped' });
});

test('a thread that cannot be made ends the engine with the reason', async () => {
  const engineWorker = new FakeWorker();
  const connection = new Connection(engineWorker, () => {
    throw new DOMException('Script cannot be accessed from this origin', 'SecurityError');
  });
  const waiting = connection.call({ type: 'detokenize', ids: [] });
  const Thread = new ThreadOrders((order) => engineWorker.listeners.message({ data: order })).workerClass();
  new Thread('http://elsewhere/tessera-core.js', {});
  await assert.rejects(waiting, { code: 'network', message: /could not be created.*cannot be accessed/ });
  assert.ok(engineWorker.terminated);
});

test('closing a worker that does not answer terminates it', { timeout: 10000 }, async () => {
  const worker = new FakeWorker();
  const connection = new Connection(worker, noThreads);
  const waiting = connection.call({ type: 'detokenize', ids: [] });
  const closing = connection.close(new TesseraError('disposed', 'gone'));
  await assert.rejects(waiting, { code: 'disposed' });
  await closing;
  assert.ok(worker.terminated);
  assert.equal(worker.posted.at(-1).type, 'dispose');
});

test('closing twice waits for the same end', { timeout: 10000 }, async () => {
  const worker = new FakeWorker();
  const connection = new Connection(worker, noThreads);
  const reason = new TesseraError('disposed', 'gone');
  void connection.close(reason);
  await connection.close(reason);
  assert.ok(worker.terminated);
});

test('threads: orders reach workers of the page, their messages come back, a failure and the end stop all', async () => {
  const engineWorker = new FakeWorker();
  /** @type {{ url: string, name: string, worker: FakeWorker }[]} */
  const made = [];
  const connection = new Connection(engineWorker, (url, name) => {
    const worker = new FakeWorker();
    made.push({ url, name, worker });
    return worker;
  });
  /** @type {any[]} */
  const heard = [];
  const orders = new ThreadOrders((order) => engineWorker.listeners.message({ data: order }));
  const Thread = /** @type {any} */ (orders.workerClass());
  const threads = [1, 2].map(() => new Thread(new URL('http://localhost/tessera.js'), { name: 'em-pthread' }));
  threads.forEach(
    (thread, index) => (thread.onmessage = (/** @type {any} */ event) => heard.push([index, event.data])),
  );
  threads[1].postMessage({ cmd: 1 });
  assert.deepEqual(made.map(({ url, name }) => [url, name])[0], ['http://localhost/tessera.js', 'em-pthread']);
  assert.deepEqual([made[0].worker.posted, made[1].worker.posted], [[], [{ cmd: 1 }]]);
  made[1].worker.listeners.message({ data: { cmd: 3 } });
  orders.receive(engineWorker.posted.at(-1));
  assert.deepEqual(heard, [[1, { cmd: 3 }]]);
  threads[0].terminate();
  assert.deepEqual(
    made.map(({ worker }) => worker.terminated),
    [true, false],
  );
  const waiting = connection.call({ type: 'detokenize', ids: [] });
  made[1].worker.listeners.error({ message: 'it broke' });
  await assert.rejects(waiting, { code: 'internal', message: /A thread of the engine failed: it broke/ });
  assert.ok(engineWorker.terminated && made[1].worker.terminated);
});

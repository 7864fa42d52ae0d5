/**
 * The contract of web/store/contract.js as a suite that runs anywhere a backend does: in node over memory, in a browser's worker
 * over the private file system and the Cache API.
 */

/** @typedef {import('../../web/store/contract.js').Backend} Backend */

/**
 * @param {boolean} condition
 * @param {string} message
 */
export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/**
 * @param {unknown} found
 * @param {unknown} expected
 * @param {string} what
 */
export function expectEqual(found, expected, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  expect(a === b, `${what}: expected ${b}, found ${a}`);
}

/**
 * @param {Promise<unknown>} promise
 * @returns {Promise<any>} the error
 */
async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('expected a rejection');
}

/**
 * Bytes that differ at every offset and from seed to seed.
 * @param {number} length
 * @param {number} seed
 */
export function pattern(length, seed) {
  const bytes = new Uint8Array(length);
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < length; ++i) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** The same, beginning as a model's file does. @param {number} length @param {number} seed */
export function modelPattern(length, seed) {
  const bytes = pattern(length, seed);
  bytes.set(new TextEncoder().encode('GGUF'));
  return bytes;
}

/**
 * @param {Backend} backend
 * @param {string} path
 * @param {Uint8Array} bytes
 * @param {number} step chunk size
 */
async function store(backend, path, bytes, step) {
  const writer = await backend.createWriter(path);
  for (let i = 0; i < bytes.length; i += step) await writer.write(bytes.subarray(i, i + step));
  await writer.commit();
}

/**
 * @param {Backend} backend
 * @param {string} path
 */
async function blobOf(backend, path) {
  return new Uint8Array(await (await backend.blob(path)).arrayBuffer());
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
function same(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** @param {Backend} backend */
async function listed(backend) {
  const files = await backend.list();
  return files.map(({ path, bytes }) => `${path}:${bytes}`).sort();
}

const kLarge = 9 * 1024 * 1024 + 13; // more than two of the memory backend's segments, and not a round number

/** @type {{name: string, run: (backend: Backend) => Promise<void>}[]} each begins with an empty backend */
export const contract = [
  {
    name: 'a file is listed, opened and given as a blob with the bytes that were written',
    async run(backend) {
      const bytes = pattern(kLarge, 1);
      await store(backend, 'm1/a.bin', bytes, 700_001);
      expectEqual(await listed(backend), [`m1/a.bin:${kLarge}`], 'list');
      expect(same(await blobOf(backend, 'm1/a.bin'), bytes), 'bytes of the blob differ');
      const file = await backend.open('m1/a.bin');
      const whole = new Uint8Array(kLarge);
      file.read(whole, 0);
      expect(same(whole, bytes), 'read bytes differ');
      file.close();
      file.close();
    },
  },
  {
    name: 'reads of any range work, into shared memory too, and not outside the file',
    async run(backend) {
      const bytes = pattern(kLarge, 2);
      await store(backend, 'm1/a.bin', bytes, 1 << 20);
      const file = await backend.open('m1/a.bin');
      expectEqual(file.size, kLarge, 'size');
      const shared =
        typeof SharedArrayBuffer === 'function' ? new SharedArrayBuffer(3 << 20) : new ArrayBuffer(3 << 20);
      const heap = new Uint8Array(shared);
      for (const [offset, length] of [
        [0, 0],
        [0, 1],
        [kLarge - 1, 1],
        [kLarge, 0],
        [(4 << 20) - 7, 20],
        [12345, 2_500_000],
      ]) {
        heap.fill(0xaa);
        file.read(heap.subarray(100, 100 + length), offset);
        expect(
          same(heap.slice(100, 100 + length), bytes.subarray(offset, offset + length)),
          `read ${offset}+${length} differs`,
        );
        expectEqual([heap[99], heap[100 + length]], [0xaa, 0xaa], `bytes around the target of ${offset}+${length}`);
      }
      for (const [offset, length] of [
        [kLarge, 1],
        [kLarge - 1, 2],
        [-1, 1],
        [0.5, 1],
        [Number.MAX_SAFE_INTEGER, 1],
      ]) {
        let code = 'none';
        try {
          file.read(new Uint8Array(length), offset);
        } catch (error) {
          code = /** @type {any} */ (error).code;
        }
        expectEqual(code, 'read_failed', `read ${offset}+${length}`);
      }
      file.close();
    },
  },
  {
    name: 'an uncommitted file does not exist and an aborted one leaves nothing',
    async run(backend) {
      const writer = await backend.createWriter('m1/a.bin');
      await writer.write(pattern(5, 3));
      expectEqual(await listed(backend), [], 'list before commit');
      expectEqual((await rejection(backend.open('m1/a.bin'))).code, 'not_found', 'open before commit');
      await writer.abort();
      expectEqual(await listed(backend), [], 'list after abort');
    },
  },
  {
    name: 'a commit replaces the older file, an abort keeps it',
    async run(backend) {
      await store(backend, 'm1/a.bin', pattern(1000, 4), 100);
      const writer = await backend.createWriter('m1/a.bin');
      await writer.write(pattern(10, 5));
      expect(same(await blobOf(backend, 'm1/a.bin'), pattern(1000, 4)), 'the old file changed before commit');
      await writer.abort();
      expect(same(await blobOf(backend, 'm1/a.bin'), pattern(1000, 4)), 'the old file changed by abort');
      await store(backend, 'm1/a.bin', pattern(20, 6), 7);
      expect(same(await blobOf(backend, 'm1/a.bin'), pattern(20, 6)), 'the new file differs');
      expectEqual(await listed(backend), ['m1/a.bin:20'], 'list');
    },
  },
  {
    name: 'a commit may name the file, which then replaces the older one of that name and no other',
    async run(backend) {
      for (const path of ['m1/a', 'm1/a.new', 'm2/a.new']) await store(backend, path, pattern(30, 4), 30);
      const writer = await backend.createWriter('m1/a');
      await writer.write(pattern(10, 5));
      await writer.commit('a.new');
      expectEqual((await listed(backend)).sort(), ['m1/a.new:10', 'm1/a:30', 'm2/a.new:30'], 'list');
      expect(same(await blobOf(backend, 'm1/a.new'), pattern(10, 5)), 'the new file differs');
      expect(same(await blobOf(backend, 'm1/a'), pattern(30, 4)), 'another file changed');
    },
  },
  {
    name: 'a writer may be reused for the same path after an abort, and the chunk buffer after each write',
    async run(backend) {
      const first = await backend.createWriter('m1/a.bin');
      await first.write(pattern(3000, 7));
      await first.abort();
      const chunk = new Uint8Array(4);
      const writer = await backend.createWriter('m1/a.bin');
      for (let i = 0; i < 3; ++i) {
        chunk.fill(i);
        await writer.write(chunk);
      }
      chunk.fill(9);
      await writer.commit();
      expectEqual([...(await blobOf(backend, 'm1/a.bin'))], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], 'bytes');
    },
  },
  {
    name: 'a writer that was left behind its mark is gone on with from there, where the backend can',
    async run(backend) {
      const bytes = pattern(kLarge, 12);
      const mark = 4 << 20;
      const left = await backend.createWriter('m1/a', { mark, resume: false });
      expectEqual(left.resumed, 0, 'resumed by the first one');
      await left.write(bytes.subarray(0, mark + 7));
      await left.leave();
      expectEqual(await listed(backend), [], 'list after leaving');
      const canResume = backend.kind !== 'cache';
      expectEqual(await backend.unfinished('m1'), canResume ? ['m1/a'] : [], 'unfinished');

      const writer = await backend.createWriter('m1/a', { mark, resume: true });
      expectEqual(writer.resumed, canResume ? mark : 0, 'resumed');
      const back = new Uint8Array(writer.resumed);
      await writer.readBack(back.subarray(0, 1000), 0);
      await writer.readBack(back.subarray(1000), 1000);
      expect(same(back, bytes.subarray(0, back.length)), 'bytes read back differ');
      for (let at = back.length; at < kLarge; at += 700_001) await writer.write(bytes.subarray(at, at + 700_001));
      await writer.commit('a.new');
      expect(same(await blobOf(backend, 'm1/a.new'), bytes), 'the whole file differs');
      expectEqual(await backend.unfinished('m1'), [], 'unfinished after the commit');
    },
  },
  {
    name: 'a writer that was left before its mark, or is not to be resumed, begins anew; a shorter file than was left is no longer one',
    async run(backend) {
      const mark = 1000;
      const leave = async (/** @type {number} */ bytes) => {
        const writer = await backend.createWriter('m1/a', { mark, resume: true });
        await writer.write(pattern(bytes, 13));
        await writer.leave();
      };
      await leave(mark);
      expectEqual(await backend.unfinished('m1'), [], 'unfinished at the mark');
      await leave(5000);
      const again = await backend.createWriter('m1/a', { mark, resume: true });
      await again.leave(); // nothing more came
      const short = await backend.createWriter('m1/a', { mark, resume: true });
      await short.write(pattern(3, 14));
      await short.commit();
      expectEqual(await listed(backend), [`m1/a:${backend.kind === 'cache' ? 3 : mark + 3}`], 'the committed file');

      await leave(5000);
      const anew = await backend.createWriter('m1/a', { mark, resume: false });
      expectEqual(anew.resumed, 0, 'resumed unasked');
      await anew.write(pattern(20, 15));
      await anew.leave();
      expectEqual(await backend.unfinished('m1'), [], 'unfinished after a short attempt');
      await leave(5000);
      await (await backend.createWriter('m1/a')).abort();
      expectEqual(await backend.unfinished('m1'), [], 'unfinished after an abort');
      await leave(5000);
      await backend.deleteFolder('m1');
      expectEqual(await backend.unfinished('m1'), [], 'unfinished in a deleted folder');
    },
  },
  {
    name: 'what is before the mark is flushed before a byte behind it is written',
    async run(backend) {
      if (backend.kind !== 'opfs') return; // the others write nothing before the commit
      const { prototype } = /** @type {any} */ (globalThis).FileSystemSyncAccessHandle;
      const { flush } = prototype;
      /** @type {number[]} */
      const sizes = [];
      prototype.flush = function () {
        sizes.push(this.getSize());
        flush.call(this);
      };
      const writer = await backend.createWriter('m1/a', { mark: 1000, resume: false });
      try {
        for (const bytes of [pattern(600, 16), pattern(600, 17), pattern(600, 18)]) await writer.write(bytes);
      } finally {
        prototype.flush = flush;
        await writer.abort();
      }
      expectEqual(sizes, [1000], 'sizes of the file when it was flushed');
    },
  },
  {
    name: 'an empty file is a file',
    async run(backend) {
      await store(backend, 'm1/empty', new Uint8Array(0), 1);
      expectEqual(await listed(backend), ['m1/empty:0'], 'list');
      const file = await backend.open('m1/empty');
      expectEqual(file.size, 0, 'size');
      file.close();
    },
  },
  {
    name: 'delete and deleteFolder take what they name and nothing else',
    async run(backend) {
      for (const path of ['m1/a', 'm1/b', 'm2/a', 'm22/a']) await store(backend, path, pattern(10, 8), 10);
      const unfinished = await backend.createWriter('m2/c');
      await unfinished.write(pattern(10, 9));
      await unfinished.abort();
      await backend.delete('m1/a');
      await backend.delete('m1/never');
      await backend.delete('never/never');
      await backend.deleteFolder('m2');
      await backend.deleteFolder('never');
      expectEqual(await listed(backend), ['m1/b:10', 'm22/a:10'], 'list');
      expectEqual(await backend.list('m1'), [{ path: 'm1/b', bytes: 10 }], 'list of a folder');
      expectEqual(await backend.list('m2'), [], 'list of a folder that is gone');
      expectEqual((await rejection(backend.blob('m1/a'))).code, 'not_found', 'blob of a deleted file');
    },
  },
  {
    name: 'two files are written and a third is read at the same time',
    async run(backend) {
      await store(backend, 'm1/old', pattern(50_000, 10), 5000);
      const writers = await Promise.all([backend.createWriter('m1/x'), backend.createWriter('m1/y')]);
      const file = await backend.open('m1/old');
      for (let i = 0; i < 50; ++i)
        await Promise.all(writers.map((writer, seed) => writer.write(pattern(1000, 100 * seed + i))));
      const target = new Uint8Array(100);
      file.read(target, 49_900);
      expect(same(target, pattern(50_000, 10).subarray(49_900)), 'read while writing differs');
      file.close();
      await Promise.all(writers.map((writer) => writer.commit()));
      const y = await blobOf(backend, 'm1/y');
      expect(same(y.subarray(49_000), pattern(1000, 149)), 'bytes of the second writer differ');
    },
  },
  {
    name: 'one file can be opened twice',
    async run(backend) {
      await store(backend, 'm1/a', pattern(5000, 11), 5000);
      const files = [await backend.open('m1/a'), await backend.open('m1/a')];
      for (const file of files) {
        const target = new Uint8Array(10);
        file.read(target, 4990);
        expect(same(target, pattern(5000, 11).subarray(4990)), 'bytes differ');
      }
      for (const file of files) file.close();
      await backend.deleteFolder('m1');
      expectEqual(await listed(backend), [], 'list');
    },
  },
];

/**
 * 500 downloads under random faults: cut and silent connections, busy servers, short, long and damaged bodies, servers without
 * ranges, files that change, visits that end at any moment. Each must end with the right bytes or one clear error, having fetched
 * little more than the file. SEED=n RUN=m in the environment repeats one of them.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TesseraError } from '../../web/base/errors.js';
import { openModel } from '../../web/store/open-model.js';
import { verify } from '../../web/store/verify-model.js';
import * as models from '../../web/store/models.js';
import { FaultyServer } from './faulty-server.mjs';
import { sharedMemory, startLaneHere } from './lane-here.mjs';
import { modelPattern, pattern } from './store-contract.mjs';

const kSeed = Number(process.env.SEED ?? 6);
const kRuns = 500;
const kSlices = 10;
const kMostVisits = 30;
const kChunk = 4096;
const kParallel = 2;
const kErrors = ['network', 'http', 'hash_mismatch', 'size_mismatch', 'changed', 'aborted', 'manifest_invalid'];
const kTransport = /** @type {const} */ ([
  'cut',
  'stall',
  'drop',
  'busy',
  'broken',
  'slow-down',
  'short',
  'long',
  'no-length',
]);

/** @param {number} seed @returns {() => number} the same numbers in [0, 1) for the same seed (mulberry32) */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @type {FaultyServer} */
let server;
/**
 * Of all bodies of model files so far, as the store took them. What the server sent is no measure of it: these chunks are so small that
 * all of a lane's answers lie in the sockets when a visit ends, and how many do depends on the machine's load.
 */
let takenBytes = 0;
const realFetch = globalThis.fetch;

/** @type {typeof fetch} */
const countingFetch = async (...request) => {
  const response = await realFetch(...request);
  const { body } = response;
  if (!body || response.url.endsWith('.json')) return response;
  const getReader = /** @type {(mode?: any) => any} */ (body.getReader.bind(body));
  const countingReader = (/** @type {any} */ mode) => {
    const reader = getReader(mode);
    const read = reader.read.bind(reader);
    reader.read = async (/** @type {any[]} */ ...view) => {
      const piece = await read(...view);
      takenBytes += piece.value?.length ?? 0;
      return piece;
    };
    return reader;
  };
  Object.assign(body, { getReader: countingReader });
  return response;
};

before(async () => {
  server = await new FaultyServer().start();
  globalThis.fetch = countingFetch;
});
after(() => {
  globalThis.fetch = realFetch;
  return server.stop();
});

/**
 * The world of one run: what the server has, and how it misbehaves.
 * @param {number} run
 */
function makeWorld(run) {
  const next = random(kSeed * 1000 + run);
  const pick = (/** @type {number} */ below) => Math.floor(next() * below);
  const bytes = kChunk * 10 + pick(kChunk * 40);
  const file = modelPattern(bytes, run);
  const sharded = next() < 0.4;
  const path = sharded ? `/m${run}/manifest.json` : `/f${run}.gguf`;
  if (sharded) server.addModel(file, kChunk, `/m${run}`, run % 3 > 0);
  else server.files.set(path, file);
  const world = {
    twoThreads: run % 2 === 1,
    perRequest: 1 + 2 * pick(2),
    next,
    pick,
    path,
    sharded,
    file,
    faultRate: next() * 0.25,
    /** What faults may cost, in chunks. */
    faultChunks: 0,
    wholes: 0,
    changes: 0,
    earlier: /** @type {Uint8Array[]} */ ([]),
    lostToChange: 0,
  };
  server.ranges = next() < 0.85;
  server.etags.set(path, '"1"');
  server.nextFault = () => {
    if (next() >= world.faultRate) return 'ok';
    const fault = anyFault();
    // Which of a body's bytes are the wanted ones nobody knows when there are too many: all of its chunks come again.
    world.faultChunks += fault === 'long' && world.perRequest > 1 ? world.perRequest + 1 : 1;
    if (fault === 'no-range') ++world.wholes;
    return fault;
  };
  const anyFault = () => {
    // Damage can be seen only where a hash was announced; ranges vanish only where they were.
    if (sharded && next() < 0.2) return 'wrong-bytes';
    if (server.ranges && next() < 0.02) return 'no-range';
    if (!sharded && !server.ranges) return kTransport[pick(6)]; // nothing says how long the body should have been
    return kTransport[pick(kTransport.length)];
  };
  return world;
}

/** @param {ReturnType<typeof makeWorld>} world the file on the server becomes another one, of the same size */
function changeFile(world) {
  const next = pattern(world.file.length, 10_000 + world.pick(1000));
  next.set(world.file.subarray(0, 4));
  world.earlier.push(world.file);
  world.file = next;
  server.files.set(world.path, next);
  server.etags.set(world.path, `"${++world.changes + 1}"`);
  world.lostToChange = takenBytes;
}

/**
 * One visit of a reader, which may end at any moment. What the store has then is all that the next one finds.
 * @param {ReturnType<typeof makeWorld>} world
 * @param {import('../../web/store/contract.js').Backend} backend
 * @returns {Promise<Uint8Array | TesseraError>}
 */
async function visit(world, backend) {
  const controller = new AbortController();
  const ends = world.next() < 0.3 ? setTimeout(() => controller.abort(), world.pick(12)) : undefined;
  if (ends) ++world.faultChunks; // of each lane half a chunk is lost at most
  try {
    const network = {
      retries: 2,
      backoffMs: 1,
      stallMs: 100,
      chunkBytes: kChunk,
      chunksPerRequest: world.perRequest,
      parallel: kParallel,
    };
    const options = { signal: controller.signal };
    const startLane = world.twoThreads ? () => startLaneHere(backend) : undefined;
    const model = await openModel(server.url + world.path, options, { backend, network, startLane });
    const bytes = new Uint8Array(model.parts[0].size);
    model.parts[0].read(bytes, 0);
    await model.close();
    return bytes;
  } catch (error) {
    assert(error instanceof TesseraError && kErrors.includes(error.code), String(error));
    assert(error.message !== '');
    return error;
  } finally {
    clearTimeout(ends);
  }
}

/**
 * Behind the page's back: a chunk vanishes, a chunk is damaged, a record is torn.
 * @param {ReturnType<typeof makeWorld>} world
 * @param {import('../../web/store/contract.js').Backend} backend
 */
async function disturb(world, backend) {
  const files = await backend.list();
  const victim = files[world.pick(files.length)];
  if (!victim) return;
  ++world.faultChunks;
  if (victim.path.includes('/record-')) {
    if (!world.sharded) world.lostToChange = takenBytes; // nobody knows any more which file the chunks are of
    await overwrite(backend, victim.path, pattern(20, 1));
  } else if (world.next() < 0.5) {
    await backend.delete(victim.path);
  } else {
    await overwrite(backend, victim.path, pattern(victim.bytes, 3));
    // The store trusts its disk between two checks; a reader who has doubts asks for one.
    const [{ id }] = await models.list(backend);
    await verify(id, backend);
  }
}

/**
 * @param {import('../../web/store/contract.js').Backend} backend
 * @param {string} path
 * @param {Uint8Array} bytes
 */
async function overwrite(backend, path, bytes) {
  const writer = await backend.createWriter(path);
  await writer.write(bytes);
  await writer.commit();
}

/** @param {number} run @returns {Promise<'loaded' | 'refused'>} */
async function play(run) {
  const world = makeWorld(run);
  const backend = sharedMemory();
  takenBytes = 0;
  for (let visits = 1; ; ++visits) {
    const result = await visit(world, backend);
    if (result instanceof Uint8Array) {
      // A visit may have ended when all of the earlier file was there: that one is then what the reader has, and never a mixture.
      const right = [world.file, ...world.earlier].some((file) => Buffer.compare(result, file) === 0);
      assert(right, `run ${run}: wrong bytes were loaded`);
      const { length } = world.file;
      const fetched = takenBytes - world.lostToChange;
      const limit = 1.1 * length + world.faultChunks * kChunk + kChunk;
      // Without ranges nothing but the whole file can be had again.
      if (server.ranges && world.wholes === 0)
        assert(fetched <= limit, `run ${run}: ${fetched} bytes for ${length}, faults for ${world.faultChunks} chunks`);
      return 'loaded';
    }
    if (visits === kMostVisits) return 'refused';
    if (world.next() < 0.1) await disturb(world, backend);
    if (!world.sharded && world.changes === 0 && world.next() < 0.05) changeFile(world);
  }
}

const runs = Array.from({ length: kRuns }, (_, run) => run);
const only = process.env.RUN === undefined ? null : Number(process.env.RUN);

for (let slice = 0; slice < kSlices; ++slice) {
  const own = runs.filter((run) => (only === null ? run % kSlices === slice : run === only && slice === 0));
  test(`${own.length} downloads under random faults, ${slice + 1} of ${kSlices}`, { timeout: 60_000 }, async () => {
    const results = [];
    for (const run of own) results.push(await play(run));
    const loaded = results.filter((result) => result === 'loaded').length;
    assert(loaded >= own.length * 0.8, `only ${loaded} of ${own.length} came to their end`);
  });
}

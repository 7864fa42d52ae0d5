/**
 * What older versions left in a store, and what becomes of it: a suite that runs anywhere a backend does, as the contract does. The
 * forms are written down here by hand, as they were stored then; web/store/records.js knows only today's.
 *
 * | since      | record                                                    | what this version does with it                            |
 * | ---------- | --------------------------------------------------------- | --------------------------------------------------------- |
 * | 2026-11-23 | record.json, version 1; files named SHA-256 or model.gguf | says so and begins anew; the old files go                 |
 * | 2026-11-23 | record-N.json, version 2; a chunk's hash is its SHA-256   | reads it, completes it, repairs it                        |
 * | 2026-11-25 | with blockBytes; of one-chunk shards too                  | reads it and repairs it; incomplete shards begin anew     |
 * | 2026-11-25 | with blockBytes but for one-chunk shards: today's form    | reads it                                                  |
 * | later      | of a version to come, or torn                             | begins anew, but for shards whose hash says what they are |
 */
import { hashText, sha256 } from '../../web/store/hash.js';
import * as models from '../../web/store/models.js';
import { modelId } from '../../web/store/addresses.js';
import { openModel } from '../../web/store/open-model.js';
import { verify } from '../../web/store/verify-model.js';
import { expect, expectEqual, modelPattern, pattern } from './store-contract.mjs';

/** @typedef {import('../../web/store/contract.js').Backend} Backend */

/** The model that the server has: at old/plain.gguf, and in shards of this size at old/manifest.json. */
export const kOldShard = 30_000;
export const kOldFile = modelPattern(100_000, 12);

const kShards = [0, 1, 2, 3].map((i) => kOldFile.slice(i * kOldShard, (i + 1) * kOldShard));
const kChunk = 8000;
const kBlock = 1024;

/** @param {Uint8Array<ArrayBuffer>} bytes the hash in blocks, as it was first published in manifests */
async function blocksHash(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += kBlock) text += await sha256(bytes.slice(at, at + kBlock));
  return hashText(text);
}

/**
 * One visit, as a page of today makes it.
 * @param {Visitor} visitor
 * @param {import('../../web/store/network.js').NetworkOptions} [network]
 */
async function visit({ backend, url }, network = {}) {
  const { fetch } = globalThis;
  let fetched = 0;
  let note = '';
  globalThis.fetch = async (...call) => {
    const response = await fetch(...call);
    if (!String(call[0]).endsWith('.json')) fetched += Number(response.headers.get('content-length'));
    return response;
  };
  try {
    const onProgress = (/** @type {import('../../web/store/progress.js').Progress} */ event) => {
      if (event.note) note = event.note;
    };
    const model = await openModel(url, { onProgress }, { backend, network: { retries: 0, ...network } });
    const bytes = new Uint8Array(model.parts[0].size);
    model.parts[0].read(bytes, 0);
    await model.close();
    expect(bytes.length === kOldFile.length && bytes.every((byte, i) => byte === kOldFile[i]), 'wrong bytes');
  } finally {
    globalThis.fetch = fetch;
  }
  const id = await modelId(url);
  expectEqual(await verify(id, backend), { ok: true, badShards: [], missingShards: [] }, 'verify after the visit');
  const [entry, ...others] = await models.list(backend);
  expectEqual([entry.complete, entry.storedBytes, others.length], [true, kOldFile.length, 0], 'the list');
  return { fetched, note };
}

/**
 * @typedef {object} Visitor
 * @property {Backend} backend
 * @property {string} url of the model
 * @property {(name: string, content: Uint8Array | object | string) => Promise<void>} put a file into its folder
 */

/**
 * @param {Backend} backend
 * @param {string} url
 * @returns {Visitor}
 */
function visitorOf(backend, url) {
  return {
    backend,
    url,
    async put(name, content) {
      const text = typeof content === 'string' ? content : JSON.stringify(content);
      const bytes = content instanceof Uint8Array ? content : new TextEncoder().encode(text);
      const writer = await backend.createWriter(`${await modelId(url)}/${name}`);
      await writer.write(bytes);
      await writer.commit();
    },
  };
}

/**
 * A source as version 2 wrote it.
 * @param {Visitor} visitor
 * @param {object} form
 * @param {Uint8Array<ArrayBuffer>} form.bytes
 * @param {number} form.chunkBytes
 * @param {string} form.path
 * @param {string} [form.key] default: a shard's
 * @param {number} [form.blockBytes]
 * @param {(index: number) => boolean} [form.kept] which chunks are there; all of them: the source is pinned
 */
async function writeSource(visitor, { bytes, chunkBytes, path, key, blockBytes, kept }) {
  const whole = await sha256(bytes);
  const hashOf = blockBytes ? blocksHash : sha256;
  const pins = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const chunk = bytes.slice(at, at + chunkBytes);
    const name = `${key ?? whole.slice(0, 32)}.${pins.length}.${await hashOf(chunk)}`;
    if (!kept || kept(pins.length)) await visitor.put(name, chunk);
    pins.push(await hashOf(chunk));
  }
  const oneHash = pins.length === 1 ? pins[0] : whole;
  return {
    key: key ?? whole.slice(0, 32),
    path,
    urls: [new URL(path, visitor.url).href],
    bytes: bytes.length,
    sha256: key ? null : oneHash,
    chunkBytes,
    blockBytes,
    validator: '',
    whole: false,
    pins: kept ? null : pins,
  };
}

/**
 * @param {Visitor} visitor
 * @param {object} form
 * @param {number} [form.chunkBytes] default: a chunk a shard
 * @param {number} [form.blockBytes]
 * @param {(index: number) => boolean} [form.kept]
 */
async function writeShards(visitor, { chunkBytes, ...form }) {
  const sources = [];
  for (const [i, bytes] of kShards.entries()) {
    const path = `shard-00${i}.bin`;
    sources.push(await writeSource(visitor, { bytes, path, chunkBytes: chunkBytes ?? bytes.length, ...form }));
  }
  await visitor.put('record-4.json', { version: 2, url: visitor.url, name: 'Test model', split: false, sources });
}

/**
 * @param {Visitor} visitor
 * @param {(index: number) => boolean} [kept]
 */
async function writePlain(visitor, kept) {
  const source = { bytes: kOldFile, chunkBytes: kChunk, path: 'plain.gguf', key: 'f0', kept };
  const sources = [await writeSource(visitor, source)];
  await visitor.put('record-2.json', { version: 2, url: visitor.url, name: 'plain.gguf', split: false, sources });
}

/**
 * @param {Visitor} visitor
 * @param {number} bytes of the chunk of that size that is to be damaged
 */
async function damage({ backend, url }, bytes) {
  const files = await backend.list(await modelId(url));
  const victim =
    files.find((file) => file.bytes === bytes && file.path.includes('.1.')) ??
    files.find((file) => file.bytes === bytes);
  const writer = await backend.createWriter(String(victim?.path));
  await writer.write(pattern(bytes, 99));
  await writer.commit();
  expectEqual((await verify(await modelId(url), backend)).badShards.length, 1, 'damaged shards');
}

/** All is fetched, and the visitor hears why. @param {Visitor} visitor */
async function expectBegunAnew(visitor) {
  const { fetched, note } = await visit(visitor);
  expectEqual([fetched, note.includes('older version')], [kOldFile.length, true], 'visit');
}

/**
 * All is read, and a damaged chunk of that size fetched again alone.
 * @param {Visitor} visitor
 * @param {number} bytes
 */
async function expectReadAndRepaired(visitor, bytes) {
  expectEqual(await visit(visitor), { fetched: 0, note: '' }, 'first visit');
  await damage(visitor, bytes);
  expectEqual(await visit(visitor), { fetched: bytes, note: '' }, 'after the damage');
}

/** @type {{name: string, path: string, run: (visitor: Visitor) => Promise<void>}[]} each begins with an empty backend */
const kCases = [
  {
    name: 'version 1, shards: begun anew, which is said; its files go',
    path: 'manifest.json',
    async run(visitor) {
      const parts = [];
      for (const [i, bytes] of kShards.entries()) {
        const hash = await sha256(bytes);
        await visitor.put(hash, bytes);
        parts.push({ file: hash, path: `shard-00${i}.bin`, bytes: bytes.length, sha256: hash });
      }
      await visitor.put('record.json', { version: 1, url: visitor.url, name: 'Test model', manifest: {}, parts });
      await visitor.put('used.json', '1795400000000');
      const [entry] = await models.list(visitor.backend);
      expectEqual(
        [entry.complete, entry.storedBytes > kOldFile.length, entry.lastUsed],
        [false, true, 1795400000000],
        'list',
      );
      await expectBegunAnew(visitor);
    },
  },
  {
    name: 'version 1, a plain file: begun anew, which is said; its file goes',
    path: 'plain.gguf',
    async run(visitor) {
      await visitor.put('model.gguf', kOldFile);
      const part = { file: 'model.gguf', path: 'plain.gguf', bytes: kOldFile.length, sha256: await sha256(kOldFile) };
      const record = { version: 1, url: visitor.url, name: 'plain.gguf', manifest: null, parts: [part] };
      await visitor.put('record.json', record);
      await expectBegunAnew(visitor);
    },
  },
  {
    name: 'chunks with their own SHA-256, a plain file: read, and repaired chunk by chunk',
    path: 'plain.gguf',
    async run(visitor) {
      await writePlain(visitor);
      await expectReadAndRepaired(visitor, kChunk);
    },
  },
  {
    name: 'chunks with their own SHA-256, half of a plain file: only the rest is fetched',
    path: 'plain.gguf',
    async run(visitor) {
      await writePlain(visitor, (index) => index < 6);
      expectEqual(await visit(visitor), { fetched: kOldFile.length - 6 * kChunk, note: '' }, 'visit');
    },
  },
  {
    name: 'chunks with their own SHA-256, some of each shard: only the rest is fetched, and in chunks of that size',
    path: 'manifest.json',
    async run(visitor) {
      await writeShards(visitor, { chunkBytes: kChunk, kept: (index) => index !== 1 });
      // Of the last shard, which is smaller than that, chunk 1 is 2000 bytes.
      expectEqual(await visit(visitor), { fetched: 3 * kChunk + 2000, note: '' }, 'visit');
      await damage(visitor, kChunk);
      expectEqual(await visit(visitor), { fetched: kChunk, note: '' }, 'after the damage');
    },
  },
  {
    name: 'shards with a hash in blocks from the manifest: read, and repaired alone',
    path: 'manifest.json',
    async run(visitor) {
      await writeShards(visitor, { blockBytes: kBlock });
      await expectReadAndRepaired(visitor, kOldShard);
    },
  },
  {
    name: 'shards with a hash in blocks from the manifest, not pinned yet: begun anew, which is said',
    path: 'manifest.json',
    async run(visitor) {
      await writeShards(visitor, { blockBytes: kBlock, kept: () => true });
      await expectBegunAnew(visitor);
    },
  },
  {
    name: 'chunks of shards whose record is torn: no two kinds of hash are mixed',
    path: 'manifest.json',
    async run(visitor) {
      await writeShards(visitor, { chunkBytes: kChunk, kept: (index) => index !== 1 });
      await visitor.put('record-4.json', '{"version":2,"url":');
      const { fetched } = await visit(visitor, { chunkBytes: kChunk });
      expectEqual(fetched, kOldFile.length, 'fetched');
    },
  },
  ...[
    { version: 3, name: 'x', url: 'x', sources: [{}] },
    '7',
    '',
    { version: 2, url: 'x', name: 'y', sources: [{ key: 'f0' }] },
  ].map((content) => ({
    name: `a record that nobody can read: ${JSON.stringify(content)}`,
    path: 'manifest.json',
    async run(/** @type {Visitor} */ visitor) {
      await writeShards(visitor, {});
      await visitor.put('record-4.json', content);
      expectEqual(await visit(visitor), { fetched: 0, note: '' }, 'visit: each shard has the hash of the manifest');
    },
  })),
];

/** @type {{name: string, run: (backend: Backend, base: string) => Promise<void>}[]} base: the server's address, with a slash at its end */
export const oldRecords = kCases.map(({ name, path, run }) => ({
  name,
  run: (backend, base) => run(visitorOf(backend, `${base}old/${path}`)),
}));

/** A real local server that misbehaves on cue, for the download tests. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

const kBlockBytes = 512 << 10;

/** @param {Uint8Array} bytes */
export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * @param {string} hash the SHA-256 of all bytes
 * @param {Uint8Array} bytes
 * @returns {string} a manifest's sha256_blocks
 */
export function inBlocksOf(hash, bytes) {
  let text = hash;
  for (let at = 0; at < bytes.length; at += kBlockBytes) text += sha256(bytes.subarray(at, at + kBlockBytes));
  return sha256(new TextEncoder().encode(text));
}

/**
 * @typedef {'ok' | 'wrong-bytes' | 'short' | 'long' | 'not-found' | 'busy' | 'slow-down' | 'broken' | 'cut' | 'drop' | 'stall' | 'slow' |
 *   'gzip' | 'no-length' | 'no-range'} Fault no-range: the whole file, whatever was asked
 */

/** Of the few files that are no models. @type {Record<string, string>} */
const kTypes = { js: 'text/javascript', html: 'text/html', json: 'application/json' };
const kStatus = { busy: 503, broken: 500, 'slow-down': 429 };

export class FaultyServer {
  /** @type {Map<string, Uint8Array>} */
  files = new Map();
  /** @type {Map<string, Fault[]>} path → what the next requests for it get; then it behaves */
  faults = new Map();
  /** Asked when the list of a path is empty. @type {(path: string) => Fault} */
  nextFault = () => 'ok';
  /** @type {Map<string, string>} path → ETag */
  etags = new Map();
  /** Whether ranges of files can be had. */
  ranges = true;
  /** As a foreign server that does not expose it: ranges come without Content-Range. */
  hidesRange = false;
  /** path → another address. @type {Map<string, string>} */
  redirects = new Map();
  /** Whether pages of other sites may read the answers, though not ask with headers of their own. */
  shared = false;
  /** How much of a body comes before a connection falls silent. */
  stallPart = 0.5;
  /** @type {string[]} paths in the order of their requests */
  requests = [];
  /** @type {import('node:http').IncomingHttpHeaders[]} of the same requests */
  asked = [];
  /** Of all bodies of model files so far, as they were put on the wire. */
  sentBytes = 0;
  #server = createServer((request, response) => this.#answer(request, response).catch(() => response.destroy()));
  url = '';

  async start() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve(undefined)));
    this.url = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (this.#server.address()).port}`;
    return this;
  }

  async stop() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /**
   * @param {Uint8Array} file
   * @param {number} shardBytes
   * @param {string} [folder]
   * @param {boolean} [inBlocks] whether the manifest has the shards' hashes in blocks, too, as `tessera split` writes them
   * @returns {any} the manifest, which is served as folder/manifest.json
   */
  addModel(file, shardBytes, folder = '/m', inBlocks = true) {
    const shards = [];
    for (let offset = 0; offset < file.length; offset += shardBytes) {
      const bytes = file.subarray(offset, offset + shardBytes);
      /** @type {string} */
      const path = `shard-${String(shards.length).padStart(3, '0')}.bin`;
      this.files.set(`${folder}/${path}`, bytes);
      const hash = sha256(bytes);
      shards.push({
        path,
        offset,
        bytes: bytes.length,
        sha256: hash,
        ...(inBlocks && { sha256_blocks: inBlocksOf(hash, bytes) }),
      });
    }
    const manifest = {
      format: 'tessera-shards',
      version: 1,
      name: 'Test model',
      architecture: 'llama',
      quantization: 'Q4_1',
      license: 'apache-2.0',
      file: { name: 'test.gguf', bytes: file.length, sha256: sha256(file) },
      context_length: 2048,
      shards,
      chat_template: true,
    };
    this.setManifest(manifest, folder);
    return manifest;
  }

  /**
   * @param {unknown} manifest
   * @param {string} [folder]
   */
  setManifest(manifest, folder = '/m') {
    this.files.set(`${folder}/manifest.json`, new TextEncoder().encode(JSON.stringify(manifest)));
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  async #answer(request, response) {
    const path = new URL(request.url ?? '/', this.url).pathname;
    this.requests.push(path);
    this.asked.push(request.headers);
    const elsewhere = this.redirects.get(path);
    if (elsewhere) return void response.writeHead(302, { Location: elsewhere }).end();
    if (this.shared) {
      response.setHeader('Access-Control-Allow-Origin', '*');
      response.setHeader('Access-Control-Expose-Headers', 'ETag, Content-Range');
    }
    const fault = this.faults.get(path)?.shift() ?? this.nextFault(path);
    const file = this.files.get(path);
    if (fault === 'drop') return void response.destroy();
    if (fault === 'busy' || fault === 'broken' || fault === 'slow-down')
      return void response.writeHead(kStatus[fault]).end();
    if (!file || fault === 'not-found') return void response.writeHead(404).end('nothing here');
    response.setHeader('Content-Type', kTypes[path.split('.').pop() ?? ''] ?? 'application/octet-stream');
    const etag = this.etags.get(path);
    if (etag) response.setHeader('ETag', etag);
    const ranged = this.ranges && fault !== 'no-range';
    const range = ranged ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') : null;
    const start = Number(range?.[1] ?? 0);
    const end = range?.[2] ? Math.min(Number(range[2]) + 1, file.length) : file.length;
    if (range && start >= end) return void response.writeHead(416, { 'Content-Range': `bytes */${file.length}` }).end();
    response.statusCode = range ? 206 : 200;
    if (range && !this.hidesRange) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${file.length}`);
    if (request.method === 'HEAD') return void response.setHeader('Content-Length', file.length).end();
    await this.#send(file.subarray(start, end), fault, response, !path.endsWith('.json'));
  }

  /**
   * @param {Uint8Array} bytes
   * @param {Fault} fault
   * @param {import('node:http').ServerResponse} response
   * @param {boolean} counts
   */
  async #send(bytes, fault, response, counts) {
    const send = (/** @type {Uint8Array} */ piece) => {
      if (counts) this.sentBytes += piece.length;
      response.write(piece);
    };
    const half = bytes.subarray(0, bytes.length >> 1);
    if (fault === 'gzip') {
      const packed = gzipSync(bytes);
      response.setHeader('Content-Encoding', 'gzip').setHeader('Content-Length', packed.length);
      send(packed);
    } else if (fault === 'wrong-bytes') {
      send(bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte)));
    } else if (fault === 'short') {
      send(half);
    } else if (fault === 'long') {
      send(Buffer.concat([bytes, half]));
    } else if (fault === 'no-length') {
      send(half);
      send(bytes.subarray(half.length));
    } else {
      response.setHeader('Content-Length', bytes.length);
      // The connection stays open and silent.
      if (fault === 'stall') return send(bytes.subarray(0, Math.floor(bytes.length * this.stallPart)));
      if (fault === 'cut') {
        send(half);
        await sleep(20);
        return void response.destroy();
      }
      const step = fault === 'slow' ? Math.ceil(bytes.length / 20) : bytes.length;
      for (let i = 0; i < bytes.length; i += step) {
        send(bytes.subarray(i, i + step));
        if (fault === 'slow') await sleep(15);
      }
    }
    response.end();
  }
}

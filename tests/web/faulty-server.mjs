/** A real local server that misbehaves on cue, for the download tests. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

/** @param {Uint8Array} bytes */
export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * @typedef {'ok' | 'wrong-bytes' | 'short' | 'long' | 'not-found' | 'busy' | 'cut' | 'stall' | 'slow' | 'gzip' | 'no-length'} Fault
 */

export class FaultyServer {
  /** @type {Map<string, Uint8Array>} */
  files = new Map();
  /** @type {Map<string, Fault[]>} path → what the next requests for it get; then it behaves */
  faults = new Map();
  /** @type {string[]} paths in the order of their requests */
  requests = [];
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
   * @returns {any} the manifest, which is served as folder/manifest.json
   */
  addModel(file, shardBytes, folder = '/m') {
    const shards = [];
    for (let offset = 0; offset < file.length; offset += shardBytes) {
      const bytes = file.subarray(offset, offset + shardBytes);
      /** @type {string} */
      const path = `shard-${String(shards.length).padStart(3, '0')}.bin`;
      this.files.set(`${folder}/${path}`, bytes);
      shards.push({ path, offset, bytes: bytes.length, sha256: sha256(bytes) });
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
    const fault = this.faults.get(path)?.shift() ?? 'ok';
    const bytes = this.files.get(path);
    if (!bytes || fault === 'not-found') return void response.writeHead(404).end('nothing here');
    if (fault === 'busy') return void response.writeHead(503).end();
    const half = bytes.subarray(0, bytes.length >> 1);
    if (fault === 'wrong-bytes')
      return void response.end(bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte)));
    if (fault === 'short') return void response.end(half);
    if (fault === 'long') return void response.end(Buffer.concat([bytes, half]));
    if (fault === 'gzip') {
      const packed = gzipSync(bytes);
      return void response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': packed.length }).end(packed);
    }
    if (fault === 'no-length') return void (response.write(half), response.end(bytes.subarray(half.length)));
    response.writeHead(200, { 'Content-Length': bytes.length });
    if (fault === 'cut' || fault === 'stall') {
      response.write(half);
      if (fault === 'cut') await sleep(20).then(() => response.destroy());
      return; // stall: the connection stays open and silent
    }
    if (fault === 'slow') {
      const step = Math.ceil(bytes.length / 20);
      for (let i = 0; i < bytes.length; i += step) {
        response.write(bytes.subarray(i, i + step));
        await sleep(15);
      }
      return void response.end();
    }
    response.end(bytes);
  }
}

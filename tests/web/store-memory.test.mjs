/** The store contract, and what older versions left, over the memory backend. */
import { after, before, test } from 'node:test';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import { FaultyServer } from './faulty-server.mjs';
import { kOldFile, kOldShard, oldRecords } from './old-records.mjs';
import { contract } from './store-contract.mjs';

const server = new FaultyServer();
before(async () => {
  await server.start();
  server.addModel(kOldFile, kOldShard, '/old');
  server.files.set('/old/plain.gguf', kOldFile);
});
after(() => server.stop());

for (const { name, run } of contract) test(`memory backend: ${name}`, () => run(createMemoryBackend()));
for (const { name, run } of oldRecords) {
  test(`memory backend, ${name}`, { timeout: 20_000 }, () => run(createMemoryBackend(), `${server.url}/`));
}

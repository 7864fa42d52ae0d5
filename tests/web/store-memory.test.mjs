/** The store contract over the memory backend. */
import { test } from 'node:test';
import { createMemoryBackend } from '../../web/store/memory-backend.js';
import { contract } from './store-contract.mjs';

for (const { name, run } of contract) test(`memory backend: ${name}`, () => run(createMemoryBackend()));

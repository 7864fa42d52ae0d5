// node logits-hash.mjs MODEL IDS: prints the hash of the logits in the relaxed variant, for tests that need a node with flags of its own.
import { loadFile } from './support.mjs';

const [file, ids] = process.argv.slice(2);
const engine = await loadFile(file, { variant: 'relaxed', threads: 1 });
process.stdout.write((await engine.logits(JSON.parse(ids))).hash);
await engine.dispose();

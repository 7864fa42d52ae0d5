// Owns how the golden tests drive the native command line: where it is, running it, and its JSON.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const program = process.env.TESSERA_CLI ?? path.join(root, 'build/native/tessera');
export const tinyLlama = path.join(root, 'tests/data/tiny-llama.gguf');
export const tinyGemma = path.join(root, 'tests/data/tiny-gemma3.gguf');
export const realModels = ['smollm2-135m-instruct-q4_1', 'gemma-3-270m-q4_k_m'];

/** Path of a model that `scripts/get-model` puts there. @param {string} name */
export const modelPath = (name) => path.join(root, 'build/models', `${name}.gguf`);

/** Why tests with this file cannot run, or false; for node's `skip` option. @param {string[]} files */
export function missing(...files) {
  const absent = [program, ...files].find((file) => !existsSync(file));
  return absent ? `${path.relative(root, absent)} is not there` : false;
}

/**
 * Runs the command line to its end.
 * @param {string[]} args
 * @param {{input?: string | Buffer, timeoutMs?: number}} [options]
 * @returns {Promise<{code: number | null, signal: string | null, stdout: string, stderr: string}>}
 */
export function tessera(args, { input = '', timeoutMs = 300_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    /** @type {Buffer[][]} */
    const output = [[], []];
    child.stdout.on('data', (chunk) => output[0].push(chunk));
    child.stderr.on('data', (chunk) => output[1].push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const [stdout, stderr] = output.map((chunks) => Buffer.concat(chunks).toString('utf8'));
      resolve({ code, signal, stdout, stderr });
    });
    child.stdin.on('error', () => {}); // the program may end without reading
    child.stdin.end(input);
  });
}

/** Runs with --json and gives the one object back; rejects with stderr when the program fails. @param {string[]} args @param {Parameters<typeof tessera>[1]} [options] */
export async function json(args, options) {
  const { code, signal, stdout, stderr } = await tessera([...args, '--json'], options);
  if (code !== 0) throw new Error(`tessera ${args.join(' ')} ended with ${code ?? signal}: ${stderr}`);
  return JSON.parse(stdout);
}

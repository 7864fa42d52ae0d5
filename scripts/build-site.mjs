/**
 * Builds build/site/: bundles, WebAssembly modules, page, service worker, notices and the list of models; a folder to copy to any
 * static host. What the page loads first has its hash in its name; tessera* are the public module and keep theirs.
 */
import { build, transform } from 'esbuild';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { checkManifest } from '../web/store/manifest.js';
import { hostFiles, securityHeaders } from './host-headers.mjs';
import { notices } from './notices.mjs';

const kRoot = fileURLToPath(new URL('..', import.meta.url));
const kWasmFiles = ['simd128', 'relaxed'].flatMap((variant) => [`tessera-${variant}.js`, `tessera-${variant}.wasm`]);
const kPages = ['index.html', 'bench.html'];
const kCopied = ['.svg', '.png', '.ico', '.webmanifest'];
const kModels = 'models'; // kept when the site is rebuilt: the shards in it are large and made by `tessera split`
const kMaxGzipBytes = 600_000;
const kPacked = ['.br', '.gz'];
/** Not part of what the service worker keeps: read by people, bundlers and hosts. */
const kNotShell = ['THIRD-PARTY-NOTICES', 'tessera.d.ts', 'models.json', '_headers', 'sw.js'];

/** The page uses the one tessera.js of the site instead of a second copy in its own bundle. */
const sharedModule = {
  name: 'shared-module',
  /** @param {import('esbuild').PluginBuild} pluginBuild */
  setup(pluginBuild) {
    pluginBuild.onResolve({ filter: /^\.\.\/tessera\.js$/ }, () => ({ path: '../tessera.js', external: true }));
  },
};

/**
 * @param {string} site output folder
 * @returns {Promise<{sources: string[], outputs: string[]}>} what went into the bundles, and their paths in the site
 */
async function bundle(site) {
  /** @type {import('esbuild').BuildOptions} */
  const common = {
    absWorkingDir: kRoot,
    outdir: site,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none', // THIRD-PARTY-NOTICES has them in full
    logLevel: 'warning',
    metafile: true,
  };
  const hashed = 'assets/[name]-[hash]';
  const results = await Promise.all([
    build({
      ...common,
      entryNames: hashed,
      chunkNames: hashed,
      entryPoints: { main: 'web/page/main.js', bench: 'web/page/bench.js' },
      splitting: true,
      plugins: [sharedModule],
    }),
    build({ ...common, entryNames: hashed, entryPoints: { main: 'web/page/main.css' } }),
    build({ ...common, entryPoints: { tessera: 'web/tessera.js' } }),
    build({ ...common, entryPoints: { 'tessera-worker': 'web/engine/worker.js' } }),
  ]);
  const made = results.flatMap(({ metafile }) => Object.entries(metafile?.outputs ?? {}));
  return {
    sources: made.flatMap(([, output]) => contributing(output)),
    outputs: made.map(([path]) => relative(site, join(kRoot, path))),
  };
}

/** @param {import('esbuild').Metafile['outputs'][string]} output */
function contributing({ inputs }) {
  return Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : []));
}

/**
 * @param {string} site
 * @param {string | null} wasm folder of the WebAssembly build; null: none yet, for work on the page alone
 */
async function copyFiles(site, wasm) {
  for (const path of await filesBelow(join(kRoot, 'web'))) {
    if (!kCopied.includes(extname(path))) continue;
    await mkdir(dirname(join(site, path)), { recursive: true });
    await cp(join(kRoot, 'web', path), join(site, path));
  }
  await cp(join(kRoot, 'web/tessera.d.ts'), join(site, 'tessera.d.ts'));
  for (const name of wasm === null ? [] : kWasmFiles) {
    const built = join(String(wasm), name);
    const content = await readFile(built).catch(() => {
      throw new Error(`${built} is missing: build the WebAssembly first (scripts/demo does), or use --without-wasm`);
    });
    // Emscripten leaves its glue readable; a third of it is comments and spaces.
    const glue = name.endsWith('.js')
      ? await transform(content, { minify: true, format: 'esm', target: 'es2022' })
      : null;
    await writeFile(join(site, name), glue === null ? content : glue.code);
  }
}

/**
 * A page, with the real names of its files, the icons of index.html and the hosts that models may come from.
 * @param {string} site
 * @param {string} name
 * @param {string[]} outputs
 * @param {string[]} modelHosts
 */
async function writePage(site, name, outputs, modelHosts) {
  let page = await readFile(join(kRoot, 'web', name), 'utf8');
  for (const path of outputs) {
    const [source, extension] = [basename(path).replace(/-[^-]*$/, ''), extname(path)];
    page = page.replace(`"page/${source}${extension}"`, `"${path}"`);
  }
  const [sprite] = /<svg class="sprite"[^]*<\/svg>/.exec(await readFile(join(kRoot, 'web/index.html'), 'utf8')) ?? [''];
  page = page.replace('<!-- sprite: of index.html -->', sprite);
  const policy = securityHeaders(modelHosts)['Content-Security-Policy'];
  // What a page cannot say of itself, only its host's headers.
  const own = policy.split('; ').filter((part) => !part.startsWith('frame-ancestors'));
  page = page.replace(/(http-equiv="Content-Security-Policy"\s+content=")[^"]*/, `$1${own.join('; ')}`);
  await writeFile(join(site, name), page);
}

/**
 * sw.js, which knows every file of this build by its hash.
 * @param {string} site
 */
async function writeServiceWorker(site) {
  /** @type {[string, string][]} */
  const files = [];
  for (const path of await filesBelow(site)) {
    if (path.startsWith(`${kModels}/`) || kNotShell.includes(path)) continue;
    const hash = createHash('sha256').update(await readFile(join(site, path)));
    files.push([path === 'index.html' ? '' : path, `sha256-${hash.digest('base64')}`]);
  }
  const list = JSON.stringify(files);
  const version = createHash('sha256').update(list).digest('hex').slice(0, 12);
  await build({
    absWorkingDir: kRoot,
    entryPoints: ['web/page/service-worker.js'],
    outfile: join(site, 'sw.js'),
    minify: true,
    format: 'iife',
    target: 'es2022',
    define: { 'globalThis.SHELL_FILES': list, 'globalThis.SHELL_VERSION': JSON.stringify(version) },
  });
}

/**
 * Packed copies beside the files, for hosts that can send them as they are.
 * @param {string} site
 */
async function compress(site) {
  for (const path of await filesBelow(site)) {
    if (path.startsWith(`${kModels}/`) || path === '_headers') continue;
    const content = await readFile(join(site, path));
    await writeFile(join(site, `${path}.br`), brotliCompressSync(content));
    await writeFile(join(site, `${path}.gz`), gzipSync(content, { level: 9 }));
  }
}

/**
 * models.json, from the manifests that lie in the site.
 * @param {string} site
 */
async function listModels(site) {
  const models = [];
  const notes = JSON.parse(await readFile(join(kRoot, 'web/model-notes.json'), 'utf8'));
  for (const id of (await readdir(join(site, kModels))).sort()) {
    const path = `${kModels}/${id}/manifest.json`;
    const text = await readFile(join(site, path), 'utf8').catch(() => null);
    if (text === null) continue;
    const manifest = checkManifest(JSON.parse(text));
    const { file, license, architecture, quantization, context_length } = manifest;
    const note = notes[file.sha256];
    const name = note?.name ?? manifest.name;
    const description = note?.description ?? `${architecture}, ${quantization}, context of ${context_length} tokens.`;
    models.push({ id, name, manifest: path, bytes: file.bytes, license, description });
  }
  await writeFile(join(site, 'models.json'), `${JSON.stringify({ models }, null, 2)}\n`);
}

/**
 * @param {string} folder
 * @returns {Promise<string[]>} paths relative to it, sorted
 */
async function filesBelow(folder) {
  const paths = await readdir(folder, { recursive: true });
  const kinds = await Promise.all(paths.map(async (path) => (await stat(join(folder, path))).isFile()));
  return paths.filter((_, index) => kinds[index]).sort();
}

/**
 * @param {string} site
 * @returns {Promise<number>} gzip bytes of everything but the models
 */
async function reportSizes(site) {
  let total = 0;
  for (const path of await filesBelow(site)) {
    if (path.startsWith(`${kModels}/`) || kPacked.includes(extname(path))) continue;
    const content = await readFile(join(site, path));
    const gzip = gzipSync(content, { level: 9 }).length;
    total += gzip;
    console.log(`${String(content.length).padStart(9)} ${String(gzip).padStart(9)}  ${path}`);
  }
  console.log(`site without models: ${total} bytes gzip (limit ${kMaxGzipBytes})`);
  return total;
}

async function main() {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: join(kRoot, 'build/site') },
      wasm: { type: 'string', default: join(kRoot, 'build/wasm') },
      'without-wasm': { type: 'boolean', default: false },
      'model-host': { type: 'string', multiple: true, default: [] },
      compress: { type: 'boolean', default: false },
    },
  });
  const site = resolve(values.out);
  const modelHosts = values['model-host'].map((host) => new URL(host).origin);
  await mkdir(join(site, kModels), { recursive: true });
  for (const name of await readdir(site)) if (name !== kModels) await rm(join(site, name), { recursive: true });
  const { sources, outputs } = await bundle(site);
  await copyFiles(site, values['without-wasm'] ? null : values.wasm);
  for (const name of kPages) await writePage(site, name, outputs, modelHosts);
  await writeFile(join(site, 'THIRD-PARTY-NOTICES'), await notices(kRoot, sources));
  await writeFile(join(site, '_headers'), hostFiles(modelHosts));
  await listModels(site);
  await writeServiceWorker(site);
  if (values.compress) await compress(site);
  if ((await reportSizes(site)) > kMaxGzipBytes) throw new Error('the site is larger than its limit');
}

try {
  await main();
} catch (error) {
  console.error(`error: ${/** @type {Error} */ (error).message}`);
  process.exit(1);
}

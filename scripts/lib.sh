# shellcheck shell=bash
# Shared by the scripts of this folder (source it): where things are, messages, locks, prerequisites, tools, browsers.
# Everything downloaded lives in $cache, outside the repository, so that a fresh clone downloads nothing twice.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${TESSERA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tessera}
jobs=${TESSERA_JOBS:-$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)}

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}
# show_usage USAGE ARGUMENT...: where -h or --help is among the arguments, prints the usage and ends the script.
show_usage() {
  case " ${*:2} " in
    *' -h '* | *' --help '*)
      printf '%s\n' "$1"
      exit 0
      ;;
  esac
}
have() { command -v "$1" >/dev/null 2>&1; }

sha256_of() { # FILE → hex digest
  if have sha256sum; then sha256sum "$1" | cut -d' ' -f1; else shasum -a 256 "$1" | cut -d' ' -f1; fi
}

# lock NAME: at most one script at a time works on $cache/NAME*. The lock goes with the process, so an interrupt frees it.
lock() {
  mkdir -p "$cache"
  if ! have flock; then return 0; fi # macOS: no flock program; two runs at once are then the user's care
  exec 9>"$cache/$1.lock"
  flock -n 9 || {
    say "waiting for another run that prepares $1 ..."
    flock 9
  }
}
unlock() { exec 9>&-; }

# apt_install WHY PACKAGE...: by the system's package manager where that is allowed; false (and a message) where it is not.
apt_install() {
  local why=$1 apt=(apt-get)
  shift
  if ! have apt-get; then
    say "missing: $* ($why); please install it"
    return 1
  fi
  if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      say "missing: $* ($why); no permission to install it: sudo apt-get install $*"
      return 1
    fi
    apt=(sudo -n apt-get)
  fi
  say "installing $* ($why) with apt-get"
  mkdir -p "$cache"
  if ! DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "$@" >"$cache/apt-install.log" 2>&1; then
    "${apt[@]}" update >>"$cache/apt-install.log" 2>&1 || true
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "$@" >>"$cache/apt-install.log" 2>&1 || {
      tail -n 5 "$cache/apt-install.log" >&2
      return 1
    }
  fi
}

version_at_least() { # HAVE WANT → true if HAVE >= WANT (dotted numbers)
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# The prerequisites of README: installed when missing and permitted, else one message that names all of them. A node that is too old
# stays where it is; for the rest of the script another one is before it on the PATH.
need_prerequisites() {
  local missing=() found program
  have cmake || missing+=(cmake)
  have ninja || missing+=(ninja-build)
  have c++ || missing+=(g++)
  have node || missing+=(nodejs)
  have npm || missing+=(npm)
  have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
  [ ${#missing[@]} = 0 ] || apt_install 'needed to build' "${missing[@]}" || die "install the packages named above, then start again"
  found=$(cmake --version | sed -n '1s/[^0-9]*//p')
  version_at_least "$found" 3.25 || die "cmake $found is too old, 3.25 or later is needed"
  found=$(node --version | tr -d v)
  if ! version_at_least "$found" 20; then # Debian 12 has 18
    program=$(private_node "node $found is too old") || die "node $found is too old and node 24 could not be downloaded: install 20 or later, then start again"
    PATH=$(dirname "$program"):$PATH
  fi
}

# python_tools: the pinned tools of scripts/requirements.txt in a private environment; its folder is printed.
python_tools() {
  local list=$root/scripts/requirements.txt dir
  dir=$cache/python-$(sha256_of "$list" | cut -c1-12)
  if [ ! -e "$dir/.ready" ]; then
    (
      lock python
      [ -e "$dir/.ready" ] && exit 0
      say "downloading the Python tools of scripts/requirements.txt (about 80 MB, once) into $dir"
      rm -rf "$dir" && python3 -m venv "$dir" >&2 &&
        "$dir/bin/pip" install --quiet --disable-pip-version-check -r "$list" >&2 && touch "$dir/.ready"
    ) || die "the Python tools could not be installed into $dir"
  fi
  printf '%s\n' "$dir"
}

# A module whose one function is i8x16.relaxed_swizzle: what an engine must accept to run the relaxed variant.
relaxed_probe='process.exit(WebAssembly.validate(new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,123,123,1,123,3,2,1,0,10,11,1,9,0,32,0,32,1,253,128,2,11])) ? 0 : 1)'

# private_node WHY: node 24 from the npm package node-<platform>, in $cache; the path of the program is printed.
private_node() {
  local dir=$cache/node24 platform
  if [ ! -x "$dir/bin/node" ]; then
    platform=$(node -p 'process.platform + "-" + process.arch')
    ( # && throughout, see build
      lock node24
      [ -x "$dir/bin/node" ] && exit 0
      say "$1: downloading node 24 for $platform (about 60 MB, once) into $dir"
      rm -rf "$dir" "$dir.part" && mkdir -p "$dir.part" && cd "$dir.part" &&
        npm pack --loglevel=error "node-$platform@24" >/dev/null &&
        tar -xzf ./*.tgz --strip-components=1 && rm -f ./*.tgz &&
        ./bin/node -e "$relaxed_probe" && mv "$dir.part" "$dir"
    ) || return 1
  fi
  printf '%s\n' "$dir/bin/node"
}

# relaxed_node: a node that runs relaxed SIMD, the one in use or a private one; its path is printed, nothing if there is none.
relaxed_node() {
  if node -e "$relaxed_probe"; then
    command -v node
  else
    private_node "node $(node --version) has no relaxed SIMD" || say "no node with relaxed SIMD: tests of the relaxed variant in node will be skipped"
  fi
}

# find_browser chromium|firefox: path of the program, installed if missing and permitted; false if there is none.
find_browser() {
  local names name
  case $1 in
    chromium) names='chromium chromium-browser google-chrome google-chrome-stable' ;;
    firefox) names='firefox-esr firefox' ;;
  esac
  for name in $names; do
    if have "$name"; then
      command -v "$name"
      return 0
    fi
  done
  apt_install "the browser for tests/browser" "${names%% *}" || return 1
  command -v "${names%% *}"
}

# use_toolchain: emcc and TESSERA_NODE24 for this script.
use_toolchain() {
  local exports
  exports=$("$root/scripts/toolchain" --env)
  eval "$exports"
}

# npm_packages: node_modules as the lock file says; nothing to do when it was installed after the lock file last changed.
npm_packages() {
  [ "$root/node_modules/.package-lock.json" -nt "$root/package-lock.json" ] && return 0
  say "npm: installing the packages of package-lock.json"
  (cd "$root" && npm ci --no-audit --no-fund --loglevel=error >&2)
}

# build PRESET [TARGET]: configures and builds one of CMakePresets.json (wasm needs use_toolchain first). With ccache, what any
# clone on this machine has compiled before is not compiled again: paths are made relative, the objects live in $cache.
build() (
  preset=$1 configure=(cmake) launcher=''
  shift
  if have ccache; then
    launcher=ccache
    export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1 CCACHE_MAXSIZE=2G
  fi
  if [ "$preset" = wasm ]; then
    configure=(emcmake cmake)
    # em++ is a script: ccache cannot tell by itself what it is and when the compiler behind it changes.
    export CCACHE_COMPILERTYPE=clang CCACHE_COMPILERCHECK="string:$(emcc --version | head -n 1)"
    # A folder configured with another compiler cannot be taken over.
    if ! grep -qsF "$(dirname "$(command -v emcc)")/" "$root/build/wasm/CMakeCache.txt"; then rm -rf "$root/build/wasm"; fi
  fi
  # && throughout: bash forgets `set -e` in a function whose result is asked for.
  cd "$root" && "${configure[@]}" --preset "$preset" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" >/dev/null &&
    cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$1"}
)

# split_model NAME: build/models/NAME.gguf as shards and manifest for the page, in build/site/models/NAME.
split_model() {
  local file=$root/build/models/$1.gguf out=$root/build/site/models/$1
  [ "$out/manifest.json" -nt "$file" ] && [ "$out/manifest.json" -nt "$root/build/native/tessera" ] && return 0
  rm -rf "$out" "$out.part" && mkdir -p "$(dirname "$out")" &&
    "$root/build/native/tessera" split -m "$file" "$out.part" --shard-size 16M >&2 && mv "$out.part" "$out"
}

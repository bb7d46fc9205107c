#!/usr/bin/env bash
# Configures and builds a preset, with as many jobs as cores and memory allow.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: deploy/ci/build.sh PRESET [CMAKE_ARG...] [--target NAME...]

  PRESET     of CMakePresets.json: release, dev, asan, tsan, fuzz, server-only
  CMAKE_ARG  passed on when configuring, e.g. -DATTUNE_WERROR=OFF
  --target   builds only these targets

Environment:
  ATTUNE_HOME  where deploy/setup.sh unpacked (.attune in the checkout)
USAGE
}

case "${1:-}" in
  -h | --help) usage && exit 0 ;;
  "" | -*) usage >&2 && exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

preset="$1"
shift
configure=("-DATTUNE_DEPS_DIR=${ATTUNE_HOME:-$PWD/.attune}/deps")
while (($#)) && [[ "$1" != --target ]]; do
  configure+=("$1")
  shift
done
# A compiler that includes LibTorch takes up to 2 GB.
jobs=$(awk -v cores="$(nproc)" '/^MemAvailable/ {
  fit = int($2 / 2097152); fit = fit < 1 ? 1 : fit
  print fit < cores ? fit : cores }' /proc/meminfo)
cmake --preset "$preset" "${configure[@]}" --log-level=WARNING
cmake --build --preset "$preset" -j "$jobs" "$@"

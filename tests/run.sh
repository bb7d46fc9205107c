#!/usr/bin/env bash
# Sets up, builds and tests everything. .ci/run calls it.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: tests/run.sh [--only REGEX] [--label REGEX] [--no-setup]

  --only REGEX   build, then only the tests whose name matches
  --label REGEX  build, then only the tests with such a label: unit, torch,
                 integration, deploy
  --no-setup     do not run deploy/setup.sh first

Without --only and --label also: the format of the sources, the scripts,
clang-tidy on the sources that are quick to check, a build of server and client
without LibTorch, and a few seconds of every fuzz target.
Each phase is a script of deploy/ci, or a command that is printed before it runs.
The last line is "N passed, N failed": phases and CTest's tests together.
USAGE
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ctest_args=()
whole=true
setup=true
while (($#)); do
  case "$1" in
    --only | --label)
      [[ $# -ge 2 ]] || { usage >&2 && exit 2; }
      if [[ "$1" == --only ]]; then ctest_args+=(-R "$2"); fi
      if [[ "$1" == --label ]]; then ctest_args+=(-L "$2"); fi
      whole=false
      shift 2
      ;;
    --no-setup) setup=false && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
readonly HOME_DIR="${ATTUNE_HOME:-$PWD/.attune}"
readonly CTEST_XML="$PWD/build/dev/ctest.xml"
export PATH="$HOME_DIR/bin:$PATH"
export ATTUNE_MODELS_DIR="${ATTUNE_MODELS_DIR:-$HOME_DIR/models}"

results=()
passed=0
failed=0

# phase NAME COMMAND...: runs a phase and keeps its result for the summary.
phase() {
  local name="$1" start=$SECONDS result=passed
  shift
  printf '\n=== %s: %s\n' "$name" "$*"
  if "$@"; then
    passed=$((passed + 1))
  else
    result=FAILED
    failed=$((failed + 1))
  fi
  results+=("$(printf '%s %5d s  %s' "$result" $((SECONDS - start)) "$name")")
  [[ "$result" == passed ]]
}

# xml_number NAME: a number of the <testsuite> that CTest wrote, or 0.
xml_number() {
  local number
  number=$(grep -m 1 -oE "\\b$1=\"[0-9]+" "$CTEST_XML" 2>/dev/null) || true
  echo "${number##*\"}" | grep . || echo 0
}

# run_tests COMMAND...: a phase, but every one of CTest's tests counts.
run_tests() {
  local before_passed=$passed before_failed=$failed result=0 tests broken
  rm -f "$CTEST_XML"
  phase "tests" "$@" || result=1
  tests=$(xml_number tests)
  broken=$(xml_number failures)
  if ((tests == 0 || (result == 1 && broken == 0))); then return; fi
  passed=$((before_passed + tests - broken))
  failed=$((before_failed + broken))
}

finish() {
  printf '\n=== summary\n'
  printf '%s\n' "${results[@]}"
  echo "$passed passed, $failed failed"
  exit $((failed > 0))
}

if $setup; then phase "set-up" deploy/setup.sh --dev || finish; fi
if $whole; then
  phase "format" deploy/ci/format.sh || true
  phase "scripts" deploy/ci/scripts.sh || true
fi
phase "build" deploy/ci/build.sh dev || finish
if $whole; then
  phase "clang-tidy" deploy/ci/tidy.sh --sample || true
  phase "server without LibTorch" deploy/ci/server_only.sh || true
  phase "fuzzing" deploy/ci/fuzz.sh --seconds 5 || true
fi
# The tests of the real model skip where it is not.
ATTUNE_BIN_DIR="$PWD/build/dev/bin" phase "model" deploy/import_model.sh || true
run_tests ctest --test-dir build/dev --output-on-failure \
  --output-junit "$CTEST_XML" --no-tests=error -j "$(nproc)" "${ctest_args[@]}"
finish

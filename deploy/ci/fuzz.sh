#!/usr/bin/env bash
# Feeds made-up files to what reads files of others, under AddressSanitizer and
# UndefinedBehaviorSanitizer.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: deploy/ci/fuzz.sh [--seconds N] [--no-build] [TARGET...]

  --seconds N  how long each target runs (60)
  --no-build   runs what was built before
  TARGET...    of tests/fuzz: the NAME of NAME_fuzz.cc; all without any

Each begins with tests/fuzz/corpus/NAME and what earlier runs found, which is
kept in build/fuzz/corpus/NAME. Prints executions per second, the edges of code
that were reached in the end and how many of them the committed corpus does not
reach. A finding (a crash, an error of a sanitizer, more than 10 s or 2 GB for
one input, or something that must hold and does not) makes the exit code 1; its
input is build/fuzz/findings/NAME/*, and NAME_fuzz FILE repeats it.
USAGE
}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=60
build=true
while (($#)); do
  case "$1" in
    --seconds)
      [[ "${2:-}" =~ ^[1-9][0-9]*$ ]] || { usage >&2 && exit 2; }
      seconds="$2"
      shift 2
      ;;
    --no-build) build=false && shift ;;
    -h | --help) usage && exit 0 ;;
    -*) usage >&2 && exit 2 ;;
    *) break ;;
  esac
done
readonly TREE=build/fuzz
readonly SOURCES=tests/fuzz

known=()
for file in "$SOURCES"/*_fuzz.cc; do
  known+=("$(basename "$file" _fuzz.cc)")
done
targets=("$@")
if ((${#targets[@]} == 0)); then targets=("${known[@]}"); fi
for target in "${targets[@]}"; do
  [[ -f "$SOURCES/${target}_fuzz.cc" ]] ||
    { echo "fuzz: no target '$target'; there are: ${known[*]}" >&2 && exit 2; }
done
if $build; then deploy/ci/build.sh fuzz; fi

# What a sanitizer reports is a finding. Inputs that ask for a lot of memory must
# be refused by the code, not by the allocator: so a failed allocation is one too.
export ASAN_OPTIONS="detect_leaks=1:handle_abort=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"

# number LOG PATTERN: the last number that follows PATTERN in a log, or 0.
number() {
  local found
  found=$(sed -nE "s/.*$2 *([0-9]+).*/\1/p" "$1" | tail -n 1)
  echo "${found:-0}"
}

# run TARGET: adds a line to `rows`; fails if there is a finding.
run() {
  local target="$1" result=clean
  local corpus="$TREE/corpus/$target" found="$TREE/findings/$target"
  local log="$TREE/$target.log" seeds="$TREE/$target.seeds.log"
  local binary="$TREE/bin/${target}_fuzz"
  local options=(-timeout=10 -rss_limit_mb=2048 -artifact_prefix="$found/")
  local dictionary="$SOURCES/dictionaries/$target.dict"
  mkdir -p "$corpus" "$found"
  if [[ -f "$dictionary" ]]; then options+=(-dict="$dictionary"); fi
  # The committed corpus alone, once, for the comparison.
  if ! "$binary" "${options[@]}" -runs=0 "$SOURCES/corpus/$target" \
    >"$seeds" 2>&1; then
    result=FINDING
    cp "$seeds" "$log"
  elif ! "$binary" "${options[@]}" -max_total_time="$seconds" \
    -print_final_stats=1 -max_len=65536 "$corpus" "$SOURCES/corpus/$target" \
    >"$log" 2>&1; then
    result=FINDING
  fi
  local edges new
  edges=$(number "$log" 'cov:')
  new=$((edges - $(number "$seeds" 'cov:')))
  rows+=("$(printf '%-14s %9s %11s %9s %9s  %s' "$target" \
    "$(number "$log" 'stat::average_exec_per_sec:')" \
    "$(number "$log" 'stat::number_of_executed_units:')" \
    "$edges" "$new" "$result")")
  if [[ "$result" == clean ]]; then return; fi
  rows+=("  log:        $log")
  rows+=("  reproducer: $(sed -nE 's/.*Test unit written to (.*)/\1/p' "$log" |
    tail -n 1)")
  grep -aE -A 12 'finding:|ERROR: |runtime error:' "$log" | head -n 40 >&2
  return 1
}

rows=()
failed=0
for target in "${targets[@]}"; do
  echo "fuzz: $target for $seconds s"
  run "$target" || failed=1
done
printf '\n%-14s %9s %11s %9s %9s  %s\n' target "per s" executions edges new result
printf '%s\n' "${rows[@]}"
exit "$failed"

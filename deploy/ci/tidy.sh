#!/usr/bin/env bash
# Runs clang-tidy with the checks of .clang-tidy.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: deploy/ci/tidy.sh [--build DIR] [--changed | --sample | FILE...]

  --build DIR  build tree of the dev or server-only preset, for the generated
               sources (build/dev)
  --changed    sources that differ from the last commit
  --sample     the sources that are quick to check, which tests/run.sh does:
               those that do not include gRPC, where a file takes seconds and
               not half a minute
  FILE...      these; without any, every source below proto/cc, server, worker
               and client (long)
USAGE
}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=build/dev
select=all
while (($#)); do
  case "$1" in
    --build) build="$2" && shift 2 ;;
    --changed | --sample) select="${1#--}" && shift ;;
    -h | --help) usage && exit 0 ;;
    -*) usage >&2 && exit 2 ;;
    *) break ;;
  esac
done
[[ -d "$build/gen" ]] ||
  { echo "tidy: $build is not built: deploy/ci/build.sh dev" >&2 && exit 1; }

readonly TOPS=(proto/cc server worker client)
if (($#)); then
  files=("$@")
elif [[ "$select" == changed ]]; then
  mapfile -t files < <(
    git diff --name-only --diff-filter=d HEAD -- "${TOPS[@]}" | grep '\.cc$')
elif [[ "$select" == sample ]]; then
  mapfile -t files < <(
    grep -rLE '(grpcpp|\.pb\.h|ATen|torch/)' --include='*.cc' \
      proto/cc server client | sort)
else
  mapfile -t files < <(find "${TOPS[@]}" -name '*.cc' | sort)
fi
((${#files[@]})) || { echo "tidy: no sources to check" && exit 0; }

# Builds compile sources in groups, so the command line of each one comes from a
# tree that is configured only. What the other tree generated stands in for its
# own.
readonly COMMANDS=build/tidy
cmake --preset "$(basename "$build")" -B "$COMMANDS" -DATTUNE_UNITY_BUILD=OFF \
  -DATTUNE_DEPS_DIR="${ATTUNE_HOME:-$PWD/.attune}/deps" --log-level=WARNING \
  >/dev/null
sed -i "s|$PWD/$COMMANDS/gen|$PWD/$build/gen|g" "$COMMANDS/compile_commands.json"

# Files that such a tree does not compile (the worker's, in a server-only one)
# have no command line to check them with.
checked=()
for file in "${files[@]}"; do
  if grep -qF "$PWD/$file\"" "$COMMANDS/compile_commands.json"; then
    checked+=("$file")
  fi
done
echo "tidy: ${#checked[@]} of ${#files[@]} files are compiled in $build"
((${#checked[@]})) || exit 0
# LibTorch's loops include omp.h, which only the compiler's own folder has. clang
# has its own versions of what stands beside it there, and does not know the
# attribute that names a function to free with.
mkdir -p "$COMMANDS/omp"
sed 's/__malloc__ (omp_free)/__malloc__/' \
  "$(g++ -print-file-name=include)/omp.h" >"$COMMANDS/omp/omp.h"
# The count of warnings in headers of others, which are not shown, is noise.
printf '%s\0' "${checked[@]}" |
  xargs -0 -n 4 -P "$(nproc)" clang-tidy-14 --quiet -p "$COMMANDS" \
    --extra-arg=-isystem"$PWD/$COMMANDS/omp" \
    2> >(grep -vE '^[0-9]+ warnings?( and [0-9]+ errors?)? generated' >&2)

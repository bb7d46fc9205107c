#!/usr/bin/env bash
# Checks what no compiler reads: shell and Python scripts, and that nothing is
# left to do in the tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

mapfile -t scripts < <(find deploy tests client -name '*.sh' && echo .ci/run)
for script in "${scripts[@]}"; do bash -n "$script"; done
shellcheck "${scripts[@]}"
find tests deploy -name '*.py' -print0 | xargs -0 -n 1 /usr/bin/python3 -c '
import ast, sys
ast.parse(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1])'
# Work that is not done belongs into an issue, not into the tree.
if grep -rnE '\b(TODO|FIXME|XXX)\b' --exclude=scripts.sh --exclude-dir=target \
  --exclude-dir=golden proto server worker client deploy tests; then
  exit 1
fi
echo "scripts: ${#scripts[@]} shell scripts and the Python ones are fine"

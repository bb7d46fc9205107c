#!/usr/bin/env bash
# Server and client must build where there is no LibTorch, and link none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Each source alone, so that none leans on the includes of its neighbours.
deploy/ci/build.sh server-only -DATTUNE_BUILD_TESTS=OFF -DATTUNE_UNITY_BUILD=OFF \
  -DATTUNE_TORCH_ROOT=/nonexistent --target attune-server attune
for binary in attune-server attune; do
  if ldd "build/server-only/bin/$binary" | grep -iE 'torch|libc10|cuda'; then
    echo "$binary links LibTorch" >&2
    exit 1
  fi
  echo "$binary links no LibTorch"
done

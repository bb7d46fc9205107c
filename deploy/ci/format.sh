#!/usr/bin/env bash
# Fails if a C++ or Rust source is not laid out as its formatter would.
#   deploy/ci/format.sh [--fix]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

mode=(--dry-run --Werror)
rust_mode=(--check)
if [[ "${1:-}" == --fix ]]; then
  mode=(-i)
  rust_mode=()
fi
find proto server worker client tests \( -name '*.h' -o -name '*.cc' \) \
  -not -path '*/target/*' -print0 | xargs -0 clang-format-14 "${mode[@]}"
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
if rustfmt --version >/dev/null 2>&1; then
  rustfmt "${rust_mode[@]}" --edition 2021 worker/text/crate/src/lib.rs
else
  echo "format: rustfmt is not here: the Rust sources were not checked"
fi

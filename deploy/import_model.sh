#!/usr/bin/env bash
# Converts the default model, which deploy/setup.sh fetches as a GGUF file, into
# a directory that attune-worker loads. Says nothing when it is there.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: deploy/import_model.sh

Environment, with defaults:
  ATTUNE_HOME        .attune in the checkout: where the GGUF file is
  ATTUNE_BIN_DIR     build/release/bin: where attune-worker is
  ATTUNE_MODELS_DIR  $ATTUNE_HOME/models
USAGE
}

case "${1:-}" in
  "") ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly ROOT
readonly HOME_DIR="${ATTUNE_HOME:-$ROOT/.attune}"
readonly WORKER="${ATTUNE_BIN_DIR:-$ROOT/build/release/bin}/attune-worker"
readonly MODEL="${ATTUNE_MODELS_DIR:-$HOME_DIR/models}/smollm2-135m-instruct"
readonly GGUF="$HOME_DIR/downloads/SmolLM2-135M-Instruct.Q4_1.gguf"

if [[ -f "$MODEL/config.json" ]]; then exit 0; fi
[[ -f "$GGUF" ]] ||
  { echo "import_model: $GGUF is missing: run deploy/setup.sh" >&2 && exit 1; }
[[ -x "$WORKER" ]] ||
  { echo "import_model: $WORKER is not built" >&2 && exit 1; }
mkdir -p "$(dirname "$MODEL")"
"$WORKER" import "$GGUF" "$MODEL"

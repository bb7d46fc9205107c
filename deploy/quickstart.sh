#!/usr/bin/env bash
# From a fresh clone to a tuned classifier that answers: sets up, builds, starts
# server and worker, tunes a prompt on the example data, asks it something and
# ends with its accuracy before and after. Leaves the service running. Run
# again, it makes one more version.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: deploy/quickstart.sh [--no-build]

  --no-build  use the binaries that are there (ATTUNE_BIN_DIR)

Ports and directories are those of deploy/local.sh; see its --help.
USAGE
}

build=true
case "${1:-}" in
  "") ;;
  --no-build) build=false ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly BIN="${ATTUNE_BIN_DIR:-$PWD/build/release/bin}"
readonly HOST="${ATTUNE_HOST:-127.0.0.1}"
readonly METRICS="$HOST:${ATTUNE_SERVER_METRICS_PORT:-9464}"
# The default of every `attune` below.
export ATTUNE_SERVER="$HOST:${ATTUNE_SERVER_PORT:-50051}"

readonly BEGAN=$SECONDS
step_began=$SECONDS
step_number=0

# step TEXT: ends the step before and announces the next one.
step() {
  if ((step_number)); then echo "    done in $((SECONDS - step_began)) s"; fi
  step_number=$((step_number + 1))
  step_began=$SECONDS
  echo
  echo "[$step_number] $1"
}

attune() { "$BIN/attune" "$@"; }

# has_rows SPLIT: whether the dataset has rows of that split. A file is uploaded
# as a whole or not at all, so then its upload is done.
has_rows() {
  local dataset
  dataset=$(attune datasets get banking77-intents) && [[ "$dataset" == *"$1 "* ]]
}

# accuracy: the newest version's, before and after tuning, in one line.
accuracy() {
  attune prompts get banking77-intent@latest -o json | python3 -c '
import json, sys
version = json.load(sys.stdin)
after = version["report"]["after"]
old = 100 * version["report"]["before"]["metrics"]["accuracy"]
new = 100 * after["metrics"]["accuracy"]
print(f"""accuracy on {after["numRows"]} test rows: {old:.1f}% before tuning, \
{new:.1f}% after ({new - old:+.1f} points, {version["name"]})""")'
}

finished=false
explain() {
  $finished || echo "quickstart: step $step_number failed; see above." >&2
}
trap explain EXIT

step "Bringing what a build needs (deploy/setup.sh)"
deploy/setup.sh

if $build; then
  step "Building server, worker and command line (build/release)"
  deploy/ci/build.sh release
fi

step "Converting the default model (deploy/import_model.sh)"
deploy/import_model.sh

step "Starting server and worker (deploy/local.sh start)"
deploy/local.sh start

step "Tuning a prompt for intents of bank customers (10 of Banking77)"
attune datasets get banking77-intents >/dev/null 2>&1 ||
  attune datasets create banking77-intents
has_rows train || attune datasets upload banking77-intents \
  client/examples/banking77/train.jsonl --split train
has_rows validation || attune datasets upload banking77-intents \
  client/examples/banking77/validation.jsonl --split validation
has_rows test || attune datasets upload banking77-intents \
  client/examples/banking77/test.jsonl --split test
attune jobs create -f client/examples/banking77-intent.yaml --watch

step "Asking the tuned prompt about three new sentences"
attune predict banking77-intent \
  --text "I lost my card on the train, can you send me a new one?" \
  --text "Why has the money I sent to my sister not arrived?" \
  --text "Which exchange rate do you use when I pay abroad?"
echo "    done in $((SECONDS - step_began)) s"

echo
echo "The service goes on running. Next:"
echo
echo "  export PATH=$BIN:\$PATH"
if [[ "$ATTUNE_SERVER" != 127.0.0.1:50051 ]]; then
  echo "  export ATTUNE_SERVER=$ATTUNE_SERVER"
fi
cat <<NEXT
  attune status
  attune prompts versions banking77-intent
  attune predict banking77-intent --text "Where is my new card?"
  attune prompts promote prompts/banking77-intent/versions/1 --alias prod
  grpcurl -plaintext $ATTUNE_SERVER list
  curl -s http://$METRICS/metrics
  deploy/local.sh logs -f
  deploy/local.sh stop

README.md goes on from here. All of it took $((SECONDS - BEGAN)) s.
NEXT
accuracy
finished=true

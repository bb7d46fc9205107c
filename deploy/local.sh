#!/usr/bin/env bash
# Runs one attune-server and one attune-worker of this checkout. Builds nothing.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: deploy/local.sh start | stop | restart | status | logs [-f]

  start    starts server and worker and waits until both are ready; does nothing
           for one that runs already
  stop     stops both with SIGTERM; a job in training goes on from its last
           checkpoint after the next start
  restart  stop, then start
  status   shows the processes and what the server knows; fails if one is down
  logs     shows the last lines of both logs; -f follows them

Environment, with defaults:
  ATTUNE_HOME                 .attune in the checkout
  ATTUNE_BIN_DIR              build/release/bin
  ATTUNE_STATE_DIR            $ATTUNE_HOME/state: database and versions
  ATTUNE_MODELS_DIR           $ATTUNE_HOME/models
  ATTUNE_RUN_DIR              $ATTUNE_HOME/run: process ids and logs
  ATTUNE_HOST                 127.0.0.1: no TLS, no authentication; keep it
  ATTUNE_SERVER_PORT          50051
  ATTUNE_SERVER_METRICS_PORT  9464
  ATTUNE_WORKER_PORT          50061
  ATTUNE_WORKER_METRICS_PORT  9465
  ATTUNE_PRELOAD              id of the model that the worker loads at start
                              (smollm2-135m-instruct if it is there)
  ATTUNE_SERVER_FLAGS         more flags for attune-server
  ATTUNE_WORKER_FLAGS         more flags for attune-worker, e.g. --device=cuda:0
  ATTUNE_STOP_SECONDS         60: after that, SIGKILL
USAGE
}

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly ROOT
readonly HOME_DIR="${ATTUNE_HOME:-$ROOT/.attune}"
readonly BIN="${ATTUNE_BIN_DIR:-$ROOT/build/release/bin}"
readonly STATE="${ATTUNE_STATE_DIR:-$HOME_DIR/state}"
readonly MODELS="${ATTUNE_MODELS_DIR:-$HOME_DIR/models}"
readonly RUN="${ATTUNE_RUN_DIR:-$HOME_DIR/run}"
readonly HOST="${ATTUNE_HOST:-127.0.0.1}"
readonly SERVER="$HOST:${ATTUNE_SERVER_PORT:-50051}"
readonly SERVER_METRICS="$HOST:${ATTUNE_SERVER_METRICS_PORT:-9464}"
readonly WORKER="$HOST:${ATTUNE_WORKER_PORT:-50061}"
readonly WORKER_METRICS="$HOST:${ATTUNE_WORKER_METRICS_PORT:-9465}"
readonly STOP_SECONDS="${ATTUNE_STOP_SECONDS:-60}"
readonly START_SECONDS=30

# gRPC would send calls to this very machine through a proxy.
export no_grpc_proxy="$HOST,localhost,${no_grpc_proxy:-${no_proxy:-}}"

die() {
  echo "local: $1" >&2
  shift
  for line in "$@"; do echo "       $line" >&2; done
  exit 1
}

# running NAME: prints the process id if the process of that name, started from
# here, is alive. A number that now belongs to another program does not count.
running() {
  local pid
  pid=$(cat "$RUN/$1.pid" 2>/dev/null) || return 1
  [[ "$(cat "/proc/$pid/comm" 2>/dev/null)" == "${1:0:15}" ]] || return 1
  echo "$pid"
}

# is_running NAME: says so if it is.
is_running() {
  local pid
  pid=$(running "$1") || return 1
  if [[ "$(readlink "/proc/$pid/exe")" == *" (deleted)" ]]; then
    echo "$1 runs already, from an older build: deploy/local.sh restart"
  else
    echo "$1 runs already"
  fi
}

check_binaries() {
  local name
  for name in attune-server attune-worker attune; do
    [[ -x "$BIN/$name" ]] ||
      die "$BIN/$name is missing. Build it with:" \
        "deploy/setup.sh && cmake --preset release &&" \
        "cmake --build --preset release" \
        "or name another directory in ATTUNE_BIN_DIR."
  done
}

check_free() {  # check_free ADDRESS NAME VARIABLE
  if (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; then
    die "$1 is in use, so $2 cannot listen there." \
      "Stop what listens there, or choose another port with $3."
  fi
}

# launch NAME FLAG...: starts a binary that outlives this shell.
launch() {
  local name="$1"
  shift
  mkdir -p "$RUN"
  setsid "$BIN/$name" "$@" </dev/null >>"$RUN/$name.log" 2>&1 &
  echo $! >"$RUN/$name.pid"
  # Until then the process is this shell, which running() does not count.
  while kill -0 $! 2>/dev/null && ! running "$name" >/dev/null; do
    sleep 0.01
  done
}

# await NAME ADDRESS: until the process says it is ready, or fails with the end
# of the log of one that died or takes too long.
await() {
  local name="$1" address="$2" deadline=$((SECONDS + START_SECONDS))
  until python3 "$ROOT/deploy/grpc_health.py" "$address" attune-readiness \
    2>/dev/null; do
    if ! running "$name" >/dev/null || ((SECONDS >= deadline)); then
      echo "--- the end of $RUN/$name.log" >&2
      tail -n 15 "$RUN/$name.log" >&2
      stop_one "$name" >&2
      die "$name did not become ready; the end of its log stands above."
    fi
    sleep 0.05
  done
}

start_server() {
  if is_running attune-server; then return; fi
  check_free "$SERVER" attune-server ATTUNE_SERVER_PORT
  check_free "$SERVER_METRICS" attune-server ATTUNE_SERVER_METRICS_PORT
  mkdir -p "$STATE"
  # shellcheck disable=SC2086  # a list of flags
  launch attune-server --listen "$SERVER" --metrics-listen "$SERVER_METRICS" \
    --state-dir "$STATE" ${ATTUNE_SERVER_FLAGS:-}
  await attune-server "$SERVER"
  echo "attune-server listens on $SERVER, metrics http://$SERVER_METRICS/metrics"
}

start_worker() {
  if is_running attune-worker; then return; fi
  check_free "$WORKER" attune-worker ATTUNE_WORKER_PORT
  check_free "$WORKER_METRICS" attune-worker ATTUNE_WORKER_METRICS_PORT
  mkdir -p "$MODELS"
  local preload="${ATTUNE_PRELOAD-smollm2-135m-instruct}" flags=()
  preload="${preload#models/}"
  if [[ -n "$preload" && -d "$MODELS/$preload" ]]; then
    flags+=(--preload "models/$preload")
  fi
  # shellcheck disable=SC2086
  launch attune-worker --server "$SERVER" --listen "$WORKER" \
    --metrics-listen "$WORKER_METRICS" --models-dir "$MODELS" \
    "${flags[@]}" ${ATTUNE_WORKER_FLAGS:-}
  await attune-worker "$WORKER"
  echo "attune-worker listens on $WORKER, metrics http://$WORKER_METRICS/metrics"
}

start() {
  check_binaries
  start_server
  start_worker
}

stop_one() {
  local name="$1" pid deadline=$((SECONDS + STOP_SECONDS))
  if ! pid=$(running "$name"); then
    rm -f "$RUN/$name.pid"
    return
  fi
  kill -TERM "$pid"
  while running "$name" >/dev/null; do
    if ((SECONDS >= deadline)); then
      echo "$name did not stop within $STOP_SECONDS s: killing it"
      kill -KILL "$pid"
      break
    fi
    sleep 0.05
  done
  rm -f "$RUN/$name.pid"
  echo "$name stopped"
}

# The worker first, so that it can hand its job back to the server.
stop() {
  stop_one attune-worker
  stop_one attune-server
}

status() {
  local name pid down=0
  for name in attune-server attune-worker; do
    if pid=$(running "$name"); then
      echo "$name runs as process $pid"
    else
      echo "$name does not run"
      down=1
    fi
  done
  if running attune-server >/dev/null; then
    "$BIN/attune" --server "$SERVER" status || down=1
  fi
  return "$down"
}

logs() {
  local files=()
  for name in attune-server attune-worker; do
    if [[ -f "$RUN/$name.log" ]]; then files+=("$RUN/$name.log"); fi
  done
  ((${#files[@]})) || die "there are no logs in $RUN yet."
  tail -n 50 "$@" "${files[@]}"
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  restart) stop && start ;;
  status) status ;;
  logs)
    [[ $# == 1 || "$2" == -f ]] || die "logs takes -f only, not '$2'"
    logs "${@:2}"
    ;;
  -h | --help) usage ;;
  *) usage >&2 && exit 2 ;;
esac

#!/usr/bin/env bash
# `make test`: the whole ladder. First everything is built. Then there are lanes: one for the tests of processes, and beside it,
# at low priority, those that mostly wait, for an API server to answer or to come back. Then come the whole clusters, alone but
# for what only computes: that has a lane of its own from the beginning, which gets what the others leave of the processors.
# A rung's output is kept in target/ladder and shown when it ends. A rung that fails does not hide the others; the summary
# names each with its time, and what was skipped with the reason.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
export PATH="$HOME/.cargo/bin:$PATH"

TIMEFORMAT='%U %S' # a rung's seconds of processor time, without those of a cluster that it starts
logs=target/ladder

lane=1 rungs=0
rung() { # title, command...
  local title=$1 verdict=passed began=$SECONDS
  rungs=$((rungs + 1))
  local log
  log=$(named)
  shift
  whole printf '... %s\n' "$title"
  { time "$@" >"$log.log" 2>&1 </dev/null; } 2>"$log.cpu" || verdict=FAILED
  printf '%-7s %5ds %5ds  %s\n' $verdict $((SECONDS - began)) "$(jq --slurp 'add | round' "$log.cpu")" "$title" >"$log.result"
  whole shown "$title" "$log"
}

skipped() {
  rungs=$((rungs + 1))
  printf '%-7s %5s  %5s   %s\n' skipped - - "$1" >"$(named).result"
}

# The rung's file, without its ending.
named() { printf '%s/%d.%02d' "$logs" "$lane" "$rungs"; }

# Runs a command that prints while no other does.
whole() { (flock 9 && "$@") 9>"$logs/lock"; }

# shellcheck disable=SC2317 # called by whole
shown() { # title, log
  printf '\n\033[1m==> %s\033[0m\n' "$1"
  cat "$2.log" "$2.result"
}

# shellcheck disable=SC2317 # called by rung
onnx_runtime() { PYTHON=$(tests/venv.sh push)/bin/python scorer/onnxruntime.sh target/onnxruntime; }

# shellcheck disable=SC2317 # called by rung
stores() { tests/stores.sh >target/stores-missing; }

# shellcheck disable=SC2317 # called by rung
images() { PROFILE=dev tests/images.sh; }

# shellcheck disable=SC2317 # called by rung
training_tests() {
  local venv
  venv=$(tests/venv.sh train) && (cd examples/training && "$venv/bin/python" -m pytest)
}

# shellcheck disable=SC2317 # called by rung
notebooks() {
  cargo build --quiet --workspace --bin fraudops-simulator &&
    FRAUDOPS_SIMULATOR=$PWD/target/debug/fraudops-simulator tests/training.sh notebooks
}

# Tests that wait for an API server of their own most of the time. One that is not named here runs with all others.
api_server=(access admission api_server leader lists node reconcile rollout telemetry)

# shellcheck disable=SC2317 # called by rung
tests_on_an_api_server() {
  local selected=() name
  for name in "${api_server[@]}"; do selected+=(--test "$name"); done
  cargo test --no-fail-fast --workspace "${selected[@]}" -- --test-threads 8
}

# shellcheck disable=SC2317 # called by rung
all_other_tests() {
  local flags selected=() flag name verdict=0
  # By name, because --bins would also run what is marked as no test: the fuzz targets, for ever.
  flags=$(cargo metadata --format-version 1 --no-deps | jq --raw-output \
    '.packages[] | select(.name != "fraudops-e2e") | .targets[] | select(.test and (.kind == ["test"] or .kind == ["bin"])) |
     "--\(.kind[0]) \(.name)"') || return
  while read -r flag name; do
    [ "$flag" = --test ] && [[ " ${api_server[*]} " == *" $name "* ]] || selected+=("$flag" "$name")
  done <<<"$flags"
  cargo test --no-fail-fast --workspace --lib "${selected[@]}" || verdict=1
  cargo test --no-fail-fast --workspace --doc || verdict=1
  return $verdict
}

# What the lanes run. They ask for it again in the same words, and find it.
# shellcheck disable=SC2317 # called by rung
build() { cargo test --quiet --no-run --workspace && FUZZ_SECONDS=0 tests/fuzz.sh; }

own_cluster() { [ "$(id -u)" -eq 0 ] && [ "${CLUSTER:-own}" = own ]; }

prepare() {
  rung "setup" tests/setup.sh
  rung "the program that starts test clusters" cargo build --quiet --workspace --bin fraudops-testcluster
  # Go beside Rust, which leaves a processor idle while it compiles the largest crates.
  (
    lane=0 rungs=0
    rung "ONNX Runtime's library" onnx_runtime
    rung "the test cluster's programs and images" target/debug/fraudops-testcluster build
    rung "servers for the tests of fetch" stores
  ) &
  rung "build" build
  wait
  while read -r line; do skipped "tests of fetch with $line"; done <target/stores-missing
  if own_cluster; then rung "images" images; fi
}

whole_cluster() {
  if own_cluster; then
    rung "the story on the whole cluster (e2e)" tests/e2e.sh --but-outage
  elif [ "${CLUSTER:-own}" = current ]; then
    rung "the story on the whole cluster (e2e)" tests/e2e.sh
  else
    skipped "the story on the whole cluster: starting a node takes root (or CLUSTER=current)"
  fi
}

what_is_busy() {
  rung "unit, property and process tests (cargo test)" all_other_tests
  rung "clients of other projects (Triton's, KServe's, schemathesis)" tests/conformance.sh
  rung "fuzzing, 3 s for each target" env FUZZ_SECONDS=3 tests/fuzz.sh
}

what_mostly_waits() {
  renice -n $(($(nice) + 10)) $BASHPID >/dev/null
  rung "tests on a real API server (cargo test)" tests_on_an_api_server
  rung "the scorer scores like Python, six kinds of model (parity)" tests/parity.sh
}

an_outage() { if own_cluster; then rung "a minute without an API server, a pod with a tenth of a core (e2e)" tests/e2e.sh --outage; fi; }

# Called in a session of its own: Linux shares the processors out among sessions first, and pods have shares of their own.
what_only_computes() {
  { echo 19 >/proc/self/autogroup; } 2>/dev/null # where the kernel has such groups
  renice -n 19 $$ >/dev/null
  rung "training (pytest)" training_tests
  rung "notebooks, from top to bottom" notebooks
  rung "chart" charts/tests/run.sh
}

if [ "${1:-}" = --what-only-computes ]; then
  lane=6
  what_only_computes
  exit
fi

start=$SECONDS
rm -rf "$logs"
mkdir -p "$logs"
prepare
# These lanes are process groups, so that nothing of them is left behind.
setsid tests/ladder.sh --what-only-computes &
computing=$!
set -m
lane=3 rungs=0
what_mostly_waits &
waiting=$!
lane=4
an_outage &
outage=$!
set +m
trap 'kill -- -$computing -$waiting -$outage 2>/dev/null' EXIT
lane=2 rungs=0
what_is_busy
wait $waiting
wait $outage
lane=5 rungs=0
whole_cluster
wait $computing
trap - EXIT

printf '\n\033[1m==> summary (the outputs are in %s)\033[0m\n' "$logs"
printf '%-7s %6s %6s\n' verdict time cpu
cat "$logs"/?.*.result
printf '%-7s %5ds\n' "in all" $((SECONDS - start))
! grep -q '^FAILED' "$logs"/?.*.result

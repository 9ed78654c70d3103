#!/usr/bin/env bash
# `make e2e`: the story on whole clusters. Two side by side, because a cluster whose API server is gone is of no use to others.
#   tests/e2e.sh [PART_OF_A_TEST_NAME]    with a name everything runs on one cluster, one file after the other
# KEEP=1 leaves the clusters up afterwards; they are also left up when a test fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

up() { VENV=train tests/stage.sh "$1" up; }

down() { # cluster
  if [ -z "${KEEP:-}" ] && [ "${CLUSTER:-own}" = own ]; then tests/stage.sh "$1" down; fi
}

# Four tests at a time: most of their time is waiting for pods, and the machine that runs them is also the cluster.
run() { # cluster, names of test files (no other package has them: cargo looks in all), -- and arguments of the tests
  local cluster=$1 flags=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do flags+=(--test "$1") && shift; done
  E2E_CLUSTER=$cluster cargo test --no-fail-fast --workspace "${flags[@]}" -- --show-output --test-threads 4 "${@:2}"
}

if [ $# -gt 0 ] || [ "${CLUSTER:-own}" = current ]; then
  up e2e
  run e2e callers scoring steps story outage -- "$@"
  down e2e
  exit
fi

# Built and prepared once, before two would do it at the same time.
cargo test --quiet --no-run --workspace --test callers --test outage --test scoring --test steps --test story
up e2e

# Subshells: `||` would switch -e off in a function. A part that waits most of its time runs beside another; the story has a
# dozen tests that start pods, and gets the machine almost for itself.
logs=target/e2e
rm -rf "$logs"
mkdir -p "$logs"
(up e2e-outage && run e2e-outage outage && down e2e-outage) >"$logs/outage.log" 2>&1 &
outage=$!
(run e2e callers scoring) >"$logs/scoring.log" 2>&1 &
scoring=$!
trap 'kill $outage $scoring 2>/dev/null' EXIT
failed=0
(run e2e steps) || failed=1
wait $scoring || failed=1
(run e2e story) || failed=1
wait $outage || failed=1
trap - EXIT
cat "$logs"/*.log
[ $failed -eq 0 ] && down e2e

#!/usr/bin/env bash
# `make e2e`: the story on two whole clusters side by side, each with about as much to do.
#   tests/e2e.sh [PART_OF_A_TEST_NAME]    with a name everything runs on one cluster
# KEEP=1 leaves the clusters up afterwards; they are also left up when a test fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

export PROFILE=${PROFILE:-dev} # of the images: `cargo test` has built these programs
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
  run e2e callers scoring traffic steps story outage -- "$@"
  down e2e
  exit
fi

# Built and prepared once, before two would do it at the same time.
cargo test --quiet --no-run --workspace --test callers --test outage --test scoring --test steps --test story --test traffic
up e2e
log=target/e2e-second.log failed=0
# Subshells of their own: `||` would switch -e off in a function. The outage comes last: Traefik is slow for a while after it.
(up e2e-second && run e2e-second callers scoring && run e2e-second outage && down e2e-second) >"$log" 2>&1 &
second=$!
trap 'kill $second 2>/dev/null' EXIT
(run e2e steps story traffic && down e2e) &
wait $! || failed=1
wait $second || failed=1
trap - EXIT
cat "$log"
exit $failed

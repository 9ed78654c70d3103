#!/usr/bin/env bash
# `make e2e`: the story on two whole clusters side by side, each with about as much to do.
#   tests/e2e.sh PART_OF_A_TEST_NAME    what has that name, on one cluster
#   tests/e2e.sh --outage               the tests that mostly wait; the second cluster stays up
#   tests/e2e.sh --but-outage           everything else
# KEEP=1 leaves the clusters up afterwards; they are also left up when a test fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

export PROFILE=${PROFILE:-dev} # of the images: `cargo test` has built these programs
up() { VENV=train tests/stage.sh "$1" up; }

down() { # cluster
  if [ -z "${KEEP:-}" ] && [ "${CLUSTER:-own}" = own ]; then tests/stage.sh "$1" down; fi
}

# Four tests at a time, and `starved`, which takes what it can get, alone: most of their time is waiting for pods, and the machine that runs them is also the cluster.
run() { # cluster, names of test files (no other package has them: cargo looks in all), -- and arguments of the tests
  local cluster=$1 flags=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do flags+=(--test "$1") && shift; done
  E2E_CLUSTER=$cluster cargo test --no-fail-fast --workspace "${flags[@]}" -- --show-output --test-threads 4 "${@:2}"
}

# shellcheck disable=SC2086 # the names of files are words
halves() { # test files of the first cluster, of the second, what comes last there
  local log=target/e2e-second.log failed=0
  up e2e
  # Subshells of their own: `||` would switch -e off in a function.
  (up e2e-second && run e2e-second $2 && { [ $# -lt 3 ] || run e2e-second $3; } && down e2e-second) >"$log" 2>&1 &
  beside=$!
  trap 'kill $beside 2>/dev/null' EXIT
  (run e2e $1 && down e2e) &
  wait $! || failed=1
  wait $beside || failed=1
  trap - EXIT
  cat "$log"
  return $failed
}

# Built once, before two would do it at the same time.
cargo test --quiet --no-run --workspace --test callers --test outage --test scoring --test smuggling --test starved --test steps --test story --test traffic
case ${1:-} in
--outage) up e2e-second && run e2e-second outage && run e2e-second starved ;;
--but-outage) halves "steps" "story callers scoring smuggling traffic" ;;
*)
  if [ $# -gt 0 ] || [ "${CLUSTER:-own}" = current ]; then
    up e2e
    # Who names a test means it, also one that takes too long for every day.
    run e2e callers scoring smuggling traffic steps story outage -- "$@" ${1:+--include-ignored}
    run e2e starved -- "$@"
    down e2e
  else
    halves "steps story" "outage callers scoring smuggling traffic" starved
  fi
  ;;
esac

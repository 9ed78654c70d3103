#!/usr/bin/env bash
# `make e2e`: the story on two whole clusters.
#   tests/e2e.sh [PART_OF_A_TEST_NAME]    with a name everything runs on one cluster
# KEEP=1 leaves the clusters up afterwards; they are also left up when a test fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

# On the cluster NAME: start it, run tests, stop it.
on_cluster() { # name, arguments of cargo test
  local name=$1
  shift
  VENV=train tests/stage.sh "$name" up
  E2E_CLUSTER=$name cargo test --no-fail-fast --workspace "$@"
  if [ -z "${KEEP:-}" ] && [ "${CLUSTER:-own}" = own ]; then tests/stage.sh "$name" down; fi
}

# Two clusters side by side, each with as much to do: on one of them the API server is killed. Four tests at a time: most of
# their time is waiting for pods, and the machine that runs the tests is also the cluster. The names of these files are no
# other package's, because cargo looks for them in all.
first=(--test steps --test story) second=(--test callers --test outage --test scoring) log=target/e2e-second.log
if [ $# -gt 0 ] || [ "${CLUSTER:-own}" = current ]; then
  on_cluster e2e "${first[@]}" "${second[@]}" -- --test-threads 4 "$@"
  exit
fi
# Built and prepared once, before two would do it at the same time.
cargo test --quiet --no-run --workspace "${first[@]}" "${second[@]}"
VENV=train tests/stage.sh e2e up
(on_cluster e2e-second "${second[@]}" -- --test-threads 4) >"$log" 2>&1 &
beside=$! failed=0
trap 'kill $beside 2>/dev/null' EXIT
# A subshell of its own: `||` would switch -e off in a function.
(on_cluster e2e "${first[@]}" -- --test-threads 4) &
wait $! || failed=1
wait $beside || failed=1
trap - EXIT
cat "$log"
exit $failed

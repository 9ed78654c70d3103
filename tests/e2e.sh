#!/usr/bin/env bash
# `make e2e`: the story on the whole cluster. KEEP=1 leaves the cluster up afterwards; it is also left up when a test fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

VENV=train tests/stage.sh e2e up
# Four at a time: most of their time is waiting for pods, and the machine that runs the tests is also the cluster.
cargo test --no-fail-fast -p fraudops-e2e -- --test-threads 4 "$@"
if [ -z "${KEEP:-}" ] && [ "${CLUSTER:-own}" = own ]; then tests/stage.sh e2e down; fi

#!/usr/bin/env bash
# `make test`: the whole ladder, the cheapest rung first. A rung that fails does not hide the others; the summary names
# each rung with its time, and what was skipped with the reason.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
export PATH="$HOME/.cargo/bin:$PATH"

summary=() failed=0

rung() { # title, command...
  local title=$1 start=$SECONDS verdict=passed
  shift
  printf '\n\033[1m==> %s\033[0m\n' "$title"
  "$@" || { verdict=FAILED failed=1; }
  summary+=("$(printf '%-7s %5ds  %s' "$verdict" $((SECONDS - start)) "$title")")
}

skipped() { summary+=("$(printf '%-7s %5s   %s' skipped - "$1")"); }

# shellcheck disable=SC2317 # called by rung
training_tests() {
  local venv
  venv=$(tests/venv.sh train) && (cd examples/training && "$venv/bin/python" -m pytest)
}

# shellcheck disable=SC2317 # called by rung
onnx_runtime() { PYTHON=$(tests/venv.sh push)/bin/python scorer/onnxruntime.sh target/onnxruntime; }

# shellcheck disable=SC2317 # called by rung
stores() { tests/stores.sh >target/stores-missing; }

rung "setup" tests/setup.sh
rung "ONNX Runtime's library" onnx_runtime
rung "build the test cluster's programs and images" cargo run --quiet -p fraudops-testcluster -- build
rung "servers for the tests of fetch" stores
while read -r line; do skipped "tests of fetch with $line"; done <target/stores-missing
rung "unit, property and API server tests (cargo test)" cargo test --no-fail-fast --workspace --exclude fraudops-e2e
rung "training (pytest)" training_tests
rung "the scorer scores like Python, six kinds of model (parity)" tests/parity.sh
rung "clients of other projects (Triton's, KServe's, schemathesis)" tests/conformance.sh
rung "fuzzing, 8 s for each target" env FUZZ_SECONDS=8 tests/fuzz.sh
rung "chart" charts/tests/run.sh
if [ "$(id -u)" -eq 0 ] || [ "${CLUSTER:-own}" = current ]; then
  rung "the story on the whole cluster (e2e)" tests/e2e.sh
else
  skipped "the story on the whole cluster: starting a node takes root (or CLUSTER=current)"
fi

printf '\n\033[1m==> summary\033[0m\n'
printf '%s\n' "${summary[@]}"
exit $failed

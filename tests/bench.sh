#!/usr/bin/env bash
# `make bench`: the scorer beside its peers and its limits. Prints tables; a full run (at most 15 minutes once everything is
# built) writes docs/benchmarks.md, BENCH=quick (3 minutes) writes nothing. Nothing else should run meanwhile.
# BENCH=soak loads the scorer alone for SOAK_MINUTES (20) and fails when its memory grows.
# BENCH=reload exchanges the model RELOADS (10000) times under load and fails when a request fails or memory grows.
# A peer that cannot be installed is left out, with the reason in the table.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"
work=$PWD/target/bench
peers=tests/bench/peers
mkdir -p "$work"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

export ORT_DISABLE_TELEMETRY=1 # for the peers, too: what is measured is scoring
tests/setup.sh bench
say "building in release (some minutes the first time)"
cargo build --quiet --release -p fraudops-simulator -p fraudops-scorer -p fraudops-bench
PYTHON=$(tests/venv.sh push)/bin/python scorer/onnxruntime.sh target/onnxruntime

# What is trained depends on the training package only.
models=$work/models-$(cat examples/training/requirements.lock examples/training/fraudops_training/*.py "$0" | sha256sum | cut -c 1-12)
if [ ! -e "$models/done" ]; then
  say "simulating, and training the models (a minute or two, once)"
  train=$(tests/venv.sh train)/bin/fraudops-training
  rm -rf "$work"/models-*
  mkdir -p "$models"
  target/release/fraudops-simulator generate --features --out "$models/transactions.parquet"
  for options in "xgboost --depth 6" "lightgbm --trees 500 --leaves 63" "mlp --hidden 64,64"; do
    # shellcheck disable=SC2086 # words are wanted
    "$train" train --data "$models/transactions.parquet" --name "${options%% *}" --version bench --out "$models" --model $options
  done
  target/release/fraudops-simulator generate --customers 1000 --terminals 2000 --days 60 --features --out "$models/transactions.csv"
  rm "$models/transactions.parquet"
  touch "$models/done"
fi

left_out=()
python=$work/no-python
node=$work/node
mkdir -p "$node"

python_peers() {
  if python=$(tests/venv.sh bench)/bin/python; then
    "$python" "$peers/python/make_reference_model.py" "$models/transactions.csv" "$models/reference.pkl"
  else
    left_out+=(--left-out "python=its packages could not be installed")
  fi
}

node_peer() {
  if ! command -v npm >/dev/null; then
    left_out+=(--left-out "fastify=node and npm are not installed")
    return
  fi
  cp "$peers/node/"{package.json,package-lock.json,server.js,.npmrc} "$node/"
  cmp --silent "$node/package-lock.json" "$node/installed" && return
  say "installing fastify and onnxruntime-node"
  # Without scripts: one of them would download GPU libraries.
  if (cd "$node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error) >&2; then
    cp "$node/package-lock.json" "$node/installed"
  else
    left_out+=(--left-out "fastify=npm could not install its packages")
  fi
}

case ${BENCH:-full} in
soak | reload) ;; # the scorer alone
*)
  python_peers
  node_peer
  ;;
esac

say "measuring (${BENCH:-full})"
exec target/release/fraudops-bench --mode "${BENCH:-full}" --minutes "${SOAK_MINUTES:-20}" --reloads "${RELOADS:-10000}" \
  --work "$work" --page docs/benchmarks.md \
  --scorer target/release/fraudops-scorer --onnxruntime "$PWD/target/onnxruntime/libonnxruntime.so" \
  --transactions "$models/transactions.csv" --model "$models/xgboost-bench.onnx" \
  --ceiling target/release/ceiling --python "$python" --reference-model "$models/reference.pkl" --node "$node" \
  --lightgbm "$models/lightgbm-bench.onnx" --mlp "$models/mlp-bench.onnx" \
  --simulator target/release/fraudops-simulator "${left_out[@]}"

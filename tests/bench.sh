#!/usr/bin/env bash
# `make bench`: small, bounded measurements as one table. A busy machine makes times long: so each stands beside the time of a
# fixed piece of work on the same machine, and the ratios of one run can be compared with those of another.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"
out=target/bench
mkdir -p "$out"

printf '\033[1m==>\033[0m building in release (some minutes the first time)\n'
cargo build --quiet --release -p fraudops-simulator -p fraudops-scorer
PYTHON=$(tests/venv.sh push)/bin/python scorer/onnxruntime.sh target/onnxruntime
export ORT_DYLIB_PATH=$PWD/target/onnxruntime/libonnxruntime.so

seconds() { # wall seconds of a command
  local start
  start=$(date +%s.%N)
  "$@" >"$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }
  echo "$(date +%s.%N) $start" | awk '{ printf "%.3f", $1 - $2 }'
}

row() { printf '%-48s %18s  %s\n' "$@"; }

# A fixed piece of work: hashing 256 MiB. Its time tells how fast, and how busy, this machine is.
yardstick=$(seconds bash -c 'head -c 268435456 /dev/zero | sha256sum')

rows=1750000
simulated=$(seconds target/release/fraudops-simulator generate --features --threads 1 --out "$out/transactions.parquet")

port=18080
model=examples/quickstart/model/card-fraud-2026.11.1.onnx
target/release/fraudops-scorer serve --model "$model" --model-version bench --workers 1 --drain-delay 0s \
  --listen 127.0.0.1:$port --admin-listen 127.0.0.1:$((port + 1)) >"$out/scorer.log" 2>&1 &
scorer=$!
trap 'kill $scorer 2>/dev/null || true' EXIT
started=$(date +%s%N)
until curl --silent --fail "http://127.0.0.1:$((port + 1))/readyz" >/dev/null; do
  kill -0 $scorer 2>/dev/null || { cat "$out/scorer.log" >&2; exit 1; }
  sleep 0.005
done
ready=$((($(date +%s%N) - started) / 1000000))

# One client, one connection, one request at a time: the latency of a request, not the capacity of the scorer.
requests=5000
for _ in $(seq $requests); do
  printf 'next\nurl = "http://127.0.0.1:%s/predict"\njson = "@examples/quickstart/transaction.json"\noutput = "/dev/null"\nsilent\nfail\n' $port
done | tail -n +2 >"$out/requests.curl"
asked=$(seconds curl --config "$out/requests.curl")
rss=$(awk '/VmRSS/ { print $2 / 1024 }' /proc/$scorer/status)

printf '\n'
row "what" "figure" "in yardsticks (sha256 of 256 MiB: ${yardstick} s)"
row "simulator, transactions with features, 1 thread" "$(awk "BEGIN { printf \"%.0f rows/s\", $rows / $simulated }")" "$(awk "BEGIN { printf \"%.2f for %d rows\", $simulated / $yardstick, $rows }")"
row "scorer, from start to ready" "$ready ms" ""
row "scorer, resident memory with one worker" "$(printf '%.1f MiB' "$rss")" ""
row "scorer, POST /predict, one connection" "$(awk "BEGIN { printf \"%.0f requests/s\", $requests / $asked }")" "$(awk "BEGIN { printf \"%.2f for %d requests, curl included\", $asked / $yardstick, $requests }")"

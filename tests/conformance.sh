#!/usr/bin/env bash
# Clients that know nothing of this project (Triton's, KServe's, httpx, schemathesis) against a scorer:
#   conformance.sh                  starts the scorer of target/debug with the tiny model
#   conformance.sh HTTP GRPC        host:port of a scorer that runs already
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

venv=$(tests/venv.sh clients)
if [ $# -eq 2 ]; then
  http=$1 grpc=$2
else
  # The programs as `cargo test` of the whole workspace builds them: another set of features would be another build.
  cargo test --quiet --no-run --workspace --test process --test command_line
  log=$(mktemp)
  ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$PWD/target/onnxruntime/libonnxruntime.so} target/debug/fraudops-scorer serve \
    --model scorer/tests/fixtures/tiny.onnx --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --grpc-listen 127.0.0.1:0 \
    2>"$log" &
  scorer=$!
  trap 'kill "$scorer" 2>/dev/null; wait "$scorer" 2>/dev/null; rm -f "$log"' EXIT
  for _ in $(seq 100); do
    grep -q '"ready"' "$log" && break
    kill -0 "$scorer" 2>/dev/null || { cat "$log" >&2 && exit 1; }
    sleep 0.1
  done
  address() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$log" | head -1; }
  http=$(address listen) grpc=$(address grpc)
fi
export SCORER_HTTP=$http SCORER_GRPC=$grpc
for part in http rest grpc kserve; do # KServe's and Triton's packages cannot share a process
  "$venv/bin/python" -m pytest -q -p no:cacheprovider "tests/conformance/test_$part.py"
done
# Everywhere the answers are as the document says, and /predict scores nothing that does not fit its schema. That it scores
# whatever fits is not asked: serde_json reads a long float to within one unit in the last place, so 2157705539457509.0 is not whole.
described=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method
st() { (cd target && "$venv/bin/schemathesis" run "http://$http/openapi.json" --seed 7 --no-color --generation-database none "$@"); }
st --checks "$described" --max-examples 40
st --checks "$described,negative_data_rejection" --max-examples 200 --include-path /predict

#!/usr/bin/env bash
# Six kinds of model, trained by examples/training and served by the real scorer: 10,000 answers of each are compared with
# ONNX Runtime in Python and with the original library (tests/conformance/parity). The models of examples/models are checked, too.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

# The programs as `cargo test` of the whole workspace builds them: nothing is left to do after that.
cargo test --quiet --no-run --workspace --test process --test command_line
PYTHON=$(tests/venv.sh push)/bin/python scorer/onnxruntime.sh target/onnxruntime
venv=$(tests/venv.sh train)
export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$PWD/target/onnxruntime/libonnxruntime.so}
cd tests/conformance/parity
exec "$venv/bin/python" -m pytest -q -p no:cacheprovider "$@"

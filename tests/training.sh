#!/usr/bin/env bash
# What is made by training, and committed:
#   training.sh science   docs/science.md: the handbook's figures beside ours (at most 15 minutes on 2 cores)
#   training.sh models    examples/models: good and bad candidates for a rollout (some minutes)
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

case ${1:-} in
science) command=(reproduce --page docs/science.md) ;;
models) command=(catalogue --out examples/models) ;;
*) sed -n '2,4s/^# //p' "$0" >&2 && exit 2 ;;
esac
cargo build --quiet --release -p fraudops-simulator
exec "$(tests/venv.sh train)/bin/fraudops-training" "${command[@]}" --simulator target/release/fraudops-simulator

#!/usr/bin/env bash
# Makes a virtual environment with fraudops-training below target/, once for each state of its lock file, and prints its folder:
#   venv.sh push    what publishes a model (seconds)
#   venv.sh train   what trains, checks and predicts, with pytest (a minute)
#   venv.sh bench   the Python peers of `make bench`, without fraudops-training
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
push) lock=examples/training/requirements-push.lock ;;
train) lock=examples/training/requirements.lock ;;
bench) lock=tests/bench/peers/python/requirements.lock ;;
*) sed -n '2,5s/^# //p' "$0" >&2 && exit 2 ;;
esac
venv=$PWD/target/venv-$1
# Scripts and the editable install name this checkout's path, and target/ may be shared by several.
wanted=$({ pwd && cat "$lock" examples/training/pyproject.toml; } | sha256sum)
if [ "$(cat "$venv/.made-from" 2>/dev/null)" != "$wanted" ]; then
  printf '\033[1m==>\033[0m installing %s into target/venv-%s\n' "$lock" "$1" >&2
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$lock"
  [ "$1" = bench ] || "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --editable examples/training
  echo "$wanted" >"$venv/.made-from"
fi
echo "$venv"

#!/usr/bin/env bash
# Makes a virtual environment below target/, once for each state of its lock file, and prints its folder:
#   venv.sh push      fraudops-training: what publishes a model (seconds)
#   venv.sh train     fraudops-training: what trains, checks and predicts, with pytest (a minute)
#   venv.sh notebooks   the same without pytest, and JupyterLab with what runs notebooks (two minutes)
#   venv.sh clients   clients of other projects that talk to the scorer, with pytest (a minute)
#   venv.sh exposition   what reads metrics (seconds)
#   venv.sh bench     the Python peers of `make bench`
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
push) lock=examples/training/requirements-push.lock ;;
train) lock=examples/training/requirements.lock ;;
notebooks) lock=examples/training/requirements-notebooks.lock ;;
exposition) lock=scorer/tests/exposition.lock ;;
clients) lock=tests/conformance/requirements.lock ;;
bench) lock=tests/bench/peers/python/requirements.lock ;;
*) sed -n '2,8s/^# //p' "$0" >&2 && exit 2 ;;
esac
venv=$PWD/target/venv-$1
mkdir -p target
exec 9>"$venv.lock" && flock 9 # another test may be about to make it
# Scripts and the editable install name this checkout's path, and target/ may be shared by several.
wanted=$({ pwd && cat "$lock" examples/training/pyproject.toml; } | sha256sum)
if [ "$(cat "$venv/.made-from" 2>/dev/null)" != "$wanted" ]; then
  printf '\033[1m==>\033[0m installing %s into target/venv-%s\n' "$lock" "$1" >&2
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$lock"
  case $1 in
  push | train | notebooks)
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --editable examples/training
    ;;
  esac
  echo "$wanted" >"$venv/.made-from"
fi
echo "$venv"

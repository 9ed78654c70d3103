#!/usr/bin/env bash
# What is made by training:
#   training.sh science   docs/science.md: the handbook's figures beside ours (at most 15 minutes on 2 cores)
#   training.sh models    examples/models: good and bad candidates for a rollout (some minutes)
#   training.sh notebooks [NAME...]        executes the notebooks; one that says what is no longer so fails (two minutes)
#   training.sh notebooks html [NAME...]   the same, and writes pages to target/notebooks
#   training.sh notebooks lab              opens them in JupyterLab
# $FRAUDOPS_NOTEBOOKS_DATA is small (the default), full, or a .parquet file; examples/training/notebooks/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

simulator() {
  if [ -z "${FRAUDOPS_SIMULATOR:-}" ]; then
    cargo build --quiet --release -p fraudops-simulator
    FRAUDOPS_SIMULATOR=$PWD/target/release/fraudops-simulator
  fi
  export FRAUDOPS_SIMULATOR
}

run() { exec "$(tests/venv.sh train)/bin/fraudops-training" "$@" --simulator "$FRAUDOPS_SIMULATOR"; }

notebooks() {
  local venv out=()
  venv=$(tests/venv.sh notebooks)
  export FRAUDOPS_NOTEBOOKS_CACHE=$PWD/target/notebooks/data
  if [ "${1:-}" = lab ]; then lab "$venv"; fi
  if [ "${1:-}" = html ]; then out=(--html target/notebooks) && shift; fi
  exec "$venv/bin/fraudops-training" notebooks --folder examples/training/notebooks "${out[@]}" "$@"
}

# Text opens as a notebook (by jupytext), for which Lab has to be told once; not in the user's own settings.
lab() { # folder of the virtual environment
  local config=target/notebooks/config options=()
  mkdir -p "$config/labconfig"
  echo '{"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"python": "Jupytext Notebook"}}}' \
    >"$config/labconfig/default_setting_overrides.json"
  export JUPYTER_CONFIG_PATH=$PWD/$config${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}
  [ "$(id -u)" -ne 0 ] || options+=(--allow-root)
  [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || options+=(--no-browser)
  printf '\033[1m==>\033[0m JupyterLab prints its address, with the token that it asks for; Ctrl-C twice ends it\n' >&2
  exec "$1/bin/jupyter" lab --ip 127.0.0.1 --ServerApp.root_dir="$PWD/examples/training/notebooks" \
    --KernelManager.transport=ipc "${options[@]}"
}

case ${1:-} in
science) simulator && run reproduce --page docs/science.md ;;
models) simulator && run catalogue --out examples/models ;;
notebooks) simulator && notebooks "${@:2}" ;;
*) sed -n '2,8s/^# //p' "$0" >&2 && exit 2 ;;
esac

#!/usr/bin/env bash
# Tests the chart: lint, renders, schema, rights, checkov, Kubernetes' own schemas. Needs Python 3.11 or later, and helm or Go.
# `run.sh --write-readme` writes the table of values into the chart's README instead.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=target/chart-tests

# The tools, installed anew when the lock changes, or this checkout's path, which their scripts name.
mark=$folder/$({ pwd && cat charts/tests/requirements.lock; } | sha256sum | cut -c 1-16)
if [ ! -e "$mark" ]; then
  rm -rf "$folder"
  mkdir -p "$folder"
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r charts/tests/requirements.lock
  touch "$mark"
fi

# The test cluster's helm, or the one on the PATH, or built from the same pinned module.
HELM=${HELM:-$PWD/target/testcluster/bin/helm}
[ -x "$HELM" ] || HELM=$(command -v helm || echo "$PWD/$folder/helm")
if [ ! -x "$HELM" ]; then
  command -v go >/dev/null || { echo "chart tests: neither helm nor Go is there: run tests/setup.sh, or set HELM" >&2 && exit 1; }
  echo "building helm (a minute or two, once)"
  (cd tests/cluster/go/addons && CGO_ENABLED=0 go build -trimpath -gcflags=all=-dwarf=false -ldflags "-s -w" -o "$HELM" helm.sh/helm/v4/cmd/helm)
fi
export HELM

if [ "${1:-}" = --write-readme ]; then
  exec "$folder/venv/bin/python" charts/tests/values_table.py --write
fi
exec "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider charts/tests "$@"

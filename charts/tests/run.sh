#!/usr/bin/env bash
# Tests the chart: lint, renders, schema, rights, checkov, Kubernetes' own schemas. Needs helm and Python 3.11 or later.
# `run.sh --write-readme` writes the table of values into the chart's README instead.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=target/chart-tests

HELM=${HELM:-$PWD/target/testcluster/bin/helm}
[ -x "$HELM" ] || HELM=$(command -v helm) || {
  echo "chart tests: helm is missing. Build it with the test cluster ('make demo' does), or set HELM to its path" >&2
  exit 1
}
export HELM

# The tools, installed anew when the lock changes.
mark=$folder/$(sha256sum charts/tests/requirements.lock | cut -c 1-16)
if [ ! -e "$mark" ]; then
  rm -rf "$folder"
  mkdir -p "$folder"
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r charts/tests/requirements.lock
  touch "$mark"
fi

if [ "${1:-}" = --write-readme ]; then
  exec "$folder/venv/bin/python" charts/tests/values_table.py --write
fi
exec "$folder/venv/bin/python" -m pytest -q -p no:cacheprovider charts/tests "$@"

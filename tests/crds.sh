#!/usr/bin/env bash
# Writes the CRD from the Rust types to crds/fraudmodels.yaml, and the chart's copy of it.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo run --quiet -p fraudops-crds >target/fraudmodels.yaml
install -D -m 644 target/fraudmodels.yaml crds/fraudmodels.yaml
install -D -m 644 target/fraudmodels.yaml charts/fraudops/files/fraudmodels.yaml
echo "wrote crds/fraudmodels.yaml and charts/fraudops/files/fraudmodels.yaml"

#!/usr/bin/env bash
# Checks crds/fraudmodels.yaml against the API servers of other minor versions of Kubernetes, by the validation code of
# each version's own Go module. `tests/crd-versions.sh 33 37` checks only these. The first run compiles for a minute or
# two for each version.
set -euo pipefail
cd "$(dirname "$0")/.."

minors=("$@")
[ ${#minors[@]} -gt 0 ] || minors=(33 34 35 36 37)
command -v go >/dev/null || { echo "crd-versions: needs Go on the PATH" >&2; exit 2; }

failed=0
for minor in "${minors[@]}"; do
  dir=target/crd-versions/1.$minor
  mkdir -p "$dir"
  cp tests/crd-versions/main.go "$dir/"
  if [ ! -e "$dir/go.mod" ]; then
    version=$(cd / && GOFLAGS=-mod=mod go list -m -versions k8s.io/apiextensions-apiserver | tr ' ' '\n' | grep -E "^v0\.$minor\.[0-9]+$" | sort -V | tail -1)
    [ -n "$version" ] || { echo "1.$minor: no release of k8s.io/apiextensions-apiserver" >&2; failed=1; continue; }
    (cd "$dir" && go mod init crd-versions && go get "k8s.io/apiextensions-apiserver@$version" && go mod tidy) >"$dir/setup.log" 2>&1 ||
      { cat "$dir/setup.log" >&2; rm -f "$dir/go.mod"; exit 1; }
  fi
  version=$(cd "$dir" && go list -m -f '{{.Version}}' k8s.io/apiextensions-apiserver)
  (cd "$dir" && go build -o crd-versions .)
  if "$dir/crd-versions" crds/fraudmodels.yaml; then
    echo "1.$minor (k8s.io/apiextensions-apiserver $version): valid"
  else
    echo "1.$minor (k8s.io/apiextensions-apiserver $version): refused" >&2
    failed=1
  fi
done
exit $failed

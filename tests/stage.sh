#!/usr/bin/env bash
# Prepares a cluster for the demo or the e2e tests, from nothing, and writes what they need to know to a stage file.
#   stage.sh NAME up      target/testcluster/NAME/stage.env tells where everything is
#   stage.sh NAME down    stops the cluster and removes its state; `all` for every cluster of this checkout
#
# With CLUSTER=current nothing is started or built: the cluster of the current kubeconfig is used. It has Traefik and
# cert-manager, and these variables say the rest:
#   REGISTRY          host[:port] of a registry that this machine can push to and the pods can pull from
#   PLAIN_HTTP=1      that registry talks HTTP
#   OPERATOR_IMAGE    where you pushed operator/Dockerfile's image, as repository:tag
#   SCORER_IMAGE      where you pushed scorer/Dockerfile's image
#   SIMULATOR_IMAGE   where you pushed examples/simulator/Dockerfile's image; without it no test sends live traffic
#   TRAEFIK_ADDRESS   IP address of Traefik's entry point websecure (port 443)
#   CA_FILE           certificate of the ClusterIssuer fraudops-ca (default: read from Secret cert-manager/fraudops-ca)
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

name=${1:?usage: stage.sh NAME up|down} action=${2:?usage: stage.sh NAME up|down}
state=$PWD/target/testcluster/$name
tool=$PWD/target/debug/fraudops-testcluster

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'stage: %s\n' "$*" >&2; exit 1; }

start_own_cluster() {
  tests/setup.sh
  say "the test cluster (its programs are built once: some minutes on two cores)"
  cargo build --quiet --workspace --bin fraudops-testcluster
  "$tool" up --name "$name"
  export PATH="$PWD/target/testcluster/bin:$PATH"
  KUBECONFIG=$("$tool" kubeconfig --name "$name")
  export KUBECONFIG
  TRAEFIK_ADDRESS=$(kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')
  REGISTRY=$TRAEFIK_ADDRESS:5000 PLAIN_HTTP=1
  OPERATOR_IMAGE=localhost/fraudops/operator:dev SCORER_IMAGE=localhost/fraudops/scorer:dev
  SIMULATOR_IMAGE=localhost/fraudops/simulator:dev
  PROFILE=${PROFILE:-quick} tests/images.sh
  load_image operator
  load_image scorer
  load_image simulator
}

# Loads an image into the cluster's containerd, once for each build.
load_image() {
  local tar=target/testcluster/images/$1.tar
  local loaded=$state/loaded-$1
  cmp --silent "$tar.inputs" "$loaded" && return
  say "load the image of the $1"
  "$tool" load-image --name "$name" "$tar"
  cp "$tar.inputs" "$loaded"
}

use_current_cluster() {
  for variable in REGISTRY OPERATOR_IMAGE SCORER_IMAGE TRAEFIK_ADDRESS; do
    [ -n "${!variable:-}" ] || fail "CLUSTER=current needs $variable (tests/stage.sh explains the variables)"
  done
  for program in kubectl helm curl jq; do
    command -v "$program" >/dev/null || fail "CLUSTER=current needs $program on the PATH"
  done
  KUBECONFIG=${KUBECONFIG:-$HOME/.kube/config} PLAIN_HTTP=${PLAIN_HTTP:-}
  export KUBECONFIG
  say "cluster $(kubectl config current-context): nothing is started there but what follows"
}

write_stage() {
  mkdir -p "$state"
  if [ -z "${CA_FILE:-}" ]; then
    CA_FILE=$state/ca.crt
    kubectl -n cert-manager get secret fraudops-ca -o jsonpath='{.data.ca\.crt}' | base64 -d >"$CA_FILE"
  fi
  local build=none
  [ "${CLUSTER:-own}" = current ] || build=$(cut -c 1-12 target/testcluster/images/operator.tar.inputs)
  cat >"$state/values.yaml" <<END
image: { repository: "${OPERATOR_IMAGE%:*}", tag: "${OPERATOR_IMAGE##*:}" }
scorer: { image: "$SCORER_IMAGE" }
insecureRegistries: [${PLAIN_HTTP:+"\"$REGISTRY\""}]
logFormat: text
podAnnotations: { fraudops.dev/build: "$build" } # a new image under the same name means new pods
END
  local venv
  venv=$(tests/venv.sh "${VENV:-push}")
  cat >"$state/stage.env.new" <<END
KUBECONFIG=$KUBECONFIG
KUBECTL=$(command -v kubectl)
HELM=$(command -v helm)
HELM_VALUES=$state/values.yaml
REGISTRY=$REGISTRY
PLAIN_HTTP=$PLAIN_HTTP
TRAEFIK_ADDRESS=$TRAEFIK_ADDRESS
SIMULATOR_IMAGE=${SIMULATOR_IMAGE:-}
CA_FILE=$CA_FILE
PYTHON=$venv/bin/python
TRAINING=$venv/bin/fraudops-training
END
  mv "$state/stage.env.new" "$state/stage.env"
}

case $action in
up)
  if [ "${CLUSTER:-own}" = current ]; then use_current_cluster; else start_own_cluster; fi
  write_stage
  ;;
down)
  [ ! -x "$tool" ] || if [ "$name" = all ]; then "$tool" down --all; else "$tool" down --name "$name"; fi
  ;;
*) fail "up or down, not $action" ;;
esac

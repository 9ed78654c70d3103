#!/usr/bin/env bash
# `make demo`: from nothing to an HTTPS prediction, on a real Kubernetes. Every command that matters is shown as it is run.
# CLUSTER=current uses the cluster of the current kubeconfig (tests/stage.sh explains the variables that it takes).
set -euo pipefail
cd "$(dirname "$0")/.."
start=$SECONDS

say() { printf '\n\033[1m==>\033[0m %s\n' "$*"; }
dim() { printf '\033[2m$ %s\033[0m\n' "$*" >&2; }
show() { dim "$@" && "$@"; }

tests/stage.sh demo up
set -a
# shellcheck disable=SC1091
. target/testcluster/demo/stage.env
set +a
PATH=$(dirname "$KUBECTL"):$(dirname "$HELM"):$(dirname "$TRAINING"):$PATH

say "Install the operator"
show helm upgrade --install fraudops charts/fraudops --namespace fraudops-system --create-namespace \
  --values "$HELM_VALUES" --wait --timeout 120s >/dev/null
show kubectl -n fraudops-system get deployments

say "Push the quickstart model to the cluster's registry"
model=examples/quickstart/model/card-fraud-2026.11.1.onnx
uri=$(show fraudops-training push ${PLAIN_HTTP:+--plain-http} "$model" "$REGISTRY/fraud/card-fraud:2026.11.1" | tail -1)
echo "$uri"

say "Apply the FraudModel (examples/quickstart/fraudmodel.yaml with the uri of this registry)"
manifest=target/testcluster/demo/fraudmodel.yaml
sed "s|^\( *uri: \).*|\1$uri|" examples/quickstart/fraudmodel.yaml >"$manifest"
grep -v '^ *#' "$manifest"
kubectl create namespace payments --dry-run=client -o yaml | kubectl apply -f - >/dev/null
show kubectl apply -f "$manifest"

say "Wait until it serves"
last=
for _ in $(seq 240); do
  table=$(kubectl -n payments get fm card-fraud)
  line=$(tail -1 <<<"$table" | awk '{ $NF = ""; print }')
  if [ "$line" != "$last" ]; then printf '%4ds  %s\n' $((SECONDS - start)) "$line"; fi
  last=$line
  if kubectl -n payments wait --for=condition=Ready --timeout=0 fm/card-fraud >/dev/null 2>&1; then break; fi
  sleep 0.5
done
if ! kubectl -n payments wait --for=condition=Ready --timeout=1s fm/card-fraud >/dev/null; then
  echo "card-fraud is not ready after two minutes; its conditions:" >&2
  kubectl -n payments get fm card-fraud -o json | jq -r '.status.conditions[] | "\(.type)=\(.status) \(.reason): \(.message)"' >&2
  exit 1
fi

say "Ask for a prediction, over HTTPS, through Traefik"
ask() { # transaction; Traefik reads a new route within two seconds or so
  curl --silent --show-error --fail-with-body --retry 20 --retry-all-errors --retry-delay 1 --no-progress-meter \
    --cacert "$CA_FILE" --resolve "card-fraud.example.test:443:$TRAEFIK_ADDRESS" \
    --json "@examples/quickstart/$1" https://card-fraud.example.test/predict
}
ask transaction.json >/dev/null 2>&1 || ask transaction.json
dim "curl --cacert $CA_FILE --resolve card-fraud.example.test:443:$TRAEFIK_ADDRESS --json @examples/quickstart/transaction.json https://card-fraud.example.test/predict"
ask transaction.json | jq --compact-output .
dim "the same with transaction-fraud.json"
ask transaction-fraud.json | jq --compact-output .

say "What there is now ($((SECONDS - start)) s)"
show kubectl get fraudmodels --all-namespaces
show kubectl -n payments get deployments,services,ingressroutes,certificates

cat <<END

Look around:   export KUBECONFIG=$KUBECONFIG PATH=$(dirname "$KUBECTL"):\$PATH
               kubectl -n payments describe fm card-fraud         conditions and events
               kubectl -n fraudops-system logs deploy/fraudops-operator
               kubectl explain fraudmodel.spec --recursive
Change it:     edit $manifest and kubectl apply -f it
Stop it:       $([ "${CLUSTER:-own}" = current ] && echo "kubectl delete ns payments; helm -n fraudops-system uninstall fraudops" || echo "make demo-down")
END

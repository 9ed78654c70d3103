# The one front door: people and CI run these targets and nothing else. `make` alone explains them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help demo demo-down test e2e lint crds proto images bench fuzz science models notebooks clean

help: ## this text
	@printf 'fraudops: a Kubernetes operator for fraud models. New here? `make demo`, then README.md.\n\n'
	@awk -F ': ## ' '/^[a-z0-9-]+: ## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: ## everything a newcomer wants to see, from nothing to an HTTPS prediction (CLUSTER=current: on your cluster)
	tests/demo.sh

demo-down: ## stop the demo's cluster and remove its state
	tests/stage.sh demo down

test: ## everything a maintainer trusts: unit, API server, Python, chart, whole cluster; names what it skipped
	tests/ladder.sh

e2e: ## only the story on the whole cluster (T=part_of_a_test_name picks tests, KEEP=1 leaves the cluster up)
	tests/e2e.sh $(T)

lint: ## formatting, clippy, rustdoc, ruff, shellcheck, licences and sources of dependencies
	tests/lint.sh

crds: ## write crds/fraudmodels.yaml from the Rust types, and the chart's copy of it
	tests/crds.sh

proto: ## write the Rust code and the descriptors of the gRPC protocol from scorer/proto
	UPDATE=1 cargo test --quiet -p fraudops-scorer --test proto

images: ## build the three images from the shipped Dockerfiles
	tests/images.sh

bench: ## the scorer against its peers and its limits, as tables (BENCH=quick: three minutes); writes docs/benchmarks.md
	tests/bench.sh

fuzz: ## coverage-guided fuzzing of the scorer, FUZZ_SECONDS=600 for each target
	tests/fuzz.sh

science: ## the handbook's published figures beside ours, six data sets (at most 15 minutes); writes docs/science.md
	tests/training.sh science

models: ## good and bad candidates for a rollout, each with its mistake measured; writes examples/models
	tests/training.sh models

notebooks: ## JupyterLab with the notebooks of examples/training, on 127.0.0.1; prints its address
	tests/training.sh notebooks lab

clean: ## stop our clusters and remove everything that was built
	tests/stage.sh all down
	rm -rf target/* && echo 'target/ is empty'

#!/usr/bin/env bash
# Everything that can be said about the code without running it.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"
tests/setup.sh lint

step() { printf '\033[1m==>\033[0m %s\n' "$*"; "$@"; }

step cargo fmt --all --check
step cargo clippy --quiet --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --quiet --workspace --no-deps
step cargo deny --log-level error check bans licenses sources
step shellcheck .ci/run tests/*.sh scorer/fuzz/rustc.sh

RUFF=$(sed -n "s|^ruff==\([0-9.]*\).*|\1|p" examples/training/requirements.lock)
if [ "$(target/venv-lint/bin/ruff --version 2>/dev/null)" != "ruff $RUFF" ]; then
  python3 -m venv target/venv-lint
  target/venv-lint/bin/pip install --quiet --disable-pip-version-check "ruff==$RUFF"
fi
step target/venv-lint/bin/ruff format --check examples/training charts tests
step target/venv-lint/bin/ruff check examples/training charts tests

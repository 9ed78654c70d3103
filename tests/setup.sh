#!/usr/bin/env bash
# Checks for what the project needs and installs what is missing: Debian packages (as root) and Rust by rustup.
# Quick and silent when nothing is missing. `setup.sh lint` wants the tools of `make lint` as well, `setup.sh bench` those of `make bench`.
# The test cluster brings the rest when it is first built (Go, containerd and so on): tests/cluster/src/{go,packages}.rs.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

DENY=0.20.2

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

packages=(build-essential ca-certificates curl git jq libfaketime openssl procps python3-venv buildah redis-server)
[ "${1:-}" = lint ] && packages+=(shellcheck)
[ "${1:-}" = bench ] && packages+=(nghttp2-client valgrind wrk)

install_packages() {
  local missing=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] ||
    fail "packages are missing. As root: apt-get install --no-install-recommends ${missing[*]}"
  say "installing Debian packages: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
}

install_rust() {
  command -v cargo >/dev/null && return
  local channel
  channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  say "installing Rust $channel by rustup into ~/.cargo and ~/.rustup"
  curl --proto '=https' --tlsv1.2 --fail --silent --show-error --location https://sh.rustup.rs -o target/rustup-init.sh ||
    fail "could not download rustup. Install Rust $channel (rustup.rs, or your own mirror), so that 'cargo' is on the PATH"
  sh target/rustup-init.sh -y --quiet --no-modify-path --profile minimal --default-toolchain "$channel" -c clippy -c rustfmt
}

install_deny() {
  command -v cargo-deny >/dev/null && return
  say "compiling cargo-deny $DENY (two to four minutes on two cores; once per user)"
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install --quiet --locked "cargo-deny@$DENY"
}

command -v dpkg-query >/dev/null || fail "made for Debian 12; on another system use CLUSTER=current (README.md)"
mkdir -p target
install_packages
install_rust
if [ "${1:-}" = lint ]; then install_deny; fi

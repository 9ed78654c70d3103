#!/usr/bin/env bash
# Installs what the tests of `fetch` talk to, into target/stores/bin: an S3 server (Versity), one of Google Cloud Storage's
# protocol (fake-gcs-server), one of Azure's (Azurite), Debian's docker-registry, and cosign. Prints a line for each that
# cannot be had; the tests that need it say so and pass by. Quick when everything is there.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
AZURITE=3.37.0
bin=$PWD/target/stores/bin
mkdir -p "$bin"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
missing() { printf '%s: %s\n' "$1" "$2"; }

go_programs() {
  local go stamp
  for go in "$(command -v go)" "$PWD/target/go/go/bin/go" /usr/local/go/bin/go ""; do
    [ -x "$go" ] && break
  done
  [ -n "$go" ] || { missing "versitygw and fake-gcs-server" "no Go compiler (make test brings one)" && return; }
  stamp=$(cat tests/stores/go.mod tests/stores/go.sum | sha256sum)
  [ "$(cat "$bin/.go.stamp" 2>/dev/null)" = "$stamp" ] && return
  say "building versitygw and fake-gcs-server (two to four minutes on two cores; once)"
  if (cd tests/stores && CGO_ENABLED=0 "$go" build -trimpath -gcflags=all=-dwarf=false -ldflags '-s -w' -o "$bin/" \
    github.com/versity/versitygw/cmd/versitygw github.com/fsouza/fake-gcs-server) >&2; then
    echo "$stamp" >"$bin/.go.stamp"
  else
    missing "versitygw and fake-gcs-server" "go build failed"
  fi
}

azurite() {
  [ "$(cat "$bin/.azurite.stamp" 2>/dev/null)" = "$AZURITE" ] && return
  command -v npm >/dev/null || { missing azurite-blob "no npm" && return; }
  say "installing azurite $AZURITE from npm"
  if npm install --loglevel error --no-fund --no-audit --ignore-scripts --prefix target/stores/azurite "azurite@$AZURITE" >&2; then
    ln -sfn ../azurite/node_modules/.bin/azurite-blob "$bin/azurite-blob"
    echo "$AZURITE" >"$bin/.azurite.stamp"
  else
    missing azurite-blob "npm install failed"
  fi
}

# Debian 12 has no cosign; testing's is a static program. A private configuration: nothing on the system changes.
cosign() {
  [ -x "$bin/cosign" ] && return
  local apt=$PWD/target/stores/apt
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    missing cosign "no apt-get" && return
  fi
  say "fetching cosign from Debian forky"
  rm -rf "$apt"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  : >"$apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian forky main" >"$apt/sources.list"
  cat >"$apt/apt.conf" <<EOF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/none";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Acquire::Languages "none";
APT::Sandbox::User "";
EOF
  if (cd "$apt" && export APT_CONFIG=$apt/apt.conf && apt-get update -qq && apt-get download -qq cosign &&
    dpkg-deb -x cosign_*.deb unpacked) >&2; then
    mv "$apt/unpacked/usr/bin/cosign" "$bin/cosign"
  else
    missing cosign "Debian forky cannot be read"
  fi
  rm -rf "$apt"
}

registry() {
  command -v docker-registry >/dev/null && return
  [ "$(id -u)" -eq 0 ] || { missing docker-registry "as root: apt-get install docker-registry" && return; }
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends docker-registry >&2 ||
    missing docker-registry "apt-get install failed"
}

go_programs
azurite
cosign
registry
exit 0

#!/usr/bin/env bash
# Builds the images of the operator, the scorer and the simulator from the shipped Dockerfiles, as docker-archives in
# target/testcluster/images.
# The programs are built here and handed over (BINARY_STAGE=prebuilt); the base image is the one that the test cluster
# makes from Debian's packages. Nothing is done when program, Dockerfile and base are what they were.
# PROFILE=quick (demo) is compiled in half the time of `release`, and runs a little slower. PROFILE=dev (tests) takes what
# `cargo test` has built: nothing more to compile, overflow checks on. It is too large for the limits, which are for what is
# shipped.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"
images=target/testcluster/images
storage=$PWD/target/buildah

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }

# In a mount namespace of its own, so that no mount stays behind; vfs works on any file system.
run_buildah() {
  local command=$1
  shift
  unshare --mount buildah --root "$storage/root" --runroot "$storage/run" --storage-driver vfs \
    "$command" --signature-policy "$storage/policy.json" "$@"
}

build() { # name, limit in MB, folder of the Dockerfile; the context is ready in target/images/NAME
  local name=$1 limit=$2 dockerfile=$3/Dockerfile
  local context=target/images/$name tar=$images/$name.tar reference=localhost/fraudops/$name:dev inputs size
  inputs=$(cat "$context"/* "$dockerfile" "$images/base.tar" | sha256sum)
  if [ ! -e "$tar" ] || [ "$(cat "$tar.inputs" 2>/dev/null)" != "$inputs" ]; then
    say "build the image of the $name from $dockerfile"
    mkdir -p "$storage"
    echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$storage/policy.json"
    run_buildah pull --quiet "docker-archive:$images/base.tar" >/dev/null
    run_buildah bud --quiet --isolation chroot --file "$dockerfile" --build-arg BINARY_STAGE=prebuilt \
      --build-arg BASE=localhost/fraudops/base:1 --tag "$reference" "$context" >/dev/null
    rm -f "$tar"
    run_buildah push --quiet "$reference" "docker-archive:$tar:$reference"
    rm -rf "$storage"
    echo "$inputs" >"$tar.inputs"
  fi
  size=$(($(stat -c %s "$tar") / 1000000))
  if [ "$profile" = dev ]; then
    printf '    %-28s %3d MB (profile dev)\n' "$reference" "$size"
    return
  fi
  printf '    %-28s %3d MB (limit %d MB)\n' "$reference" "$size" "$limit"
  [ "$size" -le "$limit" ] || { echo "images: $reference is larger than $limit MB" >&2 && exit 1; }
}

[ -e $images/base.tar ] || { cargo build --quiet --workspace --bin fraudops-testcluster && target/debug/fraudops-testcluster build; }
profile=${PROFILE:-release}
say "build the operator, the scorer and the simulator, profile $profile (some minutes the first time)"
if [ "$profile" = dev ]; then
  cargo test --quiet --no-run --workspace # `cargo build` would compile them again, without what only tests need
  built=target/debug
else
  cargo build --quiet --profile "$profile" -p fraudops-operator -p fraudops-scorer -p fraudops-simulator
  built=target/$profile
fi
PYTHON=$(tests/venv.sh push)/bin/python scorer/onnxruntime.sh target/onnxruntime
mkdir -p target/images/operator target/images/scorer target/images/simulator
for name in operator scorer simulator; do strip -o "target/images/$name/fraudops-$name" "$built/fraudops-$name"; done
cp target/onnxruntime/libonnxruntime.so target/images/scorer/
build operator 60 operator
build scorer 90 scorer
build simulator 40 examples/simulator

#!/bin/sh
# Puts ONNX Runtime's shared library into DEST as libonnxruntime.so, from the wheel of PyPI's `onnxruntime`, pinned by hash.
#   scorer/onnxruntime.sh target/onnxruntime
# Does nothing when DEST has this version already. Needs python3 with pip (PYTHON=… names another one).
set -eu

VERSION=1.31.1
SHA256_X86_64=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
SHA256_AARCH64=da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3

dest=${1:?usage: onnxruntime.sh DEST}
python=${PYTHON:-python3}
arch=${ARCH:-$(uname -m)}
case $arch in
x86_64 | amd64) arch=x86_64 hash=$SHA256_X86_64 ;;
aarch64 | arm64) arch=aarch64 hash=$SHA256_AARCH64 ;;
*) echo "onnxruntime.sh: no wheel is pinned for $arch" >&2 && exit 1 ;;
esac

mkdir -p "$dest"
if [ "$(cat "$dest/.pinned" 2>/dev/null)" = "$hash" ] && [ -s "$dest/libonnxruntime.so" ]; then
  exit 0
fi

tmp=$(mktemp -d "$dest/.fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
printf 'onnxruntime==%s --hash=sha256:%s\n' "$VERSION" "$hash" >"$tmp/requirements.txt"
# One wheel for every Python: only the library in it is used, so its tag need not match the interpreter here.
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
  --platform "manylinux_2_28_$arch" --implementation cp --python-version 3.11 --abi cp311 \
  --dest "$tmp" --requirement "$tmp/requirements.txt"
"$python" -c '
import shutil, sys, zipfile
wheel, dest, version = sys.argv[1:]
with zipfile.ZipFile(wheel) as z:
    wanted = {
        f"onnxruntime/capi/libonnxruntime.so.{version}": "libonnxruntime.so",
        "onnxruntime/LICENSE": "LICENSE",
        "onnxruntime/ThirdPartyNotices.txt": "ThirdPartyNotices.txt",
    }
    for name, target in wanted.items():
        with z.open(name) as source, open(f"{dest}/{target}", "wb") as out:
            shutil.copyfileobj(source, out)
' "$tmp"/*.whl "$tmp" "$VERSION"
chmod 0755 "$tmp/libonnxruntime.so"
mv -f "$tmp/LICENSE" "$tmp/ThirdPartyNotices.txt" "$tmp/libonnxruntime.so" "$dest/"
printf '%s\n' "$hash" >"$dest/.pinned"

#!/bin/sh
# rustc for the fuzz targets: the scorer's library and the targets count which branches they take, for libFuzzer. These are
# flags of stable Rust; no nightly is needed. Dependencies stay as every other build has them. There is no AddressSanitizer:
# the crates forbid unsafe code, and a panic (an overflow, an index) ends a run just as well.
case "$*" in
*"--crate-name fraudops_scorer "* | *"--crate-name fuzz_"*)
  exec "$@" -Cpasses=sancov-module -Ccodegen-units=1 -Copt-level=1 \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
  ;;
esac
exec "$@"

#!/usr/bin/env bash
# `make fuzz`: coverage-guided fuzzing of the scorer with libFuzzer, one target after the other.
#   FUZZ_SECONDS=600 tests/fuzz.sh [TARGET...]     targets are the files of scorer/fuzz/fuzz_targets
#   FUZZ_SECONDS=0 tests/fuzz.sh                   only builds them
# New inputs are kept in target/fuzz/corpus, so a later run goes on where this one stops.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

seconds=${FUZZ_SECONDS:-600}
home=scorer/fuzz
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for file in "$home"/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

# As `cargo test` of the whole workspace builds them, so that the dependencies of that build are used again.
RUSTC_WORKSPACE_WRAPPER=$PWD/$home/rustc.sh cargo test --quiet --no-run --workspace --test replay
[ "$seconds" -gt 0 ] || exit 0

mkdir -p target/fuzz/artifacts
for target in "${targets[@]}"; do
  corpus=target/fuzz/corpus/$target
  mkdir -p "$corpus"
  seeds=("$home/corpus/$target")
  [ "$target" = onnx ] && seeds+=(scorer/tests/fixtures)
  options=()
  case $target in # what is longer is refused at once
    receipt) longest=4096 ;;
    rules) longest=1200 ;;
    *) longest=65536 ;;
  esac
  [ -e "$home/$target.dict" ] && options+=("-dict=$home/$target.dict")
  log=target/fuzz/$target.log
  if ! "target/debug/fuzz_$target" "$corpus" "${seeds[@]}" "${options[@]}" -max_total_time="$seconds" -timeout=5 \
    -rss_limit_mb=512 -max_len=$longest -print_final_stats=1 -artifact_prefix="target/fuzz/artifacts/$target-" >"$log" 2>&1; then
    tail -40 "$log" >&2
    echo "fuzz: $target failed. Correct it, and copy the input into $home/corpus/$target: it is replayed by cargo test." >&2
    exit 1
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  covered=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
  [ -n "$covered" ] || { echo "fuzz: $target measures no coverage; see $log" >&2; exit 1; }
  printf '    %-10s %10s runs in %s s, %s\n' "$target" "$runs" "$seconds" "$covered"
done

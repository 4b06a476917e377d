#!/usr/bin/env bash
# Runs each fuzz target for so many seconds, where a nightly toolchain is installed; says so where none is.
# Usage: fuzz.sh [SECONDS [TARGET ...]]      30 seconds, and all targets, where nothing is said
#
# What is found stands in fuzz/artifacts/, what led there in fuzz/corpus/; neither is committed.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO_FUZZ_VERSION=0.13.2
seconds=${1:-30}
shift || true
if ! command -v rustup >/dev/null || ! rustup toolchain list | grep -q '^nightly'; then
  echo "fuzz: SKIPPED, for libFuzzer needs a nightly toolchain and none is installed (rustup toolchain install nightly)"
  exit 0
fi
# libFuzzer is built from source.
command -v c++ >/dev/null || { apt-get update -qq && apt-get install -y -qq g++; }
cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --version "$CARGO_FUZZ_VERSION" --locked --quiet
# cargo-fuzz would mend a lock file that is behind; here it is an error.
cargo metadata --manifest-path fuzz/Cargo.toml --locked --format-version 1 >/dev/null
log=$(mktemp)
trap 'rm -f "$log"' EXIT
[ $# -gt 0 ] || set -- documents evidence names traces
for target in "$@"; do
  corpus=("fuzz/corpus/$target" "fuzz/seeds/$target")
  [ "$target" != documents ] || corpus+=(examples/big-market)
  mkdir -p "${corpus[0]}"
  # The product has no unsafe code, so that the address sanitizer would only slow it down.
  cargo +nightly fuzz run --sanitizer none "$target" "${corpus[@]}" -- \
    -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 >"$log" 2>&1 ||
    { tail -n 60 "$log"; echo "fuzz $target: FAILED"; exit 1; }
  echo "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, nothing found"
done

#!/usr/bin/env bash
# Plants each defect of trials/mutants/ in a copy of the tree, and demands that exactly the tests fail that it names.
# Usage: mutants.sh [NAME ...]      all of them, where none is named
#
# A patch begins with what it breaks, then `# kills: TEST, ...`: these must fail. Any other failure, and any without a patch,
# is wrong: trials draw their chance from a seed, so that they end the same each time. Copy and build stand in the target
# folder: the copy is removed at the end, the build makes the next run short.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=${CARGO_TARGET_DIR:-$root/target}/mutants
mkdir -p "$work"
work=$(cd "$work" && pwd)
tree=$work/tree log=$work/log
export CARGO_TARGET_DIR=$work/build CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
# Else git would take the copy for a part of this repository, and apply nothing.
export GIT_CEILING_DIRECTORIES=$work
unset FAIRGROUND_TRIALS_FULL

# `mutants` holds patches against the tree that they have changed, and `tidy` its text: neither tests the product.
suites=(--lib)
for file in trials/tests/*.rs; do
  suite=$(basename "$file" .rs)
  case $suite in mutants | tidy) ;; *) suites+=(--test "$suite") ;; esac
done
minutes_max=20

exec 9>"$work/lock"
flock -n 9 || { echo "another run holds $work/lock"; exit 1; }
trap 'rm -rf "$tree"' EXIT
rm -rf "$tree"
mkdir "$tree"
tar -c --exclude=./target --exclude=./.git --exclude=./fuzz/target . | tar -x -C "$tree"
# The build may be newer than a source that a patch of the last run has changed.
find "$tree/crates" "$tree/trials" -name '*.rs' -exec touch {} +

# Prints the tests that fail, sorted, as SUITE::TEST; answers 1 where not every suite came to its end.
failing() {
  (cd "$tree" && timeout "${minutes_max}m" cargo test --locked --no-fail-fast -p raffle -p ledger -p trials "${suites[@]}" 9>&-) \
    >"$log" 2>&1 || true
  awk '
    $1 == "Running" { name = $NF; sub(/.*\//, "", name); sub(/-[0-9a-f]+\)$/, "", name); begun++ }
    /^test result:/ { ended++ }
    /^test .*FAILED$/ { print name "::" $2 }
    END { exit !(begun > 0 && begun == ended) }
  ' "$log" | sort -u
}

kills() { sed -n 's/^# kills: //p' "$1" | tr ',' '\n' | tr -d ' ' | sed '/^$/d' | sort -u; }

wrong=0
judge() {
  local name=$1 kills=$2 found status=ok
  found=$(failing) || { echo "$name: the suites did not come to their end"; tail -n 30 "$log"; wrong=1; return; }
  local missed extra
  missed=$(comm -23 <(echo "$kills") <(echo "$found") | sed '/^$/d')
  extra=$(comm -13 <(echo "$kills") <(echo "$found") | sed '/^$/d')
  [ -z "$missed$extra" ] || { status=WRONG wrong=1; }
  printf '%-8s %s, %d killed\n' "$name" "$status" "$(sed '/^$/d' <<<"$found" | wc -l)"
  [ -z "$missed" ] || sed 's/^/         survived: /' <<<"$missed"
  [ -z "$extra" ] || sed 's/^/         not named: /' <<<"$extra"
}

judge none ""
[ "$wrong" = 0 ] || exit 1
[ $# -gt 0 ] || set -- $(cd trials/mutants && ls -- *.patch | sed 's/\.patch$//')
for name in "$@"; do
  patch=$root/trials/mutants/$name.patch
  git -C "$tree" apply "$patch"
  judge "$name" "$(kills "$patch")"
  git -C "$tree" apply --reverse "$patch"
done
exit "$wrong"

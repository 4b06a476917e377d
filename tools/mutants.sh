#!/usr/bin/env bash
# Plants each defect of trials/mutants/ in a copy of the tree, and demands that exactly the tests fail that it names.
# Usage: mutants.sh [--whole] [NAME ...]      all of them, where none is named
#
# A patch begins with what it breaks, then `# kills: TEST, ...`: these must fail. Any other failure, and any without a patch,
# is wrong: trials draw their chance from a seed, so that they end the same each time. What is run are the suites about the
# room that the patch changes; with `--whole` every suite, which takes hours. Copy and build stand in the target folder: the
# copy is removed at the end, the build makes the next run short.
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
all=(raffle ledger campaign histories)
for file in trials/tests/*.rs; do
  suite=$(basename "$file" .rs)
  case $suite in mutants | tidy) ;; *) all+=("$suite") ;; esac
done
declare -A of_room=(
  [raffle]="raffle big_market documents draws drift dry_run erasure explain fairness quotas rules simulate simulation tickets versions"
  [ledger]="ledger histories ledger_batches ledger_invariants ledger_lots ledger_tampered ledger_writers wallets"
  [campaign]="campaign campaigns campaigns_bounds campaigns_days campaigns_faults campaigns_http campaigns_model endpoints fulfilment held referrals webhooks"
)
minutes_max=20

exec 9>"$work/lock"
flock -n 9 || { echo "another run holds $work/lock"; exit 1; }
trap 'rm -rf "$tree"' EXIT
rm -rf "$tree"
mkdir "$tree"
tar -c --exclude=./target --exclude=./.git --exclude=./fuzz/target . | tar -x -C "$tree"
# The build may be newer than a source that a patch of the last run has changed.
find "$tree/crates" "$tree/trials" -name '*.rs' -exec touch {} +

# Prints the tests of suites that fail, sorted, as SUITE::TEST; answers 1 where not every suite came to its end. A crate's own
# tests are a suite of its name, which may be a trial's name too.
failing() {
  local what=(-p trials --lib) suite
  for suite in "$@"; do
    case $suite in raffle | ledger | campaign) what+=(-p "$suite") ;; esac
    case $suite in raffle | campaign) ;; histories) what+=(-p ledger --test histories) ;; *) what+=(--test "$suite") ;; esac
  done
  local ended=0
  (cd "$tree" && timeout "${minutes_max}m" cargo test --locked --no-fail-fast "${what[@]}" 9>&-) >"$log" 2>&1 || ended=$?
  [ "$ended" != 124 ] || return 1
  awk '
    $1 == "Running" { name = $NF; sub(/.*\//, "", name); sub(/-[0-9a-f]+\)$/, "", name); begun++ }
    /^test result:/ { ended++ }
    /^test .*FAILED$/ { print name "::" $2 }
    END { exit !(begun > 0 && begun == ended) }
  ' "$log" | sort -u
}

# The tests that a patch names, among suites.
kills() {
  local patch=$1
  shift
  named "$patch" | grep -f <(printf '^%s::\n' "$@") || true
}

named() { sed -n 's/^# kills: //p' "$1" | tr ',' '\n' | tr -d ' ' | sed '/^$/d' | sort -u; }

wrong=0
judge() {
  local name=$1 kills=$2 found status=ok
  shift 2
  found=$(failing "$@") || { echo "$name: the suites did not come to their end"; tail -n 30 "$log"; return 1; }
  local missed extra
  missed=$(comm -23 <(echo "$kills") <(echo "$found") | sed '/^$/d')
  extra=$(comm -13 <(echo "$kills") <(echo "$found") | sed '/^$/d')
  [ -z "$missed$extra" ] || status=WRONG
  printf '%-8s %s, %d killed\n' "$name" "$status" "$(sed '/^$/d' <<<"$found" | wc -l)"
  [ -z "$missed" ] || sed 's/^/         survived: /' <<<"$missed"
  [ -z "$extra" ] || sed 's/^/         not named: /' <<<"$extra"
  [ "$status" = ok ]
}

# The suites about the rooms that a patch changes; every suite where one of them has no list.
suites_about() {
  local room suites=()
  for room in $(sed -n 's,^diff --git a/crates/\([a-z]*\)/.*,\1,p' "$1" | sort -u); do
    if [ "$whole" ] || [ -z "${of_room[$room]-}" ]; then suites+=("${all[@]}"); else suites+=(${of_room[$room]}); fi
  done
  printf '%s\n' "${suites[@]}" | sort -u | tr '\n' ' '
}

whole=
[ "${1-}" != --whole ] || { whole=yes; shift; }
[ $# -gt 0 ] || set -- $(cd trials/mutants && ls -- *.patch | sed 's/\.patch$//')
declare -A sound=()
for name in "$@"; do
  # What is planted is what the copy holds: somebody may work on the tree meanwhile.
  patch=$tree/trials/mutants/$name.patch
  suites=$(suites_about "$patch")
  # Without a patch nothing fails.
  if [ -z "${sound[$suites]-}" ]; then
    judge none "" $suites || exit 1
    sound[$suites]=yes
  fi
  git -C "$tree" apply "$patch"
  kills=$(kills "$patch" $suites)
  [ "$kills" ] || { echo "$name: names no test of $suites"; exit 1; }
  judge "$name" "$kills" $suites || wrong=1
  git -C "$tree" apply --reverse "$patch"
done
exit "$wrong"

#!/usr/bin/env bash
# Runs named parts one after the other, stops at the first that fails, and prints the minutes of each.
# Usage: parts.sh NAME COMMAND [NAME COMMAND ...]
set -u
report=""
status=0
while [ $# -ge 2 ] && [ "$status" = 0 ]; do
  name=$1 command=$2
  shift 2
  echo "== $name: $command"
  began=$(date +%s)
  bash -c "$command" || status=$?
  spent=$(($(date +%s) - began))
  report+=$(printf '%-10s %3d.%d min%s' "$name" $((spent / 60)) $((spent % 60 / 6)) "$([ "$status" = 0 ] || echo '  FAILED')")$'\n'
done
printf '\n%s' "$report"
exit "$status"

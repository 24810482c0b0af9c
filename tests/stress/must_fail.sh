#!/bin/sh
# must_fail.sh PROGRAM SECONDS: passes only when the program fails by itself in time: a sanitizer's report, a failed
# check or wrong counts. A program that passes, or only hangs, is a mutation that the stress did not see.
# It ends at the first report: what runs on with broken memory may do anything, also never end.
log=$(mktemp)
export TSAN_OPTIONS="halt_on_error=1 $TSAN_OPTIONS"
timeout -k 2 "$2" "$1" 8 >"$log" 2>&1
status=$?
summary=$(grep -m1 -E 'SUMMARY: |check failed|counts are wrong|runtime error' "$log")
rm -f "$log"
if [ "$status" -eq 0 ]; then
  echo "the stress passed: the mutation was not seen"
  exit 1
fi
if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
  echo "the stress only hung"
  exit 1
fi
# 126 and 127 are programs that did not run; a signal that ends one is 128 and its number.
if [ -z "$summary" ] && [ "$status" -le 128 ]; then
  echo "the stress ended with $status and said nothing of what it saw"
  exit 1
fi
echo "seen (status $status): ${summary:-crash}"
exit 0

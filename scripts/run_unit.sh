#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs each unit-test program given, at most 300 s each, and sums up. Fails when one fails, crashes, or runs no test.
# Logs lie beside the programs; that of a failing one is shown. V=1 shows all.
passed=0
failed=0
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=0}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
for program; do
    name=$(basename "$program")
    timeout -k 5 "${UNIT_TIMEOUT:-300}" "$program" >"$program.log" 2>&1
    status=$?
    ok=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s)\.$/\1/p' "$program.log" | tail -n 1)
    bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test(s), listed below:$/\1/p' "$program.log" | tail -n 1)
    ok=${ok:-0}
    bad=${bad:-0}
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1 # it crashed or hung
    elif [ "$ok" -eq 0 ] && [ "$bad" -eq 0 ]; then
        echo "$name: no test was run" >>"$program.log"
        bad=1
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$bad" -ne 0 ]; then
        echo "$name: $ok passed, $bad failed (exit status $status)"
        sed 's/^/    /' "$program.log" | tail -n 60
    else
        echo "$name: $ok passed"
        [ "${V:-0}" = 1 ] && sed 's/^/    /' "$program.log"
    fi
done
echo "unit tests: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

#!/bin/sh
# SPDX-License-Identifier: MIT
# The model tests (tests/model/model.h). The bounded form: fixed seeds, an audit after every step where sanitized, after every
# eighth where not (a violation stays, and the step is then found by auditing after each). With T=seconds the fast one goes on
# with new seeds for so long.
#
#   tests/model/run.sh FAST SANITIZED
set -eu
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=0}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
status=0

echo '--- sanitized, audit after every step'
STEPS=${STEPS:-4000} RUNS=${RUNS_SANITIZED:-10} SEED=${SEED:-1} "$2" || status=1
echo '--- fast'
if [ "${T:-0}" -gt 0 ]; then
    STEPS=${STEPS:-10000} AUDIT=${AUDIT:-8} SEED=${SEED:-$(date +%s)} "$1" || status=1
else
    STEPS=${STEPS:-10000} AUDIT=${AUDIT:-8} SEED=${SEED:-1000} RUNS=${RUNS:-200} "$1" || status=1
fi
exit $status

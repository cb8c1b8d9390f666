#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs fuzzers from their corpora and sums up: the last line is 'fuzz: N passed, M failed'.
#
#   scripts/run_fuzz.sh FOLDER SECONDS NAME:RUNS...
#
# SECONDS 0: RUNS inputs of each, the same every time; fewer when a busy machine does not get that far in BOUND_S. Otherwise the seconds are shared by all, from a new seed, and new inputs
# that are worth something stay in FOLDER/grown/NAME for the next time. An input that fails is kept in FOLDER/found/.
folder=$1
seconds=$2
shift 2
passed=0
failed=0
BOUND_S=6
TIMEOUT_S=$((20 * ${PATIENCE:-3})) # of one input: for endless loops, not for busy machines
mkdir -p "$folder/found" "$folder/grown" "$folder/none"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=0:allocator_may_return_null=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
rm -rf "$folder/none"
for target; do
    name=${target%:*}
    dictionary=tests/fuzz/dict/$name.dict
    mkdir -p "$folder/grown/$name" "$folder/none"
    if [ "$seconds" -eq 0 ]; then
        set_of_options="-seed=1 -runs=${target#*:} -max_total_time=$BOUND_S $folder/none"
    else
        set_of_options="-max_total_time=$((seconds / $#)) $folder/grown/$name"
    fi
    [ ! -f "$dictionary" ] || set_of_options="-dict=$dictionary $set_of_options"
    begin=$(date +%s)
    # shellcheck disable=SC2086 # a list of words
    if timeout -k 5 $((seconds / $# + 300)) "$folder/$name" -timeout=$TIMEOUT_S -rss_limit_mb=2048 -malloc_limit_mb=1200 \
        -artifact_prefix="$folder/found/$name-" $set_of_options "tests/fuzz/corpus/$name" >"$folder/$name.log" 2>&1; then
        passed=$((passed + 1))
        verdict=passed
    else
        failed=$((failed + 1))
        verdict=FAILED
    fi
    runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$folder/$name.log" | tail -n 1)
    echo "$name: $verdict (${runs:-?} inputs, $(($(date +%s) - begin)) s)"
    [ "$verdict" = passed ] || grep -v '^#[0-9]' "$folder/$name.log" | tail -n 60
    rm -rf "$folder/none"
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

#!/bin/sh
# SPDX-License-Identifier: MIT
# Every test: style, sizes, the builds of both compilers, unit tests, model tests, fuzzers, the tools against a played
# machine, whole machines. Prints the time of each part; the last line is 'N passed, N failed'. Called by make test;
# --full takes the whole matrix and the long loads.
#
#   scripts/test.sh [--full]
#
# A part that counts its own tests adds them; another is one test.
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
full=
# Timeouts are for hangs, not for speed: a busy machine gets three times what an idle one needs.
export PATIENCE="${PATIENCE:-3}"
[ "${1:-}" != --full ] || full=-full
passed=0
failed=0
mkdir -p "$B"

# part NAME COUNT COMMAND...: COUNT prints "passed failed" from the part's output; '' for a part that is one test.
part() {
    name=$1
    count=$2
    shift 2
    log=$B/test-$name.log
    begin=$(date +%s)
    "$@" >"$log" 2>&1 </dev/null
    status=$?
    numbers=
    [ -z "$count" ] || numbers=$("$count" "$log")
    good=$(echo "$numbers" | cut -d ' ' -f 1)
    bad=$(echo "$numbers" | cut -d ' ' -f 2)
    good=${good:-0}
    bad=${bad:-0}
    if [ -z "$count" ] && [ "$status" -eq 0 ]; then
        good=1
    fi
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ] || [ "$good" -eq 0 ] && [ "$bad" -eq 0 ]; then
        bad=1 # it failed outside of its tests, or ran none
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    echo "$name: $good passed, $bad failed ($(($(date +%s) - begin)) s)"
    [ "$bad" -eq 0 ] || tail -n 120 "$log"
}

# Made beside the parts that don't need them: most of it is unpacking packages.
images() {
    make --no-print-directory system-images >"$B/test-images.log" 2>&1 </dev/null &
    images=$!
}

images_made() {
    wait "$images" || {
        tail -n 60 "$B/test-images.log"
        false
    }
}

# A last line 'WHAT: N passed, N failed'
sum_count() {
    sed -n 's/^[a-z ]*: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$1" | tail -n 1
}

# pytest's last line: 'N failed, N passed, N error ...'
system_count() {
    line=$(grep -E '^[^ ].*(passed|failed|error).* in [0-9.]+s' "$1" | tail -n 1)
    good=$(echo "$line" | sed -n 's/.*\b\([0-9][0-9]*\) passed.*/\1/p')
    bad=$(echo "$line" | sed -n 's/.*\b\([0-9][0-9]*\) failed.*/\1/p')
    wrong=$(echo "$line" | sed -n 's/.*\b\([0-9][0-9]*\) errors\{0,1\}.*/\1/p')
    echo "${good:-0} $((${bad:-0} + ${wrong:-0}))"
}

if ! scripts/deps.sh build image run test >"$B/test-deps.log" 2>&1; then
    tail -n 20 "$B/test-deps.log"
    echo '0 passed, 1 failed'
    exit 1
fi

MAKEFLAGS=-j$(nproc)
export MAKEFLAGS
images
part style '' make --no-print-directory style
part build '' make --no-print-directory all
part clang-build '' make --no-print-directory B="$B/clang" CC=clang-14 all
part debug-build '' make --no-print-directory B="$B/debug" DEBUG=1 all
part core-imports '' make --no-print-directory check-core
part size '' make --no-print-directory size
part unit sum_count make --no-print-directory unit
part unit-clang sum_count make --no-print-directory CC=clang-14 unit
part tools '' make --no-print-directory tools
part tools-clang '' make --no-print-directory B="$B/clang" CC=clang-14 tools
part tools-unit sum_count make --no-print-directory tools-unit
part model '' make --no-print-directory model
part seeded '' make --no-print-directory seeded QUICK=1
part fuzz sum_count make --no-print-directory fuzz
part images '' images_made
part tools-check system_count make --no-print-directory tools-check
part system system_count make --no-print-directory "system$full"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

#!/bin/sh
# SPDX-License-Identifier: MIT
# The long form of what tests isolation, about an hour on two cores: branch coverage, the longest stretches, the model tests, the
# hostile guests and their fuzzer, every seeded bug. Prints what was done and what was found; the last line is
# 'isolation: holds' or says what failed. Called by make test-isolation, which has built everything.
#
#   T=seconds    for the model and the fuzzers (1500)
#   SEED=n       of both (the time)
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
T=${T:-1500}
SEED=${SEED:-$(date +%s)}
export PATIENCE="${PATIENCE:-3}"
logs=$B/isolation
host=$B/host-gcc
failed=
mkdir -p "$logs"

# Runs a part of it; what it says goes to a file.
part() {
    name=$1
    shift
    begin=$(date +%s)
    if ! "$@" >"$logs/$name.log" 2>&1 </dev/null; then
        failed="$failed $name"
        tail -n 40 "$logs/$name.log"
    fi
    echo "$name: $(($(date +%s) - begin)) s"
}

# What a log's line says behind `model: ` or `fuzz: `.
number() {
    sed -n "s/$1/\\1/p" "$2" | tail -n 1
}

model() {
    SEED=$SEED T=$T RUNS=0 STEPS=10000 AUDIT=16 "$host/model-fast"
}

hostile() {
    /usr/bin/python3 tests/hostile/run.py --seconds "$T" --seed "$SEED"
}

# One core for the model, one for the machine with the hostile guests.
model_and_hostile() {
    model >"$logs/model.log" 2>&1 </dev/null &
    other=$!
    status=0
    hostile >"$logs/hostile.log" 2>&1 || status=1
    wait "$other" || status=1
    [ "$status" -eq 0 ] || tail -n 30 "$logs/model.log" "$logs/hostile.log"
    return $status
}

stretches() {
    /usr/bin/python3 tests/hostile/run.py --hypervisor "$B/latency/hospes" --icount --seconds 10 --key L --verbose
}

part coverage make --no-print-directory coverage
part stretches stretches
part model-and-hostile model_and_hostile
part fuzz make --no-print-directory fuzz T="$((T / 4))"
part seeded /usr/bin/python3 tests/seeded/seeded.py

echo "model: $(number '^model: \([0-9]*\) steps.*' "$logs/model.log") steps," \
    "$(number '^model: .*, \([0-9]*\) hypercalls.*' "$logs/model.log") hypercalls"
echo "hostile guests: $(number '^fuzz: [0-9]* rounds, \([0-9]*\) hypercalls.*' "$logs/hostile.log") hypercalls on the machine"
tail -n 1 "$logs/coverage.log"
tail -n 1 "$logs/seeded.log"
number '.*\(longest stretch: .*[a-z0-9]\)' "$logs/stretches.log"
if [ -n "$failed" ]; then
    echo "isolation: FAILED:$failed"
    exit 1
fi
echo 'isolation: holds'

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What people wait for with guests, in instructions: creating and destroying one, and the store.

Boots Domain 0 with the tools on one CPU under QEMU's -icount shift=0: a nanosecond of its clock is an instruction executed, by whomever.
Prints a table and adds it to bench/results.json under "guests"."""
import json
import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/system"))
import guests  # noqa: E402
import machine  # noqa: E402

# Limits, and what xl and C xenstored need on Xen 4.17.
LIMITS = {"xm create, M": (54, 540), "xm create with 300 guests there, M": (54, None), "the same, more than with none, %": (1, None),
          "xm destroy, M": (13, 134), "memory for an idle guest beside its own, KiB": (100, None),
          "store write, us": (45, 127), "store read, us": (32, 91), "store transaction of ten writes, us": (270, 1352),
          "audit of 9 GiB with 300 guests, M": (2000, None), "longest step of it": (20000, None),
          "store write with libxenstore, us": (None, 127), "store read with libxenstore, us": (None, 91),
          "store transaction with libxenstore, us": (None, 1352)}
STORE = {"write": "store write", "read": "store read", "transaction": "store transaction of ten writes",
         "lib_write": "store write with libxenstore", "lib_read": "store read with libxenstore",
         "lib_transaction": "store transaction with libxenstore"}

ROUNDS = """
now() { echo ${EPOCHREALTIME/./}; }
for i in 1 2 3 4 5 6; do
    a=$(now); xm create -q -p tiny name=b memory=192 || exit 1; b=$(now)
    sleep 2; c=$(now); xm destroy b || exit 1; d=$(now); sleep 3
    echo cost $((b - a)) $((d - c))
done
"""
# What the hypervisor has free, and what the daemons hold, in KiB.
HELD = """
free=$(xm info | sed -n 's/^free_memory *: *//p')
echo free $((free * 1024))
echo held $(cat $(printf '/proc/%s/smaps_rollup ' $(pidof xend xenstored xenconsoled)) | awk '/^Pss:/ { sum += $2 } END { print sum }')
"""
# Guests of a small kernel of our own, paused: what each costs is the toolstack's and the hypervisor's.
CROWD = """
for i in $(seq 300); do
    xm create -q -p tiny name=crowd$i memory=24 kernel=/tmp/guest ramdisk= || exit 1
done
"""


def numbers(pattern, said):
    return [tuple(map(int, found)) for found in re.findall(pattern, said)]


def median(values):
    return sorted(values)[len(values) // 2] / 1000


def held(m):
    """(KiB free in the hypervisor, KiB that the daemons hold)"""
    said = m.ok("bash /tmp/held.sh")
    return numbers(r"free (\d+)\s+held (\d+)", said)[0]


def measure(directory):
    spec = machine.Spec(image="tools", cpus=1, mem="9G", dom0_mem="1G", linux="quiet psi=0")
    machine.PATIENCE = 10
    with guests.Domain0(spec, "bench-guests", directory, disk=machine.BUILD / "images/dom0/hospes.img", clock=machine.COUNTED) as m:
        m.write("/tmp/rounds.sh", ROUNDS)
        m.write("/tmp/held.sh", HELD)
        m.write("/tmp/crowd.sh", CROWD)
        m.bring(ROOT / "build/bench/store", "/tmp/store")
        m.bring(ROOT / "build/bench/guest", "/tmp/guest")
        m.run("sleep 20")
        alone = numbers(r"cost (\d+) (\d+)", m.ok("bash /tmp/rounds.sh", 300))[1:]
        store = dict(re.findall(r"(\w+) (\d+)", m.ok("chmod +x /tmp/store && /tmp/store", 120)))
        before = held(m)
        m.ok("bash /tmp/crowd.sh", 600)
        after = held(m)
        audit = m.key("A", r"audit: clean: [^\n]*; (\d+) ns, longest step (\d+) ns", 300)
        crowded = numbers(r"cost (\d+) (\d+)", m.ok("bash /tmp/rounds.sh", 300))[1:]
        m.send("poweroff\r")
        m.ended(600)
    first, last = (median([create for create, _ in costs]) for costs in (alone, crowded))
    idle = (before[0] - after[0] + after[1] - before[1]) / 300 - 24 * 1024
    return {"xm create, M": first, "xm create with 300 guests there, M": last, "the same, more than with none, %": (last / first - 1) * 100,
            "xm destroy, M": median([destroy for _, destroy in alone]), "memory for an idle guest beside its own, KiB": idle,
            "audit of 9 GiB with 300 guests, M": int(audit.group(1)) / 1e6, "longest step of it": int(audit.group(2)),
            **{f"{name}, us": int(store[key]) / 1000 for key, name in STORE.items()}}


def main():
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(directory)
    for name, value in figures.items():
        limit, xen = LIMITS[name]
        most, over = (f"at most {limit:>5}", value > limit) if limit else (" " * 13, False)
        print(f"{name:<46} {value:>9.1f}   {most}   Xen 4.17 {xen or '':>5}{'   OVER' if over else ''}")
    path = ROOT / "bench/results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results["guests"] = figures
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

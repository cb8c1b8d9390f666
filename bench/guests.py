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
LIMITS = {"xm create, M": (54, 540), "xm destroy, M": (13, 134), "store write, us": (45, 127), "store read, us": (32, 91),
          "store transaction of ten writes, us": (270, 1352)}

ROUNDS = """
now() { echo ${EPOCHREALTIME/./}; }
for i in 1 2 3 4 5 6; do
    a=$(now); xm create -q -p tiny name=b memory=192 || exit 1; b=$(now)
    sleep 2; c=$(now); xm destroy b || exit 1; d=$(now); sleep 3
    echo cost $((b - a)) $((d - c))
done
"""


def counted(command):
    """The machine's command line with the counting clock in place of the running one."""
    at = command.index("-accel")
    return command[:at] + ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"] + command[at + 2:]


class Counted(guests.Domain0):
    def command(self):
        return counted(super().command())


def measure(directory):
    spec = machine.Spec(image="tools", cpus=1, mem="2G", dom0_mem="1G", linux="quiet")
    machine.PATIENCE = 10
    with Counted(spec, "bench-guests", directory, disk=machine.BUILD / "images/dom0/hospes.img") as m:
        m.write("/tmp/rounds.sh", ROUNDS)
        m.run("sleep 20")
        said = m.ok("bash /tmp/rounds.sh", 300)
        costs = [tuple(map(int, c)) for c in re.findall(r"cost (\d+) (\d+)", said)][1:]
        m.bring(ROOT / "build/bench/store", "/tmp/store")
        store = dict(re.findall(r"(\w+) (\d+)", m.ok("chmod +x /tmp/store && /tmp/store", 120)))
        m.send("poweroff\r")
        m.ended(300)
    return {"xm create, M": sorted(c for c, _ in costs)[len(costs) // 2] / 1000,
            "xm destroy, M": sorted(d for _, d in costs)[len(costs) // 2] / 1000,
            "store write, us": int(store["write"]) / 1000, "store read, us": int(store["read"]) / 1000,
            "store transaction of ten writes, us": int(store["transaction"]) / 1000}


def main():
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(directory)
    for name, value in figures.items():
        limit, xen = LIMITS[name]
        print(f"{name:<40} {value:>9.1f}   at most {limit:>5}   Xen 4.17 {xen:>5}{'' if value <= limit else '   OVER'}")
    path = ROOT / "bench/results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results["guests"] = figures
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

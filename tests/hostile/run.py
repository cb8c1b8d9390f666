# SPDX-License-Identifier: MIT
"""Runs the hostile guests on the hypervisor under QEMU. Their lines go to standard output, the last one is 'hostile: N passed, M
failed'; the whole console stays in build/test-logs/hostile.log when something failed. Exit status 0: nothing did."""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
LOG = BUILD / "test-logs/hostile.log"
PATIENCE = float(os.environ.get("PATIENCE", "1"))
START_AND_ATTACKS_S = 150  # on an idle machine; more is a hang
SHOWN = re.compile(r"^(passed|FAILED|hostile:|fuzz:|longest|  )|PANIC|panic")
END = re.compile(r"^hostile: (\d+) passed, (\d+) failed")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--hypervisor", default=str(BUILD / "hospes"))
    parser.add_argument("--icount", action="store_true", help="an instruction takes a nanosecond")
    parser.add_argument("--key", default="", help="of the hypervisor's console, pressed at the end")
    parser.add_argument("--options", default="", help="further hypervisor options")
    parser.add_argument("--verbose", action="store_true", help="the whole console")
    return parser.parse_args()


def command(a):
    kernel = f"{BUILD}/hostile/dom0 seconds={a.seconds} seed={a.seed} repeat={a.repeat} patience={max(1, int(PATIENCE))}" + (f" only={a.only}" if a.only else "")
    kernel += f" key={a.key}" if a.key else ""
    clock = ["-icount", "shift=0,sleep=off"] if a.icount else []
    options = f"console=com1 com1=115200,8n1 loglvl=info dom0_mem=48M {a.options}"
    return ["qemu-system-x86_64", "-accel", f"tcg,thread={'single' if a.icount else 'multi'}", *clock, "-cpu", "max,-smap,+svm,+npt", "-smp", str(a.cpus), "-m", "160M",
            "-display", "none", "-vga", "none", "-nic", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
            "-kernel", a.hypervisor, "-append", options, "-initrd", kernel]


def advisories_differ():
    """docs/advisories.md names every attack, and nothing else."""
    attacks = set()
    for source in sorted((ROOT / "tests/hostile/attacks").glob("*.c")):
        attacks |= set(re.findall(r"^ATTACK(?:_WITH)?\(\s*(\w+)", source.read_text(), re.M))
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs/advisories.md").read_text()))
    for name in sorted(attacks ^ named):
        print(f"hostile: docs/advisories.md: {name} is {'not there' if name in attacks else 'no attack'}")
    return attacks != named


def main():
    a = arguments()
    if advisories_differ():
        print("hostile: 0 passed, 1 failed")
        return 1
    LOG.parent.mkdir(parents=True, exist_ok=True)
    result = None
    machine = subprocess.Popen(command(a), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    patience = threading.Timer(START_AND_ATTACKS_S * PATIENCE + a.seconds * 2, machine.kill)
    patience.start()
    try:
        with open(LOG, "w", encoding="utf-8") as log:
            for raw in machine.stdout:
                line = raw.decode(errors="replace").replace("\r", "")
                log.write(line)
                if a.verbose or SHOWN.search(line):
                    print(line, end="", flush=True)
                result = END.match(line) or result
    finally:
        patience.cancel()
        machine.kill()
        machine.wait()
    if not result:
        print(f"hostile: the machine did not come to the end; see {LOG}\nhostile: 0 passed, 1 failed")
        return 1
    if result.group(2) != "0":
        return 1
    LOG.unlink()
    return 0


sys.exit(main())

# SPDX-License-Identifier: MIT
"""Debian under load: stress-ng on two CPUs with four vCPUs. Nothing complains, nothing is lost, the audit agrees."""

import re

import machine

STRESSORS = ["fork", "vm", "mmap", "switch", "pipe", "signal", "timer", "iomix", "aio", "sysinfo", "get", "fault", "cpu"]


def free_memory(m):
    m.ok("sync; echo 3 >/proc/sys/vm/drop_caches; sleep 1")
    return int(re.search(r"MemAvailable: *(\d+)", m.ok("cat /proc/meminfo")).group(1)) // 1024


def audit(m):
    if not machine.REFERENCE:
        said = m.key("A", r"(?i)audit[^\n]*(clean|differ|wrong|error|fail)[^\n]*\n", 120).group(0)
        assert "clean" in said.lower(), said


def stress(m, seconds, at_once):
    """All stressors, `at_once` of them at a time, for so many seconds in all."""
    rounds = -(-len(STRESSORS) // at_once)
    each = max(seconds // rounds, 3)
    for first in range(0, len(STRESSORS), at_once):
        chosen = STRESSORS[first:first + at_once]
        flags = " ".join(f"--{s} 2" for s in chosen)
        said = m.ok(f"stress-ng {flags} --vm-bytes 96M --mmap-bytes 64M --iomix-bytes 32M --verify --temp-path /tmp --timeout {each}s "
                    f"--no-rand-seed 2>&1", each * 4 + 120)
        assert "successful run completed" in said and not re.search(r"(?i)\bfail|error", said), said


def test_stress(dom0, full):
    audit(dom0)
    stress(dom0, 6, 13)  # fills caches and pools, so that the figure after it is a fair one
    before = free_memory(dom0)
    for _ in range(3 if full else 1):
        stress(dom0, 100 if full else 24, 3 if full else 7)
    after = free_memory(dom0)
    audit(dom0)
    dom0.check_quiet()
    assert after > before - 24, f"{before} MiB available before, {after} MiB after"

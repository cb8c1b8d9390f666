# SPDX-License-Identifier: MIT
"""Hostile guests on the hypervisor: every attack, and the fuzzer for a while (tests/hostile)."""

import os
import subprocess
import sys

import pytest

import machine


@pytest.mark.ours
def test_attacks_and_fuzzing(full):
    command = [sys.executable, str(machine.ROOT / "tests/hostile/run.py"), "--seconds", "300" if full else "20",
               "--hypervisor", str(machine.HYPERVISOR)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900 * machine.PATIENCE,
                          env=os.environ | {"PATIENCE": str(machine.PATIENCE)})
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if not line.startswith("passed "))

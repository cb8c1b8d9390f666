# SPDX-License-Identifier: MIT
"""The hypervisor's guards of itself: its page tables as they are, and what a DEBUG build says when one of its own faults is
made on purpose."""

import machine
import pytest
from machine import Spec

pytestmark = pytest.mark.ours

DEBUG = machine.HYPERVISOR.parent / "debug/hospes"


def test_memory_is_protected(start):
    with start(Spec(net="none")) as m:
        m.expect(r"memory protection: right: (\d+) KiB executable", 30)
        m.wait_shell()
        said = m.key("w", r"memory protection: (right|WRONG)[^\n]*\n")
        assert said.group(1) == "right"
        m.poweroff()


@pytest.mark.parametrize("key,reason", [
    ("1", r"PANIC on CPU \d+: a stack has overflowed: [0-9a-f]+ is in its guard page"),
    ("2", r"PANIC on CPU \d+: a stack frame was overwritten"),
    ("3", r"PANIC on CPU \d+: page fault in the hypervisor"),
])
def test_own_faults(start, monkeypatch, key, reason):
    """Each ends in a report that says what it was and names the function, and in a restart."""
    monkeypatch.setattr(machine, "HYPERVISOR", DEBUG)
    with start(Spec(net="none")) as m:
        m.wait_shell()
        m.child.send("\x01\x01\x01" + key)
        m.expect(reason, 30)
        m.expect(r"Stack:\r*\n[^\n]*key_run|rip [^\n]*(overflow_stack|write_to_code)|overwrite_frame|key_run", 30)
        assert m.ended(60) == 0

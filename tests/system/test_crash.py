# SPDX-License-Identifier: MIT
"""Domain 0's kernel crashes: the hypervisor says so, and reboots or stays as it was told."""

import time

import pexpect
import pytest

from machine import Spec

CRASHED = r"(?i)(dom(ain )?0|d0)[^\n]*crash"


def crash(m):
    m.wait_shell()
    m.send("echo c >/proc/sysrq-trigger\r")
    m.expect(r"sysrq: Trigger a crash|Kernel panic", 30)
    m.expect(CRASHED, 30)


def test_reboots(start):
    """With -no-reboot QEMU ends when the machine is reset."""
    with start(Spec(net="none")) as m:
        crash(m)
        assert m.ended(60) == 0


def test_stays(start):
    with start(Spec(options="noreboot", net="none")) as m:
        crash(m)
        time.sleep(8)
        assert m.child.expect([pexpect.TIMEOUT, pexpect.EOF], timeout=4) == 0
        assert m.child.isalive()


@pytest.mark.ours
@pytest.mark.parametrize("how,reason", [("poweroff -f", None), ("halt -f", r"(?i)halt")])
def test_ends(start, how, reason):
    with start(Spec(net="none")) as m:
        m.wait_shell()
        m.send(how + "\r")
        if reason:
            m.expect(reason, 30)
        else:
            assert m.ended(30) == 0

# SPDX-License-Identifier: MIT
"""The hypervisor's own keys and its console."""

import re

import pytest

from machine import REFERENCE, Spec


def test_keys(start):
    """Help lists the keys; those that report do so, and Domain 0 goes on meanwhile."""
    with start(Spec(net="none")) as m:
        m.wait_shell()
        m.key("h", r"'h' pressed" if REFERENCE else r"reboot the machine[^\n]*\n", 20)
        m.ok("true")
        if not REFERENCE:
            console = m.console()
            for topic in ("domain", "type", "event", "run", "timer", "audit", "ring", "reboot"):
                assert re.search(topic, console, re.I), f"help has nothing on {topic}"
        m.check_quiet()
        m.poweroff()


@pytest.mark.ours
def test_audit_key(start):
    """The audit agrees while Domain 0 changes page tables as fast as it can."""
    with start(Spec(net="none")) as m:
        m.wait_shell()
        m.ok("(churn 60 >/tmp/churn.log 2>&1 &)")
        for _ in range(5):
            said = m.key("A", r"(?i)audit[^\n]*(clean|differ|wrong|error|fail)[^\n]*\n", 120).group(0)
            assert "clean" in said.lower()
        m.check_quiet()
        m.poweroff()


def test_flood(start):
    """Much output from Domain 0 arrives whole."""
    with start(Spec(net="none")) as m:
        m.wait_shell()
        said = m.ok("seq 1 20000", 120)
        assert said.split() == [str(n) for n in range(1, 20001)]
        m.poweroff()

# SPDX-License-Identifier: MIT
"""The control interface from Domain 0: domains that come and go, and one page of code as a guest (tests/guest/domctl.c)."""

import pytest

import machine

pytestmark = pytest.mark.ours


def test_domctl(start):
    with start(machine.Spec(mem="1G", dom0_mem="512M")) as m:
        m.wait_shell()
        m.ok("modprobe xen_privcmd")
        m.ok("/test/domctl 100", 120)
        m.check_quiet()
        assert "clean" in m.key("A", r"audit: [^\n]*\n", 60).group(0)
        m.poweroff()

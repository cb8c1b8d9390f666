# SPDX-License-Identifier: MIT
"""Programs that ask much of the CPU's virtualisation, in Debian: debuggers, vector code, 32-bit code, LDTs, core dumps."""

import re

import pytest


def test_gdb(dom0):
    """Breakpoints, stepping, a watchpoint in hardware, registers and memory."""
    dom0.ok("echo 0 >/proc/sys/kernel/randomize_va_space")
    script = ("-ex 'break crash_here' -ex run -ex 'print/x crash_mark' -ex 'watch crash_mark' -ex continue -ex 'print/x crash_mark' "
              "-ex 'delete' -ex stepi -ex 'info registers rip' -ex continue -ex 'print/x $r15' -ex backtrace")
    said = dom0.ok(f"gdb -q -batch {script} /test/crash 2>&1", 120)
    assert "Breakpoint 1, crash_here" in said
    assert "0x686f73706573" in said and "0x686f73706574" in said
    assert "Hardware watchpoint" in said and "SIGSEGV" in said and "0x1234567" in said and re.search(r"#1 .* main", said)


def test_strace(dom0):
    said = dom0.ok("strace -f -c sh -c 'ls -lR /etc >/dev/null; true' 2>&1", 180)
    assert "total" in said and "openat" in said
    assert "+++ exited with 3 +++" in dom0.run("strace sh -c 'exit 3' 2>&1 | tail -n 1", 60)[1]


def test_openssl(dom0):
    """Ciphers with AVX and AES instructions on all vCPUs at once, and their results."""
    said = dom0.ok("openssl speed -seconds 2 -multi 4 -evp aes-256-gcm 2>&1 | tail -n 3", 120)
    assert "AES-256-GCM" in said
    dom0.ok("openssl speed -seconds 1 -multi 4 sha256 rsa2048 >/dev/null 2>&1", 180)
    dom0.ok("head -c 30000000 /dev/urandom >/tmp/a && for i in 1 2 3 4; do (openssl enc -aes-256-ctr -pbkdf2 -pass pass:x -in /tmp/a "
            "| openssl enc -d -aes-256-ctr -pbkdf2 -pass pass:x | cmp - /tmp/a || touch /tmp/bad) & done; wait; test ! -e /tmp/bad", 180)


@pytest.mark.parametrize("program", ["vectors 10", "registers 10", "calls32", "ldt", "faults", "watch", "churn 10"])
def test_program(dom0, program):
    dom0.ok(f"/test/{program}", 120)


def test_32bit_programs(dom0):
    """Debian's own 32-bit dynamic loader and C library."""
    dom0.ok("test -e /lib32/ld-linux.so.2 && for i in $(seq 50); do /lib32/ld-linux.so.2 /lib32/libc.so.6 >/tmp/out || exit 1; done", 60)
    assert "GNU C Library" in dom0.ok("cat /tmp/out")


def test_core_dump(dom0):
    """A crash leaves a core in which gdb finds the place, the registers and the memory."""
    dom0.ok("mkdir -p /tmp/core && cd /tmp/core && ulimit -c unlimited && echo core >/proc/sys/kernel/core_pattern")
    status, _ = dom0.run("/test/crash")
    assert status == 139
    said = dom0.ok("gdb -q -batch -ex backtrace -ex 'print/x $r15' -ex 'print/x crash_mark' /test/crash core* 2>&1; cd /", 60)
    assert "crash_here" in said and "0x1234567" in said and "0x686f73706574" in said


def test_devices(dom0):
    """PCI, its interrupts, the network card's driver, and name resolution's way out are as on a bare machine."""
    said = dom0.ok("lspci -vv")
    assert "Virtio" in said and "MSI-X: Enable+" in said
    dom0.ok("ethtool -i $(ip -o -4 route show default | sed 's/.* dev \\([^ ]*\\).*/\\1/') | grep -q virtio_net")


def test_quiet(dom0):
    dom0.check_quiet()
    assert dom0.ok("systemctl --failed --no-legend --plain --no-pager | cat").strip() == ""

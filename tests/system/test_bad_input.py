# SPDX-License-Identifier: MIT
"""What is wrong with the machine or its files gives one clear line and a stop; what can be gone on with, a warning."""

import dataclasses
import struct
import time

import pexpect
import pytest

import machine
from machine import BUILD, REFERENCE, Spec
from repack import payload_of, unpack

KERNEL = BUILD / "kernels/newest/vmlinuz"


# ---- Files that are not what they should be ----

def not_a_kernel(stock):
    return b"This is a text, not a kernel.\n" * 1000


def empty(stock):
    return b""


def truncated(stock):
    return stock[:len(stock) // 2]


def corrupted(stock):
    offset, length = payload_of(stock)
    middle = offset + length // 2
    return stock[:middle] + bytes(b ^ 0x5a for b in stock[middle:middle + 4096]) + stock[middle + 4096:]


def bad_header(stock):
    """A payload that is said to lie beyond the file."""
    head = bytearray(stock)
    struct.pack_into("<II", head, 0x248, 0x7fffff00, 0xffffffff)
    return bytes(head)


def unknown_compression(stock):
    offset, _ = payload_of(stock)
    return stock[:offset] + b"????????" + stock[offset + 8:]


def without_notes(stock):
    """The bare ELF, its note segment gone."""
    elf = bytearray(unpack(stock))
    phoff, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for i in range(count):
        if struct.unpack_from("<I", elf, phoff + i * size)[0] == 4:
            struct.pack_into("<I", elf, phoff + i * size, 0)
    # No section headers either: nothing to find them by.
    struct.pack_into("<Q", elf, 40, 0)
    struct.pack_into("<HH", elf, 60, 0, 0)
    return bytes(elf)


def wild_segments(stock):
    """An ELF whose first segment goes to an address without memory."""
    elf = bytearray(unpack(stock))
    phoff, = struct.unpack_from("<Q", elf, 32)
    struct.pack_into("<Q", elf, phoff + 24, 0x00007fff00000000)
    return bytes(elf)


# What each must say: a loose pattern for ours and one for the reference (None: it has no stop of its own there).
STOPS = [
    # name, kernel maker, spec, ours, the reference's
    ("no-module", None, Spec(), r"(?i)no (dom(ain )?0|kernel|module)|dom(ain )?0 kernel.*(missing|not)", r"(?i)dom0 kernel not specified"),
    ("not-a-kernel", not_a_kernel, Spec(), r"(?i)not (a|an) .*(kernel|image|ELF|bzImage)|no kernel", r"(?i)panic|not an ELF|Could not"),
    ("empty", empty, Spec(), r"(?i)(kernel|module|image).*(empty|short|small|not)|not (a|an) ", None),
    ("truncated", truncated, Spec(), r"(?i)truncat|short|cut|ends|incomplete|beyond|corrupt", r"(?i)panic|corrupt|unexpected|Could not"),
    ("corrupted", corrupted, Spec(), r"(?i)corrupt|damaged|check|CRC|bad|broken", r"(?i)panic|corrupt|Could not"),
    ("bad-header", bad_header, Spec(), r"(?i)beyond|outside|truncat|header|corrupt|payload", None),
    ("unknown-compression", unknown_compression, Spec(), r"(?i)compress|unknown|format|payload", r"(?i)panic|Could not"),
    ("without-notes", without_notes, Spec(), r"(?i)note", r"(?i)panic|not.*Xen|Could not|notes"),
    ("wild-segments", wild_segments, Spec(), r"(?i)segment|beyond|outside|address|lies|range", None),
    ("too-little-memory", "stock", Spec(mem="96M"), r"(?i)memory.*\d+ *(MiB|MB|KiB|kB|M\b|K\b|pages)|needs? +\d+|\d+.*(missing|short|more)", None),
    ("too-little-dom0-mem", "stock", Spec(dom0_mem="40M"), r"(?i)(memory|dom0_mem).*\d+|\d+.*(missing|short|more|need)", None),
]


def no_reset(m):
    """The machine has not been reset by a triple fault: with -no-reboot QEMU would have ended."""
    time.sleep(2)
    return m.child.isalive()


@pytest.mark.parametrize("name,maker,spec,ours,reference", STOPS, ids=[s[0] for s in STOPS])
def test_stop(start, tmp_path, name, maker, spec, ours, reference):
    pattern = reference if REFERENCE else ours
    if pattern is None:
        pytest.skip("the reference has no clear stop here")
    kernel = KERNEL
    if callable(maker):
        kernel = tmp_path / "kernel"
        kernel.write_bytes(maker(KERNEL.read_bytes()))
    spec = dataclasses.replace(spec, payload="stock", net="none", options="noreboot")
    with start(spec, kernel=kernel, no_module=maker is None) as m:
        m.expect(pattern, 90)
        # It stops there (a pattern that matched a mere banner would go on to Linux), and by itself.
        assert m.child.expect([pexpect.TIMEOUT, pexpect.EOF, "Linux version"], timeout=4) == 0, "it goes on, or the machine was reset"
        assert no_reset(m)


# ---- Options: a warning, and the boot goes on ----

OPTIONS = ["no_such_option=1", "dom0_mem=lots", "com1=fast", "loglvl=", "maxcpus=minus", "sched=none", "=", "dom0_max_vcpus=0",
           "console=com9", "dom0_mem=99999999G"]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.ours
def test_option(start, option):
    """The console names the option, and Domain 0 comes up nevertheless."""
    with start(Spec(options=option, net="none")) as m:
        m.wait_shell()
        said = [line for line in m.console().splitlines() if option.split("=")[0] in line and "ommand line" not in line]
        assert said or option == "=", "no line about it"
        m.poweroff()


def test_long_command_line(start):
    with start(Spec(options="x" * 200 + " " + "y=" + "z" * 1200, net="none")) as m:
        m.wait_shell()
        m.poweroff()


def test_no_acpi(start):
    """Without ACPI the hypervisor says what is lost; Domain 0 may come up or not, but nothing breaks silently."""
    with start(Spec(cpus=2, net="none"), qemu=["-no-acpi"]) as m:
        m.expect(r"(?i)acpi", 60)
        if not REFERENCE:
            m.expect(r"(?i)(ACPI|RSDP|MADT)[^\n]*(no |not |missing|without|lost|one CPU|cannot)|(no|without|missing|lost)[^\n]*(ACPI|RSDP|MADT)", 30)
        assert m.child.expect([machine.re.escape("smoke# "), r"(?i)panic|halt", pexpect.TIMEOUT, pexpect.EOF], timeout=60) < 2

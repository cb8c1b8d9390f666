# SPDX-License-Identifier: MIT
"""
Processors that QEMU's emulation lacks, in Bochs: local APICs with x2APIC mode and TSC-deadline timers, of Intel's make.

Domain 0 is the small kernel of bench/guest, since Bochs is slow; the full set has Debian's.
"""

import re
import shutil
import socket
import struct
import subprocess

import pexpect
import pexpect.fdpexpect
import pytest

from machine import BUILD, HYPERVISOR, LOGS, PATIENCE, complaints
from repack import unpack

pytestmark = [pytest.mark.ours, pytest.mark.skipif(not shutil.which("bochs"), reason="bochs is not installed: scripts/deps.sh test")]

CPUS = 2
ABSENT_ID = 0x12345  # of a processor that our own table names and that is not there
# Debian's Bochs stops in its debugger first: the file of commands says continue.
CONFIG = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model={model}, count={cpus}, ips=50000000, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
ata0-master: type=cdrom, path="{directory}/boot.iso", status=inserted
boot: cdrom
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
log: "{directory}/bochs.log"
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
panic: action=fatal
"""
GRUB = """\
set timeout=0
menuentry machine {{
 {acpi}
 multiboot2 /boot/hypervisor console=com1 loglvl=all {options}
 module2 /boot/kernel kernel console=hvc0
 {initrd}
}}
"""


def madt():
    """An ACPI table that names every processor by an entry of type 9 (a 32-bit id), as firmware does where ids pass 254."""
    entries = struct.pack("<BBBBII", 1, 12, CPUS, 0, 0xfec00000, 0)  # the I/O APIC
    entries += struct.pack("<BBBBIH", 2, 10, 0, 0, 2, 0)  # ISA interrupt 0 is its input 2
    for apic_id, present, uid in [(n, 1, n) for n in range(CPUS)] + [(ABSENT_ID, 0, CPUS)]:
        entries += struct.pack("<BBHIII", 9, 16, 0, apic_id, present, uid)
    body = struct.pack("<II", 0xfee00000, 1) + entries
    table = bytearray(struct.pack("<4sIBB6s8sI4sI", b"APIC", 36 + len(body), 3, 0, b"HOSPES", b"TYPENINE", 1, b"TEST", 1) + body)
    table[9] = -sum(table) & 0xff
    return bytes(table)


class Bochs:
    """A running machine in Bochs, its serial line connected to us. As a context manager it ends with its block."""

    def __init__(self, name, directory, kernel, initrd=None, model="corei7_skylake_x", memory=256, options="", own_madt=False):
        tree = directory / "iso/boot"
        (tree / "grub").mkdir(parents=True)
        shutil.copyfile(HYPERVISOR, tree / "hypervisor")
        (tree / "kernel").write_bytes(kernel)
        if initrd:
            shutil.copyfile(initrd, tree / "initrd")
        if own_madt:
            (tree / "madt").write_bytes(madt())
        (tree / "grub/grub.cfg").write_text(GRUB.format(acpi="acpi --exclude=APIC /boot/madt" if own_madt else "", options=options,
                                                        initrd="module2 --nounzip /boot/initrd" if initrd else ""))
        subprocess.run(["grub-mkrescue", "-o", str(directory / "boot.iso"), str(directory / "iso")], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.directory = directory
        (directory / "commands").write_text("continue\n")
        (directory / "config").write_text(CONFIG.format(model=model, cpus=CPUS, memory=memory, directory=directory,
                                                        port=self.listener.getsockname()[1]))
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{re.sub(r'[^A-Za-z0-9_.=-]+', '_', name)}.log"

    def __enter__(self):
        self.output = open(self.log, "w", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(["bochs", "-q", "-f", str(self.directory / "config"), "-rc", str(self.directory / "commands")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.listener.settimeout(30 * PATIENCE)
            self.line = self.listener.accept()[0]
        except OSError:
            self.__exit__(OSError, None, None)
            raise AssertionError(f"Bochs did not start; its log: {self.directory}/bochs.log") from None
        self.console = pexpect.fdpexpect.fdspawn(self.line, encoding="utf-8", codec_errors="replace", maxread=65536, logfile=self.output)
        return self

    def __exit__(self, kind, value, trace):
        self.process.kill()
        self.process.wait()
        self.listener.close()
        self.output.close()
        if kind is None:
            self.log.unlink()

    def expect(self, pattern, timeout=60):
        try:
            self.console.expect(pattern, timeout=timeout * PATIENCE)
            return self.console.match
        except (pexpect.TIMEOUT, pexpect.EOF) as why:
            tail = "\n".join((self.console.before or "").splitlines()[-25:])
            raise AssertionError(f"{type(why).__name__} while waiting for {pattern!r}; the console ends:\n{tail}\n({self.log})") from None

    def ok(self, command, timeout=60):
        """Runs a command of Domain 0's shell, which must succeed."""
        self.console.send(f"{command} && echo 'went' 'well'\r")
        self.expect(r"\nwent well", timeout)


CASES = {  # processors named by ACPI, mode, machine
    "x2apic": (CPUS, "x2APIC", {}),
    "type9": (CPUS + 1, "x2APIC", {"own_madt": True}),
    "xapic": (CPUS, "xAPIC", {"options": "x2apic=no"}),
}


@pytest.mark.parametrize("case", CASES)
def test_apic_mode(case, tmp_path):
    """All processors start, timers fire on each of them, input's interrupt arrives, and Domain 0 runs to its end."""
    named, mode, how = CASES[case]
    with Bochs(f"test_apic_mode-{case}", tmp_path, (BUILD / "bench/guest").read_bytes(), **how) as m:
        m.expect(rf"CPU: GenuineIntel [^\n]*x2APIC[^\n]*\n.*ACPI: {named} CPUs[^\n]*\n.*APIC: {mode}, TSC-deadline timer\r*\n")
        m.expect(rf"CPUs: {CPUS} online\r*\n")
        m.expect(r"bench: null_hypercall \d+")
        m.expect(r"bench: mmu_update_512_map \d+")  # more than a second of the machine's has passed
        m.console.send("\x01\x01\x01t")
        said = m.expect(r"key 't'[^\n]*\n(.*?)bench: ").group(1)
        per_cpu = [re.findall(r"in (-?\d+) us", part) for part in said.split("CPU ")[1:]]
        assert len(per_cpu) == CPUS and all(per_cpu), f"a processor has no timers:\n{said}"
        assert all(int(us) > -100000 for us in sum(per_cpu, [])), f"a timer has not fired:\n{said}"
        m.expect(r"bench: total \d+")
        m.expect(r"Domain 0 has ended: reboot")


@pytest.mark.full
def test_debian(tmp_path):
    """Debian's kernel as Domain 0 on both processors, with Intel's way into the kernel (SYSENTER)."""
    # Not the newer model: what its CPUID says of XSAVEC's size is wrong, and Linux gives up XSAVE then.
    kernel = unpack((BUILD / "kernels/newest/vmlinuz").read_bytes())
    with Bochs("test_debian_on_bochs", tmp_path, kernel, BUILD / "images/smoke-newest.img", model="corei7_haswell_4770", memory=512) as m:
        m.expect("smoke# ", 600)
        m.ok(f"test $(nproc) = {CPUS}")
        for program in ("calls32", "faults", "clocks 1", "vectors 1", "churn 1"):
            m.ok(program, 120)
        m.output.flush()
        # Bochs has neither of two registers that Linux reads on Intel's processors.
        said = re.sub(r"\[[^\n]*unchecked MSR access error.*?</TASK>", "", m.log.read_text(errors="replace"), flags=re.S)
        assert not complaints(said)

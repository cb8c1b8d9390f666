# SPDX-License-Identifier: MIT
"""One whole machine under QEMU: what it is made of (Spec) and a conversation with it over its serial line (Machine)."""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import time

import pexpect

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
LOGS = BUILD / "test-logs"
HYPERVISOR = ROOT / os.environ.get("HYPERVISOR", "build/hospes")
# Debian's Xen in our place shows that the tests themselves are right.
REFERENCE = HYPERVISOR.parent.name == "reference"
KVM = os.access("/dev/kvm", os.W_OK) and re.search(r"^flags.*\b(vmx|svm)\b", open("/proc/cpuinfo").read(), re.M)
# How much longer than on an idle two-core machine everything may take.
PATIENCE = float(os.environ.get("PATIENCE", "1"))

# A clock that counts the instructions executed: a nanosecond each, whatever the host does beside.
COUNTED = ("-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off")

# What no kernel log and no console may show.
COMPLAINTS = re.compile(
    r"\bBUG[: ]|\bWARNING: |Oops|detected stalls?|self-detected stall|soft lockup|hard LOCKUP|multicall failure|failed multicall"
    r"|Kernel panic|Bad page|nobody cared|general protection fault|Call Trace|blocked for more than|ASSERT|assertion"
    r"|lost interrupt|timeout, aborting|I/O error|audit[^\n]*(differ|mismatch|wrong)|Unhandled|unhandled page fault|PANIC")
# Known to come on any hypervisor: from QEMU's emulated devices, and from GRUB.
HARMLESS = re.compile(r"This is not a bug|WARNING: no console will be available to OS|Please report a bug|I/O error, dev (fd|sr)0|unhandled (wr|rd)msr")


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a machine is made of; the defaults are the plain one."""

    cpus: int = 2
    mem: str = "2G"
    dom0_mem: str = ""  # of the option; empty: absent
    machine: str = "pc"
    boot: str = "kernel"  # kernel, grub-bios, grub-uefi
    disk: str = "virtio"  # virtio, virtio-intx, ahci, nvme, none
    net: str = "virtio-net"  # virtio-net, e1000, none
    kernel: str = "newest"  # newest, previous, rt
    payload: str = "prepared"  # prepared, stock (as Debian ships it)
    image: str = "smoke"  # smoke, dom0, tools (Debian with the tools and the guests' disk)
    options: str = ""  # further hypervisor options
    linux: str = ""  # further kernel arguments
    cpu: str = "max,-smap,+svm,+npt"

    @property
    def debian(self):
        return self.image in ("dom0", "tools")

    def __str__(self):
        parts = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(f"{field.name}={value}")
        return ",".join(parts) or "plain"


def megabytes(text):
    """'2G' or '512M' in MiB."""
    return int(text[:-1]) * {"M": 1, "G": 1024}[text[-1]]


def complaints(text):
    """The lines that should not be there."""
    return [line for line in text.splitlines() if COMPLAINTS.search(line) and not HARMLESS.search(line)]


class Machine:
    """A running machine. Use as a context manager: leaving it ends QEMU; its console log stays when a test failed."""

    def __init__(self, spec, name, workdir, disk=None, kernel=None, initrd=None, no_module=False, qemu=(), reboots=False,
                 clock=None):
        self.spec = spec
        self.name = re.sub(r"[^\w.=,-]+", "_", name)[:120]
        self.workdir = pathlib.Path(workdir)
        self.disk = disk
        self.qemu = list(qemu)
        self.reboots = reboots
        self.clock = clock  # QEMU arguments in place of the running clock's
        self.no_module = no_module
        self.kernel = kernel or self._kernel()
        self.initrd = initrd or self._initrd()
        self.child = None
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{self.name}.log"

    # ---- What it is started with ----

    def _kernel(self):
        if self.spec.debian:
            stock = BUILD / "images/dom0/vmlinuz"
        else:
            stock = BUILD / "kernels" / self.spec.kernel / "vmlinuz"
        prepared = stock.with_name("vmlinuz.prepared")
        return prepared if self.spec.payload == "prepared" and prepared.exists() else stock

    def _initrd(self):
        if self.spec.debian:
            return BUILD / "images/dom0/initrd.img"
        return BUILD / f"images/smoke-{self.spec.kernel}.img"

    @property
    def options(self):
        memory = f" dom0_mem={self.spec.dom0_mem}" if self.spec.dom0_mem else ""
        return f"console=com1 com1=115200,8n1 loglvl=all{memory} {self.spec.options}".strip()

    @property
    def linux_args(self):
        root = "root=LABEL=hospes ro " if self.spec.debian else ""
        return f"{root}console=hvc0 {self.spec.linux}".strip()

    def _boot_args(self):
        if self.spec.boot == "kernel":
            args = ["-kernel", str(HYPERVISOR), "-append", self.options]
            if not self.no_module:
                args += ["-initrd", f"{self.kernel} {self.linux_args},{self.initrd}"]
            return args
        args = ["-cdrom", str(self._iso()), "-boot", "d"]
        if self.spec.boot == "grub-uefi":
            variables = self.workdir / "vars.fd"
            shutil.copyfile("/usr/share/OVMF/OVMF_VARS_4M.fd", variables)
            args += ["-drive", "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
                     "-drive", f"if=pflash,format=raw,unit=1,file={variables}"]
        return args

    def _iso(self):
        tree = self.workdir / "iso"
        (tree / "boot/grub").mkdir(parents=True)
        image = HYPERVISOR if REFERENCE else HYPERVISOR.with_suffix(".gz")
        for source, target in ((image, "hypervisor"), (self.kernel, "kernel"), (self.initrd, "initrd")):
            shutil.copyfile(source, tree / "boot" / target)
        # GRUB hands over no file name; what takes options takes the first word for one.
        (tree / "boot/grub/grub.cfg").write_text(
            f"set timeout=0\nmenuentry machine {{\n multiboot2 /boot/hypervisor placeholder {self.options}\n"
            f" module2 /boot/kernel placeholder {self.linux_args}\n module2 --nounzip /boot/initrd\n}}\n")
        iso = self.workdir / "boot.iso"
        subprocess.run(["grub-mkrescue", "-o", str(iso), str(tree)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
        return iso

    def _device_args(self):
        args = []
        if self.disk:
            args += ["-drive", f"if=none,id=disk,format=raw,file={self.disk}" + (",snapshot=on" if self.spec.debian else "")]
            args += {
                "virtio": ["-device", "virtio-blk-pci,drive=disk"],
                "virtio-intx": ["-device", "virtio-blk-pci,drive=disk,vectors=0"],
                "ahci": ["-device", "ahci,id=sata", "-device", "ide-hd,drive=disk,bus=sata.0"],
                "nvme": ["-device", "nvme,drive=disk,serial=hospes"],
            }[self.spec.disk]
        if self.spec.image == "tools":
            args += ["-drive", f"if=virtio,format=raw,file={BUILD}/images/guests.img,snapshot=on"]
        nic = {"virtio-net": "virtio-net-pci", "e1000": "e1000", "none": None}[self.spec.net]
        return args + (["-nic", f"user,model={nic}"] if nic else ["-nic", "none"])

    def command(self):
        accel = ["-accel", "tcg,thread=multi", "-cpu", self.spec.cpu]
        if self.clock:
            accel = [*self.clock, "-cpu", self.spec.cpu]
        elif KVM:
            accel = ["-accel", "kvm", "-cpu", "host"]
        return (["qemu-system-x86_64", "-machine", self.spec.machine, *accel, "-smp", str(self.spec.cpus), "-m", self.spec.mem,
                 "-display", "none", "-vga", "std", "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
                 "-monitor", f"unix:{self.workdir}/monitor,server,nowait"]
                + ([] if self.reboots else ["-no-reboot"]) + self._boot_args() + self._device_args() + self.qemu)

    # ---- Its life ----

    def __enter__(self):
        command = self.command()
        self._logfile = open(self.log, "w", encoding="utf-8", errors="replace")
        self._logfile.write(" ".join(f"'{word}'" if " " in word else word for word in command) + "\n")
        self.child = pexpect.spawn(command[0], command[1:], encoding="utf-8", codec_errors="replace", maxread=65536, timeout=60,
                                   searchwindowsize=None)
        self.child.delaybeforesend = None
        self.child.logfile_read = self._logfile
        return self

    def __exit__(self, kind, value, trace):
        self.child.close(force=True)
        self._logfile.close()
        if kind is None:
            self.log.unlink()
        return False

    def console(self):
        """All that the serial line has said so far."""
        if not self._logfile.closed:
            self._logfile.flush()
        return re.sub(r"\r*\n+", "\n", self.log.read_text(encoding="utf-8", errors="replace"))

    def expect(self, pattern, timeout=60):
        """Waits for a line of the console; returns the match. The end of QEMU or of patience fails with the last lines."""
        try:
            self.child.expect(pattern, timeout=timeout * PATIENCE)
            return self.child.match
        except (pexpect.TIMEOUT, pexpect.EOF) as why:
            tail = "\n".join(self.console().splitlines()[-25:])
            raise AssertionError(f"{type(why).__name__} while waiting for {pattern!r} within {timeout} s; the console ends:\n{tail}\n"
                                 f"(all of it: {self.log})") from None

    def wait_shell(self, timeout=120):
        """Waits for the root shell and makes it plain to talk to. Returns the seconds that it took."""
        begin = time.monotonic()
        prompt = "root@hospes:~# " if self.spec.debian else "smoke# "
        self.expect(re.escape(prompt), timeout)
        took = time.monotonic() - begin
        if self.spec.debian:
            self.run("bind 'set enable-bracketed-paste off'; dmesg -n 1")
        return took

    def send(self, text):
        """Types text, no faster than a terminal: the receiving side has a 16-byte FIFO and small buffers behind it."""
        for at in range(0, len(text), 48):
            self.child.send(text[at:at + 48])
            if len(text) > 48:
                time.sleep(0.03)

    def run(self, command, timeout=60):
        """Runs a shell command; returns (exit status, output). The marks are written so that their echo does not match."""
        self.send(f"echo @@'B'@@; {command}; echo @@\"$?\"@@\r")
        self.expect(r"@@B@@\r*\n", 30)
        match = self.expect(r"@@(\d+)@@\r*\n", timeout)
        return int(match.group(1)), re.sub(r"\r+\n", "\n", self.child.before)

    def ok(self, command, timeout=60):
        """Runs a command that must succeed; returns its output."""
        status, output = self.run(command, timeout)
        assert status == 0, f"{command!r} ended with {status}:\n{output[-3000:]}"
        return output

    def check_quiet(self):
        """No complaint, of the kernel or of the hypervisor, since the start."""
        found = complaints(self.ok("dmesg")) + complaints(self.console())
        assert not found, "complaints:\n" + "\n".join(found[:20])

    def ended(self, timeout=60):
        """Waits until QEMU has ended by itself; returns its exit status."""
        self.expect(pexpect.EOF, timeout)
        self.child.wait()
        return self.child.exitstatus

    def poweroff(self):
        self.send("poweroff -f\r" if self.spec.image == "smoke" else "poweroff\r")
        assert self.ended(90) == 0

    def monitor(self, command):
        """A QEMU monitor command over its socket; returns what it said."""
        import socket
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(f"{self.workdir}/monitor")
            said = b""
            for text in ("", command + "\n"):
                s.sendall(text.encode())
                said = b""
                while not said.endswith(b"(qemu) "):
                    said += s.recv(4096)
        return said.decode(errors="replace")

    # ---- The hypervisor's own keys ----

    def key(self, key, until, timeout=30):
        """Switches the line to the hypervisor, presses a key, waits for its answer, and switches back."""
        self.child.send("\x01\x01\x01")
        self.expect(r"(?i)input (goes )?to (the hypervisor|xen)[^\n]*\n", 15)
        self.child.send(key)
        match = self.expect(until, timeout)
        self.child.send("\x01\x01\x01")
        self.expect(r"(?i)input (goes )?to dom(ain )?0[^\n]*\n", 15)
        return match

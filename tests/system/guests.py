# SPDX-License-Identifier: MIT
"""A Domain 0 with the tools, and the guests in it: what the guest tests share."""

import base64
import functools
import http.server
import pathlib
import re
import threading
import time

import machine

PROMPTS = {"demo": r"root@demo:~# ", "tiny": r"tiny# "}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Domain0(machine.Machine):
    """Debian as Domain 0 with xend and its guests' disk. xm is typed into its shell as a user would."""

    def __enter__(self):
        super().__enter__()
        self.wait_shell(180)
        self.ok("until xm list >/dev/null 2>&1; do sleep 0.2; done", 60)
        return self

    def xm(self, arguments, timeout=60):
        """Runs xm; returns (exit status, what it said)."""
        return self.run(f"xm {arguments} 2>&1", timeout)

    def xm_ok(self, arguments, timeout=60):
        return self.ok(f"xm {arguments} 2>&1", timeout)

    def write(self, path, text):
        """A small text file in Domain 0."""
        self.ok(f"echo {base64.b64encode(text.encode()).decode()} | base64 -d >{path}")

    def bring(self, source, target):
        """Copies a file of the machine that runs the tests into Domain 0, over the network."""
        source = pathlib.Path(source).resolve()
        handler = functools.partial(Quiet, directory=str(source.parent))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            self.ok("until ip route | grep -q default; do sleep 0.3; done", 60)
            self.ok(f"curl -s -f -o {target} http://10.0.2.2:{server.server_port}/{source.name}", 120)
        finally:
            server.shutdown()

    def attach(self, name, timeout=30):
        """Opens a guest's console; what is typed from now on goes to the guest."""
        self.send(f"xm console {name}\r")
        time.sleep(0.5)
        self.send("\r")
        self.expect(r"# ", timeout)
        # More than one prompt may be on its way: after this only the last is.
        self.run("true")
        self.expect(r"# ")

    def type_at(self, name, line):
        """Types a line on a guest's console from Domain 0's shell, without attaching to it."""
        self.ok(f"printf '{line}\\r' >$(xenstore-read /local/domain/$(xm domid {name})/console/tty)")

    def until(self, condition, seconds=30):
        """Waits in Domain 0's shell until a command succeeds."""
        self.ok(f"for i in $(seq {int(seconds * machine.PATIENCE * 5)}); do {condition} && break; sleep 0.2; done; {condition}", seconds + 10)

    def leave(self):
        """Ctrl-] and back in Domain 0's shell."""
        self.child.send("\x1d")
        self.expect(r"root@hospes:~# ", 20)

    def login(self, timeout=150):
        """At the demo guest's console: from boot to a shell that is plain to talk to."""
        self.expect(r"demo login: ", timeout)
        self.send("root\r")
        self.expect(PROMPTS["demo"], 60)
        self.run("bind 'set enable-bracketed-paste off'; dmesg -n 1")

    def in_guest(self, name, command, timeout=60):
        """One command on a guest's console; returns what it printed. It must succeed."""
        self.attach(name)
        try:
            return self.ok(command, timeout)
        finally:
            self.leave()

    def domains(self):
        """Name -> id of what xm list shows."""
        rows = self.xm_ok("list").splitlines()
        return {row.split()[0]: int(row.split()[1]) for row in rows if re.match(r"\S+ +\d+ +\d+ +\d+ ", row)}

    def leftovers(self):
        """What guests may leave behind, counted: loop devices, interfaces, processes, store nodes, ports, domains."""
        text = self.ok(
            "losetup -a | wc -l; ls /sys/class/net | grep -c '^vif'; xenstore-ls -f / 2>/dev/null | "
            "grep -v -E '^/(tool|local/domain/0/(memory|cpu))' | wc -l; ls /dev/pts | wc -l; xm list | wc -l; ls /proc/$(pidof xend)/fd | wc -l; "
            "ls /proc/$(pidof xenconsoled)/fd | wc -l; ls /proc/$(pidof xenstored)/fd | wc -l; ls /run/xend/domains 2>/dev/null | wc -l; true")
        names = ("loops", "vifs", "nodes", "ptys", "listed", "xend files", "xenconsoled files", "xenstored files", "saved")
        return dict(zip(names, map(int, re.findall(r"^\d+$", text, re.M))))

    def free_kib(self):
        """Free memory of the hypervisor, as xm info tells."""
        return int(re.search(r"free_memory\s*:\s*(\d+)", self.xm_ok("info")).group(1)) * 1024

    def settled(self, before, timeout=20):
        """Waits until nothing more than `before` is left; returns what is."""
        end = time.monotonic() + timeout * machine.PATIENCE
        while (now := self.leftovers()) != before and time.monotonic() < end:
            time.sleep(0.5)
        return now


def start(directory, name, mem="4G", dom0_mem="1G", **more):
    spec = machine.Spec(image="tools", mem=mem, dom0_mem=dom0_mem, **more)
    return Domain0(spec, name, directory, disk=machine.BUILD / "images/dom0/hospes.img")

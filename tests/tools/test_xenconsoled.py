# SPDX-License-Identifier: MIT
"""xenconsoled as a program on the build host: guests are played here, their rings are files, xenstore is small (tests/tools/console/)."""
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROGRAM = Path(os.environ.get("XENCONSOLED_HOST", "build/tools-gcc/xenconsoled_host")).resolve()
IN, OUT, IN_CONS, IN_PROD, OUT_CONS, OUT_PROD = 0, 1024, 3072, 3076, 3080, 3084
RING = struct.Struct("<I")


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("waited in vain")


class Guest:
    """A domain: its ring page, and the guest's side of the console driver."""

    def __init__(self, machine, domid, name):
        self.machine, self.domid, self.name = machine, domid, name
        self.path = machine.host / str(domid)
        self.path.write_bytes(bytes(4096))
        with self.path.open("r+b") as f:
            self.page = mmap.mmap(f.fileno(), 4096)

    def get(self, at):
        return RING.unpack_from(self.page, at)[0]

    def set(self, at, value):
        RING.pack_into(self.page, at, value & 0xffffffff)

    def signal(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            try:
                s.sendto(str(self.domid).encode(), str(self.machine.host / "events"))
            except (ConnectionRefusedError, FileNotFoundError):
                pass  # nobody there: the port stays pending, which joining makes up for

    def put(self, data):
        """As much as there is room for; returns how much."""
        prod, room = self.get(OUT_PROD), 2048 - (self.get(OUT_PROD) - self.get(OUT_CONS))
        data = data[:room]
        for i, byte in enumerate(data):
            self.page[OUT + (prod + i) % 2048] = byte
        self.set(OUT_PROD, prod + len(data))
        self.signal()
        return len(data)

    def write(self, data):
        data = data.encode()
        end = time.monotonic() + 20
        while data:
            data = data[self.put(data):]
            assert time.monotonic() < end, "the console does not move"
            if data:
                time.sleep(0.001)

    def read(self):
        text = b""
        while self.get(IN_CONS) != self.get(IN_PROD):
            text += bytes([self.page[IN + self.get(IN_CONS) % 1024]])
            self.set(IN_CONS, self.get(IN_CONS) + 1)
        if text:
            self.signal()
        return text.decode()

    def drained(self):
        return self.get(OUT_PROD) == self.get(OUT_CONS)

    def tty(self):
        return self.machine.store("read", f"/local/domain/{self.domid}/console/tty")

    def log(self):
        path = self.machine.logs / f"guest-{self.name}.log"
        return path.read_bytes().decode() if path.exists() else ""

    def introduce(self, **extra):
        base = f"/local/domain/{self.domid}"
        nodes = {"name": self.name, "console/ring-ref": "1234", "console/port": str(self.domid), "console/type": "xenconsoled"}
        nodes.update({k.replace("_", "/"): v for k, v in extra.items()})
        for name, value in nodes.items():
            if value is not None:
                self.machine.store("write", f"{base}/{name}", value)
        self.machine.request(8, f"{self.domid}\0")

    def destroy(self):
        self.path.unlink()
        self.machine.store("rm", f"/local/domain/{self.domid}")
        self.machine.request(9, f"{self.domid}\0")


class Terminal:
    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.text = ""

    def expect(self, text, seconds=10):
        end = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < end, f"no {text!r} in {self.text[-200:]!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                self.text += os.read(self.fd, 65536).decode()
        return self.text

    def hung_up(self):
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return any(events & select.POLLHUP for _, events in poll.poll(0))

    def close(self):
        os.close(self.fd)


class Machine:
    def __init__(self, directory):
        self.host, self.logs = directory / "host", directory / "logs"
        self.host.mkdir()
        self.logs.mkdir()
        self.socket = str(directory / "store")
        self.nodes_file = str(directory / "nodes")
        self.errors = (directory / "stderr").open("w+")
        self.daemon = None
        self.start_store()

    def start_store(self):
        self.xenstored = subprocess.Popen([sys.executable, str(HERE / "console/small_store.py"), self.socket, self.nodes_file])
        wait_for(self.connects)

    def kill_store(self):
        self.xenstored.kill()
        self.xenstored.wait()

    def connects(self):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(self.socket) == 0

    def start(self, *options):
        env = dict(os.environ, FAKE_HOST=str(self.host), XENSTORED_PATH=self.socket, ASAN_OPTIONS="detect_leaks=0")
        self.daemon = subprocess.Popen([str(PROGRAM), f"--log-dir={self.logs}", f"--state-dir={self.host}", *options], env=env,
                                       stderr=self.errors)

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()

    def said(self):
        self.errors.seek(0)
        return self.errors.read()

    def request(self, kind, payload):
        payload = payload.encode()
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.socket)
            s.sendall(struct.pack("<IIII", kind, 0, 0, len(payload)) + payload)
            answer, _, _, length = struct.unpack("<IIII", s.recv(16, socket.MSG_WAITALL))
            text = s.recv(length, socket.MSG_WAITALL).decode() if length else ""
            return None if answer == 16 else text

    def store(self, what, path, value=""):
        kinds = {"read": 2, "write": 11, "rm": 13}
        return self.request(kinds[what], f"{path}\0{value}")

    def guest(self, domid, name="demo", **extra):
        guest = Guest(self, domid, name)
        guest.introduce(**extra)
        return guest

    def close(self):
        alive = self.daemon and self.daemon.poll() is None
        if alive:
            self.daemon.terminate()
            assert self.daemon.wait(10) == 0
        self.kill_store()
        assert "Sanitizer" not in self.said() and "runtime error" not in self.said(), self.said()
        assert alive or not self.daemon, f"xenconsoled has ended by itself: {self.said()}"


@pytest.fixture
def machine(tmp_path):
    if not PROGRAM.exists():
        pytest.fail(f"{PROGRAM} is not there: make tools-check builds it")
    m = Machine(tmp_path)
    yield m
    m.close()


def test_both_ways_and_log(machine):
    machine.start()
    guest = machine.guest(1)
    terminal = Terminal(wait_for(guest.tty))
    guest.write("Debian 12 demo hvc0\r\nlogin: ")
    terminal.expect("login: ")
    os.write(terminal.fd, b"root\r")
    assert wait_for(guest.read) == "root\r"
    assert guest.log() == "Debian 12 demo hvc0\r\nlogin: "
    assert os.stat(guest.tty()).st_mode & 0o777 == 0o600


def test_guest_before_daemon_and_nodes_after_introduction(machine):
    early = machine.guest(1, "early")
    early.write("written before")
    late = machine.guest(2, "late", console_port=None)
    machine.start()
    wait_for(early.tty)
    wait_for(lambda: early.log() == "written before")
    time.sleep(0.2)
    assert late.tty() is None
    machine.store("write", "/local/domain/2/console/port", "2")
    terminal = Terminal(wait_for(late.tty))
    late.write("here")
    terminal.expect("here")


def test_large_output_arrives_whole_at_a_reader(machine):
    machine.start()
    guest = machine.guest(1)
    terminal = Terminal(wait_for(guest.tty))
    text = "".join(f"{i:06}\n" for i in range(30000))
    child = os.fork()
    if child == 0:
        guest.write(text)
        os._exit(0)
    got = terminal.expect("029999\n", 60)
    os.waitpid(child, 0)
    assert got == text


def test_later_reader(machine):
    machine.start()
    guest = machine.guest(1)
    path = wait_for(guest.tty)
    guest.write("".join(f"{i:06}\n" for i in range(10000)) + "last")
    wait_for(guest.drained)
    terminal = Terminal(path)
    text = terminal.expect("last")
    assert text.endswith("009998\n009999\nlast") and len(text) <= 16384
    terminal.close()
    time.sleep(0.1)
    guest.write("between")
    wait_for(guest.drained)
    again = Terminal(path)
    assert again.expect("between") == "between"


def test_kill_and_start_again(machine):
    machine.start()
    guests = [machine.guest(i, f"g{i}") for i in range(1, 6)]
    expected = ""
    for guest in guests:
        wait_for(guest.tty)
    for round_number in range(10):
        for guest in guests:
            guest.put(f"round {round_number}\n".encode())
        expected += f"round {round_number}\n"
        machine.kill()
        for guest in guests:
            guest.put(f"nobody there {round_number}\n".encode())
        expected += f"nobody there {round_number}\n"
        old = [guest.tty() for guest in guests]
        machine.start()
        for guest in guests:
            wait_for(guest.drained)
    for guest in guests:
        # Twice is allowed for what was in flight, lost is not.
        text = guest.log()
        for line in expected.splitlines():
            assert line in text
    assert len(old) == 5
    terminal = Terminal(wait_for(lambda: guests[0].tty() and os.path.exists(guests[0].tty()) and guests[0].tty()))
    time.sleep(0.2)
    guests[0].write("after all that")
    terminal.expect("after all that")


def test_xenstored_restarts(machine):
    machine.start()
    first = machine.guest(1, "first")
    terminal = Terminal(wait_for(first.tty))
    for i in range(5):
        machine.kill_store()
        first.write(f"without {i}\n")
        terminal.expect(f"without {i}\n")
        machine.start_store()
        guest = machine.guest(i + 2, f"g{i}")
        wait_for(guest.tty)
    assert "xenstored has gone" in machine.said()


def test_no_xenstored_at_first(machine):
    machine.kill_store()
    os.unlink(machine.socket)
    machine.start()
    time.sleep(0.3)
    machine.start_store()
    wait_for(machine.guest(1).tty)


def test_death(machine):
    machine.start()
    guest = machine.guest(1)
    terminal = Terminal(wait_for(guest.tty))
    guest.write("hello")
    terminal.expect("hello")
    # What it says last is not signalled before it has gone.
    machine.host.joinpath("events").rename(machine.host / "moved")
    guest.put(b"[ 12.3] reboot: Power down\r\n")
    machine.host.joinpath("moved").rename(machine.host / "events")
    guest.destroy()
    terminal.expect("Power down\r\n")
    wait_for(terminal.hung_up)
    assert "Power down" in guest.log()
    assert machine.store("read", "/local/domain/1/console/tty") is None
    assert machine.store("read", "/local/domain/1") is None
    again = machine.guest(2)
    wait_for(again.tty)
    assert descriptors(machine) == (1, 1)


def descriptors(machine):
    """How many masters and logs the daemon has open."""
    links = []
    for entry in Path(f"/proc/{machine.daemon.pid}/fd").iterdir():
        try:
            links.append(os.readlink(entry))
        except FileNotFoundError:
            pass
    return sum(x.endswith("ptmx") for x in links), sum("/guest-" in x for x in links)


def test_hostile_guest_is_alone(machine):
    machine.start()
    good, bad = machine.guest(1, "good"), machine.guest(2, "bad")
    wait_for(good.tty)
    wait_for(bad.tty)
    for at in (OUT_PROD, IN_PROD, OUT_CONS, IN_CONS):
        bad.set(at, 0x80000000 + at * 1000)
        bad.signal()
    for _ in range(20):
        bad.signal()
    terminal = Terminal(good.tty())
    good.write("still here")
    terminal.expect("still here")
    assert machine.said().count("domain 2: impossible positions") == 1
    bad.destroy()
    wait_for(lambda: descriptors(machine) == (1, 1))


def test_flood_leaves_room_for_others(machine):
    machine.start("--log-size=64", "--log-keep=2")
    loud, calm = machine.guest(1, "loud"), machine.guest(2, "calm")
    wait_for(loud.tty)
    terminal = Terminal(wait_for(calm.tty))
    child = os.fork()
    if child == 0:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            loud.put(b"x" * 2000)
        os._exit(0)
    slowest = 0
    for i in range(20):
        begin = time.monotonic()
        calm.write(f"<{i}>")
        terminal.expect(f"<{i}>")
        slowest = max(slowest, time.monotonic() - begin)
        time.sleep(0.05)
    os.waitpid(child, 0)
    assert slowest < 1
    assert sum(f.stat().st_size for f in machine.logs.glob("guest-loud.log*")) <= 3 * (64 * 1024 + 2048)


def test_many_guests(machine):
    machine.start()
    guests = [machine.guest(i, f"g{i}") for i in range(1, 151)]
    for guest in guests:
        wait_for(guest.tty)
    for guest in guests:
        guest.write(f"I am {guest.domid}")
    for guest in guests:
        wait_for(guest.drained)
        assert guest.log() == f"I am {guest.domid}"
    for guest in guests[:-1]:
        guest.destroy()
    wait_for(lambda: descriptors(machine) == (1, 1))


def test_hypervisor_log(machine):
    ring = machine.host / "hypervisor"
    ring.write_text("Hospes 0.1\n")
    machine.start("--log=hv")
    log = machine.logs / "hypervisor.log"
    wait_for(lambda: log.exists() and log.read_text() == "Hospes 0.1\n")
    machine.kill()
    with ring.open("a") as f:
        f.write("more\n")
    machine.start("--log=hv")
    wait_for(lambda: log.read_text() == "Hospes 0.1\nmore\n")


def test_not_ours_and_nonsense(machine):
    machine.start()
    other = machine.guest(1, "hvm", console_type="ioemu")
    wrong = [machine.guest(2, "a", console_port="x"), machine.guest(3, "b", console_port="-3"),
             machine.guest(4, "c", **{"console_ring-ref": "99999999999999999999999"})]
    good = machine.guest(5, "good")
    wait_for(good.tty)
    assert other.tty() is None
    assert all(guest.tty() is None for guest in wrong)


def test_reopens_logs(machine):
    machine.start()
    guest = machine.guest(1)
    wait_for(guest.tty)
    guest.write("one")
    wait_for(guest.drained)
    (machine.logs / "guest-demo.log").rename(machine.logs / "old")
    machine.daemon.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    guest.write("two")
    wait_for(lambda: guest.log() == "two")


@pytest.mark.parametrize("options, message", [
    (["--log=x"], "--log=x is not known"), (["--log-size=0"], "not a number from 1"), (["--log-keep=100"], "from 0 to 99"),
    (["--what"], "unrecognized option"), (["word"], "'word' is not an option")])
def test_wrong_options(options, message):
    result = subprocess.run([str(PROGRAM), *options], capture_output=True, text=True, timeout=10)
    assert result.returncode == 2 and message in result.stderr


def test_help():
    result = subprocess.run([str(PROGRAM), "--help"], capture_output=True, text=True, timeout=10)
    assert result.returncode == 0 and result.stdout.startswith("Usage: xenconsoled") and not result.stderr

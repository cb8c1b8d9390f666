# SPDX-License-Identifier: MIT
"""Clients of xenstored for tests: the wire protocol over a socket and over a simulated domain's ring, and the daemon."""
import collections
import ctypes
import mmap
import os
import signal
import socket
import struct
import subprocess
import time

(CONTROL, DIRECTORY, READ, GET_PERMS, WATCH, UNWATCH, TRANSACTION_START, TRANSACTION_END, INTRODUCE, RELEASE,
 GET_DOMAIN_PATH, WRITE, MKDIR, RM, SET_PERMS, WATCH_EVENT, ERROR, IS_DOMAIN_INTRODUCED, RESUME, SET_TARGET) = range(20)
RESET_WATCHES, DIRECTORY_PART = 21, 22

HEAD = struct.Struct("<IIII")
RING_SIZE = 1024
REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD, FEATURES, CONNECTION, RING_ERROR = range(2048, 2076, 4)
DEATH_PORT, FIRST_PORT = 1, 100
PATIENCE = 10.0


class XsError(Exception):
    pass


class Gone(Exception):
    """The daemon ended the connection, or does not answer."""


Message = collections.namedtuple("Message", "type req_id tx_id body")


def nul(*strings):
    return b"".join((s.encode() if isinstance(s, str) else s) + b"\0" for s in strings)


class Client:
    """What is the same over both transports. send_bytes and receive_some are the transport's."""

    def __init__(self):
        self.buffer = b""
        self.events = collections.deque()
        self.replies = collections.deque()
        self.next_id = 1

    def post(self, kind, body=b"", tx=0):
        self.next_id += 1
        self.send_bytes(HEAD.pack(kind, self.next_id, tx, len(body)) + body)
        return self.next_id

    def pump(self, patience):
        """Takes in what has come; True if anything did."""
        data = self.receive_some(patience)
        self.buffer += data
        while len(self.buffer) >= HEAD.size:
            kind, req_id, tx_id, size = HEAD.unpack_from(self.buffer)
            assert size <= 4096
            if len(self.buffer) < HEAD.size + size:
                break
            body = self.buffer[HEAD.size:HEAD.size + size]
            self.buffer = self.buffer[HEAD.size + size:]
            message = Message(kind, req_id, tx_id, body)
            if kind == WATCH_EVENT:
                assert (req_id, tx_id) == (0, 0)
                path, token, rest = body.split(b"\0")
                assert rest == b""
                self.events.append((path.decode(), token.decode()))
            else:
                self.replies.append(message)
        return bool(data)

    def reply(self, patience=PATIENCE):
        end = time.monotonic() + patience
        while not self.replies:
            left = end - time.monotonic()
            if left <= 0:
                raise Gone("no reply")
            self.pump(left)
        return self.replies.popleft()

    def request(self, kind, body=b"", tx=0):
        req_id = self.post(kind, body, tx)
        reply = self.reply()
        assert (reply.req_id, reply.tx_id) == (req_id, tx)
        if reply.type == ERROR:
            assert reply.body.endswith(b"\0")
            raise XsError(reply.body[:-1].decode())
        assert reply.type == kind
        return reply.body

    def event(self, patience=PATIENCE):
        end = time.monotonic() + patience
        while not self.events:
            left = end - time.monotonic()
            if left <= 0:
                raise Gone("no event")
            self.pump(left)
        return self.events.popleft()

    def all_events(self, wait=0.0):
        """The events that are there once a request has come back."""
        self.request(GET_DOMAIN_PATH, nul("0"))
        while self.pump(wait):
            pass
        events = list(self.events)
        self.events.clear()
        return events

    def ok(self, kind, body, tx=0):
        assert self.request(kind, body, tx) == b"OK\0"

    def read(self, path, tx=0):
        return self.request(READ, nul(path), tx)

    def write(self, path, value=b"", tx=0):
        self.ok(WRITE, nul(path) + (value.encode() if isinstance(value, str) else value), tx)

    def mkdir(self, path, tx=0):
        self.ok(MKDIR, nul(path), tx)

    def rm(self, path, tx=0):
        self.ok(RM, nul(path), tx)

    def ls(self, path, tx=0):
        body = self.request(DIRECTORY, nul(path), tx)
        return [name.decode() for name in body.split(b"\0")[:-1]]

    def perms(self, path, tx=0):
        return self.request(GET_PERMS, nul(path), tx).decode().split("\0")[:-1]

    def chmod(self, path, *perms, tx=0):
        self.ok(SET_PERMS, nul(path, *perms), tx)

    def watch(self, path, token="t", *depth):
        self.ok(WATCH, nul(path, token, *depth))

    def unwatch(self, path, token="t"):
        self.ok(UNWATCH, nul(path, token))

    def start(self):
        return int(self.request(TRANSACTION_START, b"\0")[:-1])

    def end(self, tx, commit=True):
        self.ok(TRANSACTION_END, nul("T" if commit else "F"), tx)

    def tree(self, path="/"):
        """Everything below path: {path: (value, perms)}."""
        found = {path: (self.read(path), self.perms(path))}
        for name in self.ls(path):
            found.update(self.tree(path.rstrip("/") + "/" + name))
        return found


class SocketClient(Client):
    def __init__(self, path):
        super().__init__()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)

    def send_bytes(self, data):
        self.sock.sendall(data)

    def receive_some(self, patience):
        self.sock.settimeout(max(patience, 0.001))
        try:
            data = self.sock.recv(65536)
        except socket.timeout:
            return b""
        except ConnectionResetError as error:
            raise Gone(str(error)) from error
        if not data:
            raise Gone("end of connection")
        return data

    def close(self):
        self.sock.close()


class SimDomain(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint32) for n in
                ("exists", "dying", "shutdown", "port", "bound", "mapped", "notified", "unmasked")]
    _fields_ += [("handle", ctypes.c_uint8 * 16), ("late", ctypes.c_uint32), ("pad", ctypes.c_uint8 * 12)]


class SimMachine(ctypes.Structure):
    _fields_ = [("steps", ctypes.c_uint32), ("pad", ctypes.c_uint32 * 15), ("domain", SimDomain * 64)]


class Machine:
    """The files of sim.c."""

    def __init__(self, directory):
        self.dir = str(directory)
        with open(self.dir + "/machine", "wb") as file:
            file.truncate(ctypes.sizeof(SimMachine))
        with open(self.dir + "/machine", "r+b") as file:
            self.map = mmap.mmap(file.fileno(), ctypes.sizeof(SimMachine))
        self.state = SimMachine.from_buffer(self.map)
        os.mkfifo(self.dir + "/events")
        self.fifo = os.open(self.dir + "/events", os.O_RDWR | os.O_NONBLOCK)
        self.serial = 0
        self.create(0)

    def create(self, domid, pos=0):
        """A new domain with a fresh ring whose positions begin at pos. Returns the guest's end."""
        self.serial += 1
        domain = self.state.domain[domid]
        domain.exists, domain.dying, domain.shutdown = 1, 0, 0
        domain.port = 5 + domid
        domain.handle[0], domain.handle[1] = self.serial & 255, self.serial >> 8
        with open(f"{self.dir}/ring.{domid}", "wb") as file:
            file.truncate(4096)
        return Ring(self, domid, pos)

    def raise_event(self, port):
        os.write(self.fifo, struct.pack("<I", port))

    def destroy(self, domid):
        self.state.domain[domid].exists = 0
        self.raise_event(DEATH_PORT)

    def shutdown(self, domid):
        self.state.domain[domid].shutdown = 1
        self.raise_event(DEATH_PORT)


class Ring(Client):
    """A guest's end of a ring."""

    def __init__(self, machine, domid, pos=0):
        super().__init__()
        self.machine, self.domid = machine, domid
        with open(f"{machine.dir}/ring.{domid}", "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)
        self.words = (ctypes.c_uint32 * 1024).from_buffer(self.page)
        for field in (REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD):
            self.set(field, pos)
        self.on_wait = lambda: None  # called while waiting: tests restart a dead daemon there

    def get(self, field):
        return self.words[field // 4]

    def set(self, field, value):
        self.words[field // 4] = value & 0xffffffff

    def kick(self):
        self.machine.raise_event(FIRST_PORT + self.domid)

    def send_bytes(self, data):
        end = time.monotonic() + PATIENCE
        while data:
            prod = self.get(REQ_PROD)
            room = RING_SIZE - ((prod - self.get(REQ_CONS)) & 0xffffffff)
            if not room:
                self.wait(end)
                continue
            part = data[:room]
            at = prod % RING_SIZE
            first = part[:RING_SIZE - at]
            self.page[at:at + len(first)] = first
            self.page[:len(part) - len(first)] = part[len(first):]
            self.set(REQ_PROD, prod + len(part))
            if self.get(REQ_CONS) == prod:  # as Linux: the other side had taken everything, so it may sleep
                self.kick()
            data = data[len(part):]

    def wait(self, end):
        if time.monotonic() > end:
            raise Gone("the ring stands still")
        self.on_wait()
        time.sleep(0.0002)

    def receive_some(self, patience):
        end = time.monotonic() + patience
        while True:
            cons = self.get(RSP_CONS)
            size = (self.get(RSP_PROD) - cons) & 0xffffffff
            if size or time.monotonic() > end:
                break
            self.on_wait()
            time.sleep(0.0002)
        if not size:
            return b""
        assert size <= RING_SIZE
        at = cons % RING_SIZE
        data = self.page[1024 + at:1024 + min(at + size, RING_SIZE)]
        data += self.page[1024:1024 + size - len(data)]
        self.set(RSP_CONS, cons + size)
        if (self.get(RSP_PROD) - cons) & 0xffffffff >= RING_SIZE:  # as Linux: the ring was full
            self.kick()
        return data


class Daemon:
    """A xenstored of this test: its own directory, a simulated machine, started and killed at will."""

    def __init__(self, binary, directory, machine=True):
        self.binary, self.dir = binary, str(directory)
        self.socket_path = self.dir + "/socket"
        self.machine = Machine(directory) if machine else None
        self.process = None
        self.options = []
        self.log = open(self.dir + "/log", "ab")

    def start(self, kill_at=None):
        env = dict(os.environ, XENSTORED_SIM=self.dir, ASAN_OPTIONS="detect_leaks=0:abort_on_error=1",
                   UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
        if kill_at:
            env["XENSTORED_KILL_AT"] = str(kill_at)
        try:
            os.unlink(self.socket_path)
        except FileNotFoundError:
            pass
        command = [self.binary, "--socket-dir", self.dir, "--state-dir", self.dir, "--pid-file", self.dir + "/pid"]
        command += self.options + ([] if self.machine else ["--no-hypervisor"])
        self.process = subprocess.Popen(command, env=env, stderr=self.log)
        return self

    def ready(self):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.client()
            except (FileNotFoundError, ConnectionRefusedError):
                assert self.process.poll() is None, self.said()
                assert time.monotonic() < end, self.said()
                time.sleep(0.002)

    def client(self):
        return SocketClient(self.socket_path)

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()
        return self.ready()

    def introduce(self, client, domid, pos=0):
        ring = self.machine.create(domid, pos)
        client.ok(INTRODUCE, nul(str(domid), "1234", str(5 + domid)))
        return ring

    def said(self):
        with open(self.dir + "/log", "rb") as file:
            return file.read().decode(errors="replace")

    def stop(self):
        """Ends it as a service manager would; it must not have crashed."""
        if self.process and self.alive():
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(timeout=PATIENCE) == 0, self.said()
        said = self.said()
        assert "Sanitizer" not in said and "runtime error" not in said, said

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A small xenstored for tests of xend on the build host, with the backends of Domain 0's kernel in it.

    fake_store.py SOCKET [--no-backends]

One process, one thread; speaks the published wire protocol as far as xend uses it. Changes in a transaction are kept and made at its
end; reads in it see the tree without them. A test's connection may send XS_CONTROL "kill PID N": then process PID is killed by SIGKILL at
the N-th of the moments from now on that lie before and after each request of other connections.
"""
import os
import select
import signal
import socket
import struct
import sys

(CONTROL, DIRECTORY, READ, GET_PERMS, WATCH, UNWATCH, TX_START, TX_END, INTRODUCE, RELEASE, GET_PATH, WRITE, MKDIR, RM, SET_PERMS,
 EVENT, ERROR, IS_INTRODUCED) = range(18)


class Failure(Exception):
    pass


class Tree:
    """Nodes as a dict of path to [value, permissions]."""

    def __init__(self, changed):
        self.nodes = {"/": ["", ["n0"]]}
        self.changed = changed

    def read(self, path):
        if path not in self.nodes:
            raise Failure("ENOENT")
        return self.nodes[path][0]

    def make(self, path):
        if path in self.nodes:
            return
        parent = path.rsplit("/", 1)[0] or "/"
        self.make(parent)
        self.nodes[path] = ["", list(self.nodes[parent][1])]

    def write(self, path, value):
        self.make(path)
        self.nodes[path][0] = value
        self.changed(path)

    def remove(self, path):
        if path not in self.nodes:
            if (path.rsplit("/", 1)[0] or "/") not in self.nodes:
                raise Failure("ENOENT")
            return
        for p in [p for p in self.nodes if p == path or p.startswith(path + "/")]:
            del self.nodes[p]
        self.changed(path)

    def children(self, path):
        self.read(path)
        below = path.rstrip("/") + "/"
        return sorted(p[len(below):] for p in self.nodes if p.startswith(below) and "/" not in p[len(below):] and p != path)


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.input = b""
        self.watches = []

    def send(self, kind, request, tx, body):
        try:
            self.sock.sendall(struct.pack("<IIII", kind, request, tx, len(body)) + body)
        except OSError:
            pass


class Store:
    def __init__(self, path, backends):
        self.tree = Tree(self.changed)
        self.connections = {}
        self.introduced = set()
        self.next_tx = 1
        self.pending = []  # changed paths, for watches
        self.open_tx = {}  # number: (connection, changes)
        self.backends = backends
        self.kill = None
        self.listener = socket.socket(socket.AF_UNIX)
        if os.path.exists(path):
            os.unlink(path)
        self.listener.bind(path)
        self.listener.listen(64)

    # ---- watches and backends ----
    def changed(self, path):
        self.pending.append(path)

    def settle(self):
        """Fires watches, lets backends act, until nothing changes any more."""
        while self.pending:
            paths, self.pending = self.pending, []
            for path in paths:
                self.fire(path)
            if self.backends:
                for path in list(self.tree.nodes):
                    self.backend(path)

    def fire(self, path):
        for c in list(self.connections.values()):
            for watched, token in c.watches:
                if path == watched or path.startswith(watched.rstrip("/") + "/") or watched.startswith(path.rstrip("/") + "/"):
                    shown = path if path.startswith(watched) else watched
                    c.send(EVENT, 0, 0, shown.encode() + b"\0" + token.encode() + b"\0")

    def backend(self, path):
        part = path.split("/")
        if len(part) != 9 or part[:5] != ["", "local", "domain", "0", "backend"] or part[8] != "state":
            return
        base = path[:-6]
        state = self.tree.nodes[path][0]
        frontend = self.tree.nodes.get(base + "/frontend", [""])[0]
        if state == "1":
            self.tree.write(path, "2")
        elif state == "5" and frontend not in self.tree.nodes:
            self.tree.write(path, "6")

    # ---- requests ----
    def answer(self, c, kind, tx, words):
        t = self.tree
        if tx and tx not in self.open_tx:
            raise Failure("EINVAL")
        if tx and kind in (WRITE, MKDIR, RM, SET_PERMS):
            self.open_tx[tx][1].append((kind, words))
            return b"OK\0"
        if kind == DIRECTORY:
            return "".join(n + "\0" for n in t.children(words[0])).encode()
        if kind == READ:
            return t.read(words[0]).encode()
        if kind == WRITE:
            t.write(words[0], words[1] if len(words) > 1 else "")
        elif kind == MKDIR:
            t.make(words[0])
            self.changed(words[0])
        elif kind == RM:
            t.remove(words[0])
        elif kind == SET_PERMS:
            t.read(words[0])
            t.nodes[words[0]][1] = [w for w in words[1:] if w]
        elif kind == GET_PERMS:
            t.read(words[0])
            return "".join(p + "\0" for p in t.nodes[words[0]][1]).encode()
        elif kind == WATCH:
            c.watches.append((words[0], words[1]))
            self.first_events.append((c, words[0], words[1]))
        elif kind == UNWATCH:
            c.watches.remove((words[0], words[1]))
        elif kind == TX_START:
            self.next_tx += 1
            self.open_tx[self.next_tx] = (c, [])
            return b"%d\0" % self.next_tx
        elif kind == TX_END:
            _, changes = self.open_tx.pop(tx)
            for change, of in changes if words[0] == "T" else []:
                self.answer(c, change, 0, of)
        elif kind == INTRODUCE:
            self.introduced.add(words[0])
        elif kind == RELEASE:
            if words[0] not in self.introduced:
                raise Failure("ENOENT")
            self.introduced.remove(words[0])
            self.changed("@releaseDomain")
        elif kind == IS_INTRODUCED:
            return b"T\0" if words[0] in self.introduced else b"F\0"
        elif kind == CONTROL:
            return self.control(c, words)
        else:
            raise Failure("ENOSYS")
        return b"OK\0"

    def control(self, c, words):
        if words[0] == "kill":
            self.kill = [c, int(words[1]), int(words[2])]
        elif words[0] == "release":
            self.changed("@releaseDomain")
        elif words[0] == "dump":
            return "".join("%s=%s|%s\n" % (p, v[0], ",".join(v[1])) for p, v in sorted(self.tree.nodes.items())).encode() + b"\0"
        elif words[0] == "introduced":
            return " ".join(sorted(self.introduced)).encode() + b"\0"
        return b"OK\0"

    def shoot(self, c):
        """The killing that a test asked for."""
        if not self.kill or self.kill[0] is c:
            return
        self.kill[2] -= 1
        if self.kill[2] == 0:
            try:
                os.kill(self.kill[1], signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.kill = None

    def take(self, c, kind, request, tx, body):
        self.first_events = []
        self.shoot(c)
        words = [w.decode("latin1") for w in body.split(b"\0")]
        try:
            c.send(kind, request, tx, self.answer(c, kind, tx, words))
        except Failure as f:
            c.send(ERROR, request, tx, str(f).encode() + b"\0")
        for w, path, token in self.first_events:
            w.send(EVENT, 0, 0, path.encode() + b"\0" + token.encode() + b"\0")
        self.shoot(c)
        self.settle()

    def drop(self, fd):
        c = self.connections.pop(fd)
        c.sock.close()
        self.open_tx = {n: t for n, t in self.open_tx.items() if t[0] is not c}

    def readable(self, fd):
        c = self.connections[fd]
        data = b""
        try:
            data = c.sock.recv(65536)
        except OSError:
            pass
        if not data:
            self.drop(fd)
            return
        c.input += data
        while len(c.input) >= 16:
            kind, request, tx, length = struct.unpack("<IIII", c.input[:16])
            if len(c.input) < 16 + length:
                break
            body, c.input = c.input[16:16 + length], c.input[16 + length:]
            self.take(c, kind, request, tx, body)

    def run(self):
        while True:
            ready, _, _ = select.select([self.listener] + list(self.connections), [], [])
            for fd in ready:
                if fd is self.listener:
                    sock, _ = self.listener.accept()
                    self.connections[sock] = Connection(sock)
                elif fd in self.connections:
                    self.readable(fd)


if __name__ == "__main__":
    Store(sys.argv[1], "--no-backends" not in sys.argv).run()

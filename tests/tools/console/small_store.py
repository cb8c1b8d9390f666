# SPDX-License-Identifier: MIT
"""A small xenstore for tests of its clients on the build host: the socket protocol of xen/io/xs_wire.h without permissions, quotas and
isolation of transactions. Nodes survive its being killed. Run: small_store.py SOCKET FILE"""
import json
import os
import selectors
import socket
import struct
import sys
from pathlib import Path

DIRECTORY, READ, WATCH, UNWATCH, T_START, T_END, INTRODUCE, RELEASE = 1, 2, 4, 5, 6, 7, 8, 9
WRITE, MKDIR, RM, SET_PERMS, WATCH_EVENT, ERROR, IS_INTRODUCED = 11, 12, 13, 14, 15, 16, 17


def send(conn, kind, req, tx, payload):
    conn.sendall(struct.pack("<IIII", kind, req, tx, len(payload)) + payload)


def receive(conn, n):
    data = b""
    while len(data) < n:
        part = conn.recv(n - len(data))
        if not part:
            raise EOFError
        data += part
    return data


class Store:
    def __init__(self, path):
        self.file = Path(path)
        saved = json.loads(self.file.read_text()) if self.file.exists() else {"nodes": {}, "introduced": []}
        self.nodes, self.introduced = saved["nodes"], set(saved["introduced"])
        self.watches = []  # (connection, path, token)

    def changed(self, path):
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"nodes": self.nodes, "introduced": sorted(self.introduced)}))
        new.rename(self.file)
        for conn, watch, token in list(self.watches):
            if path == watch or path.startswith(watch + "/"):
                send(conn, WATCH_EVENT, 0, 0, f"{path}\0{token}\0".encode())

    def remove(self, path):
        if path not in self.nodes:
            raise KeyError
        for p in [p for p in self.nodes if p == path or p.startswith(path + "/")]:
            del self.nodes[p]
        self.changed(path)

    def write(self, path, value):
        parts = path.split("/")
        for i in range(2, len(parts)):
            self.nodes.setdefault("/".join(parts[:i]), "")
        self.nodes[path] = value
        self.changed(path)

    def answer(self, conn, kind, payload):
        words = payload.decode().split("\0")
        path = words[0]
        if kind == READ:
            return self.nodes[path].encode()
        if kind == WRITE:
            self.write(path, payload[len(path) + 1:].decode())
        elif kind == RM:
            self.remove(path)
        elif kind == WATCH:
            self.watches.append((conn, path, words[1]))
            send(conn, kind, 0, 0, b"OK\0")
            send(conn, WATCH_EVENT, 0, 0, f"{path}\0{words[1]}\0".encode())
            return None
        elif kind == UNWATCH:
            self.watches.remove((conn, path, words[1]))
        elif kind == T_START:
            return b"1\0"
        elif kind == INTRODUCE:
            self.introduced.add(int(path))
            self.changed("@introduceDomain")
        elif kind == RELEASE:
            self.introduced.discard(int(path))
            self.changed("@releaseDomain")
        elif kind == IS_INTRODUCED:
            return b"T\0" if int(path) in self.introduced else b"F\0"
        return b"OK\0"

    def serve(self, conn):
        kind, req, tx, length = struct.unpack("<IIII", receive(conn, 16))
        payload = receive(conn, length)
        try:
            answer = self.answer(conn, kind, payload)
        except KeyError:
            send(conn, ERROR, req, tx, b"ENOENT\0")
            return
        if answer is not None:
            send(conn, kind, req, tx, answer)


def main(path, file):
    store = Store(file)
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    sel = selectors.DefaultSelector()
    sel.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in sel.select():
            if key.fileobj is listener:
                sel.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            try:
                store.serve(key.fileobj)
            except (EOFError, ConnectionError):
                sel.unregister(key.fileobj)
                store.watches = [w for w in store.watches if w[0] is not key.fileobj]
                key.fileobj.close()


main(*sys.argv[1:])

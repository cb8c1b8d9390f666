# SPDX-License-Identifier: MIT
"""Transactions: isolation, conflicts, merging, compared with a model."""
import random

import pytest
from test_protocol import fails
from wire import *


@pytest.fixture
def other(daemon):
    return daemon.client()


def test_isolation(xs, other):
    xs.write("/a", "old")
    tx = xs.start()
    xs.write("/a", "new", tx)
    xs.write("/b/c", "new", tx)
    assert (xs.read("/a", tx), xs.read("/a"), other.read("/a")) == (b"new", b"old", b"old")
    assert "b" not in other.ls("/") and "b" in xs.ls("/", tx)
    xs.end(tx)
    assert (other.read("/a"), other.read("/b/c")) == (b"new", b"new")


def test_snapshot(xs, other):
    xs.write("/a/x", "1")
    tx = xs.start()
    other.write("/a/x", "2")
    other.write("/a/y", "2")
    other.rm("/tool")
    assert xs.read("/a/x", tx) == b"1"
    assert xs.ls("/a", tx) == ["x"]
    assert xs.ls("/", tx) == ["a", "local", "tool"]
    xs.end(tx)  # it only read


def test_abort(xs):
    tx = xs.start()
    xs.write("/a", "x", tx)
    xs.end(tx, False)
    fails("ENOENT", xs.read, "/a")


def test_wrong_use(xs, other):
    fails("ENOENT", xs.read, "/", 99)
    fails("ENOENT", xs.end, 99)
    fails("ENOENT", xs.end, 0)
    tx = xs.start()
    fails("EBUSY", xs.request, TRANSACTION_START, b"\0", tx)
    fails("ENOENT", other.read, "/", tx + 5)
    for body in (b"", b"T", nul("X"), nul(""), nul("T", "F")):
        fails("EINVAL", xs.request, TRANSACTION_END, body, tx)
    xs.end(tx)
    fails("ENOENT", xs.end, tx)


CONFLICTS = [
    # what the transaction does, what another one does meanwhile, whether they disturb one another
    (("write", "/d/a"), ("write", "/d/a"), True),
    (("write", "/d/a"), ("write", "/d/b"), False),
    (("read", "/d/a"), ("write", "/d/a"), True),
    (("read", "/d/a"), ("write", "/d/a/below"), False),
    (("read", "/d/a"), ("chmod", "/d/a"), True),
    (("read", "/d/a"), ("rm", "/d/a"), True),
    (("read", "/d/a"), ("rm", "/d"), True),
    (("read", "/d/none"), ("write", "/d/none"), True),
    (("read", "/d/none"), ("write", "/d/other"), False),
    (("ls", "/d"), ("write", "/d/new"), True),
    (("ls", "/d"), ("rm", "/d/a"), True),
    (("ls", "/d"), ("write", "/d/a"), False),
    (("ls", "/d"), ("write", "/d/a/below"), False),
    (("rm", "/d"), ("write", "/d/a"), True),
    (("rm", "/d"), ("write", "/d/new/below"), True),
    (("rm", "/d/a"), ("write", "/d/b"), False),
    (("rm", "/d/a"), ("rm", "/d/b"), False),
    (("rm", "/d/a"), ("rm", "/d/a"), True),
    (("write", "/n/x/1"), ("write", "/n/x/2"), False),
    (("write", "/n/x"), ("mkdir", "/n/x"), True),
    (("write", "/d/a/new"), ("rm", "/d/a"), True),
    (("write", "/d/a/new"), ("write", "/d/a"), False),
    (("mkdir", "/d/a"), ("write", "/d/b"), False),
    (("chmod", "/d/a"), ("write", "/d/a"), True),
    (("chmod", "/d/a"), ("write", "/d/b"), False),
]


def do(client, what, path, tx=0):
    if what == "write":
        client.write(path, "v", tx)
    elif what == "chmod":
        client.chmod(path, "r0", tx=tx)
    else:
        try:
            getattr(client, what)(path, tx)
        except XsError:
            pass


@pytest.mark.parametrize("mine,theirs,disturbed", CONFLICTS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("inside", [False, True])
def test_conflict(xs, other, mine, theirs, disturbed, when, inside):
    """The same, whichever of the two comes first and whether the other one is a transaction too."""
    for path in ("/d/a", "/d/b"):
        xs.write(path, "0")
    tx = xs.start()
    if when == "before":
        do(xs, *mine, tx)
    if inside:
        theirs_tx = other.start()
        do(other, *theirs, theirs_tx)
        other.end(theirs_tx)
    else:
        do(other, *theirs)
    if when == "after":
        do(xs, *mine, tx)
    xs.write("/mine", "x", tx)
    if disturbed:
        fails("EAGAIN", xs.end, tx)
        fails("ENOENT", xs.read, "/mine")
    else:
        xs.end(tx)
        assert xs.read("/mine") == b"x"
    xs.ok(CONTROL, nul("check"))


def test_disjoint_never_fail(daemon):
    clients = [daemon.client() for _ in range(8)]
    for turn in range(20):
        txs = [c.start() for c in clients]
        for i, (c, tx) in enumerate(zip(clients, txs)):
            for j in range(5):
                c.write(f"/top/{i}/{turn}/{j}", str(turn), tx)
            if turn:
                assert c.ls(f"/top/{i}", tx)
                c.rm(f"/top/{i}/{turn - 1}", tx)
        for c, tx in zip(clients, txs):
            c.end(tx)
    assert clients[0].ls("/top/3") == ["19"]
    clients[0].ok(CONTROL, nul("check"))


class Model:
    """The tree as a dictionary. A transaction is a copy and the keys it depends on."""

    def __init__(self):
        self.nodes = {"/": b""}

    def write(self, path, value):
        parts = path.strip("/").split("/")
        for i in range(1, len(parts)):
            self.nodes.setdefault("/" + "/".join(parts[:i]), b"")
        self.nodes[path] = value

    def rm(self, path):
        for key in [k for k in self.nodes if k == path or k.startswith(path + "/")]:
            del self.nodes[key]

    def ls(self, path):
        prefix = path.rstrip("/") + "/"
        return sorted(k[len(prefix):] for k in self.nodes if k.startswith(prefix) and k != "/" and
                      "/" not in k[len(prefix):])


@pytest.mark.parametrize("seed", range(6))
def test_model(daemon, xs, seed):
    """Serializable: what commits equals doing all of it at once at the commit, on the then present tree."""
    rng = random.Random(seed)
    xs.rm("/tool")
    xs.rm("/local")
    model = Model()
    clients = [daemon.client() for _ in range(4)]
    open_ones = {}
    committed = failed = 0

    def path():
        return "/" + "/".join(rng.choice("abc") for _ in range(rng.randrange(1, 4)))

    for _ in range(600):
        client = rng.choice(clients)
        tx, seen, log = open_ones.get(client, (0, model, None))
        what = rng.choice(["write", "write", "write", "rm", "read", "ls", "start", "end"])
        if what == "start" and not tx:
            copy = Model()
            copy.nodes = dict(model.nodes)
            open_ones[client] = (client.start(), copy, [])
        elif what == "end" and tx:
            del open_ones[client]
            if rng.random() < 0.2:
                client.end(tx, False)
                continue
            try:
                client.end(tx)
            except XsError as error:
                assert str(error) == "EAGAIN"
                failed += 1
                continue
            committed += 1
            for op, *args in log:
                if op in ("write", "rm"):
                    getattr(model, op)(*args)
                elif any(o[0] in ("write", "rm") for o in log):
                    assert getattr(model, op)(*args[:-1]) == args[-1]
        elif what == "write":
            p, value = path(), str(rng.random()).encode()
            client.write(p, value, tx)
            seen.write(p, value)
            if tx:
                log.append(("write", p, value))
        elif what == "rm":
            p = path()
            parent = p.rpartition("/")[0] or "/"
            if parent not in seen.nodes:
                fails("ENOENT", client.rm, p, tx)
                continue
            client.rm(p, tx)
            seen.rm(p)
            if tx:
                log.append(("rm", p))
        elif what == "ls":
            p = path()
            if p in seen.nodes:
                names = client.ls(p, tx)
                assert names == seen.ls(p)
                if tx:
                    log.append(("ls", p, names))
        elif what == "read":
            p = path()
            if p in seen.nodes:
                assert client.read(p, tx) == seen.nodes[p]
            else:
                fails("ENOENT", client.read, p, tx)
    assert {p: v for p, (v, _) in xs.tree().items()} == model.nodes
    assert committed and failed
    xs.ok(CONTROL, nul("check"))

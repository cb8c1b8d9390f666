# SPDX-License-Identifier: MIT
"""Limits of guests, and fair service."""
import time

from test_permissions import wait_for
from test_protocol import fails
from wire import *


def limit(xs, name, number):
    xs.ok(CONTROL, nul("quota", name, str(number)))


def test_nodes(xs, guest):
    limit(xs, "nodes", 10)
    for i in range(9):
        guest.write(f"n{i}")
    fails("ENOSPC", guest.write, "n9")
    guest.write("n8", "changes are free")
    fails("ENOSPC", guest.write, "n8/below")
    guest.rm("n0")
    fails("ENOSPC", guest.write, "a/b")
    guest.write("n9")
    xs.write("/local/domain/3/by0")
    xs.rm("/local/domain/3/n1")
    fails("ENOSPC", guest.write, "n1")
    guest.rm("by0")
    guest.write("n1")
    xs.ok(CONTROL, nul("check"))


def test_nodes_in_transactions(xs, guest):
    limit(xs, "nodes", 5)
    first, second = guest.start(), guest.start()
    for i in range(3):
        guest.write(f"a{i}", tx=first)
        guest.write(f"b{i}", tx=second)
    guest.end(first)
    fails("ENOSPC", guest.end, second)
    third = guest.start()
    guest.write("c", tx=third)
    fails("ENOSPC", guest.write, "d", tx=third)
    guest.end(third, False)
    guest.write("c")
    xs.ok(CONTROL, nul("check"))


def test_watches(xs, guest):
    limit(xs, "watches", 3)
    for i in range(3):
        guest.watch(f"w{i}")
    fails("ENOSPC", guest.watch, "w3")
    guest.unwatch("w0")
    guest.watch("w3")


def test_transactions(xs, guest):
    limit(xs, "transactions", 2)
    a = guest.start()
    guest.start()
    fails("ENOSPC", guest.start)
    guest.end(a, False)
    guest.start()


def test_sizes(xs, guest):
    limit(xs, "node-bytes", 100)
    guest.write("a", "x" * 100)
    fails("ENOSPC", guest.write, "a", "x" * 101)
    xs.write("/local/domain/3/a", "x" * 4000)
    limit(xs, "node-perms", 2)
    guest.chmod("a", "n3", "r1")
    fails("ENOSPC", guest.chmod, "a", "n3", "r1", "r2")
    limit(xs, "transaction-bytes", 5000)
    tx = guest.start()
    for i in range(10):
        guest.write(f"t{i}", "x" * 100, tx)
    with_error = 0
    for i in range(100):
        try:
            guest.write(f"t{i}", "x" * 100, tx)
        except XsError as error:
            assert str(error) == "ENOSPC"
            with_error += 1
    assert with_error > 50
    guest.end(tx)


def test_domain0_has_none(xs):
    for name in ("nodes", "watches", "transactions", "node-bytes", "node-perms", "transaction-bytes"):
        limit(xs, name, 1)
    for i in range(5):
        xs.write(f"/n/{i}", "xxxx")
        xs.watch("/n", str(i))
        xs.write(f"/n/{i}", "xxxx", xs.start())
    xs.chmod("/n", "n0", "r1", "r2")


def test_stale_snapshot(daemon, xs, guest):
    """A guest cannot keep old trees alive for ever: its transaction ends in EAGAIN."""
    tx, mine = guest.start(), xs.start()
    guest.write("x", tx=tx)
    xs.write("/x", tx=mine)
    for i in range(60):
        big = xs.start()
        for j in range(1000):
            xs.post(WRITE, nul(f"/n/{j}") + b"v", big)
            xs.reply()
        xs.end(big)
    fails("EAGAIN", guest.end, tx)
    xs.end(mine)


def test_flood(daemon, xs, guest):
    """A guest with a full ring does not keep others waiting."""
    message = HEAD.pack(DIRECTORY, 1, 0, 2) + b"/\0"
    floods = [guest] + [daemon.introduce(xs, d) for d in (10, 11, 12)]
    stop = time.monotonic() + 1.0
    waits, served = [], 0
    while time.monotonic() < stop:
        for flood in floods:
            while RING_SIZE - ((flood.get(REQ_PROD) - flood.get(REQ_CONS)) & 0xffffffff) >= len(message):
                flood.send_bytes(message)
            flood.set(RSP_CONS, flood.get(RSP_PROD))
            flood.kick()
        begin = time.monotonic()
        xs.read("/tool")
        waits.append(time.monotonic() - begin)
        served += 1
    assert served > 50
    assert sorted(waits)[len(waits) // 2] < 0.02


def test_guest_that_reads_nothing(daemon, xs, guest):
    """Its replies do not pile up: it is served again when it takes them."""
    xs.write("/local/domain/3/big", "x" * 1000)
    message = HEAD.pack(READ, 7, 0, 4) + b"big\0"
    count = 0
    while True:
        room = RING_SIZE - ((guest.get(REQ_PROD) - guest.get(REQ_CONS)) & 0xffffffff)
        if room < len(message):
            time.sleep(0.05)
            room = RING_SIZE - ((guest.get(REQ_PROD) - guest.get(REQ_CONS)) & 0xffffffff)
            if room < len(message):
                break
        guest.send_bytes(message)
        count += 1
    assert count < 100
    for _ in range(count):
        assert guest.reply().body == b"x" * 1000
    wait_for(lambda: guest.get(REQ_PROD) == guest.get(REQ_CONS))

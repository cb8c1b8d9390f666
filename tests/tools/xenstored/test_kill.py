# SPDX-License-Identifier: MIT
"""kill -9 at any moment: nothing committed is lost, requests on rings are performed exactly once."""
import os
import random

import pytest
from test_permissions import wait_for
from test_protocol import fails
from wire import *


def test_tree(daemon, xs):
    for i in range(300):
        xs.write(f"/a/{i % 17}/{i}", bytes([i % 256]) * (i % 90))
    xs.rm("/a/3")
    xs.chmod("/a/4", "r1", "b2", "w3")
    tx = xs.start()
    xs.write("/tx/1", "x", tx)
    xs.rm("/a/5", tx)
    xs.end(tx)
    open_one = xs.start()
    xs.write("/uncommitted", tx=open_one)
    before = xs.tree()
    for _ in range(3):
        xs = daemon.restart()
        assert xs.tree() == before
        xs.ok(CONTROL, nul("check"))
    assert "/tx/1" in before and "/uncommitted" not in before


def test_every_reply_is_lasting(daemon, xs):
    """Whatever a client had an answer to is there, however busy the daemon was when it was killed."""
    rng = random.Random(1)
    known = {}
    for turn in range(12):
        path = None
        end = time.monotonic() + rng.random() * 0.05
        while time.monotonic() < end:
            path = f"/k/{rng.randrange(50)}"
            value = os.urandom(rng.randrange(300))
            xs.write(path, value)
            known[path] = value
        xs.post(WRITE, nul("/k/last") + b"unknown")
        xs = daemon.restart()
        for path, value in known.items():
            assert xs.read(path) == value


def test_growth(daemon, xs):
    """The journal is replaced when it is full, and stays in proportion."""
    for i in range(3000):
        xs.post(WRITE, nul(f"/g/{i % 20}") + b"x" * 1500)
        xs.reply()
    assert os.stat(daemon.dir + "/journal").st_size <= 1 << 20
    assert not os.path.exists(daemon.dir + "/journal.new")
    before = xs.tree()
    assert daemon.restart().tree() == before


def test_large_state(daemon, xs):
    for i in range(3000):
        xs.post(WRITE, nul(f"/l/{i % 100}/{i}") + b"x" * 1000)
        xs.reply()
    before = xs.tree("/l/7")
    begin = time.monotonic()
    xs = daemon.restart()
    assert time.monotonic() - begin < 2
    assert xs.tree("/l/7") == before
    xs.ok(CONTROL, nul("check"))


def test_torn_record(daemon, xs):
    """The file ends anywhere within its last record: all before counts, the rest does not."""
    for i in range(5):
        xs.write(f"/torn/{i}", "v" * 50)
    daemon.kill()
    name = daemon.dir + "/journal"
    whole = open(name, "rb").read()
    used = len(whole.rstrip(b"\0"))
    for cut in list(range(used - 75, used, 7)) + [used - 1]:
        with open(name, "wb") as file:
            file.write(whole[:cut] + bytes(len(whole) - cut))
        daemon.start()
        xs = daemon.ready()
        assert xs.ls("/torn") == [str(i) for i in range(4)]
        xs.write("/more", "x")
        daemon.kill()
    with open(name, "wb") as file:  # a flipped bit in the last value
        file.write(whole[:used - 5] + bytes([whole[used - 5] ^ 1]) + whole[used - 4:])
    daemon.start()
    assert daemon.ready().ls("/torn") == [str(i) for i in range(4)]


@pytest.mark.parametrize("content", [b"", b"x", b"noise" * 1000, b"xenstored1\0" + b"\0" * 500])
def test_foreign_file(idle, content):
    """Of another boot, or no journal at all: an empty store, not a failure."""
    with open(idle.dir + "/journal", "wb") as file:
        file.write(content)
    idle.start()
    assert idle.ready().ls("/") == ["local", "tool"]


def test_damaged_snapshot(daemon, xs):
    """The record that every file begins with is not whole: the store of a first start, with right accounts."""
    xs.write("/lost", "x")
    daemon.kill()
    with open(daemon.dir + "/journal", "r+b") as file:
        file.seek(100)
        byte = file.read(1)[0]
        file.seek(100)
        file.write(bytes([byte ^ 1]))
    daemon.start()
    xs = daemon.ready()
    assert xs.ls("/") == ["local", "tool"]
    xs.ok(CONTROL, nul("check"))


@pytest.mark.parametrize("released", [False, True])
def test_failed_introduction(daemon, xs, released):
    """A domain that cannot be introduced keeps what it owns, in this daemon and in the next one."""
    daemon.machine.create(6)
    xs.mkdir("/local/domain/6")
    xs.chmod("/local/domain/6", "n6", "r2")
    if released:
        xs.ok(INTRODUCE, nul("6", "1", "11"))
        xs.ok(RELEASE, nul("6"))
    fails("EINVAL", xs.request, INTRODUCE, nul("6", "1", "99"))
    assert xs.perms("/local/domain/6") == ["n6", "r2"]
    xs = daemon.restart()
    assert xs.perms("/local/domain/6") == ["n6", "r2"]
    xs.ok(INTRODUCE, nul("6", "1", "11"))
    xs.ok(CONTROL, nul("check"))


def test_ring_state(daemon, xs, guest):
    """Watches, permissions of the domain, its open transactions, partly sent requests and unread events."""
    guest.watch("w", "relative")
    guest.watch("/local/domain/3/w", "absolute", "0")
    guest.unwatch("w", "relative")
    guest.watch("w", "relative")
    assert len(guest.all_events()) == 3
    tx, second = guest.start(), guest.start()
    guest.write("in-tx", "x", tx)
    message = HEAD.pack(WRITE, 99, 0, 2004) + nul("big") + b"v" * 2000
    guest.send_bytes(message[:1500])
    xs.write("/local/domain/3/w/below")
    xs.chmod("@releaseDomain", "r0")
    xs.ok(SET_TARGET, nul("3", "8"))
    xs.write("/of8")
    xs.chmod("/of8", "n8")
    daemon.restart()
    daemon.restart()  # now from a snapshot
    guest.send_bytes(message[1500:])
    assert guest.reply().req_id == 99
    assert guest.read("big") == b"v" * 2000
    assert guest.event() == ("w/below", "relative")
    assert guest.read("/of8") == b""
    assert guest.read("big", tx) == b"v" * 2000
    guest.write("in-tx", "y", tx)
    fails("EINVAL", guest.write, "in tx", "y", tx)
    fails("EACCES", guest.write, "/tool", "y", tx)
    fails("ENOENT", guest.read, "in-tx", tx)
    fails("EAGAIN", guest.end, tx)
    guest.end(second, False)
    assert guest.start() not in (tx, second)
    fails("ENOENT", guest.end, tx)
    guest.write("w", "v")
    assert sorted(guest.all_events()) == [("/local/domain/3/w", "absolute"), ("w", "relative")]


def test_domains_while_down(daemon, xs, guest):
    """Who died while the daemon was dead is released when it is back, also if another took the id; shutdowns are told."""
    rings = {d: daemon.introduce(xs, d) for d in (4, 5, 6)}
    for d, ring in rings.items():
        ring.watch("w")
    guest.watch("@releaseDomain")
    xs.chmod("@releaseDomain", "r0")
    guest.all_events()
    daemon.kill()
    daemon.machine.state.domain[4].exists = 0
    daemon.machine.state.domain[5].shutdown = 1
    daemon.machine.create(6)
    daemon.start()
    xs = daemon.ready()
    answers = [xs.request(IS_DOMAIN_INTRODUCED, nul(str(d))) for d in (3, 4, 5, 6)]
    assert answers == [b"T\0", b"F\0", b"T\0", b"F\0"]
    assert guest.event() == ("@releaseDomain", "t")
    xs = daemon.restart()
    answers = [xs.request(IS_DOMAIN_INTRODUCED, nul(str(d))) for d in (3, 4, 5, 6)]
    assert answers == [b"T\0", b"F\0", b"T\0", b"F\0"]
    assert set(guest.all_events(0.02)) <= {("@releaseDomain", "t")}


class Script:
    """What a guest does in the tests of every step: each request has an effect that shows if it happens twice."""

    def __init__(self, guest):
        self.guest = guest
        self.seen = []

    def requests(self):
        yield MKDIR, nul("c")
        yield WATCH, nul("c", "w")
        for i in range(3):
            yield WRITE, nul(f"c/{i}") + bytes([65 + i]) * (200 * i)
            yield RM, nul(f"c/{i}")
        yield WATCH, nul("c", "w")
        yield WRITE, nul("c/large") + b"L" * 1900
        yield READ, nul("c/large")
        yield UNWATCH, nul("c", "w")
        yield UNWATCH, nul("c", "w")
        yield DIRECTORY, nul("c")

    def run(self):
        for kind, body in self.requests():
            req_id = self.guest.post(kind, body)
            reply = self.guest.reply()
            assert reply.req_id == req_id
            self.seen.append((reply.type, reply.body))
        while self.guest.pump(0.01):
            pass
        assert not self.guest.replies
        return self.seen, list(self.guest.events)


def play(daemon, kill_at):
    """The script with one death at that step. Returns what the guest saw, and the steps of the daemon."""
    daemon.start()
    xs = daemon.ready()
    xs.mkdir("/local/domain/3")
    xs.chmod("/local/domain/3", "n3")
    guest = daemon.introduce(xs, 3, 0xfffffe00)
    xs.close()
    daemon.kill()
    daemon.start(kill_at)
    died = False

    def revive():
        nonlocal died
        if not daemon.alive():
            assert daemon.process.returncode == -9, daemon.said()
            died = True
            daemon.start()

    guest.on_wait = revive
    seen = Script(guest).run()
    steps = daemon.machine.state.steps
    revive()
    xs = daemon.ready()
    xs.ok(CONTROL, nul("check"))
    seen += (xs.tree("/local"),)
    daemon.kill()
    return seen, steps, died


def test_every_step(idle, tmp_path):
    """The guest sees the same whichever step the daemon is killed at."""
    expected, steps, _ = play(idle, None)
    assert steps > 80
    for kill_at in range(1, steps):
        for name in ("journal", "machine", "events"):
            os.unlink(f"{idle.dir}/{name}")
        idle.machine = Machine(idle.dir)
        seen, _, died = play(idle, kill_at)
        assert died, kill_at
        assert seen == expected, kill_at


def test_random_moments(daemon, xs):
    """Several guests at work, the daemon killed again and again at moments of the clock."""
    rng = random.Random(9)
    guests = {}
    for d in (3, 4, 5):
        xs.mkdir(f"/local/domain/{d}")
        xs.chmod(f"/local/domain/{d}", f"n{d}")
        guests[d] = daemon.introduce(xs, d)
        guests[d].watch("n", "w")
        guests[d].all_events()
    values = dict.fromkeys(guests, 0)
    for turn in range(25):
        waiting = {}
        die_at = time.monotonic() + rng.random() * 0.02
        while time.monotonic() < die_at:
            for d, guest in guests.items():
                if d in waiting:
                    guest.pump(0)
                    if not guest.replies:
                        continue
                    assert guest.replies.popleft().req_id == waiting.pop(d)
                elif values[d] < 35 * (turn + 1):  # fewer nodes in all than a guest may have
                    values[d] += 1
                    waiting[d] = guest.post(WRITE, nul(f"n/{values[d]}") + b"v")
        daemon.kill()
        daemon.start()
        for d, req_id in waiting.items():
            assert guests[d].reply().req_id == req_id
    xs = daemon.ready()
    for d, guest in guests.items():
        names = sorted(map(int, guest.ls("n")))
        assert names == list(range(1, values[d] + 1))
        # Each write made one event, in order: none lost, none twice.
        assert guest.all_events(0.01) == [(f"n/{i}", "w") for i in names]
    xs.ok(CONTROL, nul("check"))

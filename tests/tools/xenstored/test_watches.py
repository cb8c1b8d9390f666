# SPDX-License-Identifier: MIT
"""Watches: which events, when, to whom."""
import pytest
from test_permissions import wait_for
from test_protocol import fails
from wire import *


def test_first_event(xs):
    xs.watch("/a", "token")
    assert xs.event() == ("/a", "token")


def test_changes(daemon, xs):
    other = daemon.client()
    xs.watch("/a", "t")
    xs.watch("/a/b/c", "c")
    xs.all_events()
    other.write("/a/b/c/d", "1")
    assert xs.all_events() == [("/a/b/c/d", "t"), ("/a/b/c/d", "c")]
    other.write("/a/b/c/d", "2")
    other.mkdir("/a/b/c/e")
    other.mkdir("/a/b/c/e")
    other.chmod("/a/b/c/e", "r0")
    other.write("/ab")
    other.write("/a")
    assert sorted(xs.all_events()) == sorted([("/a/b/c/d", "t"), ("/a/b/c/d", "c"), ("/a/b/c/e", "t"), ("/a/b/c/e", "c"),
                                              ("/a/b/c/e", "t"), ("/a/b/c/e", "c"), ("/a", "t")])
    other.rm("/a/b")
    assert sorted(xs.all_events()) == [("/a/b", "t"), ("/a/b/c", "c")]
    other.rm("/a/b")
    assert xs.all_events() == []


def test_reply_before_event(xs):
    xs.watch("/a")
    xs.all_events()
    xs.post(WRITE, nul("/a"))
    while not xs.replies:
        xs.pump(1)
        assert xs.replies or not xs.events
    assert xs.event() == ("/a", "t")


def test_root(xs):
    xs.watch("/")
    xs.all_events()
    xs.write("/x/y")
    xs.rm("/x")
    assert xs.all_events() == [("/x/y", "t"), ("/x", "t")]


def test_unwatch(xs):
    xs.watch("/a", "1")
    xs.watch("/a", "2")
    fails("EEXIST", xs.watch, "/a", "2")
    xs.unwatch("/a", "1")
    fails("ENOENT", xs.unwatch, "/a", "1")
    fails("ENOENT", xs.unwatch, "/b", "2")
    xs.all_events()
    xs.write("/a")
    assert xs.all_events() == [("/a", "2")]
    xs.ok(RESET_WATCHES, b"\0")
    xs.write("/a")
    assert xs.all_events() == []


def test_depth(xs):
    xs.watch("/a", "0", "0")
    xs.watch("/a", "1", "1")
    xs.watch("/a", "all", "")
    xs.all_events()
    xs.write("/a/b/c")
    xs.write("/a/b")
    xs.write("/a")
    assert sorted(xs.all_events()) == sorted([("/a/b/c", "all"), ("/a/b", "1"), ("/a/b", "all"), ("/a", "0"), ("/a", "1"),
                                              ("/a", "all")])


def test_relative(guest):
    guest.watch("a", "rel")
    guest.watch("/local/domain/3/a", "abs")
    assert guest.all_events() == [("a", "rel"), ("/local/domain/3/a", "abs")]
    guest.write("a/b")
    assert sorted(guest.all_events()) == [("/local/domain/3/a/b", "abs"), ("a/b", "rel")]
    guest.rm("a")
    assert sorted(guest.all_events()) == [("/local/domain/3/a", "abs"), ("a", "rel")]
    guest.unwatch("a", "rel")


def test_transactions(daemon, xs):
    other = daemon.client()
    xs.watch("/a")
    xs.all_events()
    tx = other.start()
    other.write("/a/1", tx=tx)
    other.write("/a/1", "v", tx=tx)
    other.rm("/a/1", tx=tx)
    other.write("/a/2", tx=tx)
    assert xs.all_events() == []
    other.end(tx)
    assert set(xs.all_events()) == {("/a/1", "t"), ("/a/2", "t")}
    tx = other.start()
    other.write("/a/3", tx=tx)
    other.end(tx, False)
    assert xs.all_events() == []


def test_no_event_for_who_may_not_read(xs, guest):
    xs.write("/s/hidden")
    xs.write("/s/shown")
    xs.chmod("/s/shown", "r0")
    guest.watch("/s")
    assert guest.all_events() == [("/s", "t")]
    xs.write("/s/hidden")
    assert guest.all_events() == []
    xs.write("/s/shown")
    assert guest.all_events() == [("/s/shown", "t")]
    xs.rm("/s/hidden")
    assert guest.all_events() == []
    xs.rm("/s/shown")
    assert guest.all_events() == [("/s/shown", "t")]


def test_special(daemon, xs, guest):
    for name in ("@introduceDomain", "@releaseDomain"):
        xs.watch(name, "t")
        xs.watch(name, "d", "1")
        guest.watch(name, "g")
    xs.watch("@releaseDomain/5", "five")
    xs.all_events()
    guest.all_events()
    daemon.introduce(xs, 5)
    assert sorted(xs.all_events()) == [("@introduceDomain", "t"), ("@introduceDomain/5", "d")]
    assert guest.all_events() == []
    xs.chmod("@releaseDomain", "n0", "r3")
    assert xs.perms("@releaseDomain") == ["n0", "r3"]
    fails("EACCES", guest.chmod, "@releaseDomain", "b0")
    fails("EACCES", guest.perms, "@releaseDomain")
    daemon.machine.shutdown(5)
    expected = [("@releaseDomain", "t"), ("@releaseDomain/5", "d"), ("@releaseDomain/5", "five")]
    assert sorted(xs.event() for _ in range(3)) == expected
    assert guest.all_events() == [("@releaseDomain", "g")]
    daemon.machine.raise_event(DEATH_PORT)
    assert xs.all_events(0.02) == []
    xs.ok(RESUME, nul("5"))
    daemon.machine.raise_event(DEATH_PORT)
    assert sorted(xs.event() for _ in range(3)) == expected
    daemon.machine.destroy(5)
    assert sorted(xs.event() for _ in range(3)) == expected
    assert xs.all_events(0.02) == []
    xs.ok(RELEASE, nul("3"))
    assert sorted(xs.all_events()) == expected[:1] + [("@releaseDomain/3", "d")]


def test_dying(daemon, xs, guest):
    """One that is dying holds nothing any longer, so that it can die."""
    guest.watch("a")
    guest.start()
    daemon.machine.state.domain[3].dying = 1
    daemon.machine.raise_event(DEATH_PORT)
    wait_for(lambda: xs.request(IS_DOMAIN_INTRODUCED, nul("3")) == b"F\0")
    assert (daemon.machine.state.domain[3].mapped, daemon.machine.state.domain[3].bound) == (0, 0)


@pytest.mark.parametrize("how", ["socket", "ring"])
def test_merging(daemon, xs, guest, how):
    """A client that takes no events has them merged into one for each watch, and loses none."""
    slow = daemon.client() if how == "socket" else guest
    base = "/local/domain/3/"
    slow.watch(base + "a", "x" * 100)
    slow.watch(base + "b")
    if how == "socket":
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for i in range(8000):
        xs.post(WRITE, nul(f"{base}a/{i}") + b"v")
        xs.reply()
    xs.write(base + "b")
    events = slow.all_events(0.05)
    assert (base + "b", "t") in events
    assert len(events) < 4000
    assert events.count((base + "a", "x" * 100)) >= 1
    xs.write(base + "a/0")
    assert slow.all_events()[-1] == (base + "a/0", "x" * 100)


def test_many(daemon, xs):
    """Each of many watches gets its own events only."""
    watcher = daemon.client()
    for i in range(1000):
        watcher.watch(f"/w/{i}", str(i))
    assert len(watcher.all_events()) == 1000
    for i in range(0, 1000, 7):
        xs.write(f"/w/{i}/v")
    assert watcher.all_events() == [(f"/w/{i}/v", str(i)) for i in range(0, 1000, 7)]
    for i in range(0, 1000, 2):
        watcher.unwatch(f"/w/{i}", str(i))
    xs.rm("/w")
    assert sorted(watcher.all_events()) == sorted((f"/w/{i}", str(i)) for i in range(1, 1000, 2) if i % 7 == 0)

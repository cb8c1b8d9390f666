# SPDX-License-Identifier: MIT
"""Rings: positions, large messages, reconnection, guests that break the protocol."""
import random
import time

import pytest
from test_permissions import wait_for
from test_protocol import fails
from wire import *


@pytest.mark.parametrize("pos", [0, 1000, 0xfffffff0, 0x80000000])
def test_positions(daemon, xs, pos):
    """Indices begin anywhere and wrap."""
    guest = daemon.introduce(xs, 4, pos)
    xs.write("/local/domain/4")
    xs.chmod("/local/domain/4", "n4")
    for i in range(200):
        guest.write("x", "v" * i)
        assert guest.read("x") == b"v" * i


def test_features(guest):
    assert guest.get(FEATURES) == 3
    assert guest.get(RING_ERROR) == 0


def test_large(guest):
    """Messages larger than the ring, both ways."""
    for size in (900, 1000, 1007, 1008, 1009, 1024, 2000):
        value = bytes(random.Random(size).randbytes(size))
        guest.write("big", value)
        assert guest.read("big") == value
    for i in range(100):
        guest.write(f"dir/{'n' * 30}{i:03}")
    assert len(guest.ls("dir")) == 100


def test_pieces(guest):
    data = HEAD.pack(WRITE, 77, 0, 3) + nul("p") + b"v"
    for i in range(len(data)):
        guest.send_bytes(data[i:i + 1])
    assert guest.reply().req_id == 77


def test_header_alone(daemon, guest):
    """The daemon sees the header and goes to sleep: Linux notifies it of the rest only if the header was taken."""
    state = daemon.machine.state.domain[3]
    before = state.unmasked
    body = nul("p") + b"v"
    guest.send_bytes(HEAD.pack(WRITE, 77, 0, len(body)))
    wait_for(lambda: state.unmasked > before)
    guest.send_bytes(body)
    assert guest.reply(0.5).req_id == 77


def test_pipeline(guest):
    ids = [guest.post(WRITE, nul(f"p{i % 7}") + b"x" * i) for i in range(30)]
    assert [guest.reply().req_id for _ in ids] == ids


def test_space_seen_late(daemon, guest):
    """A full ring is emptied without an event: to the reader it was not full when it looked."""
    guest.write("big", b"x" * 900)
    end = guest.get(RSP_PROD) + 2 * (HEAD.size + 900)
    daemon.machine.state.domain[3].late = 1
    start = time.monotonic()
    guest.post(READ, nul("big"))
    guest.post(READ, nul("big"))
    wait_for(lambda: guest.get(RSP_PROD) == end)
    assert time.monotonic() - start < 0.5  # not by the second look for lost events


def test_lost_event(daemon, xs, guest):
    """Of two events the second one wakes nobody (main.c says how): it is noticed all the same."""
    other = daemon.introduce(xs, 5)
    other.kick = lambda: None
    guest.write("x", "y")
    other.post(GET_DOMAIN_PATH, nul("5"))
    assert other.reply().type == GET_DOMAIN_PATH


def test_kernel_of_domain_0(daemon, xs):
    kernel = Ring(daemon.machine, 0)
    assert kernel.ls("/") == ["local", "tool"]
    kernel.write("domid", "0")
    assert xs.read("/local/domain/0/domid") == b"0"


def spoil_prod(guest):
    guest.set(REQ_PROD, guest.get(REQ_CONS) + 1025)


def spoil_cons(guest):
    guest.set(RSP_CONS, guest.get(RSP_PROD) + 1)
    guest.post(READ, nul("x"))


def spoil_length(guest):
    guest.send_bytes(HEAD.pack(READ, 1, 0, 4097))


@pytest.mark.parametrize("spoil,error", [(spoil_prod, 2), (spoil_cons, 2), (spoil_length, 3)])
def test_broken_protocol(daemon, xs, guest, spoil, error):
    """The connection stops, all else goes on, and a reconnection starts it again."""
    other = daemon.introduce(xs, 5)
    guest.watch("w")
    guest.start()
    guest.all_events()
    spoil(guest)
    guest.kick()
    wait_for(lambda: guest.get(RING_ERROR) == error)
    assert f"domain 3 broke the ring protocol (error {error})" in daemon.said()
    xs.write("/local/domain/3/w")
    assert other.request(GET_DOMAIN_PATH, nul("5"))
    assert xs.request(IS_DOMAIN_INTRODUCED, nul("3")) == b"T\0"
    xs = daemon.restart()
    assert guest.get(RING_ERROR) == error
    reconnect(guest)
    assert guest.get(RING_ERROR) == 0
    guest.write("w", "again")
    assert guest.all_events() == []


def reconnect(guest):
    guest.set(CONNECTION, 1)
    guest.kick()
    wait_for(lambda: guest.get(CONNECTION) == 0)
    guest.buffer = b""
    guest.replies.clear()
    guest.events.clear()


def test_reconnect(xs, guest):
    guest.watch("w")
    tx = guest.start()
    guest.send_bytes(HEAD.pack(READ, 1, 0, 100) + b"half of it")
    guest.post(WRITE, nul("x") + b"y" * 200)
    reconnect(guest)
    assert [guest.get(f) for f in (REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD)] == [0, 0, 0, 0]
    fails("ENOENT", guest.read, "w", tx)
    guest.write("w")
    assert guest.all_events() == []


def test_introduce_again(daemon, xs, guest):
    """Of a domain that is known: a new event channel on the same ring."""
    guest.watch("w")
    guest.all_events()
    daemon.machine.state.domain[3].port = 77
    xs.watch("@introduceDomain")
    xs.ok(INTRODUCE, nul("3", "1234", "77"))
    assert xs.all_events() == [("@introduceDomain", "t")]  # only the one of the watch
    guest.write("w")
    assert guest.all_events() == [("w", "t")]
    fails("EINVAL", xs.request, INTRODUCE, nul("3", "1234", "78"))
    assert xs.request(IS_DOMAIN_INTRODUCED, nul("3")) == b"F\0"
    state = daemon.machine.state.domain[3]
    assert (state.mapped, state.bound) == (0, 0)


def test_death_and_successor(daemon, xs, guest):
    """A new domain under an old id, before anyone noticed the death of the first."""
    guest.watch("w")
    again = daemon.machine.create(3)
    daemon.machine.state.domain[3].bound = 0
    xs.ok(INTRODUCE, nul("3", "1234", "8"))
    assert daemon.machine.state.domain[3].mapped == 1
    assert again.request(GET_DOMAIN_PATH, nul("3")) == b"/local/domain/3\0"
    xs.write("/local/domain/3/w")
    assert again.all_events() == []


def test_scribbling(daemon, xs):
    """A guest that writes noise all over its page harms only itself."""
    rng = random.Random(3)
    guest = daemon.introduce(xs, 9)
    for _ in range(300):
        for _ in range(rng.randrange(4)):
            at = rng.choice([rng.randrange(512), rng.randrange(512, 519)])
            guest.words[at] = rng.choice([0, 1, 16, 1024, rng.getrandbits(32), guest.words[rng.randrange(519)]])
        if rng.random() < 0.3:
            guest.set(CONNECTION, 1)
        guest.kick()
        xs.read("/")
    reconnect(guest)
    assert guest.request(GET_DOMAIN_PATH, nul("9"))
    xs.ok(CONTROL, nul("check"))

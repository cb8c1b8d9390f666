# SPDX-License-Identifier: MIT
"""Many guests: a hundred at once, and one after the other a thousand times; nothing may be left."""

import re
import time

import pytest

import guests

pytestmark = pytest.mark.ours
# A tiny guest starts in 64 MiB, where its kernel is linked to, and then does with less.
SMALL_KIB = 54 * 1024


@pytest.fixture(scope="module")
def small_machine(tmp_path_factory, full):
    """6 GiB in all for a hundred guests: the full set's. The bounded one takes the machine that the other tests share."""
    if not full:
        yield None
        return
    with guests.start(tmp_path_factory.mktemp("many"), "many", mem="6G", dom0_mem="512M") as m:
        yield m
        m.key("A", r"audit[^\n]*(clean|0 differences)[^\n]*\n", 60)
        m.check_quiet()
        m.poweroff()


@pytest.fixture
def many(request, small_machine):
    return small_machine or request.getfixturevalue("host")


def test_hundred_at_once(many, full):
    """Tiny guests, a hundred in the full set, all answering on their consoles, all destroyed."""
    host, count = many, 100 if full else 12
    before, free = host.leftovers(), host.free_kib()
    host.write("/tmp/many.sh", f"""
        for i in $(seq {count}); do
            xm create -q tiny name=t$i memory=64 || exit 1
            n=0
            until grep -q 'tiny: 6' /var/log/xen/console/guest-t$i.log 2>/dev/null; do
                n=$((n + 1)); [ $n -lt 1200 ] || {{ echo "t$i says nothing"; exit 1; }}
                sleep 0.1
            done
            xenstore-write /local/domain/$(xm domid t$i)/memory/target {SMALL_KIB}
        done""")
    host.ok("rm -f /var/log/xen/console/guest-t*.log; sh /tmp/many.sh", 15 * count)
    assert len(host.domains()) == count + 1
    # Each is asked on its own console and answers.
    host.write("/tmp/ask.sh", f"""
        for i in $(seq {count}); do
            tty=$(xenstore-read /local/domain/$(xm domid t$i)/console/tty)
            (timeout 20 cat $tty >/tmp/answer.$i &)
            printf 'echo answer $((%d * 7))\\r' $i >$tty
        done
        for i in $(seq {count}); do
            n=0
            until grep -q "answer $((i * 7))" /tmp/answer.$i; do
                n=$((n + 1)); [ $n -lt 200 ] || {{ echo "t$i does not answer"; exit 1; }}
                sleep 0.1
            done
        done
        rm -f /tmp/answer.*""")
    host.ok("sh /tmp/ask.sh", 200)
    host.ok(f"for i in $(seq {count}); do xm destroy t$i || exit 1; done", 300)
    after = host.settled(before)
    assert after == before
    assert abs(host.free_kib() - free) <= 4096


def test_create_and_destroy(many, full):
    """One after the other, a thousand times in the full set; nothing leaks, and the last is as fast as the first."""
    host, rounds = many, 1000 if full else 30
    host.ok("for i in 1 2 3; do xm create -q -p tiny name=r && xm destroy r || exit 1; done", 60)
    before, free = host.leftovers(), host.free_kib()
    host.write("/tmp/rounds.sh", f"""
        tenth=$(({rounds} / 10))
        begin=$(date +%s%N)
        for i in $(seq {rounds}); do
            xm create -q -p tiny name=r && xm destroy r || exit 1
            [ $i -ne $tenth ] || first=$(($(date +%s%N) - begin))
            [ $i -ne $(({rounds} - tenth)) ] || last=$(date +%s%N)
        done
        echo first tenth $((first / 1000000)) ms, last tenth $((($(date +%s%N) - last) / 1000000)) ms""")
    said = host.ok("sh /tmp/rounds.sh", rounds * 2 + 60)
    first, last = map(int, re.findall(r"(\d+) ms", said))
    assert last < first * 1.5 + 500, said
    time.sleep(1)
    assert host.settled(before) == before
    assert abs(host.free_kib() - free) <= 1024

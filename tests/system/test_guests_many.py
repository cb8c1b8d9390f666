# SPDX-License-Identifier: MIT
"""Many guests: a hundred at once, and one after the other a thousand times; nothing may be left."""

import re
import time

import pytest

import guests

pytestmark = [pytest.mark.ours, pytest.mark.full]


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with guests.start(tmp_path_factory.mktemp("many"), "many", mem="12G") as m:
        yield m
        m.key("A", r"audit[^\n]*(clean|0 differences)[^\n]*\n", 60)
        m.check_quiet()
        m.poweroff()


def test_hundred_at_once(host):
    """100 tiny guests, all answering on their consoles, all destroyed."""
    before, free = host.leftovers(), host.free_kib()
    host.write("/tmp/many.sh", """
        for i in $(seq 100); do xm create -q tiny name=t$i || exit 1; done
        for i in $(seq 100); do
            n=0
            until grep -q 'tiny: 6' /var/log/xen/console/guest-t$i.log 2>/dev/null; do
                n=$((n + 1)); [ $n -lt 1200 ] || { echo "t$i says nothing"; exit 1; }
                sleep 0.1
            done
        done""")
    host.ok("rm -f /var/log/xen/console/guest-t*.log; sh /tmp/many.sh", 500)
    assert len(host.domains()) == 101
    # Each is asked on its own console and answers.
    host.write("/tmp/ask.sh", """
        for i in $(seq 100); do
            tty=$(xenstore-read /local/domain/$(xm domid t$i)/console/tty)
            (timeout 20 cat $tty >/tmp/answer.$i &)
            printf 'echo answer $((%d * 7))\\r' $i >$tty
        done
        for i in $(seq 100); do
            n=0
            until grep -q "answer $((i * 7))" /tmp/answer.$i; do
                n=$((n + 1)); [ $n -lt 200 ] || { echo "t$i does not answer"; exit 1; }
                sleep 0.1
            done
        done
        rm -f /tmp/answer.*""")
    host.ok("sh /tmp/ask.sh", 200)
    host.ok("for i in $(seq 100); do xm destroy t$i || exit 1; done", 300)
    after = host.settled(before)
    assert after == before
    assert abs(host.free_kib() - free) <= 4096


@pytest.mark.parametrize("rounds", [60, 1000])
def test_create_and_destroy(host, rounds):
    """One after the other; nothing leaks, and the last is as fast as the first."""
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

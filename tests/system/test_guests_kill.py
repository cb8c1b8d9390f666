# SPDX-License-Identifier: MIT
"""The daemons are killed, again and again, while guests work: after each restart all is as it should be and no guest saw an error."""

import random
import re

import pytest

import guests

pytestmark = pytest.mark.ours
DAEMONS = ("xend", "xenconsoled", "xenstored")


def start_worker(host, name):
    """A guest that writes, reads back and fetches without end; it says so on the first thing that goes wrong."""
    host.ok(f"truncate -s 64M /tmp/{name}.img")
    host.xm_ok(f"create tiny name={name} memory=96 \"vif=['']\" \"disk=['file:/tmp/{name}.img,xvda,w']\"", 60)
    total = host.ok("md5sum </srv/www/blob").split()[0]
    host.attach(name)
    host.ok("until ip -4 -o addr | grep -q 'inet 10.11'; do sleep 0.3; done", 60)
    host.ok("head -c 4000000 /dev/urandom >/tmp/a; md5sum </tmp/a >/tmp/sum; "
            f"(n=0; while :; do dd if=/tmp/a of=/dev/xvda bs=64k conv=fsync 2>/dev/null && echo 3 >/proc/sys/vm/drop_caches && "
            f"head -c 4000000 /dev/xvda | md5sum | cmp -s - /tmp/sum && wget -q -O - http://10.11.0.1:8080/blob | md5sum | grep -q {total} "
            "|| { echo wrong >/tmp/wrong; break; }; n=$((n + 1)); echo $n >/tmp/rounds; done) >/dev/null 2>&1 & true")
    host.leave()


def rounds_of(host, name):
    said = host.in_guest(name, "cat /tmp/rounds; cat /tmp/wrong 2>/dev/null; dmesg | grep -i -E 'error|fail' | head; true")
    assert "wrong" not in said, said
    return int(re.search(r"^(\d+)\s*$", said, re.M).group(1))


def test_killed_daemons(host, full):
    times = 20 if full else 2
    host.ok("mkdir -p /srv/www && head -c 3000000 /dev/urandom >/srv/www/blob && busybox httpd -p 10.11.0.1:8080 -h /srv/www")
    for name in ("one", "two"):
        start_worker(host, name)
    dice = random.Random(6)
    before = host.domains()
    nodes = host.ok("xenstore-ls -p / | grep -v -E 'tty|serial|state-path' | md5sum")
    for i in range(times):
        for daemon in DAEMONS:
            host.ok(f"kill -9 $(pidof {daemon}); sleep {dice.uniform(0.1, 1.2):.2f}")
        host.ok("until xm list >/dev/null 2>&1; do sleep 0.2; done", 30)
        assert host.domains() == before
        if i % 5 == 0 or i == times - 1:
            assert rounds_of(host, "one") > 0 and rounds_of(host, "two") > 0
    assert host.ok("xenstore-ls -p / | grep -v -E 'tty|serial|state-path' | md5sum") == nodes
    first = rounds_of(host, "one"), rounds_of(host, "two")
    host.ok("sleep 8")
    last = rounds_of(host, "one"), rounds_of(host, "two")
    assert last[0] > first[0] and last[1] > first[1], "a guest does not go on"
    # All still works: a new guest, shutting down, no thing left behind.
    host.xm_ok("create tiny name=three \"vif=['']\"", 60)
    host.in_guest("three", "true")
    for name in ("one", "two", "three"):
        host.xm_ok(f"destroy {name}", 30)
    host.ok("pkill -f 'busybox httpd'")
    assert list(host.domains()) == ["Domain-0"]
    assert host.ok("losetup -a | wc -l").split()[-1] == "0"


def test_all_at_once(host):
    """The three of them in the same moment, while a guest is being built and one is being destroyed."""
    host.xm_ok("create tiny name=old", 60)
    host.ok("(xm create -q tiny name=new; xm destroy old) >/dev/null 2>&1 & sleep 0.4; kill -9 $(pidof xend xenconsoled xenstored); wait; true", 60)
    host.ok("until xm list >/dev/null 2>&1; do sleep 0.2; done", 30)
    # Each is either there and answers, or gone without a trace.
    for name in ("old", "new"):
        if name in host.domains():
            host.in_guest(name, "true", 60)
            host.xm_ok(f"destroy {name}", 30)
    assert list(host.domains()) == ["Domain-0"]

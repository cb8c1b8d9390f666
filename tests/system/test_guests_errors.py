# SPDX-License-Identifier: MIT
"""What is refused, and how: one clear message, an exit code, nothing left behind."""

import re

import pytest

import guests

pytestmark = pytest.mark.ours


@pytest.fixture
def files(host):
    """The files that the cases name, and a guest that holds a disk and a name."""
    if "holder" not in host.domains():
        host.ok("truncate -s 16M /tmp/d.img; echo text >/tmp/text; head -c 3000000 /var/lib/xen/images/tiny/vmlinuz >/tmp/cut; "
                "head -c 300000 /dev/urandom >/tmp/noise; head -c 700000 /var/lib/xen/images/tiny/initrd.img >/tmp/half")
        host.xm_ok("create tiny name=holder \"disk=['file:/tmp/d.img,xvda,w']\"")
        host.in_guest("holder", "true")
        host.with_holder = host.leftovers()


@pytest.fixture(scope="module", autouse=True)
def holder_ends(shared_host):
    yield
    if shared_host.machine:
        shared_host.machine.run("xm destroy holder; rm -f /tmp/d.img")


# What is given to xm create, and words that its message must have.
REFUSED = [
    ("missing", "missing"),
    ("tiny kernel=/nowhere", "/nowhere"),
    ("tiny kernel=/tmp/text", "/tmp/text.*kernel"),
    ("tiny kernel=/tmp/cut", "/tmp/cut"),
    ("tiny kernel=/tmp", "/tmp"),
    ("tiny ramdisk=/nowhere", "/nowhere"),
    ("tiny ramdisk=/tmp/noise", "/tmp/noise.*ramdisk|ramdisk.*/tmp/noise"),
    ("tiny memory=200000", r"memory.*(\d+).*MiB"),
    ("tiny memory=4", "memory"),
    ("tiny vif=['bridge=nobridge']", "nobridge"),
    ("tiny disk=['file:/nowhere,xvda,w']", "/nowhere"),
    ("tiny disk=['phy:nosuch,xvda,w']", "/dev/nosuch"),
    ("tiny disk=['file:/tmp/d.img,xvda,w']", "holder"),
    ("tiny disk=['phy:/dev/vda,xvda,w']", "/dev/vda"),
    ("tiny name=holder", "holder"),
    ("tiny memroy=64", "did you mean 'memory'"),
    ("tiny vcpus=0", "vcpus"),
    ("tiny builder=hvm", "hvm|HVM"),
    ("tiny on_crash=explode", "on_crash"),
]


@pytest.mark.parametrize("arguments,words", REFUSED)
def test_refused(host, files, arguments, words):
    status, said = host.xm(f'create {arguments.split()[0]} ' + " ".join(f'"{a}"' for a in arguments.split()[1:]), 60)
    assert status != 0
    assert re.search(words, said), said
    assert len([line for line in said.splitlines() if "rror" in line]) <= 1, said


def test_refusals_leave_nothing(host, files):
    assert host.settled(host.with_holder) == host.with_holder
    assert list(host.domains()) == ["Domain-0", "holder"]


def test_damaged_ramdisk(host, files):
    """A ramdisk that ends in the middle: the guest finds out; that guest alone ends."""
    host.xm_ok("create tiny name=half ramdisk=/tmp/half on_crash=destroy on_reboot=destroy 'extra=console=hvc0 panic=1'")
    host.until("! xm list half >/dev/null 2>&1", 60)
    assert list(host.domains()) == ["Domain-0", "holder"]


# For each step: it is made to fail once, a guest is created, and what is there afterwards is what was there before.
STEPS = """
look() {
    losetup -a | wc -l; ls /sys/class/net | grep -c '^vif'; ls /run/xend/domains | wc -l; xenstore-ls -f / | wc -l; xm list | wc -l
}
before=$(look)
for step; do
    printf '{"jsonrpc":"2.0","id":1,"method":"debug.fail_at","params":{"step":"%s"}}\\n' $step |
        socat -t 2 - UNIX-CONNECT:/run/xend/xend.sock >/dev/null
    said=$(xm CREATE 2>&1)
    echo "$step: $? $said" | tr '\\n' ' '
    echo
    n=0
    until [ "$(look)" = "$before" ]; do
        n=$((n + 1))
        [ $n -lt 40 ] || { echo "$step: something is left"; look; exit; }
        sleep 0.2
    done
done
"""


def test_failing_at_each_step(host, files):
    """A fault is injected at each step of building a domain: nothing is left, and the next attempt works."""
    host.ok("mkdir -p /run/systemd/system/xend.service.d && printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/xend --debug\\n' "
            ">/run/systemd/system/xend.service.d/debug.conf && systemctl daemon-reload && systemctl restart xend")
    host.ok("until xm list >/dev/null 2>&1; do sleep 0.2; done", 30)
    text = (guests.machine.ROOT / "toolstack/lib/fault.h").read_text()
    steps = re.findall(r"X\((\w+)\)", text.split("#define FAULT_STEPS(X)")[1].split("/*")[0])
    assert len(steps) >= 15
    host.ok("truncate -s 16M /tmp/e.img")
    create = "create -q tiny name=fault \"vif=['']\" \"disk=['file:/tmp/e.img,xvda,w']\""
    before, free = host.leftovers(), host.free_kib()
    host.write("/tmp/steps.sh", STEPS.replace("CREATE", create))
    said = host.ok(f"sh /tmp/steps.sh {' '.join(steps)} 2>&1", 20 * len(steps))
    for step in steps:
        assert re.search(rf"^{step}: (?!0 ).*{step}", said, re.M), said
    assert "is left" not in said, said
    host.xm_ok(create, 60)
    host.xm_ok("destroy fault")
    assert host.settled(before) == before
    assert abs(host.free_kib() - free) <= 1024
    host.ok("rm -r /run/systemd/system/xend.service.d && systemctl daemon-reload && systemctl restart xend")
    host.until("xm list >/dev/null 2>&1")

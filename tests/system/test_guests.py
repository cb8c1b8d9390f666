# SPDX-License-Identifier: MIT
"""Guests next to Domain 0: the demo guest and its devices, kernels and sizes, networks, restarts."""

import re

import pytest

import guests

pytestmark = pytest.mark.ours
# Until the guest has its address from Domain 0
ADDRESS = "until ip -4 -o addr | grep -q 'inet 10\\.11\\.'; do sleep 0.3; done"


def test_demo(host, full):
    """The first guest: login, network, disk, reboot and poweroff from inside."""
    mib = 500 if full else 100
    host.send("xm create -c demo\r")
    host.expect(r'Using config file "/etc/xen/demo"\.\r*\n')
    host.expect(r"Started domain demo \(id=\d+\)\r*\n", 60)
    host.login()
    host.ok(ADDRESS, 60)
    host.ok("ping -c 3 -W 5 10.11.0.1")
    host.ok(f"dd if=/dev/urandom of=/root/big bs=1M count={mib} conv=fsync status=none", 240)
    host.ok("md5sum /root/big >/root/sum && echo 3 >/proc/sys/vm/drop_caches && md5sum -c /root/sum && rm /root/big", 300)
    said = host.ok("dmesg")
    assert not guests.machine.complaints(said)
    host.send("reboot\r")
    host.login(200)
    host.leave()
    assert "demo" in host.domains()
    host.attach("demo")
    host.send("poweroff\r")
    host.expect(r"root@hospes:~# ", 90)
    host.ok("for i in $(seq 100); do xm list demo >/dev/null 2>&1 || break; sleep 0.2; done")
    assert "demo" not in host.domains()


def test_http_from_domain0(host):
    host.ok("mkdir -p /srv/www && head -c 8000000 /dev/urandom >/srv/www/blob && busybox httpd -p 10.11.0.1:8080 -h /srv/www")
    total = host.ok("md5sum </srv/www/blob").split()[0]
    host.xm_ok("create tiny name=web \"vif=['']\" memory=96")
    host.in_guest("web", ADDRESS, 60)
    assert total in host.in_guest("web", "wget -q -O - http://10.11.0.1:8080/blob | md5sum", 120)
    host.xm_ok("destroy web")
    host.ok("pkill -f 'busybox httpd'")


def test_tcp_every_way_at_once(host):
    """Two guests and Domain 0 send to each other, all at the same time, and every stream arrives whole."""
    addresses = {"dom0": "10.11.0.1"}
    for name in ("left", "right"):
        host.xm_ok(f"create tiny name={name} \"vif=['']\" memory=96")
        said = host.in_guest(name, ADDRESS + "; ip -4 -o addr show eth0", 60)
        addresses[name] = re.search(r"inet (10\.11\.\d+\.\d+)", said).group(1)
    assert addresses["left"] != addresses["right"]
    ways = [(a, b, 5000 + i) for i, (a, b) in enumerate((a, b) for a in addresses for b in addresses if a != b)]

    def on(name, command):
        return host.ok(command) if name == "dom0" else host.in_guest(name, command)

    prepare = "head -c 3000000 /dev/urandom >/tmp/out; md5sum </tmp/out"
    sums = {name: re.search(r"[0-9a-f]{32}", on(name, prepare)).group(0) for name in addresses}
    for _, receiver, port in ways:
        nc = "nc" if receiver != "dom0" else "busybox nc"
        # An end of the receiver's input would end the sender.
        on(receiver, f"(sleep 300 | {nc} -l -p {port} >/tmp/in{port} &) ; sleep 0.2")
    for sender, receiver, port in ways:
        send = "nc" if sender != "dom0" else "busybox nc"
        on(sender, f"(sleep 4; {send} {addresses[receiver]} {port} </tmp/out >/dev/null) >/dev/null 2>&1 & true")
    for sender, receiver, port in ways:
        wait = f"for i in $(seq 120); do [ $(wc -c </tmp/in{port}) -ge 3000000 ] && break; sleep 0.5; done; md5sum </tmp/in{port}"
        assert sums[sender] in on(receiver, wait), f"{sender} to {receiver}"
    host.xm_ok("destroy left")
    host.xm_ok("destroy right")


@pytest.mark.parametrize("vcpus,memory", [(1, 64), (4, 128), (1, 3072), (4, 1000)])
def test_sizes(host, vcpus, memory):
    host.xm_ok(f"create tiny name=sized vcpus={vcpus} memory={memory}", 90)
    said = host.in_guest("sized", "nproc; sed -n 's/^MemTotal: *//p' /proc/meminfo", 60)
    assert re.search(rf"^{vcpus}$", said, re.M)
    total = int(re.search(r"(\d+) kB", said).group(1))
    assert (memory - 50) * 1024 * 0.95 < total <= memory * 1024, said  # the kernel itself takes some
    assert f" {memory} " in host.xm_ok("list sized")
    host.xm_ok("destroy sized")


def test_two_disks_three_nics(host):
    host.ok("for i in 1 2; do truncate -s 32M /tmp/d$i; echo disk$i | dd of=/tmp/d$i conv=notrunc status=none; done")
    host.xm_ok("create tiny name=devices \"disk=['file:/tmp/d1,xvda,w','file:/tmp/d2,xvdb,r']\" \"vif=['','','mac=00:16:3e:11:22:33']\"", 90)
    said = host.in_guest("devices", "head -c 5 /dev/xvda; head -c 5 /dev/xvdb; cat /sys/class/net/eth2/address; ls /sys/class/net; "
                         "echo changed | dd of=/dev/xvda conv=fsync 2>/dev/null; dd if=/dev/zero of=/dev/xvdb bs=512 count=1 conv=fsync 2>&1 || true")
    assert "disk1" in said and "disk2" in said and "00:16:3e:11:22:33" in said and "eth1" in said
    host.xm_ok("destroy devices")
    assert "changed" in host.ok("head -c 7 /tmp/d1")
    assert "disk2" in host.ok("head -c 5 /tmp/d2")


@pytest.mark.parametrize("flavour", ["newest", "rt"])
def test_other_kernels(host, flavour, tmp_path):
    """Debian's full and rt kernels (the cloud kernel is what demo and tiny run)."""
    host.bring(guests.machine.BUILD / "kernels" / flavour / "vmlinuz", f"/tmp/{flavour}")
    host.xm_ok(f"create tiny name={flavour} kernel=/tmp/{flavour} vcpus=2 memory=256", 120)
    said = host.in_guest(flavour, "uname -r; nproc", 60)
    assert ("-rt-" in said) == (flavour == "rt") and re.search(r"^2$", said, re.M)
    host.xm_ok(f"destroy {flavour}")


def test_grub(host):
    """kernel= is Debian's grub-xen: its menu and its command line take keys, and it boots the kernel inside the guest's own disk."""
    host.bring(guests.machine.BUILD / "kernels/grub-xen.bin", "/tmp/grub-xen.bin")
    host.send("xm create -c demo name=grub kernel=/tmp/grub-xen.bin ramdisk=\r")
    host.expect(r"previous menu", 60)
    host.child.send("c")
    for line in ("linux /boot/vmlinux root=/dev/xvda ro console=hvc0 typed", "initrd /initrd.img"):
        host.expect(r"grub> ", 90)
        host.send(f"{line}\r")
    host.expect(r"grub> ", 90)
    host.send("boot\r")
    host.login(120)
    host.ok("grep -qw typed /proc/cmdline")
    assert not guests.machine.complaints(host.ok("dmesg"))
    host.leave()
    host.xm_ok("destroy grub")


ACTIONS = ["destroy", "restart", "preserve", "rename-restart"]


@pytest.mark.parametrize("action", ACTIONS)
def test_on_poweroff(host, action):
    host.xm_ok(f"create tiny name=life on_poweroff={action}")
    first = host.domains()["life"]
    host.in_guest("life", "true")
    host.type_at("life", "poweroff -f")
    if action == "preserve":
        host.until("xm list life | grep -q -- '---s--'")
        assert host.domains()["life"] == first
    elif action == "destroy":
        host.until("! xm list life >/dev/null 2>&1")
    else:
        host.until(f"xm domid life 2>/dev/null | grep -qvx {first}")
        host.in_guest("life", "true")
        others = [name for name in host.domains() if name not in ("life", "Domain-0")]
        assert len(others) == (action == "rename-restart")
    for name in host.domains():
        if name != "Domain-0":
            host.xm_ok(f"destroy {name}")


def test_crash(host):
    """A guest's crash ends that guest alone."""
    host.xm_ok("create tiny name=crash on_crash=preserve")
    host.in_guest("crash", "true")
    host.type_at("crash", "echo c >/proc/sysrq-trigger")
    host.until("xm list crash | grep -Eq -- '---[s-]c-'")
    host.xm_ok("destroy crash")

# SPDX-License-Identifier: MIT
"""Network scripts of Domain 0, in a network namespace of their own on the build host. xenstore and dnsmasq are stand-ins in PATH."""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "toolstack" / "scripts"
BACKEND = "/local/domain/0/backend/vif/1/0"
PROGRAMS = {
    "xenstore-read": 'exec cat "$FAKE_STORE/$1"',
    "xenstore-write": 'while [ $# -gt 1 ]; do mkdir -p "$FAKE_STORE/${1%/*}"; printf %s "$2" >"$FAKE_STORE/$1"; shift 2; done',
    "xenstore-rm": 'rm -r "$FAKE_STORE/$1"',
    # Named as the real one in /proc; ends by itself.
    "dnsmasq": 'echo "$@" >"$FAKE_STORE/dnsmasq-arguments"\n'
               'for a; do case $a in --pid-file=*) pid=${a#*=} ;; esac; done\n'
               '[ ! -e "$FAKE_STORE/dnsmasq-fails" ] || exit 2\n'
               '(i=0; while [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done) >/dev/null 2>&1 &\n'
               'echo $! >"$pid"',
}


class Network:
    """A network namespace with the outside world's cable at `wire`, and our card at eth0."""

    def __init__(self, directory):
        self.store = directory / "store"
        self.run_dir = directory / "run"
        self.bin = directory / "bin"
        self.store.mkdir()
        self.bin.mkdir()
        for name, text in PROGRAMS.items():
            (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.bin / name).chmod(0o755)
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        self.holder = subprocess.Popen(
            ["unshare", *user, "--net", "--mount", "sh", "-c", "mount -t sysfs sysfs /sys && echo ready && exec sleep 600"],
            stdout=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            pytest.fail("no network namespace could be made: this test needs root, or user namespaces")
        self.enter = ["nsenter", "-t", str(self.holder.pid), "--net", "--mount"]
        if user:
            self.enter += ["--user", "--preserve-credentials"]
        self.ip("link set lo up")
        self.ip("link add eth0 type veth peer name wire")
        self.ip("link set wire up")
        self.ip("link set eth0 up")

    def close(self):
        for pid_file in self.run_dir.rglob("dnsmasq.pid"):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        self.holder.kill()
        self.holder.wait()

    def call(self, command, **env):
        full = dict(PATH=f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin", FAKE_STORE=str(self.store), XEN_RUN_DIR=str(self.run_dir))
        full.update(env)
        return subprocess.run([*self.enter, *command], env=full, capture_output=True, text=True, timeout=60)

    def ip(self, text):
        result = self.call(["ip", *text.split()])
        assert result.returncode == 0, result.stderr
        return result.stdout

    def script(self, name, *words, **env):
        return self.call([str(SCRIPTS / name), *words], **env)

    def good(self, name, *words, **env):
        result = self.script(name, *words, **env)
        assert result.returncode == 0 and not result.stderr, result.stderr
        return result.stdout

    def bad(self, name, *words, code=1, **env):
        result = self.script(name, *words, **env)
        assert result.returncode == code, (result.returncode, result.stderr)
        return result.stderr

    def vif(self, action, vif="vif1.0", **env):
        return self.script("vif-bridge", action, XENBUS_PATH=BACKEND, vif=vif, **env)

    def node(self, name):
        path = self.store / f".{BACKEND}" / name
        return path.read_text() if path.exists() else None

    def set_node(self, name, value):
        path = self.store / f".{BACKEND}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)

    def picture(self):
        """All that the scripts may change: addresses, routes, links."""
        links = [line.split(":")[1].strip() for line in self.ip("-o link show").splitlines()]
        return (sorted(links), self.addresses("eth0"), self.routes())

    def addresses(self, device):
        words = [line.split() for line in self.ip(f"-o addr show dev {device} scope global").splitlines()]
        return sorted(w[3] for w in words)

    def routes(self):
        lines = self.ip("-4 route show").splitlines() + self.ip("-6 route show").splitlines()
        return sorted(line.replace(" linkdown", "").strip() for line in lines if not line.startswith("fe80:"))


@pytest.fixture
def net(tmp_path):
    for name in ("unshare", "nsenter", "ip"):
        assert shutil.which(name), f"{name} is missing"
    network = Network(tmp_path)
    yield network
    network.close()


def configure_card(net):
    net.ip("addr add 192.0.2.10/24 brd + dev eth0")
    net.ip("addr add 192.0.2.11/24 dev eth0")
    net.ip("-6 addr add 2001:db8::10/64 dev eth0 nodad")
    net.ip("route add 198.51.100.1 dev eth0")
    net.ip("route add default via 192.0.2.1 metric 100")
    net.ip("route add 203.0.113.0/24 via 198.51.100.1")
    net.ip("-6 route add default via 2001:db8::1 dev eth0")


# ---- network-bridge ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["netdev=eth0"], []])
def test_card_moves_into_bridge_and_back(net, words):
    configure_card(net)
    before = net.picture()
    mac = net.ip("-o link show eth0").split("link/ether ")[1].split()[0]
    net.good("network-bridge", *words, "start")
    assert "master xenbr0" in net.ip("-o link show eth0")
    assert mac in net.ip("-o link show xenbr0")
    assert net.addresses("eth0") == []
    assert net.addresses("xenbr0") == before[1]
    assert net.routes() == sorted(r.replace("eth0", "xenbr0") for r in before[2])
    after = net.picture()
    net.good("network-bridge", *words, "start")  # nothing to do
    assert net.picture() == after
    net.good("network-bridge", *words, "stop")
    assert net.picture() == before
    assert not list(net.run_dir.rglob("xenbr0"))
    net.good("network-bridge", *words, "stop")
    assert net.picture() == before


def test_isolated_bridge_with_dhcp(net):
    configure_card(net)
    before = net.picture()
    words = ["netdev=none", "ip=10.11.0.1/16", "dhcp=yes"]
    net.good("network-bridge", *words, "start")
    assert net.addresses("xenbr0") == ["10.11.0.1/16"]
    assert net.addresses("eth0") == before[1]
    arguments = (net.store / "dnsmasq-arguments").read_text()
    assert "--dhcp-range=10.11.0.2,10.11.255.254,1h" in arguments
    assert "--interface=xenbr0 " in arguments and "--bind-interfaces" in arguments
    pid = (net.run_dir / "network/xenbr0/dnsmasq.pid").read_text()
    status = net.good("network-bridge", "status")
    assert "10.11.0.1/16" in status and f"process {pid.strip()}" in status
    net.good("network-bridge", *words, "start")
    assert (net.run_dir / "network/xenbr0/dnsmasq.pid").read_text() == pid
    net.good("network-bridge", *words, "stop")
    assert net.picture() == before
    time.sleep(0.3)
    assert not Path(f"/proc/{pid.strip()}/comm").exists() or Path(f"/proc/{pid.strip()}/stat").read_text().split()[2] == "Z"
    assert net.bad("network-bridge", "status", code=3) == ""


@pytest.mark.parametrize("ip, expected", [
    ("10.11.0.1/24", "10.11.0.2,10.11.0.254"), ("10.11.0.254/24", "10.11.0.1,10.11.0.253"),
    ("172.16.5.130/25", "172.16.5.131,172.16.5.254"), ("192.168.7.1/30", "192.168.7.2,192.168.7.2")])
def test_dhcp_range(net, ip, expected):
    net.good("network-bridge", "start", "netdev=none", f"ip={ip}", "dhcp=yes")
    assert f"--dhcp-range={expected},1h" in (net.store / "dnsmasq-arguments").read_text()


def test_failed_start_leaves_nothing(net):
    configure_card(net)
    before = net.picture()
    net.store.joinpath("dnsmasq-fails").touch()
    message = net.bad("network-bridge", "start", "netdev=none", "ip=10.11.0.1/24", "dhcp=yes")
    assert "dnsmasq does not start on xenbr0" in message
    assert net.picture() == before
    assert not list(net.run_dir.rglob("xenbr0"))


def test_someone_elses_bridge_stays(net):
    net.ip("link add br7 type bridge")
    net.good("network-bridge", "start", "bridge=br7", "netdev=none", "ip=10.9.0.1/24")
    net.good("network-bridge", "stop", "bridge=br7")
    assert "br7" in net.ip("-o link show type bridge")
    assert net.addresses("br7") == []


def test_stop_with_guests_refused(net):
    net.good("network-bridge", "start", "netdev=none")
    net.ip("link add vif1.0 type veth peer name guest1")
    net.vif("online")
    assert "still has vif1.0 - shut down the guests first" in net.bad("network-bridge", "stop")
    assert "xenbr0" in net.ip("-o link show type bridge")


@pytest.mark.parametrize("words, message", [
    (["start", "netdev=eth7"], "there is no network device 'eth7'"),
    (["start", "bridge=a b"], "bridge='a b' is no name of a device"),
    (["start", "bridge=../../x"], "is no name of a device"),
    (["start", "bridge=$(touch x)"], "is no name of a device"),
    (["start", "bridge=-x"], "is no name of a device"),
    (["start", "bridge=abcdefghijklmnop"], "is no name of a device"),
    (["start", "bridge=eth0", "netdev=none"], "a device 'eth0' already, and it is no bridge"),
    (["start"], "there is no default route"),
    (["start", "netdev=none", "ip=10.11.0.1"], "is not ADDRESS/LENGTH"),
    (["start", "netdev=none", "ip=10.11.0.256/24"], "is not ADDRESS/LENGTH"),
    (["start", "netdev=none", "ip=10.11.01.2/24"], "is not ADDRESS/LENGTH"),
    (["start", "netdev=none", "ip=10.11.0.1/31"], "is not ADDRESS/LENGTH"),
    (["start", "netdev=none", "ip=10.11.0.1/2x"], "is not ADDRESS/LENGTH"),
    (["start", "netdev=none", "dhcp=yes"], "dhcp=yes needs ip="),
    (["start", "netdev=eth0", "ip=10.11.0.1/24", "dhcp=yes"], "dhcp=yes needs netdev=none"),
    (["start", "netdev=none", "dhcp=maybe"], "are yes or no"),
])
def test_wrong_words(net, words, message):
    before = net.picture()
    assert message in net.bad("network-bridge", *words)
    assert net.picture() == before
    assert not list(net.run_dir.rglob("network/*"))


@pytest.mark.parametrize("words", [[], ["start", "stop"], ["start", "colour=red"], ["begin"]])
def test_usage(net, words):
    assert "usage: network-bridge" in net.bad("network-bridge", *words, code=2)


# ---- vif-bridge ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bridged(net):
    net.good("network-bridge", "start", "netdev=none", "ip=10.11.0.1/24")
    net.ip("link add vif1.0 type veth peer name guest1")
    return net


def test_vif_online_and_offline(bridged):
    bridged.ip("link set dev xenbr0 mtu 1400")
    result = bridged.vif("online", bridge="xenbr0")
    assert result.returncode == 0 and not result.stderr, result.stderr
    link = bridged.ip("-o link show vif1.0")
    assert "master xenbr0" in link and "fe:ff:ff:ff:ff:ff" in link and "mtu 1400" in link and ",UP" in link
    assert "inet6" not in bridged.ip("-o addr show vif1.0")
    assert bridged.node("hotplug-status") == "connected"
    assert bridged.vif("online", bridge="xenbr0").returncode == 0  # again
    assert bridged.vif("offline", bridge="xenbr0").returncode == 0
    assert "master" not in bridged.ip("-o link show vif1.0")
    assert bridged.node("hotplug-status") is None
    assert bridged.vif("offline").returncode == 0
    bridged.ip("link del vif1.0")
    assert bridged.vif("offline").returncode == 0


def test_bridge_from_xenstore(bridged):
    bridged.ip("link add br1 type bridge")
    bridged.set_node("bridge", "br1")
    assert bridged.vif("online").returncode == 0
    assert "master br1" in bridged.ip("-o link show vif1.0")


def test_default_bridge_and_own_name(bridged):
    assert bridged.vif("online", script="vif-bridge", vifname="demo0").returncode == 0
    assert "master xenbr0" in bridged.ip("-o link show demo0")


def test_bridge_missing(bridged):
    result = bridged.vif("online", bridge="xenbr7")
    assert result.returncode == 1
    assert "there is no bridge 'xenbr7': make it with" in result.stderr
    assert "there is no bridge 'xenbr7'" in bridged.node("hotplug-error")
    assert bridged.node("hotplug-status") == "error"
    assert "master" not in bridged.ip("-o link show vif1.0")


@pytest.mark.parametrize("value", ["x; touch /tmp/owned", "$(reboot)", "a\nlink del eth0", "../..", "-batch", "*"])
def test_hostile_values(bridged, value):
    before = bridged.picture()
    for env in ({"bridge": value}, {"vif": value}, {"vifname": value}):
        result = bridged.vif("online", **env)
        assert result.returncode == 1
        assert "is no name of a device" in result.stderr
    assert bridged.picture() == before


def test_vif_missing_and_wrong_calls(bridged):
    result = bridged.vif("online", vif="vif9.0")
    assert result.returncode == 1 and "there is no network device 'vif9.0'" in result.stderr
    assert "XENBUS_PATH is not set" in bridged.bad("vif-bridge", "online", vif="vif1.0")
    assert "say online or offline" in bridged.bad("vif-bridge", "up", vif="vif1.0", XENBUS_PATH=BACKEND)
    assert "say online or offline" in bridged.bad("vif-bridge", vif="vif1.0", XENBUS_PATH=BACKEND)


def test_antispoof_rules(bridged):
    (bridged.bin / "nft").write_text('#!/bin/sh\n[ "$1" != -f ] || cat >"$FAKE_STORE/nft-rules"\necho "$*" >>"$FAKE_STORE/nft-calls"\n')
    (bridged.bin / "nft").chmod(0o755)
    bridged.good("network-bridge", "start", "netdev=none", "antispoof=yes")
    result = bridged.vif("online", bridge="xenbr0", mac="00:16:3e:00:00:01", ip="10.11.0.5 fd00::5")
    assert result.returncode == 0, result.stderr
    rules = (bridged.store / "nft-rules").read_text()
    assert "table bridge xen_vif1_0 {" in rules
    assert "ether saddr != 00:16:3e:00:00:01 drop" in rules
    assert "ip saddr != { 10.11.0.5 } drop" in rules
    assert "{ ::, fe80::/10, fd00::5 }" in rules
    for wrong in ({"mac": "00:16:3e:00:00:01 accept"}, {"mac": "", "script": "x"}, {"mac": "00:16:3e:00:00:01", "ip": "1.2.3.4;x"}):
        result = bridged.vif("online", bridge="xenbr0", **wrong)
        assert result.returncode == 1, wrong
    bridged.vif("offline", bridge="xenbr0")
    assert "delete table bridge xen_vif1_0" in (bridged.store / "nft-calls").read_text().splitlines()[-1]


# ---- What is not offered yet ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vif-route", "vif-nat", "network-route", "network-nat"])
def test_not_offered(net, name):
    env = {"XENBUS_PATH": BACKEND, "vif": "vif1.0"} if name.startswith("vif") else {}
    assert "not offered yet" in net.bad(name, "online" if env else "start", **env)
    if env:
        assert "not offered yet" in net.node("hotplug-error")
        net.good(name, "offline", **env)

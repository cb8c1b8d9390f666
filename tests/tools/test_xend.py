# SPDX-License-Identifier: MIT
"""xend on the build host: its API, the lives of domains, and being killed at every moment of them.

The hypervisor is a file (tests/tools/xend/fake_hv.c), xenstored and the backends a stand-in (tests/tools/xend/fake_store.py). Run by
`make test-xend`; XEND_TEST is the program.
"""
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid as uuids
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
XEND = os.environ.get("XEND_TEST", str(HERE.parents[1] / "build" / "xend-test"))
DOMAIN = struct.Struct("<IIIIQQ16sIIII")
MACHINE = struct.Struct("<IIQ")
DOMAINS = 1024
DYING, SHUTDOWN, PAUSED = 1, 4, 8
POWEROFF, REBOOT, CRASH = 0, 1, 3
FREE_KIB = 1 << 20


class Store:
    """A test's own connection to the stand-in of xenstored."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))

    def call(self, kind, *words):
        body = b"".join(w.encode() + b"\0" for w in words)
        if kind == 11:
            body = body[:-1]
        self.sock.sendall(struct.pack("<IIII", kind, 1, 0, len(body)) + body)
        kind, _, _, length = struct.unpack("<IIII", self.exactly(16))
        text = self.exactly(length).decode()
        return (None if kind == 16 else text)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise OSError("xenstored has gone")
            data += more
        return data

    def read(self, path):
        return self.call(2, path)

    def write(self, path, value):
        self.call(11, path, value)

    def nodes(self):
        return [line.split("|")[0] for line in self.call(0, "dump").rstrip("\0").splitlines() if line]

    def rights(self, path):
        for line in self.call(0, "dump").splitlines():
            if line.split("=")[0] == path:
                return line.rsplit("|", 1)[1]
        return None


class XendError(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.kind = error["data"]["kind"]


class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(path))
        self.file = self.sock.makefile("rwb")
        self.id = 0

    def call(self, method, **params):
        self.id += 1
        self.file.write(json.dumps({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}).encode() + b"\n")
        self.file.flush()
        line = self.file.readline()
        if not line:
            raise OSError("xend has gone")
        reply = json.loads(line)
        assert reply["id"] == self.id
        if "error" in reply:
            raise XendError(reply["error"])
        return reply["result"]


class House:
    """Everything around one xend."""

    def __init__(self, directory):
        self.dir = directory
        self.store_socket = directory / "xenstored.sock"
        self.socket = directory / "run" / "xend.sock"
        self.hv_file = directory / "machine"
        self.kernel = directory / "vmlinuz"
        self.kernel.write_text("KERNEL")
        self.script = directory / "vif-test"
        self.script.write_text('#!/bin/sh\necho "$1 $XENBUS_PATH $vif $bridge" >>"%s/script.log"\n'
                               'test ! -e "%s/script-fails" || { echo "it rains"; exit 1; }\n'
                               'test "$1" = offline || %s "%s" "$XENBUS_PATH/hotplug-status" connected\n'
                               % (directory, directory, HERE / "xend" / "store_write.py", self.store_socket))
        self.script.chmod(0o755)
        (directory / "config.sxp").write_text("(vif-script %s)\n(enable-dump no)\n(xend-http-server no)\n(nonsense 1)\n" % self.script)
        self.hv_file.write_bytes(MACHINE.pack(1, 0, FREE_KIB) + b"\0" * DOMAINS * DOMAIN.size)
        self.map = mmap.mmap(os.open(self.hv_file, os.O_RDWR), 0)
        self.put(0, (1, 0, 32, 2, 1000, 1000, b"\0" * 16, 0, 0, 0, 0))
        self.xend = self.store = None
        self.start_store()

    # ---- the hypervisor ----
    def get(self, slot):
        return DOMAIN.unpack_from(self.map, MACHINE.size + slot * DOMAIN.size)

    def put(self, slot, fields):
        DOMAIN.pack_into(self.map, MACHINE.size + slot * DOMAIN.size, *fields)

    def domains(self):
        return [d for d in map(self.get, range(64)) if d[0] and d[1]]

    def slot(self, domid):
        return next(s for s in range(64) if self.get(s)[0] and self.get(s)[1] == domid)

    def go_down(self, domid, reason):
        slot = self.slot(domid)
        d = list(self.get(slot))
        d[2] = (d[2] & 0xff) | SHUTDOWN | reason << 16
        self.put(slot, d)
        Store(self.store_socket).call(0, "release")

    def free_kib(self):
        return MACHINE.unpack_from(self.map, 0)[2]

    def kill_in(self, calls):
        struct.pack_into("<I", self.map, 4, calls)

    # ---- programs ----
    def start_store(self):
        self.store = subprocess.Popen([sys.executable, str(HERE / "xend" / "fake_store.py"), str(self.store_socket)])
        wait_for(lambda: can_connect(self.store_socket))

    def start(self, *options, env=None):
        e = dict(os.environ, FAKE_HV=str(self.hv_file), XENSTORED_PATH=str(self.store_socket), **(env or {}))
        self.xend = subprocess.Popen([XEND, "--debug", "--state-dir", str(self.dir / "run"), "--config", str(self.dir / "config.sxp"),
                                      "--cache-dir", str(self.dir / "cache"), "--log", str(self.dir / "xend.log"), *options],
                                     env=e, stderr=open(self.dir / "stderr", "ab"))
        wait_for(lambda: can_connect(self.socket) or self.xend.poll() is not None)
        return Client(self.socket)

    def kill(self):
        self.xend.send_signal(signal.SIGKILL)
        self.xend.wait()

    def stop(self):
        self.xend.terminate()
        assert self.xend.wait(20) == 0, (self.dir / "stderr").read_text()

    def config(self, name="demo", **more):
        c = {"name": name, "kernel": str(self.kernel), "memory_mib": 64, "vcpus": 1, "maxvcpus": 1}
        c.update(more)
        return c

    def is_clean(self):
        nodes = Store(self.store_socket).nodes()
        left = [n for n in nodes if n.split("=")[0].count("/") > 2 and not n.startswith("/local/domain/0/")
                and not n.startswith("/local/domain/0=") and "00000000-0000" not in n]
        left += [n for n in nodes if "/backend/v" in n and n.split("=")[0].count("/") > 5]
        left += [p.name for p in (self.dir / "run" / "domains").iterdir()]
        return not left and not self.domains() and self.free_kib() == FREE_KIB and not Store(self.store_socket).call(0, "introduced").strip("\0")

    def assert_clean(self):
        wait_for(self.is_clean, what=lambda: (Store(self.store_socket).nodes(), self.domains(), self.free_kib(),
                                              list((self.dir / "run" / "domains").iterdir())))


def can_connect(path):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(str(path))
        return True
    except OSError:
        return False
    finally:
        s.close()


def wait_for(condition, seconds=20, what=lambda: ""):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(what())


@pytest.fixture
def house(tmp_path):
    h = House(tmp_path)
    yield h
    if h.xend and h.xend.poll() is None:
        h.kill()
    h.store.kill()
    h.store.wait()
    text = (tmp_path / "stderr").read_text(errors="replace") if (tmp_path / "stderr").exists() else ""
    assert "Sanitizer" not in text and "runtime error" not in text, text


def running(client, name):
    try:
        r = client.call("VM.get_record", vm=name)
        return r["domid"] >= 0 and r
    except XendError:
        return None


def create(house, client, name="demo", paused=False, **more):
    return client.call("VM.create", config=house.config(name, **more), start=True, paused=paused)


# ---- the API ------------------------------------------------------------------------------------------------------------------


def test_create_list_destroy(house):
    c = house.start()
    made = create(house, c, vcpus=1, maxvcpus=2)
    assert made["domid"] == 1 and made["name"] == "demo"
    s = Store(house.store_socket)
    root = "/local/domain/1"
    assert s.read(root + "/name") == "demo"
    assert s.read(root + "/domid") == "1"
    assert s.read(root + "/vm") == "/vm/" + made["uuid"]
    assert s.read(root + "/memory/target") == "65536"
    assert s.read(root + "/cpu/0/availability") == "online"
    assert s.read(root + "/cpu/1/availability") == "offline"
    assert s.read(root + "/console/ring-ref") == str(0x2001)
    assert s.read(root + "/console/port") == "2"
    assert s.read(root + "/store/port") == "1"
    assert s.read(root + "/control/shutdown") == ""
    assert s.rights(root) == "n0,r1"
    assert s.rights(root + "/control/shutdown") == "n1"
    assert s.rights(root + "/name") == "n0,r1"
    assert s.rights("/vm/" + made["uuid"] + "/name") == "n0,r1"
    assert s.call(0, "introduced").strip("\0") == "1"
    r = c.call("VM.get_record", vm="demo")
    assert (r["domid"], r["uuid"], r["memory_kib"], r["vcpus_max"], r["generation"]) == (1, made["uuid"], 65536, 2, 0)
    assert r["power_state"] == "Running" and r["console"] is None
    assert r["vcpu"][0]["affinity"] == "any cpu"
    s.write(root + "/console/tty", "/dev/pts/7")
    for which in ("demo", "1", made["uuid"]):
        assert c.call("VM.get_record", vm=which)["console"] == "/dev/pts/7"
    vms = c.call("VM.get_all_records")["vms"]
    assert [v["name"] for v in vms] == ["Domain-0", "demo"] and "config" not in vms[0]
    assert c.call("VM.hard_shutdown", vm="demo") == {}
    house.assert_clean()
    with pytest.raises(XendError) as e:
        c.call("VM.get_record", vm="demo")
    assert e.value.kind == "not-found"
    house.stop()


@pytest.mark.parametrize("change, kind, words", [
    ({"kernel": "/nowhere/vmlinuz"}, "not-found", "/nowhere/vmlinuz"),
    ({"kernel": "/etc/passwd"}, "bad-image", "no kernel"),
    ({"ramdisk": "/nowhere/initrd"}, "not-found", "/nowhere/initrd"),
    ({"memory_mib": 100000}, "no-memory", "not enough memory for 'demo': it needs"),
    ({"memory_mib": -1}, "config", "memory"),
    ({"builder": "hvm"}, "config", "hvm"),
    ({"bootloader": "pygrub"}, "config", "bootloader"),
    ({"cpus": "abc"}, "config", "cpus"),
    ({"cpus": "77"}, "config", "cpus"),
    ({"disk": ["phy:/dev/nowhere,xvda,w"]}, "not-found", "/dev/nowhere"),
    ({"disk": ["phy:/etc/passwd,xvda,w"]}, "not-found", "file:"),
    ({"disk": ["file:/nowhere/image,xvda,w"]}, "not-found", "/nowhere/image"),
    ({"disk": ["file:/dev/null,xvda,w"]}, "not-found", "neither"),
    ({"vif": ["script=/nowhere/vif-x"]}, "not-found", "/nowhere/vif-x"),
    ({"vif": ["backend=other"]}, "config", "other domains"),
])
def test_create_refused(house, change, kind, words):
    c = house.start()
    with pytest.raises(XendError) as e:
        create(house, c, **devices(change))
    assert words in str(e.value)
    assert e.value.kind == kind
    house.assert_clean()


def devices(change):
    """Disks and vifs of a configuration as the API's JSON has them."""
    change = dict(change)
    if "disk" in change:
        disks = []
        for text in change.pop("disk"):
            target, device, mode = text.split(",")
            kind, path = target.split(":", 1)
            disks.append({"type": kind, "target": path, "device": device, "writable": mode.startswith("w"), "force": mode == "w!",
                          "cdrom": False})
        change["disks"] = disks
    if "vif" in change:
        change["vifs"] = [dict(p.split("=", 1) for p in text.split(",") if p) for text in change.pop("vif")]
    return change


def test_name_and_uuid_taken(house):
    c = house.start()
    made = create(house, c)
    with pytest.raises(XendError) as e:
        create(house, c)
    assert e.value.kind == "exists" and "demo" in str(e.value)
    with pytest.raises(XendError) as e:
        create(house, c, "other", uuid=made["uuid"])
    assert e.value.kind == "exists"
    with pytest.raises(XendError) as e:
        create(house, c, "Domain-0")
    assert e.value.kind in ("exists", "config")


def test_check(house):
    c = house.start()
    good = c.call("VM.check", config=house.config())
    assert good["problems"] == [] and any("64 MiB" in p for p in good["plan"])
    bad = c.call("VM.check", config=house.config(kernel="/nowhere", **devices({"disk": ["phy:/dev/nowhere,xvda,w"], "vif": ["script=/no/x"]})))
    assert len(bad["problems"]) == 3
    assert not (house.domains())


def test_pause_rename(house):
    c = house.start()
    create(house, c, paused=True)
    assert c.call("VM.get_record", vm="demo")["power_state"] == "Paused"
    c.call("VM.unpause", vm="demo")
    c.call("VM.unpause", vm="demo")
    assert c.call("VM.get_record", vm="demo")["power_state"] == "Running"
    c.call("VM.pause", vm="demo")
    c.call("VM.pause", vm="demo")
    c.call("VM.unpause", vm="demo")
    assert c.call("VM.get_record", vm="demo")["power_state"] == "Running"
    c.call("VM.set_name_label", vm="demo", name="better")
    assert Store(house.store_socket).read("/local/domain/1/name") == "better"
    for name in ("better", "Domain-0"):
        create(house, c, "second") if not running(c, "second") else None
        with pytest.raises(XendError):
            c.call("VM.set_name_label", vm="second", name=name)
    with pytest.raises(XendError):
        c.call("VM.set_name_label", vm="second", name="a/b")


def test_domain0_is_safe(house):
    c = house.start()
    for method in ("VM.hard_shutdown", "VM.pause", "VM.clean_shutdown"):
        with pytest.raises(XendError) as e:
            c.call(method, vm="0")
        assert e.value.kind == "denied"


def test_host(house):
    c = house.start()
    r = c.call("host.get_record")
    assert r["nr_cpus"] == 2 and r["xen_major"] == 4 and r["xen_scheduler"] == "credit" and r["xend_config_format"] == 4
    assert "(XEN) ? hello" in c.call("host.dmesg", clear=False)["text"]
    log = c.call("host.get_log")["text"]
    assert "xend starts" in log and "config.sxp:4: unknown setting 'nonsense'" in log and "'enable-dump' is not used" in log


# ---- clients ------------------------------------------------------------------------------------------------------------------


def raw(house, data, expect=True):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(str(house.socket))
    try:
        s.sendall(data)
        return s.makefile("rb").readline() if expect else s
    except OSError:
        return b""


def test_hostile_clients(house):
    c = house.start()
    for line in (b"nonsense\n", b"[1]\n", b'{"id":1}\n', b'{"id":1,"method":"x","params":[]}\n', b"\xff\xfe\n", b'{"id":1,"method":"' + b"[" * 9999 + b"\n",
                 b"[" * 100000 + b"\n"):
        assert b'"usage"' in raw(house, line)
    assert b"no method" in raw(house, b'{"id":1,"method":"x"}\n')
    assert json.loads(raw(house, b"\n\n" + b'{"id":"a","method":"host.get_record"}\n'))["id"] == "a"
    raw(house, b"x" * (5 << 20))
    half = raw(house, b'{"id":1,', expect=False)
    hanging = [raw(house, b'{"id":1,"method":"host.get_log"}\n' * 2000, expect=False) for _ in range(8)]
    gone = raw(house, b'{"id":1,"method":"VM.get_all_records"}\n' * 50, expect=False)
    gone.close()
    started = time.monotonic()
    c.call("VM.get_all_records")
    assert time.monotonic() - started < 5
    many = [socket.socket(socket.AF_UNIX) for _ in range(200)]
    for s in many:
        s.connect(str(house.socket))
    c.call("VM.get_all_records")
    for s in many + hanging + [half]:
        s.close()
    c.call("VM.get_all_records")
    house.stop()


def test_pipelined(house):
    house.start()
    count = 100
    s = raw(house, b"".join(b'{"id":%d,"method":"host.get_record"}\n' % i for i in range(count)), expect=False)
    f = s.makefile("rb")
    assert sorted(json.loads(f.readline())["id"] for _ in range(count)) == list(range(count))


def test_pipelined_waits(house):
    """More of them than are taken at a time: when the first end, those that follow come in meanwhile."""
    c = house.start()
    create(house, c)
    create(house, c, name="other")
    names = ["demo"] * 16 + ["other"] * 16
    lines = b"".join(b'{"id":%d,"method":"VM.wait","params":{"vm":"%s","generation":0}}\n' % (i, name.encode()) for i, name in enumerate(names))
    clients = [raw(house, lines, expect=False) for _ in range(3)]
    time.sleep(0.2)
    for name in ("demo", "other"):
        c.call("VM.hard_shutdown", vm=name)
    for s in clients:
        f = s.makefile("rb")
        replies = [json.loads(f.readline()) for _ in names]
        assert sorted(r["id"] for r in replies) == list(range(len(names)))
        assert all(r["result"] == {"state": "gone"} for r in replies)


def test_gone_waiters(house):
    """Clients that stop waiting and go do not take the place of others."""
    c = house.start()
    create(house, c)
    for _ in range(200):
        raw(house, b'{"id":1,"method":"VM.wait","params":{"vm":"demo","generation":0}}\n', expect=False).close()
        c.call("VM.get_record", vm="demo")
    assert Client(house.socket).call("VM.get_record", vm="demo")["name"] == "demo"
    c.call("VM.hard_shutdown", vm="demo")


def test_script_error_not_utf8(house):
    """What a script says need not be text."""
    c = house.start()
    house.script.write_text("#!/bin/sh\nprintf 'it r\\344ins\\n'; exit 1\n")
    with pytest.raises(XendError) as e:
        create(house, c, **devices({"vif": [""]}))
    assert "it r?ins" in str(e.value)


def test_parallel_and_serial(house):
    """Different domains side by side, operations on one in turn."""
    c = house.start()
    started = time.monotonic()
    errors = []

    def one(i):
        try:
            create(house, Client(house.socket), "g%d" % i, extra="slow")
        except Exception as e:  # noqa: BLE001
            errors.append(e)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    time.sleep(0.2)
    destroyer = Client(house.socket)
    destroyer.call("VM.hard_shutdown", vm="g3")
    for t in threads:
        t.join()
    assert not errors
    assert time.monotonic() - started < 3
    assert len(c.call("VM.get_all_records")["vms"]) == 8
    for i in range(8):
        if i != 3:
            c.call("VM.hard_shutdown", vm="g%d" % i)
    house.assert_clean()


# ---- devices ------------------------------------------------------------------------------------------------------------------


def test_vif(house):
    c = house.start()
    create(house, c, **devices({"vif": ["bridge=br7", "mac=00:16:3e:01:02:03"]}))
    s = Store(house.store_socket)
    back = "/local/domain/0/backend/vif/1/0"
    assert s.read(back + "/bridge") == "br7"
    assert s.read(back + "/frontend") == "/local/domain/1/device/vif/0"
    assert s.read(back + "/online") == "1" and s.read(back + "/handle") == "0"
    assert s.read(back + "/hotplug-status") == "connected"
    assert s.rights(back) == "n0,r1" and s.rights("/local/domain/1/device/vif/0") == "n1,r0"
    mac = s.read(back + "/mac")
    assert mac.startswith("00:16:3e:") and s.read("/local/domain/1/device/vif/0/mac") == mac
    assert s.read("/local/domain/0/backend/vif/1/1/mac") == "00:16:3e:01:02:03"
    assert "online %s vif1.0 br7" % back in (house.dir / "script.log").read_text()
    house.go_down(1, REBOOT)
    wait_for(lambda: running(c, "2"))
    wait_for(lambda: s.read("/local/domain/0/backend/vif/2/0/mac") == mac)
    c.call("VM.hard_shutdown", vm="demo")
    assert "offline /local/domain/0/backend/vif/2/0 vif2.0 br7" in (house.dir / "script.log").read_text()
    house.assert_clean()


def test_vif_script_fails(house):
    c = house.start()
    (house.dir / "script-fails").touch()
    with pytest.raises(XendError) as e:
        create(house, c, **devices({"vif": [""]}))
    assert "vif 0" in str(e.value) and "it rains" in str(e.value)
    house.assert_clean()


# ---- lives --------------------------------------------------------------------------------------------------------------------


def test_poweroff_and_wait(house):
    c = house.start()
    create(house, c)
    waiter = Client(house.socket)
    generation = c.call("VM.clean_shutdown", vm="demo")["generation"]
    assert Store(house.store_socket).read("/local/domain/1/control/shutdown") == "poweroff"
    with pytest.raises(XendError) as e:
        waiter.call("VM.wait", vm="demo", generation=generation, timeout_s=0.2)
    assert e.value.kind == "timeout"
    threading.Timer(0.2, house.go_down, (1, POWEROFF)).start()
    assert waiter.call("VM.wait", vm="demo", generation=generation, timeout_s=20)["state"] == "gone"
    house.assert_clean()


def test_reboot(house):
    c = house.start()
    made = create(house, c)
    generation = c.call("VM.clean_reboot", vm="demo")["generation"]
    threading.Timer(0.2, house.go_down, (1, REBOOT)).start()
    assert c.call("VM.wait", vm="demo", generation=generation, timeout_s=20)["state"] == "restarted"
    r = c.call("VM.get_record", vm="demo")
    assert (r["domid"], r["uuid"], r["generation"], r["shutdown_reason"]) == (2, made["uuid"], 1, "reboot")
    assert len(house.domains()) == 1
    c.call("VM.hard_shutdown", vm="demo")
    house.assert_clean()


def test_hopeless_reboots(house):
    c = house.start()
    create(house, c)
    for domid in range(1, 6):
        wait_for(lambda: running(c, str(domid)))
        wait_for(lambda: c.call("VM.get_record", vm=str(domid))["power_state"] == "Running")
        house.go_down(domid, REBOOT)
    house.assert_clean()
    assert "it is not restarted" in c.call("host.get_log")["text"]


def test_preserve(house):
    c = house.start()
    create(house, c, on_crash="preserve")
    house.go_down(1, CRASH)
    assert c.call("VM.wait", vm="demo", generation=0, timeout_s=20)["state"] == "preserved"
    assert c.call("VM.get_record", vm="demo")["power_state"] == "Crashed"
    house.kill()
    c = house.start()
    assert c.call("VM.get_record", vm="demo")["power_state"] == "Crashed"
    c.call("VM.hard_shutdown", vm="demo")
    house.assert_clean()


def test_rename_restart(house):
    c = house.start()
    made = create(house, c, on_crash="rename-restart", **devices({"vif": [""]}))
    house.go_down(1, CRASH)
    wait_for(lambda: running(c, "demo-1") and (running(c, "demo") or {}).get("domid") == 2)
    assert c.call("VM.get_record", vm="demo")["uuid"] == made["uuid"]
    assert c.call("VM.get_record", vm="demo-1")["uuid"] != made["uuid"]
    assert Store(house.store_socket).read("/local/domain/1/name") == "demo-1"
    for name in ("demo", "demo-1"):
        c.call("VM.hard_shutdown", vm=name)
    house.assert_clean()


def test_hopeless_rename_restarts(house):
    """A guest that crashes at once does not fill the machine with its preserved forms; waiting goes from one to the next."""
    c = house.start()
    create(house, c, on_crash="rename-restart")
    for domid in range(1, 6):
        wait_for(lambda: (running(c, "demo") or {}).get("domid") == domid)
        assert running(c, "demo")["generation"] == domid - 1
        house.go_down(domid, CRASH)
    wait_for(lambda: not running(c, "5"))
    assert len(house.domains()) == 4
    for domid in range(1, 5):
        c.call("VM.hard_shutdown", vm=str(domid))
    house.assert_clean()


def test_destroyed_by_another(house):
    c = house.start()
    create(house, c)
    slot = house.slot(1)
    d = list(house.get(slot))
    d[0] = 0
    house.put(slot, d)
    struct.pack_into("<Q", house.map, 8, FREE_KIB)
    Store(house.store_socket).call(0, "release")
    wait_for(lambda: not running(c, "demo"))
    house.assert_clean()


# ---- faults and deaths ----------------------------------------------------------------------------------------------------------

STEPS = ["create", "max_memory", "claim", "populate", "kernel", "ramdisk", "page_tables", "start_info", "grants", "pin", "context",
         "affinity", "store", "introduce", "console", "vif", "vif_script", "save_state", "unpause"]


def test_fault_at_each_step(house):
    c = house.start()
    for step in STEPS:
        c.call("debug.fail_at", step=step)
        with pytest.raises(XendError) as e:
            create(house, c, **devices({"vif": [""]}))
        assert "step '%s'" % step in str(e.value)
        house.assert_clean()
    create(house, c, **devices({"vif": [""]}))


def test_killed_and_found_again(house):
    c = house.start()
    made = create(house, c, **devices({"vif": [""]}))
    create(house, c, "second", paused=True)
    before = c.call("VM.get_all_records")["vms"]
    for _ in range(3):
        house.kill()
        c = house.start()
        for old, new in zip(before, c.call("VM.get_all_records")["vms"]):
            assert {k: (v, new.get(k)) for k, v in old.items() if v != new.get(k)} == {}
    house.kill()
    house.go_down(1, REBOOT)  # while nobody looks
    c = house.start()
    wait_for(lambda: (running(c, "demo") or {}).get("generation") == 1)
    assert c.call("VM.get_record", vm="demo")["uuid"] == made["uuid"]
    for name in ("demo", "second"):
        c.call("VM.hard_shutdown", vm=name)
    house.assert_clean()


def quietly(function, *args, **more):
    try:
        return function(*args, **more)
    except (OSError, XendError):
        return None


def sweep(house, act, settled, moments, arm):
    """Kills xend at every second, third... moment of act(), starts it again, and looks whether settled()."""
    killed = 0
    for moment in moments:
        c = house.start()
        if not settled(c, "before"):
            raise AssertionError("not ready at %d" % moment)
        arm(moment)
        quietly(act, c)
        if house.xend.poll() is None:
            time.sleep(0.05)
        if house.xend.poll() is None:
            house.kill()
        else:
            killed += 1
        house.kill_in(0)
        Store(house.store_socket).call(0, "kill", "0", "0")
        c = house.start()
        wait_for(lambda: settled(c, "after"), what=lambda: "moment %d: %s\n%s" % (moment, Store(house.store_socket).nodes(),
                                                                             (house.dir / "xend.log").read_text()[-3000:]))
        house.stop()
        if not killed and moment > 2:
            break
    return killed


def whole_or_gone(house):
    """A guest that is there is there as a whole; a half-made one is undone."""
    def settled(c, when):
        r = quietly(c.call, "VM.get_record", vm="demo")
        if r:
            if r["domid"] < 0 or r["power_state"] != "Running":
                return False
            c.call("VM.hard_shutdown", vm="demo")
        return house.is_clean()
    return settled


def test_killed_while_creating(house):
    act = lambda c: create(house, c, **devices({"vif": [""]}))  # noqa: E731
    assert sweep(house, act, whole_or_gone(house), range(1, 16), house.kill_in) >= 5

    def by_store(moment):
        s = house.shooter = Store(house.store_socket)
        s.call(0, "kill", str(house.xend.pid), str(moment))

    assert sweep(house, act, whole_or_gone(house), range(1, 160, 7), by_store) >= 10


def test_killed_while_destroying(house):
    def ready(c, when):
        if when == "before":
            create(house, c, **devices({"vif": [""]}))
            return True
        if quietly(c.call, "VM.get_record", vm="demo"):
            quietly(c.call, "VM.hard_shutdown", vm="demo")
        return house.is_clean()

    act = lambda c: c.call("VM.hard_shutdown", vm="demo")  # noqa: E731
    assert sweep(house, act, ready, range(1, 8), house.kill_in) >= 3

    def by_store(moment):
        s = house.shooter = Store(house.store_socket)
        s.call(0, "kill", str(house.xend.pid), str(moment))

    assert sweep(house, act, ready, range(1, 50, 3), by_store) >= 5


def test_killed_while_restarting(house):
    """A guest that reboots comes back, whenever xend is killed."""
    def ready(c, when):
        if when == "before":
            create(house, c, **devices({"vif": [""]}))
            return True
        r = quietly(c.call, "VM.get_record", vm="demo")
        if not r or r["power_state"] != "Running" or r["generation"] < 1:
            return False
        c.call("VM.hard_shutdown", vm="demo")
        return house.is_clean()

    def act(c):
        house.go_down(house.domains()[0][1], REBOOT)
        c.call("VM.wait", vm="demo", generation=0, timeout_s=20)

    def by_store(moment):
        s = house.shooter = Store(house.store_socket)
        s.call(0, "kill", str(house.xend.pid), str(moment))

    assert sweep(house, act, ready, range(3, 20), house.kill_in) >= 5
    assert sweep(house, act, ready, range(2, 200, 11), by_store) >= 8


def test_killed_while_renaming(house):
    """rename-restart: whenever xend is killed, there is a successor."""
    def ready(c, when):
        if when == "before":
            create(house, c, on_crash="rename-restart", **devices({"vif": [""]}))
            return True
        r = quietly(c.call, "VM.get_record", vm="demo")
        if not r or r["power_state"] != "Running" or r["generation"] < 1:
            return False
        for vm in c.call("VM.get_all_records")["vms"][1:]:
            c.call("VM.hard_shutdown", vm=str(vm["domid"]))
        return house.is_clean()

    def act(c):
        house.go_down(house.domains()[0][1], CRASH)
        c.call("VM.wait", vm="demo", generation=0, timeout_s=20)

    def by_store(moment):
        s = house.shooter = Store(house.store_socket)
        s.call(0, "kill", str(house.xend.pid), str(moment))

    assert sweep(house, act, ready, range(1, 20), house.kill_in) >= 5
    assert sweep(house, act, ready, range(2, 200, 11), by_store) >= 8


def test_xenstored_restarted(house):
    """xenstored goes and comes (with its nodes lost: the stand-in keeps none); xend goes on and still learns of guests that go down."""
    c = house.start()
    create(house, c)
    house.store.kill()
    house.store.wait()
    threading.Timer(1, house.start_store).start()
    create(house, c, "second")
    house.go_down(2, POWEROFF)
    wait_for(lambda: not running(c, "second"))
    slot = house.slot(1)
    d = list(house.get(slot))
    house.store.kill()
    house.store.wait()
    d[2] = (d[2] & 0xff) | SHUTDOWN | POWEROFF << 16
    house.put(slot, d)  # nobody is told
    house.start_store()
    wait_for(lambda: not running(c, "demo"))
    house.assert_clean()


def test_other_boot(house):
    c = house.start()
    create(house, c)
    house.kill()
    path = next((house.dir / "run" / "domains").iterdir())
    state = json.loads(path.read_text())
    state["boot"] = str(uuids.uuid4())
    path.write_text(json.dumps(state))
    slot = house.slot(1)
    house.put(slot, (0,) + house.get(slot)[1:])
    c = house.start()
    assert len(c.call("VM.get_all_records")["vms"]) == 1
    assert not path.exists()


def test_damaged_state(house):
    c = house.start()
    create(house, c)
    house.kill()
    path = next((house.dir / "run" / "domains").iterdir())
    path.write_text(path.read_text()[:100])
    c = house.start()
    vms = c.call("VM.get_all_records")["vms"]
    assert [v["name"] for v in vms] == ["Domain-0", "domain-1"] and "config" not in vms[1]
    assert Path(str(path) + ".bad").exists()
    c.call("VM.hard_shutdown", vm="domain-1")
    assert not house.domains()


def test_one_xend_only(house):
    house.start()
    other = subprocess.run([XEND, "--state-dir", str(house.dir / "run"), "--log", str(house.dir / "log2")], capture_output=True, text=True,
                           env=dict(os.environ, FAKE_HV=str(house.hv_file)), timeout=20)
    assert other.returncode == 1 and "running already" in other.stderr
    status = subprocess.run([XEND, "status", "--state-dir", str(house.dir / "run")], capture_output=True, text=True, timeout=20)
    assert status.returncode == 0 and "process %d" % house.xend.pid in status.stdout


def test_start_stop(house):
    options = ["--state-dir", str(house.dir / "run"), "--log", str(house.dir / "xend.log"), "--config", str(house.dir / "config.sxp")]
    env = dict(os.environ, FAKE_HV=str(house.hv_file), XENSTORED_PATH=str(house.store_socket))
    for command, code in (("status", 3), ("start", 0), ("status", 0), ("restart", 0), ("stop", 0), ("status", 3), ("stop", 0)):
        r = subprocess.run([XEND, command, *options], env=env, timeout=30, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        assert r.returncode == code, command


def test_usage():
    assert subprocess.run([XEND, "--nonsense"], capture_output=True).returncode == 2
    assert subprocess.run([XEND, "dance"], capture_output=True).returncode == 2
    r = subprocess.run([XEND, "--help"], capture_output=True, text=True)
    assert r.returncode == 0 and "--state-dir" in r.stdout

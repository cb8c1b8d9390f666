# SPDX-License-Identifier: MIT
"""Every request with right and wrong arguments, and messages that are none."""
import random
import struct

import pytest
from wire import *


def fails(error, call, *args, **kwargs):
    with pytest.raises(XsError) as caught:
        call(*args, **kwargs)
    assert str(caught.value) == error


def test_first_nodes(xs):
    assert xs.ls("/") == ["local", "tool"]
    assert xs.ls("/local") == ["domain"]
    assert xs.ls("/tool") == ["xenstored"]
    assert xs.perms("/") == ["n0"]


def test_read_write(xs):
    xs.write("/a/b/c", "value")
    assert xs.read("/a/b/c") == b"value"
    assert xs.read("/a/b") == b""
    xs.write("/a/b", b"\0binary\xff")
    assert xs.read("/a/b") == b"\0binary\xff"
    xs.write("/a/b", b"x" * 3000)
    assert xs.read("/a/b") == b"x" * 3000
    xs.write("/a/b")
    assert xs.read("/a/b") == b""
    assert xs.read("/a/b/c") == b"value"
    fails("ENOENT", xs.read, "/a/x")
    fails("ENOENT", xs.read, "/x/y/z")


def test_mkdir(xs):
    xs.mkdir("/a/b")
    xs.write("/a/b", "v")
    xs.mkdir("/a/b")
    assert xs.read("/a/b") == b"v"


def test_rm(xs):
    xs.write("/a/b/c/d", "v")
    xs.rm("/a/b")
    assert xs.ls("/a") == []
    xs.rm("/a/b")
    fails("ENOENT", xs.rm, "/a/b/c")
    fails("EINVAL", xs.rm, "/")
    fails("ENOENT", xs.read, "/a/b/c/d")


def test_directory(xs):
    for name in "zx9-A_@":
        xs.write("/dir/" + name)
    assert xs.ls("/dir") == sorted("zx9-A_@")
    fails("ENOENT", xs.ls, "/none")
    assert xs.ls("/dir/z") == []


def test_directory_part(xs):
    names = [f"{i:04}" + "n" * (i % 50) for i in range(500)]
    for name in names:
        xs.write("/dir/" + name)
    fails("E2BIG", xs.ls, "/dir")
    found, stamp = b"", None
    while not found.endswith(b"\0\0"):
        body = xs.request(DIRECTORY_PART, nul("/dir", str(len(found))))
        now, _, part = body.partition(b"\0")
        assert stamp in (None, now) and now.isdigit()
        stamp = now
        assert part
        found += part
    assert found[:-1] == nul(*names)
    xs.write("/dir/0000")
    assert xs.request(DIRECTORY_PART, nul("/dir", "0")).partition(b"\0")[0] == stamp
    xs.write("/dir/new")
    assert xs.request(DIRECTORY_PART, nul("/dir", "0")).partition(b"\0")[0] != stamp
    fails("EINVAL", xs.request, DIRECTORY_PART, nul("/dir", "x"))
    fails("EINVAL", xs.request, DIRECTORY_PART, nul("/dir"))
    assert xs.request(DIRECTORY_PART, nul("/dir", "100000")).endswith(b"\0\0")


def test_perms(xs):
    xs.write("/a")
    xs.chmod("/a", "r5", "w6", "b7", "n8")
    assert xs.perms("/a") == ["r5", "w6", "b7", "n8"]
    xs.write("/a/b")
    assert xs.perms("/a/b") == ["r5", "w6", "b7", "n8"]
    for bad in ["", "x5", "5", "r", "r-1", "r 5", "r5x", "r32752", "r99999999999"]:
        fails("EINVAL", xs.chmod, "/a", bad)
    fails("EINVAL", xs.chmod, "/a")
    fails("ENOENT", xs.chmod, "/none", "n0")
    fails("ENOENT", xs.perms, "/none")


BAD_PATHS = ["", "//", "/a/", "/a//b", "/a b", "/a.b", "/a:b", "/\xe9", "/" + "x" * 3072, "y" * 2049, "@releaseDomain"]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_bad_path(xs, path):
    for call in (xs.read, xs.write, xs.mkdir, xs.rm, xs.ls):
        fails("EINVAL", call, path)
    if not path.startswith("@"):
        fails("EINVAL", xs.watch, path)
        fails("EINVAL", xs.perms, path)
        fails("EINVAL", xs.chmod, path, "n0")


def test_longest_path(xs):
    path = "/" + "x" * 3071
    xs.write(path, "v")
    assert xs.read(path) == b"v"
    deep = "/" + "/".join("d" * 1536)
    xs.write(deep, "v")
    assert xs.read(deep) == b"v"
    xs.rm("/d")
    fails("ENOENT", xs.read, deep)


def test_relative(xs, guest):
    guest.write("x/y", "v")
    assert xs.read("/local/domain/3/x/y") == b"v"
    assert guest.read("/local/domain/3/x/y") == b"v"
    xs.write("r", "0")
    assert xs.read("/local/domain/0/r") == b"0"


def test_wrong_payloads(xs):
    for kind in (READ, MKDIR, RM, DIRECTORY, GET_PERMS, WRITE, WATCH, UNWATCH, SET_PERMS, INTRODUCE, RELEASE,
                 GET_DOMAIN_PATH, IS_DOMAIN_INTRODUCED, RESUME, SET_TARGET, CONTROL, DIRECTORY_PART):
        for body in (b"", b"/a"):
            fails("EINVAL", xs.request, kind, body)
    for kind in (READ, MKDIR, RM, DIRECTORY, GET_PERMS):
        fails("EINVAL", xs.request, kind, b"/tool\0rest")
        fails("EINVAL", xs.request, kind, b"/tool\0rest\0")
        fails("EINVAL", xs.request, kind, b"/tool\0\0")
    fails("EINVAL", xs.request, WATCH, nul("/a"))
    fails("EINVAL", xs.request, WATCH, nul("/a", "t", "deep"))
    fails("EINVAL", xs.request, UNWATCH, nul("/a"))


@pytest.mark.parametrize("kind", [WATCH_EVENT, ERROR, 20, 23, 1000, 0xffff, 0xffffffff])
def test_unknown_type(xs, kind):
    fails("ENOSYS", xs.request, kind, nul("/"))


def test_domains(daemon, xs):
    assert xs.request(GET_DOMAIN_PATH, nul("7")) == b"/local/domain/7\0"
    assert xs.request(GET_DOMAIN_PATH, nul("007")) == b"/local/domain/7\0"
    fails("EINVAL", xs.request, GET_DOMAIN_PATH, nul("x"))
    fails("EINVAL", xs.request, GET_DOMAIN_PATH, nul("65535"))
    assert xs.request(IS_DOMAIN_INTRODUCED, nul("0")) == b"T\0"
    assert xs.request(IS_DOMAIN_INTRODUCED, nul("4")) == b"F\0"
    for bad in (("0", "1", "5"), ("x", "1", "5"), ("4", "x", "5"), ("4", "1", "x"), ("4", "1"), ("32752", "1", "5")):
        fails("EINVAL", xs.request, INTRODUCE, nul(*bad))
    fails("ENOENT", xs.request, INTRODUCE, nul("4", "1", "9"))
    daemon.introduce(xs, 4)
    assert xs.request(IS_DOMAIN_INTRODUCED, nul("4")) == b"T\0"
    xs.ok(RESUME, nul("4"))
    fails("ENOENT", xs.request, RESUME, nul("5"))
    xs.ok(SET_TARGET, nul("4", "5"))
    fails("ENOENT", xs.request, SET_TARGET, nul("6", "5"))
    fails("EINVAL", xs.request, SET_TARGET, nul("4", "0"))
    xs.ok(RELEASE, nul("4"))
    assert xs.request(IS_DOMAIN_INTRODUCED, nul("4")) == b"F\0"
    assert (daemon.machine.state.domain[4].mapped, daemon.machine.state.domain[4].bound) == (0, 0)
    fails("ENOENT", xs.request, RELEASE, nul("4"))
    daemon.machine.create(6)
    fails("EINVAL", xs.request, INTRODUCE, nul("6", "1", "99"))
    assert daemon.machine.state.domain[6].mapped == 0


def test_guest_may_not(guest):
    for kind, body in ((INTRODUCE, nul("4", "1", "9")), (RELEASE, nul("3")), (RESUME, nul("3")),
                       (SET_TARGET, nul("3", "0")), (CONTROL, nul("check"))):
        fails("EACCES", guest.request, kind, body)


def test_control(daemon, xs):
    assert b"check" in xs.request(CONTROL, nul("help"))
    xs.ok(CONTROL, nul("check"))
    xs.ok(CONTROL, nul("print", "a word for the log"))
    assert "a word for the log" in daemon.said()
    assert b"watches" in xs.request(CONTROL, nul("quota"))
    xs.ok(CONTROL, nul("quota", "watches", "7"))
    assert b" 7 " in xs.request(CONTROL, nul("quota"))
    fails("EINVAL", xs.request, CONTROL, nul("quota", "watches"))
    fails("EINVAL", xs.request, CONTROL, nul("quota", "none", "7"))
    fails("EINVAL", xs.request, CONTROL, nul("reboot"))


def test_too_long(daemon, xs):
    other = daemon.client()
    other.sock.sendall(HEAD.pack(READ, 1, 0, 4097) + b"/\0")
    with pytest.raises(Gone, match="end of connection"):
        other.reply()
    assert xs.ls("/")


def test_pieces(xs):
    """A message byte by byte, and many at once."""
    data = HEAD.pack(WRITE, 77, 0, 8) + nul("/piece") + b"v"
    for i in range(len(data)):
        xs.sock.sendall(data[i:i + 1])
    assert xs.reply().req_id == 77
    for i in range(400):
        xs.post(WRITE, nul(f"/many/{i % 10}") + b"v" * i)
    ids = [xs.reply().req_id for _ in range(400)]
    assert ids == sorted(ids) and len(set(ids)) == 400


def cpu_ticks(daemon):
    with open(f"/proc/{daemon.process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_client_that_does_not_read(daemon, xs):
    """It stops being served; others go on; it loses nothing."""
    xs.write("/big", b"x" * 4000)
    lazy = daemon.client()
    lazy.sock.settimeout(2)
    message = HEAD.pack(READ, 9, 0, 5) + b"/big\0"
    sent = 0
    lazy.sock.setblocking(False)
    try:
        while sent < 4000:
            lazy.sock.send(message)
            sent += 1
    except BlockingIOError:
        pass
    lazy.sock.setblocking(True)
    assert xs.read("/big") == b"x" * 4000
    before = cpu_ticks(daemon)
    time.sleep(0.5)
    assert cpu_ticks(daemon) - before < 10  # it waits for the client without turning in circles
    for _ in range(sent):
        assert lazy.reply().body == b"x" * 4000


def test_noise(daemon, xs):
    """Random messages never bring it down."""
    rng = random.Random(5)
    words = [b"/", b"/a", b"/a/b", b"@releaseDomain", b"0", b"3", b"T", b"F", b"n0", b"\xff", b"x" * 300, b"quota"]
    for _ in range(150):
        noisy = daemon.client()
        try:
            for _ in range(20):
                body = b"\0".join(rng.choice(words) for _ in range(rng.randrange(5))) + rng.choice([b"", b"\0", b"\0\0"])
                if rng.random() < 0.1:
                    body = rng.randbytes(rng.randrange(200))
                kind = rng.choice([rng.randrange(25), rng.getrandbits(32)])
                if kind == RM and body.startswith(b"/tool"):
                    continue
                size = len(body) if rng.random() < 0.95 else rng.randrange(6000)
                noisy.sock.sendall(struct.pack("<IIII", kind, 1, rng.choice([0, 0, 1, 2]), size) + body)
            noisy.pump(0.001)
        except (Gone, BrokenPipeError, ConnectionResetError):
            pass
        noisy.close()
    xs.ok(CONTROL, nul("check"))


def test_options(daemon, tmp_path):
    import subprocess
    out = subprocess.run([daemon.binary, "--help"], capture_output=True, text=True, timeout=10)
    assert out.returncode == 0 and "--state-dir" in out.stdout and "--quota" in out.stdout
    for bad in (["--nonsense"], ["--quota", "x=1"], ["--quota", "nodes"], ["word"]):
        out = subprocess.run([daemon.binary] + bad, capture_output=True, text=True, timeout=10)
        assert out.returncode in (1, 2) and out.stderr
    again = subprocess.run([daemon.binary, "--pid-file", daemon.dir + "/pid", "--no-hypervisor"], capture_output=True,
                           text=True, timeout=10)
    assert again.returncode == 1 and "another xenstored" in again.stderr

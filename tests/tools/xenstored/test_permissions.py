# SPDX-License-Identifier: MIT
"""Who may read, write, own; what becomes of the rights of the dead."""
import pytest
from test_protocol import fails
from wire import *


@pytest.fixture
def dir3(xs, guest):
    """Nodes below /t as domain 3 finds them."""
    for letter in "nrwb":
        xs.write(f"/t/other_{letter}", letter)
        xs.chmod(f"/t/other_{letter}", f"{letter}0")
        xs.write(f"/t/listed_{letter}", letter)
        xs.chmod(f"/t/listed_{letter}", "b0" if letter == "n" else "n0", "b7", f"{letter}3")
        xs.write(f"/t/owned_{letter}", letter)
        xs.chmod(f"/t/owned_{letter}", f"{letter}3")
    return guest


@pytest.mark.parametrize("letter", "nrwb")
@pytest.mark.parametrize("kind", ["other", "listed", "owned"])
def test_access(xs, dir3, kind, letter):
    path = f"/t/{kind}_{letter}"
    may_read = kind == "owned" or letter in "rb"
    may_write = kind == "owned" or letter in "wb"
    for allowed, calls in ((may_read, [(dir3.read,), (dir3.ls,), (dir3.perms,)]),
                           (may_write, [(dir3.write, b"new"), (dir3.mkdir,)])):
        for call, *args in calls:
            if allowed:
                call(path, *args)
            else:
                fails("EACCES", call, path, *args)
    if may_write:
        dir3.write(path + "/child", "mine")
        assert xs.perms(path + "/child")[0] == f"{xs.perms(path)[0][0]}3"
    else:
        fails("EACCES", dir3.write, path + "/child", "mine")
    if kind == "owned":
        dir3.chmod(path, "n3", "r5")
        fails("EPERM", dir3.chmod, path, "n5")
    else:
        fails("EACCES", dir3.chmod, path, "n3")
    if may_write:
        dir3.rm(path)
    else:
        fails("EACCES", dir3.rm, path)


def test_missing_is_hidden(xs, dir3):
    """Where a guest may not look it does not learn what exists."""
    fails("EACCES", dir3.read, "/t/none")
    fails("EACCES", dir3.read, "/none")
    fails("EACCES", dir3.rm, "/t/none")
    fails("EACCES", dir3.chmod, "/t/none", "n3")
    fails("ENOENT", dir3.read, "/t/other_r/none")
    fails("EACCES", dir3.read, "/t/other_w/none")
    fails("ENOENT", dir3.read, "home/none")


def test_target(daemon, xs, dir3):
    """A device model domain acts as the one it serves."""
    helper = daemon.introduce(xs, 8)
    fails("EACCES", helper.read, "/t/owned_n")
    xs.ok(SET_TARGET, nul("8", "3"))
    assert helper.read("/t/owned_n") == b"n"
    assert helper.read("/t/listed_r") == b"r"
    helper.chmod("/t/owned_n", "r3", "r4")
    fails("EACCES", helper.read, "/t/listed_w")
    daemon.machine.destroy(3)
    xs.watch("@releaseDomain")
    wait_for(lambda: xs.request(IS_DOMAIN_INTRODUCED, nul("3")) == b"F\0")
    fails("EACCES", helper.read, "/t/listed_r")


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_reused_id(daemon, xs, dir3):
    """A later domain with the same id has no right that was given to the dead one."""
    daemon.machine.destroy(3)
    wait_for(lambda: xs.request(IS_DOMAIN_INTRODUCED, nul("3")) == b"F\0")
    assert xs.perms("/t/owned_r") == ["r0"]
    assert xs.perms("/t/listed_r") == ["n0", "b7"]
    xs.ok(CONTROL, nul("check"))
    late = daemon.introduce(xs, 3)
    fails("EACCES", late.read, "/t/owned_n")
    fails("EACCES", late.read, "/t/listed_b")
    xs.chmod("/t/listed_b", "n0", "r3")
    assert late.read("/t/listed_b") == b"b"
    before = xs.tree()
    xs = daemon.restart()
    assert xs.tree() == before
    fails("EACCES", late.read, "/t/owned_n")
    assert late.read("/t/listed_b") == b"b"
    xs.ok(CONTROL, nul("check"))


def test_inherit(xs, guest):
    xs.chmod("/local/domain/3", "n3", "r5")
    guest.write("a/b", "")
    assert xs.perms("/local/domain/3/a/b") == ["n3", "r5"]
    xs.write("/local/domain/3/by0", "")
    assert xs.perms("/local/domain/3/by0") == ["n3", "r5"]
    xs.write("/shared")
    xs.chmod("/shared", "w0", "r5")
    guest.write("/shared/x/y")
    assert xs.perms("/shared/x") == xs.perms("/shared/x/y") == ["w3", "r5"]

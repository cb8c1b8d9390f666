# SPDX-License-Identifier: MIT
"""Debian's own clients (package xenstore-utils), unmodified."""
import os
import shutil
import subprocess

import pytest
from wire import *

pytestmark = pytest.mark.skipif(not shutil.which("xenstore-ls"), reason="package xenstore-utils is not installed")


@pytest.fixture
def tool(daemon):
    env = dict(os.environ, XENSTORED_PATH=daemon.socket_path)

    def run(name, *args, status=0):
        done = subprocess.run([f"xenstore-{name}", *args], env=env, capture_output=True, text=True, timeout=10)
        assert done.returncode == status, done.stderr
        return done.stdout

    run.env = env
    return run


def test_values(tool):
    tool("write", "/a/b", "hello", "/a/c", "world")
    assert tool("read", "/a/b", "/a/c") == "hello\nworld\n"
    assert tool("list", "/a") == "b\nc\n"
    tool("exists", "/a/b")
    tool("exists", "/a/x", status=1)
    tool("rm", "/a/b")
    tool("read", "/a/b", status=1)
    tool("rm", "-t", "/a/c")
    tool("exists", "/a", status=1)  # -t takes empty nodes above it too
    tool("write", "/a", "")
    tool("chmod", "/a", "n0", "r5", "b6")
    tool("write", "/a", "v")
    assert "/a = \"v\"   (n0,r5,b6)" in tool("ls", "-f", "-p", "/").splitlines()


def test_long_list(tool, xs):
    """The library changes to DIRECTORY_PART by itself."""
    names = [f"node-with-a-long-name-{i:03}" for i in range(400)]
    for name in names:
        xs.write("/long/" + name, "v")
    assert tool("list", "/long").split() == names


def test_watch(tool, xs):
    watch = subprocess.Popen(["xenstore-watch", "-n", "3", "/w"], env=tool.env, stdout=subprocess.PIPE, text=True)
    assert watch.stdout.readline() == "/w\n"
    xs.write("/w/1", "v")
    assert watch.stdout.readline() == "/w/1\n"
    tool("write", "/w", "v")
    assert watch.stdout.readline() == "/w\n"
    assert watch.wait(timeout=10) == 0

# SPDX-License-Identifier: MIT
"""Fixtures: one daemon per test, built with sanitizers ($XENSTORED is its path)."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import wire  # noqa: E402


def binary():
    path = os.environ.get("XENSTORED")
    if not path:
        pytest.exit("XENSTORED is not set: run 'make xenstored-test'", 2)
    return os.path.abspath(path)


@pytest.fixture
def idle(tmp_path):
    """A daemon that has not been started."""
    daemon = wire.Daemon(binary(), tmp_path)
    yield daemon
    daemon.stop()


@pytest.fixture
def daemon(idle):
    idle.start()
    idle.first = idle.ready()
    return idle


@pytest.fixture
def xs(daemon):
    """A client on the socket: Domain 0."""
    return daemon.first


@pytest.fixture
def guest(daemon, xs):
    """Domain 3 with a home of its own, over its ring."""
    xs.mkdir("/local/domain/3")
    xs.chmod("/local/domain/3", "n3")
    return daemon.introduce(xs, 3)

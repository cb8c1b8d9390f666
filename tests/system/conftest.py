# SPDX-License-Identifier: MIT
"""What the whole-machine tests share: the two sizes of the set, machines, disks, and a web server for the guests."""

import functools
import hashlib
import http.server
import random
import subprocess
import threading

import pytest

import machine


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="the whole matrix and the long loads")


def pytest_configure(config):
    config.addinivalue_line("markers", "full: runs only with --full")
    config.addinivalue_line("markers", "ours: says something about Hospes only; skipped on the reference")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.get_closest_marker("full") and not config.getoption("--full"):
            item.add_marker(pytest.mark.skip(reason="only in the full set"))
        if item.get_closest_marker("ours") and machine.REFERENCE:
            item.add_marker(pytest.mark.skip(reason="not on the reference"))


@pytest.fixture(scope="session")
def full(request):
    return request.config.getoption("--full")


class Blob:
    """Bytes that look random and are the same every time."""

    def __init__(self, size, seed):
        self.data = random.Random(seed).randbytes(size)
        self.sha256 = hashlib.sha256(self.data).hexdigest()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def web(tmp_path_factory):
    """A web server on the loopback interface, which guests reach as 10.0.2.2: gives (url, blob)."""
    directory = tmp_path_factory.mktemp("web")
    blob = Blob(8 << 20, 1)
    (directory / "blob").write_bytes(blob.data)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://10.0.2.2:{server.server_port}/blob", blob
    server.shutdown()


@pytest.fixture
def disk(tmp_path):
    """A disk of 48 MiB: 8 MiB of known bytes, then nothing: gives (path, blob)."""
    blob = Blob(8 << 20, 2)
    path = tmp_path / "disk.img"
    with open(path, "wb") as f:
        f.write(blob.data)
        f.truncate(48 << 20)
    return path, blob


@pytest.fixture
def start(request, tmp_path):
    """start(spec, ...): a machine named after the test, in the test's own directory."""
    def starter(spec, **more):
        count[0] += 1
        workdir = tmp_path / f"machine{count[0]}"
        workdir.mkdir()
        return machine.Machine(spec, f"{request.node.name}-{count[0]}", workdir, **more)

    count = [0]
    return starter


class SharedDebian:
    """Debian as Domain 0 with four vCPUs on two CPUs, kept from test to test as long as they pass."""

    # The reference mixes up the vCPUs' FPU registers on this QEMU once they are more than the CPUs.
    SPEC = machine.Spec(image="dom0", options="" if machine.REFERENCE else "dom0_max_vcpus=4")

    def __init__(self, directories):
        self.directories = directories
        self.machine = None
        self.count = 0

    def get(self):
        if self.machine is None:
            self.count += 1
            self.machine = machine.Machine(self.SPEC, f"dom0-{self.count}", self.directories.mktemp("dom0"),
                                           disk=machine.BUILD / "images/dom0/disk.img")
            self.machine.__enter__()
            self.machine.wait_shell(180)
            self.bring_programs()
        return self.machine

    def bring_programs(self):
        """The test programs go in over the network, as a user would bring them."""
        archive = self.directories.mktemp("programs")
        subprocess.run(["tar", "-C", str(machine.BUILD / "guest"), "-cf", str(archive / "programs.tar"), "."], check=True)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(archive)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.machine.ok("until ip route | grep -q default; do sleep 0.3; done", 60)
        self.machine.ok(f"mkdir -p /test && curl -s http://10.0.2.2:{server.server_port}/programs.tar | tar -C /test -x")
        server.shutdown()

    def drop(self, failed):
        """Ends it; after a failure its log stays."""
        if self.machine is not None:
            self.machine.__exit__(AssertionError if failed else None, None, None)
            self.machine = None


@pytest.fixture(scope="session")
def shared_debian(tmp_path_factory):
    shared = SharedDebian(tmp_path_factory)
    yield shared
    try:
        if shared.machine is not None:
            shared.machine.check_quiet()
            shared.machine.poweroff()
            shared.drop(False)
    finally:
        shared.drop(True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "failed_in_" + call.when, outcome.get_result().failed)


@pytest.fixture
def dom0(request, shared_debian):
    """The shared Debian; the next test gets a new one when this one fails."""
    try:
        yield shared_debian.get()
    finally:
        if getattr(request.node, "failed_in_call", True):
            shared_debian.drop(True)

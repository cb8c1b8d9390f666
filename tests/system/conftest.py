# SPDX-License-Identifier: MIT
"""What the whole-machine tests share: the two sizes of the set, machines, disks, and a web server for the guests."""

import functools
import hashlib
import http.server
import random
import subprocess
import threading

import pytest

import guests
import machine


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="the whole matrix and the long loads")


def pytest_configure(config):
    config.addinivalue_line("markers", "full: runs only with --full")
    config.addinivalue_line("markers", "ours: says something about Hospes only; skipped on the reference")


def shared_machine(item):
    """The name of the machine that a test shares with others: these must run one after the other, the longest such row first."""
    names = set(item.fixturenames)
    return "guests" if names & {"host", "shared_host", "many"} else "debian" if "dom0" in names else ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    items.sort(key=lambda item: ["guests", "debian", ""].index(shared_machine(item)))
    for item in items:
        if shared_machine(item):
            item.add_marker(pytest.mark.xdist_group(shared_machine(item)))
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


class Shared:
    """A machine kept from test to test as long as they pass: boot(count) starts one, finish(machine) ends it well."""

    def __init__(self, boot, finish):
        self.boot = boot
        self.finish = finish
        self.machine = None
        self.count = 0

    def get(self):
        if self.machine is None:
            self.count += 1
            self.machine = self.boot(self.count)
        return self.machine

    def drop(self, failed):
        """Ends it; after a failure its log stays."""
        if self.machine is not None:
            self.machine.__exit__(AssertionError if failed else None, None, None)
            self.machine = None

    def lend(self, request):
        """The machine for one test; the next test gets a new one when this one fails."""
        try:
            yield self.get()
        finally:
            if getattr(request.node, "failed_in_call", True):
                self.drop(True)

    def end(self):
        try:
            if self.machine is not None:
                self.finish(self.machine)
                self.drop(False)
        finally:
            self.drop(True)


def bring_programs(m, archive):
    """The test programs go in over the network, as a user would bring them."""
    subprocess.run(["tar", "-C", str(machine.BUILD / "guest"), "-cf", str(archive / "programs.tar"), "."], check=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(archive)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    m.ok("until ip route | grep -q default; do sleep 0.3; done", 60)
    m.ok(f"mkdir -p /test && curl -s http://10.0.2.2:{server.server_port}/programs.tar | tar -C /test -x")
    server.shutdown()


@pytest.fixture(scope="session")
def shared_debian(tmp_path_factory):
    """Debian as Domain 0 with four vCPUs on two CPUs."""
    # The reference mixes up the vCPUs' FPU registers on this QEMU once they are more than the CPUs.
    spec = machine.Spec(image="dom0", options="" if machine.REFERENCE else "dom0_max_vcpus=4")

    def boot(count):
        m = machine.Machine(spec, f"dom0-{count}", tmp_path_factory.mktemp("dom0"), disk=machine.BUILD / "images/dom0/disk.img")
        m.__enter__()
        m.wait_shell(180)
        bring_programs(m, tmp_path_factory.mktemp("programs"))
        return m

    def finish(m):
        m.check_quiet()
        m.poweroff()

    shared = Shared(boot, finish)
    yield shared
    shared.end()


@pytest.fixture
def dom0(request, shared_debian):
    yield from shared_debian.lend(request)


@pytest.fixture(scope="session")
def shared_host(tmp_path_factory):
    """Domain 0 with the tools and room for guests. At its end nothing may be left of any guest."""
    def boot(count):
        m = guests.start(tmp_path_factory.mktemp("guests"), f"guests-{count}", mem="6G")
        m.__enter__()
        m.before = m.leftovers()
        return m

    def finish(m):
        m.run("for d in $(xm list | awk 'NR > 2 {print $1}'); do xm destroy $d; done")
        assert m.settled(m.before) == m.before
        m.key("A", r"audit[^\n]*(clean|0 differences)[^\n]*\n", 60)
        m.check_quiet()
        m.poweroff()

    shared = Shared(boot, finish)
    yield shared
    shared.end()


@pytest.fixture
def host(request, shared_host):
    yield from shared_host.lend(request)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "failed_in_" + call.when, outcome.get_result().failed)

# SPDX-License-Identifier: MIT
"""xm against a xend that only pretends (fake_xend.py): every command with right and wrong arguments, exit codes, texts to the byte.

XM names the program: XM=build/tools/usr/sbin/xm pytest tests/tools/test_xm.py
"""
import json
import os
import re
import select
import signal
import subprocess
import termios
import threading
import time

import pexpect
import pytest

from fake_xend import FakeXend, Refusal

XM = os.path.abspath(os.environ.get("XM", "build/tools/usr/sbin/xm"))
CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs")
FAILED, USAGE, CONFIG, NOT_FOUND, EXISTS, NO_MEMORY, BAD_IMAGE, STATE, DENIED, NO_DAEMON, TIMEOUT = range(1, 12)
COMMANDS = ("create list console destroy shutdown reboot pause unpause domid domname rename info dmesg log uptime vcpu-list "
            "help").split()


@pytest.fixture
def xend(tmp_path):
    fake = FakeXend(str(tmp_path / "sock"))
    fake.configs = tmp_path / "xen"
    fake.configs.mkdir()
    (fake.configs / "demo").write_text("kernel = '/k'\nmemory = 64\nextra = 'quiet'\n")
    fake.environment = dict(os.environ, XEND_SOCKET=fake.path, XM_CONFIG_DIR=str(fake.configs))
    yield fake
    fake.stop()


def run(xend, *arguments, **more):
    return subprocess.run([XM, *arguments], env=xend.environment, capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL, **more)


def ok(xend, *arguments):
    done = run(xend, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def fails(xend, code, text, *arguments):
    done = run(xend, *arguments)
    assert (done.returncode, done.stderr) == (code, text)
    return done.stdout


def usage(xend, text, *arguments):
    assert fails(xend, USAGE, f"Error: {text}\nSee 'xm help {arguments[0]}'.\n", *arguments) == ""
    assert xend.calls == []


# --- list

HEADER = "Name                                        ID   Mem VCPUs      State   Time(s)\n"


def test_list(xend):
    xend.add("demo", 1)
    xend.add("a-guest-with-a-name-of-forty-one-letters.", 12345, state="---s--", cpu_time_s=100000.04, memory_kib=3 << 20, vcpus=16)
    assert ok(xend, "list") == (
        HEADER +
        "Domain-0                                     0  1024     2     r-----      12.3\n"
        "demo                                         1   256     1     -b----       1.2\n"
        "a-guest-with-a-name-of-forty-one-letters. 12345  3072    16     ---s--  100000.0\n")


def test_list_some(xend):
    xend.add("demo", 1)
    assert ok(xend, "list", "demo") == HEADER + "demo                                         1   256     1     -b----       1.2\n"
    assert ok(xend, "list", "1", "0").splitlines()[2].startswith("Domain-0 ")
    assert fails(xend, NOT_FOUND, "Error: there is no domain 'nobody'\n", "list", "demo", "nobody") == ""


def test_list_not_running(xend):
    xend.add("off", -1, state="------", cpu_time_s=0, uuid="00000000-0000-4000-8000-00000000000f")
    assert ok(xend, "list", "off") == HEADER + "off                                              256     1     ------       0.0\n"


def test_list_names_and_json(xend):
    xend.add("demo", 1)
    assert ok(xend, "list", "-q") == ok(xend, "list", "--quiet") == "Domain-0\ndemo\n"
    assert json.loads(ok(xend, "list", "--json")) == xend.vms
    assert json.loads(ok(xend, "list", "demo", "--json")) == [xend.vms[1]]


def test_list_long(xend):
    xend.add("demo", 1, config={
        "name": "demo", "builder": "linux", "kernel": "/k", "extra": "a b", "on_poweroff": "destroy", "on_reboot": "restart",
        "on_crash": "preserve", "disks": [{"type": "phy", "target": "vg/a", "device": "xvda", "writable": True}],
        "vifs": [{"mac": "00:16:3e:00:00:01"}]})
    assert ok(xend, "list", "-l", "demo") == """(domain
    (domid 1)
    (name demo)
    (uuid 00000000-0000-4000-8000-000000000001)
    (memory 256)
    (maxmem 256)
    (vcpus 1)
    (online_vcpus 1)
    (state -b----)
    (cpu_time 1.250000000)
    (start_time 1000)
    (on_poweroff destroy)
    (on_reboot restart)
    (on_crash preserve)
    (image
        (linux
            (kernel /k)
            (args 'a b')
        )
    )
    (device
        (vbd
            (uname phy:vg/a)
            (dev xvda)
            (mode w)
        )
    )
    (device
        (vif
            (mac 00:16:3e:00:00:01)
        )
    )
)
"""
    assert ok(xend, "list", "--long").count("(domain\n") == 2


def test_list_wrong(xend):
    usage(xend, "unknown option -x", "list", "-x")
    usage(xend, "unknown option --bogus", "list", "--bogus")


# --- commands on one domain

def test_domid_domname(xend):
    xend.add("demo", 7)
    assert ok(xend, "domid", "demo") == "7\n"
    assert ok(xend, "domid", "Domain-0") == "0\n"
    assert ok(xend, "domname", "7") == "demo\n"
    for command, what in (("domid", "one domain's name"), ("domname", "one domain's id")):
        assert fails(xend, NOT_FOUND, "Error: there is no domain 'x'\n", command, "x") == ""
        xend.calls.clear()
        usage(xend, f"'xm {command}' needs {what}", command)
        usage(xend, f"'xm {command}' takes only {what}", command, "a", "b")
        usage(xend, "unknown option -z", command, "-z", "a")


@pytest.mark.parametrize("command, method", [("destroy", "VM.hard_shutdown"), ("pause", "VM.pause"), ("unpause", "VM.unpause")])
def test_each(xend, command, method):
    xend.add("a", 1)
    xend.add("b", 2)
    usage(xend, f"'xm {command}' needs a domain's name or id", command)
    assert ok(xend, command, "a") == ""
    assert xend.calls == [(method, {"vm": "a"})]
    xend.calls.clear()
    assert fails(xend, NOT_FOUND, "Error: there is no domain 'x'\n", command, "x", "b") == ""
    assert xend.calls == [(method, {"vm": "x"}), (method, {"vm": "b"})]
    xend.refuse[method] = Refusal("state", "Domain-0 cannot be stopped")
    fails(xend, STATE, "Error: Domain-0 cannot be stopped\n", command, "0")


def test_rename(xend):
    xend.add("demo", 1)
    assert ok(xend, "rename", "demo", "web") == ""
    assert xend.vms[1]["name"] == "web"
    xend.refuse["VM.set_name_label"] = Refusal("exists", "the name web is taken")
    fails(xend, EXISTS, "Error: the name web is taken\n", "rename", "demo", "web")
    xend.calls.clear()
    usage(xend, "'xm rename' needs a domain and its new name", "rename", "demo")
    usage(xend, "'xm rename' takes only a domain and its new name", "rename", "a", "b", "c")


# --- shutdown, reboot

@pytest.mark.parametrize("command, method", [("shutdown", "VM.clean_shutdown"), ("reboot", "VM.clean_reboot")])
def test_ask(xend, command, method):
    a, b = xend.add("a", 1), xend.add("b", 2, generation=5)
    usage(xend, f"'xm {command}' needs a domain's name or id, or -a", command)
    usage(xend, "either -a or domains, not both", command, "-a", "a")
    assert ok(xend, command, "a") == ""
    assert xend.calls == [("VM.get_record", {"vm": "a"}), (method, {"vm": a["uuid"]})]
    xend.calls.clear()
    xend.wait_state = "restarted" if command == "reboot" else "gone"
    done = "restarted" if command == "reboot" else "terminated"
    assert ok(xend, command, "-a", "-w") == f"Domain a {done}\nDomain b {done}\nAll domains {done}\n"
    assert [call[0] for call in xend.calls] == ["VM.get_all_records", method, method, "VM.wait", "VM.wait"]
    assert xend.calls[-1][1]["vm"] == b["uuid"] and xend.calls[-1][1]["generation"] == 5
    assert fails(xend, NOT_FOUND, "Error: there is no domain 'x'\n", command, "-w", "x", "a") == f"Domain a {done}\n"
    xend.wait_state = "preserved"
    assert ok(xend, command, "--wait", "a") == "Domain a shut down; it is preserved\n"


def test_wait_survives_xend(xend):
    """A xend that goes away and comes back while we wait is asked again."""
    xend.add("a", 1)
    xend.hang_up_during = "VM.wait"
    assert ok(xend, "shutdown", "-w", "a") == "Domain a terminated\n"
    assert [call[0] for call in xend.calls][-2:] == ["VM.wait", "VM.wait"]


def test_wait_again_after_timeout(xend):
    xend.add("a", 1)
    answers = [Refusal("timeout", "not yet"), Refusal("timeout", "not yet"), Refusal("not-found", "gone")]

    def wait(vm, generation, timeout_s):
        raise answers.pop(0)
    xend.VM_wait = wait
    assert ok(xend, "shutdown", "-w", "a") == "Domain a terminated\n"
    assert not answers


# --- about the machine

def test_info(xend):
    assert ok(xend, "info") == ("host                   : box\nnr_cpus                : 2\ncpu_mhz                : 2400.500\n"
                                "virt_caps              : pv hvm\nactive                 : yes\n")
    xend.calls.clear()
    usage(xend, "'xm info' takes no argument", "info", "x")


def test_dmesg(xend):
    assert ok(xend, "dmesg") == "(H) line one\n(H) line two\n"
    assert ok(xend, "dmesg", "-c") == ok(xend, "dmesg", "--clear")
    assert [call[1]["clear"] for call in xend.calls] == [False, True, True]
    xend.calls.clear()
    usage(xend, "'xm dmesg' takes no argument", "dmesg", "x")
    usage(xend, "unknown option -x", "dmesg", "-x")


def test_log(xend):
    assert ok(xend, "log") == "started\n"
    xend.calls.clear()
    usage(xend, "'xm log' takes no argument", "log", "x")


def test_uptime(xend):
    xend.add("demo", 1, start_time=int(time.time()) - 2 * 86400 - 5)
    xend.add("off", -1, uuid="00000000-0000-4000-8000-00000000000f")
    lines = ok(xend, "uptime").splitlines()
    assert lines[0] == "Name                                ID Uptime"
    days, hours, minutes = re.fullmatch(r"Domain-0 {29}0 (?:(\d+) days?, )?([ \d]\d):(\d\d):\d\d", lines[1]).groups()
    with open("/proc/uptime") as f:  # Domain-0's is the machine's
        up = float(f.read().split()[0])
    assert abs(int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 - up) < 70
    assert re.fullmatch(r"demo +1 2 days,  0:00:0[5-9]", lines[2])
    assert len(lines) == 3 and len(ok(xend, "uptime", "demo").splitlines()) == 2
    fails(xend, NOT_FOUND, "Error: there is no domain 'x'\n", "uptime", "x")


def test_vcpu_list(xend):
    xend.add("demo", 1)
    assert ok(xend, "vcpu-list") == (
        "Name                                ID  VCPU   CPU State   Time(s) CPU Affinity\n"
        "Domain-0                             0     0     0   r--      10.0 any cpu\n"
        "Domain-0                             0     1     -   --p       2.3 0-1\n"
        "demo                                 1     0     1   -b-       1.2 any cpu\n")
    assert len(ok(xend, "vcpu-list", "demo").splitlines()) == 2
    fails(xend, NOT_FOUND, "Error: there is no domain 'x'\n", "vcpu-list", "x")


# --- help, wrong commands

@pytest.mark.parametrize("command", COMMANDS)
def test_help(xend, command):
    text = ok(xend, "help", command)
    assert text.startswith(f"xm {command}: ") and f"\nUsage: xm {command}" in text and "\nExamples:\n  xm " in text
    assert ok(xend, command, "--help") == ok(xend, command, "-h") == text
    assert re.search(rf"^  {command} +\S", ok(xend, "help"), re.M)
    assert xend.calls == []


def test_help_of_all(xend):
    assert ok(xend, "--help") == ok(xend, "help")
    done = run(xend)
    assert done.returncode == USAGE and done.stdout == ok(xend, "help")
    fails(xend, USAGE, "Error: unknown command 'x'; 'xm help' lists the commands\n", "help", "x")


def test_unknown_command(xend):
    fails(xend, USAGE, "Error: unknown command 'lsit': did you mean 'list'?\n", "lsit")
    fails(xend, USAGE, "Error: unknown command 'shutdwn': did you mean 'shutdown'?\n", "shutdwn", "-a")
    fails(xend, USAGE, "Error: unknown command 'qqqqqq'; 'xm help' lists the commands\n", "qqqqqq")


def test_output_that_cannot_be_written(xend):
    with open("/dev/full", "w") as full:
        done = subprocess.run([XM, "list"], env=xend.environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (FAILED, "Error: cannot write the output: No space left on device\n")


# --- without xend, or with a broken one

def test_no_xend(xend):
    xend.stop()
    fails(xend, NO_DAEMON, f"Error: cannot reach xend at {xend.path}: Connection refused; is it running? (systemctl start xend)\n", "list")


def test_xend_on_its_way_up(xend):
    xend.stop()
    late = subprocess.Popen([XM, "list", "-q"], env=xend.environment, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    xend.start()
    assert late.communicate(timeout=10)[0] == "Domain-0\n" and late.returncode == 0


def test_xend_goes_away(xend):
    xend.hang_up_during = "VM.get_all_records"
    fails(xend, NO_DAEMON, "Error: xend went away during VM.get_all_records; its log says why, and 'xm list' what became of it\n", "list")


def test_nonsense_from_xend(xend):
    xend.VM_get_all_records = lambda: 7
    fails(xend, FAILED, "Error: xend's list of domains is not understood\n", "list")


# --- create

def test_create(xend):
    assert ok(xend, "create", "demo") == f'Using config file "{xend.configs}/demo".\nStarted domain demo (id=1)\n'
    (method, params), = xend.calls
    assert method == "VM.create" and params["start"] is True and params["paused"] is False
    assert params["config"]["memory_mib"] == 64 and params["config"]["source"] == f"{xend.configs}/demo"


def test_create_options(xend):
    assert ok(xend, "create", "-q", "demo", "name=x") == ""
    assert ok(xend, "create", "-p", "-q", "demo", "memory=128", "extra+= single", "vif=bridge=xenbr1") == ""
    params = xend.calls[-1][1]
    assert params["paused"] is True
    assert params["config"]["memory_mib"] == 128 and params["config"]["extra"] == "quiet single"
    assert params["config"]["vifs"] == [{"bridge": "xenbr1"}]
    path = str(xend.configs / "demo")
    for arguments in (["-f", "demo"], ["--defconfig=demo"], ["-f", path], [path]):
        assert ok(xend, "create", *arguments).splitlines()[0] == f'Using config file "{path}".'


def test_create_here(xend, tmp_path):
    """A bare name is one of /etc/xen's; only when it is not there, of the files here. A path is what it says."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "demo").write_text("memory=1\n")
    (here / "other").write_text("kernel='/k'\n")
    done = run(xend, "create", "demo", cwd=here)
    assert done.stdout.splitlines()[0] == f'Using config file "{xend.configs}/demo".'
    assert run(xend, "create", "other", cwd=here).stdout.splitlines()[0] == 'Using config file "other".'
    assert xend.calls[-1][1]["config"]["source"] == str(here / "other")
    assert run(xend, "create", "./demo", cwd=here).returncode == CONFIG


def test_create_wrong(xend):
    usage(xend, "'xm create' needs a configuration", "create")
    usage(xend, "'xm create' needs a configuration", "create", "memory=5")
    usage(xend, "unknown option -x", "create", "-x", "demo")
    usage(xend, "the option -f needs a value", "create", "-f")
    usage(xend, "'other' is neither the one configuration nor of the form NAME=VALUE", "create", "demo", "other")
    path = xend.configs / "none"
    assert fails(xend, NOT_FOUND, f"Error: {path}: cannot be read: No such file or directory\n", "create", "none") == ""
    fails(xend, NOT_FOUND, "Error: /none/x: cannot be read: No such file or directory\n", "create", "/none/x")
    assert xend.calls == []


def test_create_all_faults(xend):
    path = xend.configs / "broken"
    path.write_text("memroy = 64\nkernel = '/k'\nvif = ['brigde=a']\nvcpus = 0\n")
    done = run(xend, "create", "broken", "memory=x")
    assert done.returncode == CONFIG and xend.calls == []
    assert done.stderr == (f"Error: {path}:1:1: unknown name 'memroy': did you mean 'memory'?\n"
                           f"Error: {path}:3:8: vif 'brigde=a': unknown key 'brigde': did you mean 'bridge'?\n"
                           "Error: argument 'memory=x': memory must be a whole number, not 'x'\n"
                           f"Error: {path}:4:9: vcpus is 0; it must be 1 to 128\n")


@pytest.mark.parametrize("kind, code", [
    ("failed", FAILED), ("usage", USAGE), ("config", CONFIG), ("not-found", NOT_FOUND), ("exists", EXISTS), ("no-memory", NO_MEMORY),
    ("bad-image", BAD_IMAGE), ("state", STATE), ("denied", DENIED), ("timeout", TIMEOUT), ("something new", FAILED)])
def test_create_refused(xend, kind, code):
    xend.refuse["VM.create"] = Refusal(kind, "so it is")
    assert fails(xend, code, "Error: so it is\n", "create", "demo") == f'Using config file "{xend.configs}/demo".\n'


def test_create_dry(xend):
    (xend.configs / "old").write_text("kernel='/k'\nmemory=64\nsdl=1\n")
    assert ok(xend, "create", "-n", "-q", "old") == ("Not used: sdl, line 3: a paravirtual guest has no screen here; its console is a "
                                                     "terminal\nstart old with 64 MiB\n")
    xend.problems = ["there is no bridge xenbr0", "the kernel /k is missing"]
    assert fails(xend, FAILED, "Error: there is no bridge xenbr0\nError: the kernel /k is missing\n", "create", "--dryrun", "old",
                 "-q").endswith("start old with 64 MiB\n")
    assert [call[0] for call in xend.calls] == ["VM.check", "VM.check"]


@pytest.mark.parametrize("name", sorted(name for name in os.listdir(CONFIGS) if name.endswith(".cfg")))
def test_create_published(xend, name):
    assert ok(xend, "create", "-q", os.path.join(CONFIGS, name)) == ""
    assert xend.calls[0][0] == "VM.create"


# --- console

def fresh_mode():
    """The mode of a terminal that nobody has changed: xm's own may be raw before we could look."""
    child = pexpect.spawn("/bin/sleep", ["1"])
    mode = termios.tcgetattr(child.child_fd)
    child.close(force=True)
    return mode


FRESH_MODE = fresh_mode()


def spawn(xend, *arguments):
    return pexpect.spawn(XM, list(arguments), env=xend.environment, timeout=10)


def read_guest(master, size):
    data = b""
    while len(data) < size:
        assert select.select([master], [], [], 10)[0], data
        data += os.read(master, size - len(data))
    return data


def ended(child, code):
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == code, child.before
    assert termios.tcgetattr(child.child_fd) == FRESH_MODE


def test_console_both_ways(xend):
    vm = xend.add("demo", 1)
    master = xend.open_console(vm)
    child = spawn(xend, "console", "demo")
    os.write(master, b"login: ")
    child.expect_exact("login: ")
    child.send("root\x03\x04\x1a\r")
    assert read_guest(master, 8) == b"root\x03\x04\x1a\r"
    child.send("x\x1d")
    assert read_guest(master, 1) == b"x"
    ended(child, 0)


def test_console_without_loss(xend):
    vm = xend.add("demo", 1)
    master = xend.open_console(vm)
    sent = b"".join(b"%07d\n" % i for i in range(40000))
    child = subprocess.Popen([XM, "console", "demo"], env=xend.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    typing = threading.Thread(target=lambda: (child.stdin.write(sent[:200000]), child.stdin.flush()), daemon=True)
    typing.start()
    got, back, queue = b"", b"", sent
    os.set_blocking(master, False)
    while len(got) < len(sent) or len(back) < 200000:
        ready, writable, _ = select.select([child.stdout, master], [master] if queue else [], [], 10)
        assert ready or writable, (len(got), len(back))
        if child.stdout in ready:
            got += os.read(child.stdout.fileno(), 65536)
        if master in ready:
            back += os.read(master, 65536)
        if writable:
            try:
                queue = queue[os.write(master, queue[:4096]):]
            except BlockingIOError:
                pass
    assert got == sent and back == sent[:200000]
    typing.join(10)
    child.stdin.write(b"\x1d")
    child.stdin.close()
    assert child.wait(timeout=10) == 0
    child.stdout.close()


def test_console_appears_later(xend):
    vm = xend.add("demo", 1)
    child = spawn(xend, "console", "demo")
    time.sleep(0.5)
    os.write(xend.open_console(vm), b"hello")
    child.expect_exact("hello")
    child.send("\x1d")
    ended(child, 0)


def test_console_comes_anew(xend):
    """xenconsoled is killed and started again: the terminal is another one."""
    vm = xend.add("demo", 1)
    os.write(xend.open_console(vm), b"before")
    child = spawn(xend, "console", "demo")
    child.expect_exact("before")
    xend.close_console(vm)
    time.sleep(0.4)
    master = xend.open_console(vm)
    os.write(master, b"after")
    child.expect_exact("after")
    child.send("y")
    assert read_guest(master, 1) == b"y"
    child.send("\x1d")
    ended(child, 0)


def test_console_through_reboot(xend):
    vm = xend.add("demo", 1)
    os.write(xend.open_console(vm), b"going down")
    child = spawn(xend, "console", "demo")
    child.expect_exact("going down")
    xend.close_console(vm)
    vm["domid"], vm["power_state"] = -1, "Halted"
    time.sleep(0.3)
    xend.vms.remove(vm)  # rename-restart: for a moment nobody has the uuid
    time.sleep(0.15)
    xend.vms.append(vm)
    vm["domid"], vm["power_state"], vm["generation"] = 2, "Running", 2
    os.write(xend.open_console(vm), b"again")
    child.expect_exact("again")
    xend.close_console(vm)
    xend.vms.remove(vm)
    child.expect_exact("Domain demo has ended")
    ended(child, 0)


def test_console_while_xend_is_away(xend):
    vm = xend.add("demo", 1)
    master = xend.open_console(vm)
    child = spawn(xend, "console", "demo")
    os.write(master, b"one")
    child.expect_exact("one")
    xend.stop()
    os.write(master, b"two")
    child.expect_exact("two")
    child.send("k")
    assert read_guest(master, 1) == b"k"
    xend.start()
    child.send("\x1d")
    ended(child, 0)


def test_console_guest_gone_while_silent(xend):
    """The end is noticed although the terminal stays open."""
    vm = xend.add("demo", 1)
    os.write(xend.open_console(vm), b"up")
    child = spawn(xend, "console", "demo")
    child.expect_exact("up")
    xend.vms.remove(vm)
    child.expect_exact("Domain demo has ended")
    ended(child, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_console_signals(xend, number):
    vm = xend.add("demo", 1)
    os.write(xend.open_console(vm), b"up")
    child = spawn(xend, "console", "demo")
    child.expect_exact("up")
    assert termios.tcgetattr(child.child_fd) != FRESH_MODE
    child.kill(number)
    child.expect(pexpect.EOF)
    mode = termios.tcgetattr(child.child_fd)
    child.wait()
    assert child.signalstatus == number
    assert mode == FRESH_MODE


def test_console_wrong(xend):
    xend.add("off", -1, uuid="00000000-0000-4000-8000-00000000000f")
    fails(xend, NOT_FOUND, "Error: there is no domain 'x'\n", "console", "x")
    fails(xend, STATE, "Error: the console of Domain-0 is that of the machine\n", "console", "0")
    fails(xend, STATE, "Error: off is not running: it has no console now\n", "console", "off")
    xend.calls.clear()
    usage(xend, "'xm console' needs one domain's name or id", "console")


def test_console_script_input(xend):
    """The end of a script's input is not the end of its output."""
    vm = xend.add("demo", 1)
    master = xend.open_console(vm)
    child = subprocess.Popen([XM, "console", "demo"], env=xend.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdin.write(b"ls\n")
    child.stdin.close()
    assert read_guest(master, 3) == b"ls\n"
    os.write(master, b"files\n")
    assert child.stdout.read(6) == b"files\n"
    xend.vms.remove(vm)
    assert child.wait(timeout=10) == 0
    child.stdout.close()


def test_create_with_console(xend):
    """The console is attached before the guest runs: its first line is seen."""
    child = spawn(xend, "create", "-c", "demo")
    child.expect_exact(f'Using config file "{xend.configs}/demo".\r\nStarted domain demo (id=1)\r\n')
    child.expect_exact("first line\r\n")
    methods = [call[0] for call in xend.calls]
    assert methods[0] == "VM.create" and xend.calls[0][1]["paused"] is True
    assert methods.index("VM.get_record") < methods.index("VM.unpause")
    child.send("\x1d")
    ended(child, 0)


def test_create_with_console_paused(xend):
    child = spawn(xend, "create", "-c", "-p", "demo")
    child.expect_exact("(id=1)")
    time.sleep(0.3)
    child.send("\x1d")
    ended(child, 0)
    assert "VM.unpause" not in [call[0] for call in xend.calls]


def test_create_with_console_late(xend):
    xend.console_on_create = False
    child = spawn(xend, "create", "-c", "demo")
    child.expect_exact("(id=1)")
    time.sleep(0.3)
    assert "VM.unpause" not in [call[0] for call in xend.calls]
    xend.open_console(xend.vms[1])
    child.expect_exact("first line")
    child.send("\x1d")
    ended(child, 0)


# --- completion

def complete(xend, *words):
    script = os.path.join(os.path.dirname(XM), "..", "share", "bash-completion", "completions", "xm")
    line = " ".join(f"'{word}'" for word in words)
    done = subprocess.run(
        ["bash", "-c", f"PATH={os.path.dirname(XM)}:$PATH; . {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _xm; "
                       "printf '%s\\n' \"${COMPREPLY[@]}\""],
        env=xend.environment, capture_output=True, text=True, timeout=20, cwd=xend.configs.parent)
    assert done.stderr == ""
    return done.stdout.split()


def test_completion(xend):
    xend.add("demo", 1)
    xend.add("web", 2)
    (xend.configs / "xend-config.sxp").write_text("")
    assert sorted(complete(xend, "xm", "")) == sorted(COMMANDS)
    assert complete(xend, "xm", "sh") == ["shutdown"]
    assert complete(xend, "xm", "console", "") == ["demo", "web"]
    assert complete(xend, "xm", "list", "D") == ["Domain-0"]
    assert complete(xend, "xm", "create", "d") == ["demo"]
    assert complete(xend, "xm", "create", "--d") == ["--dryrun", "--defconfig"]
    assert complete(xend, "xm", "rename", "demo", "") == []

# SPDX-License-Identifier: MIT
"""A xend that only pretends: it keeps records, answers xm's calls as docs/api.md says, and notes them. Consoles are ptys."""
import json
import os
import pty
import socket
import threading
import tty


class Refusal(Exception):
    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


def record(name, domid, uuid=None, **more):
    made = {
        "uuid": uuid or f"00000000-0000-4000-8000-{domid:012x}", "name": name, "domid": domid, "state": "-b----",
        "power_state": "Running", "memory_kib": 262144, "memory_max_kib": 262144, "vcpus": 1, "vcpus_max": 1,
        "cpu_time_s": 1.25, "start_time": 1000, "generation": 1, "console": None, "shutdown_reason": None,
        "vcpu": [{"number": 0, "cpu": 1, "state": "-b-", "time_s": 1.25, "affinity": "any cpu"}],
    }
    made.update(more)
    return made


class FakeXend:
    def __init__(self, path):
        self.path = path
        self.calls = []        # (method, params)
        self.refuse = {}       # method -> Refusal
        self.problems = []     # of VM.check
        self.wait_state = "gone"
        self.masters = {}      # uuid -> master side of the console
        self.slaves = {}       # kept open, so that what is printed before a reader comes is not lost
        self.console_on_create = True
        self.hang_up_during = None
        zero = "00000000-0000-0000-0000-000000000000"
        self.vms = [record("Domain-0", 0, zero, state="r-----", memory_kib=1048576, vcpus=2, cpu_time_s=12.34,
                           start_time=0,
                           vcpu=[{"number": 0, "cpu": 0, "state": "r--", "time_s": 10.0, "affinity": "any cpu"},
                                 {"number": 1, "cpu": -1, "state": "--p", "time_s": 2.3, "affinity": "0-1"}])]
        self.server = None
        self.clients = set()
        self.start()

    # --- the socket
    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen(16)
        threading.Thread(target=self.accept, args=(self.server,), daemon=True).start()

    def stop(self):
        if self.server.fileno() < 0:
            return
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for client in list(self.clients):
            client.shutdown(socket.SHUT_RDWR)

    def accept(self, server):
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            self.clients.add(client)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, client.makefile("rb") as lines:
            try:
                for line in lines:
                    answer = self.answer(json.loads(line))
                    if answer is None:
                        break
                    client.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                pass
            finally:
                self.clients.discard(client)
                try:
                    client.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def answer(self, request):
        method, params = request["method"], request.get("params", {})
        assert request["jsonrpc"] == "2.0"
        self.calls.append((method, params))
        if method == self.hang_up_during:
            self.hang_up_during = None
            return None
        try:
            if method in self.refuse:
                raise self.refuse[method]
            handler = getattr(self, method.replace(".", "_"))
            return {"jsonrpc": "2.0", "id": request["id"], "result": handler(**params)}
        except Refusal as refusal:
            return {"jsonrpc": "2.0", "id": request["id"],
                    "error": {"code": -32000, "message": str(refusal), "data": {"kind": refusal.kind}}}

    # --- guests
    def find(self, vm):
        for candidate in self.vms:
            if vm in (candidate["name"], candidate["uuid"], str(candidate["domid"])):
                return candidate
        raise Refusal("not-found", f"there is no domain '{vm}'")

    def add(self, name, domid, **more):
        made = record(name, domid, **more)
        self.vms.append(made)
        return made

    def open_console(self, vm):
        master, slave = pty.openpty()
        tty.setraw(slave)
        self.masters[vm["uuid"]] = master
        self.slaves[vm["uuid"]] = slave
        vm["console"] = os.ttyname(slave)
        return master

    def close_console(self, vm):
        vm["console"] = None
        os.close(self.slaves.pop(vm["uuid"]))
        os.close(self.masters.pop(vm["uuid"]))

    # --- methods
    def VM_create(self, config, start, paused=False):
        domid = max(vm["domid"] for vm in self.vms) + 1
        vm = self.add(config["name"], domid, config=config)
        vm["power_state"] = "Paused" if paused else "Running"
        if self.console_on_create:
            self.open_console(vm)
        return {"uuid": vm["uuid"], "domid": domid, "name": vm["name"], "console": vm["console"]}

    def VM_check(self, config):
        return {"problems": self.problems, "plan": [f"start {config['name']} with {config['memory_mib']} MiB"]}

    def VM_get_record(self, vm):
        return self.find(vm)

    def VM_get_all_records(self):
        return {"vms": self.vms}

    def VM_hard_shutdown(self, vm):
        self.vms.remove(self.find(vm))
        return {}

    def VM_clean_shutdown(self, vm):
        return {"generation": self.find(vm)["generation"]}

    VM_clean_reboot = VM_clean_shutdown

    def VM_wait(self, vm, generation, timeout_s):
        assert self.find(vm)["generation"] == generation and timeout_s > 0
        return {"state": self.wait_state}

    def VM_pause(self, vm):
        self.find(vm)["power_state"] = "Paused"
        return {}

    def VM_unpause(self, vm):
        found = self.find(vm)
        found["power_state"] = "Running"
        if found["uuid"] in self.masters:
            os.write(self.masters[found["uuid"]], b"first line\r\n")
        return {}

    def VM_set_name_label(self, vm, name):
        self.find(vm)["name"] = name
        return {}

    def host_get_record(self):
        return {"host": "box", "nr_cpus": 2, "cpu_mhz": 2400.5, "virt_caps": ["pv", "hvm"], "active": True}

    def host_dmesg(self, clear):
        return {"text": "(H) line one\n(H) line two\n"}

    def host_get_log(self):
        return {"text": "started\n"}

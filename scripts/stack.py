#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The deepest that the hypervisor's stacks can get: from the call graph of the linked image, with the frame of each function read
from its instructions. Prints the worst chain.

Usage: stack.py IMAGE.debug; exits 1 when a stack could overflow, for an indirect call whose targets are not in INDIRECT below, and
for recursion that is not in RECURSION.

Three things may be on a CPU's main stack at once: what the guest asked for; an interrupt, taken at a preemption point of it; an
exception in that which the exception table cures. Stacks of gates (IST) carry one of ring0_trap()'s kind each. The boot, with the
decompression libraries, runs on a stack of its own before there is any guest; a guard page ends it too, and it is not counted."""
import re
import subprocess
import sys

MAIN_STACK = 7 * 4096 - 16
GATE_STACK = 3 * 4096 - 16
MARGIN = 2048
ENTRY = 8 * 24  # what entry.S pushes itself: arguments of a call, or the registers of a trap in ring 0, and alignment

MAIN_ROOTS = ["hypercall_dispatch", "guest_trap", "pv_syscall_from_user", "pv_iret_fault", "prepare_return"]
NESTED_ROOT = "ring0_trap"

# By whom: names of what may be called through a pointer there.
OPS = "(twolevel|fifo)_"
INDIRECT = {
    r"(hypercall_dispatch|dispatch_with_checks)": r"do_[a-z_]+",
    r"do_domctl": r"domctl_[a-z0-9_]+",
    r"do_sysctl": r"sysctl_[a-z0-9_]+",
    r"sysctl_get_cpu_featureset": r"cpu_policy_[a-z_]+|featureset_[a-z_]+",
    r"do_memory_op": r"(increase|populate|decrease)_one|exchange|maximum_ram_page|reservation_size|machphys_mfn_list"
                     r"|machphys_mapping|memory_map|set_memory_map|machine_memory_map|claim_pages|acquire_resource|not_supported",
    r"do_grant_table_op": r"setup_table|query_size|set_version|get_version",
    r"pci_device_op(_old)?": r"hw_pci_[a-z_]+",
    r"version_call": r"version_[a-z_]+|[a-z]+_(info|version|features|id|space|size|handle|set)",
    r"evtchn_[a-z_]+": OPS + r"[a-z_]+|put_frame|expect_event_frame",
    r"show_some": OPS + r"[a-z_]+",
    r"(timers_run)": r"discipline_tick|publish_tick|account_run|slice_over|woken|singleshot_fired|periodic_fired|poll_timed_out"
                     r"|watchdog_expired|drain_tick|audit_tick",
    r"tasks_run": r"run_key_wanted|[a-z_]+_task",
    r"(remote_serve|remote_call)": r"flush_all|flush_page|flush_caches|[a-z_]+_on_cpu",
    r"irq_handler": r"receive",
    r"key_run": r"key_[a-z]+|sched_print_queues|timers_print|conring_print_again|irqs_print|time_print|overflow_stack"
                r"|overwrite_frame|write_to_code",
    r"platform_(timer_init|sample)": r"(hpet|acpi|pit|pm)_[a-z_]+",
    r"(hw_vcpu_for_each_ref|for_each_desc|grant_for_some_mappings|.*for_each_frame)": r"expect_[a-z_]+|put_frame",
    r"(for_the_domain|audit_step)": r"expect_from_domain|look_at_list",
}
# Functions that are entered again from within, and how often that can be.
RECURSION = {
    "hypercall_dispatch": 2,  # a batch and its entry
    "validate": 5,  # a level of page tables each; the fifth is in the graph only: writable frames are not validated
    "type_put": 4,
}
# What ends in a panic does not come back: its chain is counted once on top of all, and again for a panic in the report.
PANIC_ROOTS = ["panic", "panic_regs", "__stack_chk_fail"]
NEVER_FOLLOWED = r"(acpi_init|lzma_|ZSTD|inflate|LZ4|HUF_|FSE_|hypervisor_main|ap_start|boot_|dom0_build|decompress).*"

FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
DIRECT = re.compile(r"\t(call|j[a-z]+) +([0-9a-f]+) <([^>+]+)>$")
POINTER = re.compile(r"\t(call|jmp) +\*")


class Function:
    def __init__(self, name):
        self.name, self.calls, self.indirect, self.pushed, self.words, self.sub = name, set(), False, set(), 0, 0

    @property
    def frame(self):
        return 8 + 8 * len(self.pushed) + 8 * self.words + self.sub


def read(image):
    """Functions by address."""
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", image], capture_output=True, text=True, check=True).stdout
    functions, f, table = {}, None, 0
    for line in out.splitlines():
        start = FUNCTION.match(line)
        if start:
            f = functions[int(start.group(1), 16)] = Function(start.group(2))
            continue
        if not f:
            continue
        push = re.search(r"\tpush +(\S+)", line)
        sub = re.search(r"\tsub +\$(0x[0-9a-f]+),%rsp", line)
        direct = DIRECT.search(line)
        if push and push.group(1).startswith("%"):
            f.pushed.add(push.group(1))
        elif push:
            f.words += 1
        elif sub:
            f.sub = max(f.sub, min(int(sub.group(1), 16), 2 ** 64 - int(sub.group(1), 16)))
        elif direct and (direct.group(1) == "call" or direct.group(3) != f.name):
            f.calls.add(int(direct.group(2), 16))
        elif POINTER.search(line) and not (table and "\tjmp" in line):
            f.indirect = True
        table = 8 if "movslq (" in line or "movslq 0x" in line else max(table - 1, 0)
    for f in functions.values():
        f.calls &= set(functions)
    return functions


def resolve(functions):
    """Adds the targets of calls through pointers. Functions that have such calls and are not listed."""
    unknown = []
    for address, f in functions.items():
        if not f.indirect or re.fullmatch(NEVER_FOLLOWED, f.name):
            continue
        base = f.name.split(".")[0]
        found = [targets for caller, targets in INDIRECT.items() if re.fullmatch(caller, base)]
        if not found:
            unknown.append(address)
        for targets in found:
            f.calls |= {a for a, g in functions.items() if re.fullmatch(targets, g.name.split(".")[0]) and g is not f}
    return unknown


class Depth:
    """The deepest chain from each function. A listed recursion goes round as often as it may; a panic is counted apart."""

    def __init__(self, functions):
        self.functions, self.known, self.path, self.bad, self.reached = functions, {}, set(), set(), set()

    def below(self, address, rounds=()):
        """(bytes, chain) from this function on. `rounds`: how often each of RECURSION has been entered so far."""
        f = self.functions[address]
        base = f.name.split(".")[0]
        if base in RECURSION:
            counts = dict(rounds)
            counts[base] = counts.get(base, 0) + 1
            if counts[base] > RECURSION[base]:
                return 0, []
            rounds = tuple(sorted(counts.items()))
        key = address, rounds
        if key in self.known:
            return self.known[key]
        if key in self.path:
            self.bad.add(f.name)
            return 0, []
        self.reached.add(address)
        self.path.add(key)
        deepest, chain = 0, []
        for to in sorted(f.calls):
            if re.fullmatch(NEVER_FOLLOWED, self.functions[to].name) or self.functions[to].name in PANIC_ROOTS:
                continue
            size, names = self.below(to, rounds)
            if size > deepest:
                deepest, chain = size, names
        self.path.discard(key)
        self.known[key] = f.frame + deepest, [(f.name, f.frame)] + chain
        return self.known[key]


def deepest(depth, by_name, roots):
    return max((depth.below(by_name[root]) for root in roots if root in by_name), key=lambda found: found[0])


def main():
    sys.setrecursionlimit(10000)
    functions = read(sys.argv[1])
    unknown = resolve(functions)
    by_name = {f.name: a for a, f in functions.items()}
    depth = Depth(functions)
    parts = [("asked for by a guest", *deepest(depth, by_name, MAIN_ROOTS)),
             ("a trap in the hypervisor", *deepest(depth, by_name, [NESTED_ROOT])),
             ("a panic", *deepest(depth, by_name, PANIC_ROOTS))]
    for title, size, chain in parts:
        print(f"{title}, {size} bytes: " + " ".join(f"{name}:{frame}" for name, frame in chain))
    guest, trap, panic = (size for _, size, _ in parts)
    trap += ENTRY
    total, gate = guest + ENTRY + 2 * trap + 2 * panic, trap + 2 * panic
    big = max((functions[a] for a in depth.reached), key=lambda f: f.frame)
    print(f"main stack: {guest + ENTRY} + 2 * {trap} + 2 * {panic} = {total} bytes of {MAIN_STACK}; gates' stacks: {gate} of {GATE_STACK}")
    print(f"largest frame: {big.frame} bytes ({big.name}); the guard page has 4096")
    unknown = [a for a in unknown if a in depth.reached]
    for a in unknown:
        print(f"calls through a pointer, targets not listed: {functions[a].name}")
    for name in sorted(depth.bad):
        print(f"recursion through {name}")
    ok = total <= MAIN_STACK - MARGIN and gate <= GATE_STACK - MARGIN and big.frame < 4096 and not unknown and not depth.bad
    print("stack: " + ("within the limits" if ok else "NOT within the limits"))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())

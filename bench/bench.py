# SPDX-License-Identifier: MIT
"""
The measurements: costs in instructions, of Hospes and of Debian's Xen in the same QEMU.

Under -icount shift=0 one guest instruction is one nanosecond and one tick of the time stamp counter, so figures repeat
to the digit. Two parts:
- bench/guest, a PV kernel of our own as Domain 0, times single operations (its main.c says how);
- the boot: from the entry of the hypervisor (bench/probe/machine-entry.S in its place says when that is) to the first
  instruction of Debian's kernel (bench/probe/guest-entry.S is laid over its entry point, and the image packed again as
  Debian packs it).

Prints a table and writes bench/results.json.
"""

import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/system"))
sys.dont_write_bytecode = True
from repack import unpack, with_payload  # noqa: E402

BUILD = ROOT / "build"
HYPERVISORS = {"hospes": BUILD / "hospes", "xen": BUILD / "reference/xen"}
KERNEL = BUILD / "kernels/newest/vmlinuz"
INITRD = BUILD / "images/smoke-newest.img"

# What we promise, in the order of the table: name, words, limit. Xen's figures known from before are near ours for it.
PROMISED = [
    ("null_hypercall", "null hypercall (xen_version)", 100),
    ("update_va_mapping", "update_va_mapping, protection to and fro", 300),
    ("mmu_update_32_flags", "mmu_update in batches of 32, per entry, flags", 120),
    ("mmu_update_32_map_readonly", "mmu_update in batches of 32, per entry, map and unmap", 120),
    ("mmu_update_512_flags", "mmu_update in batches of 512, per entry, flags", 120),
    ("mmu_update_512_map_readonly", "mmu_update in batches of 512, per entry, map and unmap", 120),
    ("page_fault_bounce_iret_hypercall", "page fault to the guest and back (iret hypercall)", 400),
    ("emulated_pt_write_map_readonly", "emulated page-table write", 600),
    ("pin_unpin_32_writable", "pin and unpin of an L1 of 32 entries", 9000),
]
BOOTS = [("boot_stock", "boot to Domain 0's first instruction, Debian's XZ kernel", 4200000000),
         ("boot_prepared", "the same with a prepared (uncompressed) kernel", 1000000000)]


def run(hypervisor, modules, cpus, memory, timeout):
    """Runs the machine until it has said the last line that we wait for, or ends; returns what it said."""
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", "max,-smap,+svm,+npt",
               "-smp", str(cpus), "-m", memory, "-display", "none", "-vga", "std", "-nic", "none", "-serial", "stdio",
               "-monitor", "none", "-no-reboot", "-kernel", str(hypervisor), "-append", "console=com1 com1=115200,8n1"]
    if modules:
        command += ["-initrd", modules]
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    patience = threading.Timer(timeout, machine.kill)
    patience.start()
    said = b""
    try:
        for line in machine.stdout:
            said += line
            if line.startswith((b"bench: total", b"bench: entry")):
                break
    finally:
        patience.cancel()
        machine.kill()
        machine.wait()
    return said.decode(errors="replace")


def operations(hypervisor):
    said = run(hypervisor, f"{BUILD}/bench/guest bench", 1, "1G", 120)
    found = {name: int(value) for name, value in re.findall(r"bench: (\w+) (\d+)\s", said)}
    if "total" not in found:
        print(said[-3000:])
        raise SystemExit(f"bench: no result from {hypervisor}")
    return found


def entry_time(said):
    found = re.search(r"bench: entry ([0-9a-f]{16})", said)
    if not found:
        print(said[-3000:])
        raise SystemExit("bench: the probe did not report")
    return int(found.group(1), 16)


def segments(elf):
    phoff, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for i in range(count):
        kind, _, offset, vaddr, paddr, filesz = struct.unpack_from("<IIQQQQ", elf, phoff + i * size)
        yield kind, offset, vaddr, paddr, filesz


def xen_notes(elf):
    """Type -> description bytes of the notes by the name of Xen."""
    notes = {}
    for kind, offset, _, _, size in segments(elf):
        at = offset
        while kind == 4 and at + 12 <= offset + size:
            namesz, descsz, number = struct.unpack_from("<III", elf, at)
            name = elf[at + 12:at + 12 + namesz]
            desc = at + 12 + (namesz + 3 & ~3)
            if name == b"Xen\0":
                notes[number] = elf[desc:desc + descsz]
            at = desc + (descsz + 3 & ~3)
    return notes


def probed_kernels(directory):
    """Debian's kernel with the probe at its entry: as it is packed, and unpacked."""
    stock = KERNEL.read_bytes()
    elf = bytearray(unpack(stock))
    notes = xen_notes(elf)
    paddr = int.from_bytes(notes[1], "little") - int.from_bytes(notes[3], "little")
    probe = (BUILD / "bench/guest-entry").read_bytes()
    for kind, offset, _, start, size in segments(elf):
        if kind == 1 and start <= paddr < start + size:
            place = offset + paddr - start
            elf[place:place + len(probe)] = probe
            break
    else:
        raise SystemExit("bench: the entry lies in no segment")
    bare = directory / "bare"
    bare.write_bytes(elf)
    packed = subprocess.run(["xz", "--check=crc32", "--x86", "--lzma2=preset=9,dict=32MiB", "-T1", "-c"], input=bytes(elf),
                            stdout=subprocess.PIPE, check=True).stdout
    full = directory / "packed"
    full.write_bytes(with_payload(stock, packed + struct.pack("<I", len(elf))))
    return {"boot_stock": full, "boot_prepared": bare}


def boots(hypervisors):
    """name -> kind -> instructions from the hypervisor's entry to the kernel's."""
    results = {name: {} for name in hypervisors}
    with tempfile.TemporaryDirectory() as where:
        kernels = probed_kernels(pathlib.Path(where))
        for kind, kernel in kernels.items():
            modules = f"{kernel} console=hvc0,{INITRD}"
            begin = entry_time(run(BUILD / "bench/machine-entry", modules, 2, "4G", 60))
            for name, image in hypervisors.items():
                results[name][kind] = entry_time(run(image, modules, 2, "4G", 300)) - begin
    return results


def show(results):
    names = list(results)
    print(f"\n{'instructions':56}" + "".join(f"{n:>16}" for n in names) + f"{'promised':>16}")
    for key, words, limit in PROMISED + BOOTS:
        cells = "".join(f"{results[n][key]:>16,}" if key in results[n] else f"{'-':>16}" for n in names)
        over = "  over" if results.get("hospes", {}).get(key, 0) > limit else ""
        print(f"{words:56}{cells}{limit:>16,}{over}")


def main():
    hypervisors = {name: path for name, path in HYPERVISORS.items() if path.exists() and (len(sys.argv) == 1 or name in sys.argv[1:])}
    results = {name: operations(path) for name, path in hypervisors.items()}
    for name, found in boots(hypervisors).items():
        results[name].update(found)
    show(results)
    if len(sys.argv) == 1:
        (ROOT / "bench/results.json").write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

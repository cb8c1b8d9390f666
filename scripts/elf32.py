#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""elf32.py HOSPES.DEBUG HOSPES: the loadable segments of the ELF64 as an ELF32 at their physical addresses, which is what
Multiboot loaders (QEMU -kernel, GRUB) take. The Multiboot headers are at the first segment's start: file offset 4096."""
import os
import struct
import sys

HV_START = 0xFFFF82D080000000


def main(source, target):
    data = open(source, "rb").read()
    if data[:5] != b"\x7fELF\x02":
        sys.exit(f"{source}: not an ELF64 file")
    entry, phoff = struct.unpack_from("<QQ", data, 24)
    phentsize, phnum = struct.unpack_from("<HH", data, 54)
    segments = []
    for i in range(phnum):
        kind, flags, offset, _, paddr, filesz, memsz, _ = struct.unpack_from("<IIQQQQQQ", data, phoff + i * phentsize)
        if kind == 1 and memsz:
            segments.append((flags, data[offset : offset + filesz], paddr, memsz))
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, entry - HV_START, 52, 0, 0, 52, 32, len(segments), 0, 0, 0)
    body = b""
    for flags, content, paddr, memsz in segments:
        body += bytes(-len(body) % 4096)
        header += struct.pack("<IIIIIIII", 1, 4096 + len(body), paddr, paddr, len(content), memsz, flags, 4096)
        body += content
    with open(target + ".new", "wb") as out:
        out.write(header + bytes(4096 - len(header)) + body)
    os.rename(target + ".new", target)


main(*sys.argv[1:])

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns `nm -n` of the linked hypervisor (stdin) into the assembly of its own symbol table (stdout): the functions'
addresses as 32-bit offsets from HV_START in ascending order, and their names. Read by x86/cpu/symbols.c."""
import sys

HV_START = 0xFFFF82D080000000


def main():
    functions = {}
    for line in sys.stdin:
        parts = line.split()
        if len(parts) != 3 or parts[1] not in "tT" or parts[2].startswith("."):
            continue
        address = int(parts[0], 16)
        if 0 <= address - HV_START < 1 << 30:
            functions.setdefault(address - HV_START, parts[2])
    out = ['.section symbol_table, "a"', ".balign 8"]
    out += [".globl symbols_count, symbols_offsets, symbols_names_at, symbols_names"]
    out += [".hidden symbols_count, symbols_offsets, symbols_names_at, symbols_names"]
    out += ["symbols_count:", f".quad {len(functions)}", "symbols_offsets:"]
    ordered = sorted(functions.items())
    out += [f".long {offset:#x}" for offset, _ in ordered]
    out.append("symbols_names_at:")
    position = 0
    for _, name in ordered:
        out.append(f".long {position}")
        position += len(name) + 1
    out.append("symbols_names:")
    out += [f'.asciz "{name}"' for _, name in ordered]
    out += ['.byte 0', '.section .note.GNU-stack, "", @progbits']
    print("\n".join(out))


main()

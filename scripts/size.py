#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints the sizes that the project watches: lines, longest functions and files, image, static memory.

Usage: size.py TREE IMAGE.debug; exits 1 when a limit is passed."""
import pathlib
import subprocess
import sys

# Domain 0 alone took 25,000; the calls with which tools build and run guests are the rest.
LINES_MAX = 29_000
FUNCTION_P95_MAX = 60
FILE_MAX = 800


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0


def functions(files):
    """(length, name, file) of every C function, from Universal Ctags."""
    out = subprocess.run(
        ["ctags", "-L", "-", "--languages=C", "--kinds-C=f", "--fields=+ne", "-f", "-"],
        input="\n".join(map(str, files)), capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        parts = line.split("\t")
        fields = dict(p.split(":", 1) for p in parts[3:] if ":" in p)
        if "line" in fields and "end" in fields:
            yield int(fields["end"]) - int(fields["line"]) + 1, parts[0], parts[1]


def image_memory(image):
    """Bytes that the loaded image takes, from its program headers."""
    out = subprocess.run(["readelf", "-lW", image], capture_output=True, text=True, check=True).stdout
    spans = [line.split() for line in out.splitlines() if line.strip().startswith("LOAD")]
    return max(int(s[2], 16) + int(s[5], 16) for s in spans) - min(int(s[2], 16) for s in spans)


def main():
    tree, image = pathlib.Path(sys.argv[1]), sys.argv[2]
    files = sorted(p for suffix in ("*.c", "*.h", "*.S") for p in tree.rglob(suffix))
    lengths = {p: len(p.read_text().splitlines()) for p in files}
    fns = sorted(functions([p for p in files if p.suffix == ".c"]), reverse=True)
    total = sum(lengths.values())
    longest_file = max(lengths, key=lengths.get)
    p95 = percentile([f[0] for f in fns], 0.95)
    memory = image_memory(image)
    ok = total <= LINES_MAX and p95 <= FUNCTION_P95_MAX and lengths[longest_file] <= FILE_MAX

    print(f"hypervisor: {total} lines in {len(files)} files (at most {LINES_MAX})")
    print(f"files:      95th percentile {percentile(lengths.values(), 0.95)} lines, "
          f"longest {lengths[longest_file]} ({longest_file})")
    print(f"functions:  {len(fns)}, median {percentile([f[0] for f in fns], 0.5)}, 95th percentile {p95}, "
          f"longest {fns[0][0]} ({fns[0][1]} in {fns[0][2]})")
    print(f"image:      {memory // 1024} KiB in memory")
    for gib in (0.5, 4, 64):
        ram = int(gib * 2 ** 30)
        tables = ram // 4096 * 32
        allowed = ram // 1000 * 8 + (16 << 20)
        static = memory + tables + tables // 512
        ok &= static <= allowed
        print(f"static memory with {gib:g} GiB of RAM: {static / 2 ** 20:.1f} MiB (at most {allowed / 2 ** 20:.1f})")
    print("sizes: " + ("within the limits" if ok else "OVER a limit"))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())

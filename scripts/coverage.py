#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Branch coverage of core/ and hypercall/ from what programs built with --coverage have left behind.

  coverage.py BUILD_DIRECTORY

Counts of all programs, and of all copies of an inline function, are added up. What cannot be reached by a guest is left out:
the failing side of assertions. Prints a line for each file and the sum; what was missed goes to BUILD_DIRECTORY/missed.txt.
"""
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile

LEFT_OUT = re.compile(r'\b(ASSERT|ASSERT_SLOW|BUG)\(')
ROOMS = ('hypervisor/core/', 'hypervisor/hypercall/')


def collect(directory):
    """{file: {line: [count of each branch]}}"""
    found = {}
    data = [os.path.abspath(os.path.join(d, f)) for d, _, files in os.walk(directory) for f in files
            if f.endswith('.gcda') and any(room in d + '/' for room in ROOMS)]
    with tempfile.TemporaryDirectory() as out:
        for i in range(0, len(data), 20):
            subprocess.run(['gcov', '-b', '-c', '-j', '-x', *data[i:i + 20]], cwd=out, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in os.listdir(out):
            with gzip.open(os.path.join(out, name)) as f:
                add(found, json.load(f))
    return found


def add(found, report):
    for f in report['files']:
        name = f['file']
        if not name.startswith(ROOMS):
            continue
        for line in f['lines']:
            counts = [b['count'] for b in line['branches']]
            old = found.setdefault(name, {}).setdefault(line['line_number'], [])
            old += [0] * (len(counts) - len(old))
            for i, n in enumerate(counts):
                old[i] += n


def main(directory):
    found = collect(directory)
    total = taken = 0
    with open(os.path.join(directory, 'missed.txt'), 'w', encoding='ascii') as missed:
        for name in sorted(found):
            with open(name, encoding='utf-8') as f:
                source = f.read().split('\n')
            here = here_taken = 0
            for number, counts in sorted(found[name].items()):
                if LEFT_OUT.search(source[number - 1]):
                    continue
                here += len(counts)
                here_taken += sum(n > 0 for n in counts)
                if 0 in counts:
                    missed.write(f'{name}:{number}: {counts}: {source[number - 1].strip()}\n')
            total += here
            taken += here_taken
            if here:
                print(f'{name:48} {here_taken:5} of {here:5} {100 * here_taken / here:6.1f} %')
    print(f'branch coverage of core and hypercall: {taken} of {total}, {100 * taken / total:.1f} %')


if __name__ == '__main__':
    main(sys.argv[1])

# SPDX-License-Identifier: MIT
"""Seeded bugs: makes a patch of each entry of tests/seeded/bugs, builds the project with it, and runs the unit tests, the model
tests and the hostile guests until one of them finds it. A line for each bug says which did; the last one is 'seeded bugs: N of M
found'. Exit status 0: at least 95 % were.

The patches and what the tests said lie in build/seeded/. Each worker has a copy of the tree and of what is built, which is put
back to what it was after each bug, so that only what a bug touches is built again.
"""

import argparse
import concurrent.futures
import dataclasses
import difflib
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
OUT = BUILD / "seeded"
UNITS = "build/host-gcc"
COPIED = ["Makefile", "bench", "docs", "hypervisor", "images", "scripts", "tests", "toolstack"]
BUILT = ["abi", "gen", "hv", "host-gcc", "hostile", "tests/hostile", "hospes", "hospes.gz", "hospes.debug"]
WANTED = 0.95
# The unit tests that are nearest to a part of the hypervisor; the others come after the model.
NEAREST = {
    "core/mem": ["test_mem_type", "test_mem_mmu", "test_mem_alloc", "test_reservation", "test_mem_race", "test_audit"],
    "core/grant": ["test_grant"],
    "core/event": ["test_event", "test_fifo"],
    "core/domain": ["test_domain", "test_vcpu_op"],
    "core/policy": ["test_domain", "test_domctl"],
    "hypercall/domctl": ["test_domctl", "test_sysctl"],
    "hypercall": ["test_mem_mmu", "test_reservation", "test_grant", "test_event", "test_domain", "test_vcpu_op", "test_host"],
}


class Wrong(Exception):
    """Something in the list of bugs."""


@dataclasses.dataclass
class Edit:
    behind: str = ""
    old: list = dataclasses.field(default_factory=list)
    new: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Bug:
    name: str
    quick: bool = False
    file: str = ""
    edits: list = dataclasses.field(default_factory=list)

    @property
    def slug(self):
        return re.sub(r"\W+", "-", self.name)


# ---- The list and the patches ----


def read_bugs():
    bugs = []
    for number, line in enumerate((ROOT / "tests/seeded/bugs").read_text().splitlines(), 1):
        mark, text = line[:1], line[1:].removeprefix("!" if line[:1] == "=" else "").strip()
        if mark == "=":
            bugs.append(Bug(text, line[1:2] == "!"))
        elif mark == "@":
            bugs[-1].edits.append(Edit(behind=text))
        elif mark in ("-", "+"):
            edits = bugs[-1].edits
            if not edits or (mark == "-" and edits[-1].new):
                edits.append(Edit())
            (edits[-1].old if mark == "-" else edits[-1].new).append(text)
        elif mark not in ("", "#"):
            if bugs[-1].file:
                raise Wrong(f"line {number}: a second file")
            bugs[-1].file = "hypervisor/" + line.strip()
    return bugs


def apply(edit, text, bug):
    """The text with the edit made. Lines are matched however they are indented; the first new line keeps the old one's indentation."""
    begin = text.find(edit.behind) if edit.behind else 0
    if begin < 0:
        raise Wrong(f"{bug.name}: no '{edit.behind}' in {bug.file}")
    found = list(re.finditer(r"\s*\n\s*".join(re.escape(line) for line in edit.old), text[begin:]))
    if not found or (len(found) > 1 and not edit.behind):
        raise Wrong(f"{bug.name}: '{edit.old[0]}' is {len(found)} times in {bug.file}")
    at = found[0]
    return text[: begin + at.start()] + "\n".join(edit.new) + text[begin + at.end() :]


def with_bug(bug):
    text = (ROOT / bug.file).read_text()
    for edit in bug.edits:
        text = apply(edit, text, bug)
    return text


def write_patch(bug):
    before = (ROOT / bug.file).read_text().splitlines(keepends=True)
    after = with_bug(bug).splitlines(keepends=True)
    patch = "".join(difflib.unified_diff(before, after, "a/" + bug.file, "b/" + bug.file))
    if not patch:
        raise Wrong(f"{bug.name}: changes nothing")
    (OUT / "patches").mkdir(parents=True, exist_ok=True)
    (OUT / "patches" / f"{bug.slug}.patch").write_text(patch)


# ---- A worker's copy of the tree ----


def put_back(source, target):
    """Makes target what source is, touching only what differs."""
    if source.is_symlink():
        if not target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(os.readlink(source), target)
    elif source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        theirs = set(os.listdir(source))
        for name in set(os.listdir(target)) - theirs:
            path = target / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for name in theirs - {"__pycache__"}:
            put_back(source / name, target / name)
    else:
        a = source.stat()
        b = target.stat() if target.exists() else None
        if not b or (a.st_mtime_ns, a.st_size) != (b.st_mtime_ns, b.st_size):
            target.unlink(missing_ok=True)  # it may be running still
            shutil.copy2(source, target)


def put_back_all(tree):
    tree.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        put_back(ROOT / name, tree / name)
    for name in BUILT:
        (tree / "build" / name).parent.mkdir(parents=True, exist_ok=True)
        put_back(BUILD / name, tree / "build" / name)


# ---- Running ----


def run(tree, log, seconds, *command, **env):
    """(went well, what it said)"""
    log.write(f"\n$ {' '.join(command)}\n")
    # timeout(1), which also ends what a bug makes run for ever when this script is killed before.
    done = subprocess.run(["timeout", "-k", "5", str(seconds), *command], cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=dict(os.environ, MAKEFLAGS="", **env), errors="replace", check=False)
    said = done.stdout + ("\n(it did not end)\n" if done.returncode in (124, 137) else "")
    log.write(said[-20000:])
    return done.returncode == 0, said


def first(pattern, text, otherwise):
    m = re.search(pattern, text, re.M)
    return m.group(1).strip() if m else otherwise


SANITIZERS = {"ASAN_OPTIONS": "detect_stack_use_after_return=0"}


def make(tree, log, *targets):
    ok, said = run(tree, log, 600, "make", "-s", *targets)
    if not ok:
        raise Wrong("it does not build: " + first(r"(error: .*)", said, said[-200:]))


def by_unit(tree, log, names):
    for name in names:
        program = f"{UNITS}/{name}"
        make(tree, log, program)
        ok, said = run(tree, log, 100, program, **SANITIZERS)
        if not ok:
            return f"{name}: {first(r'^.  FAILED  . (?!.*listed below)(.+)$', said, first(r'(runtime error: .*|SUMMARY: .*|BUG.*|.*assert.*)', said, 'crash'))}"
    return None


def said_by_model(said):
    return first(r"^step \d+: (.*)$", said, first(r"(runtime error: .*|SUMMARY: .*|\(it did not end\))", said, "crash"))


def by_model(tree, log, scale):
    program = f"{UNITS}/model-fast"
    make(tree, log, program)
    ok, said = run(tree, log, 120 * scale, program, SEED="1000", RUNS=str(100 * scale), STEPS="10000", AUDIT="8", SHRINK="0")
    if not ok:
        return "model: " + said_by_model(said)
    program = f"{UNITS}/model-asan"
    make(tree, log, program)
    ok, said = run(tree, log, 120 * scale, program, SEED="1", RUNS=str(6 * scale), STEPS="4000", SHRINK="0", **SANITIZERS)
    return None if ok else "model, sanitized: " + said_by_model(said)


def by_hostile(tree, log):
    make(tree, log, "all", "build/hostile/dom0")
    ok, said = run(tree, log, 600, "/usr/bin/python3", "tests/hostile/run.py", "--seconds", "5", "--hypervisor", str(tree / "build/hospes"))
    return None if ok else "hostile guests: " + first(r"^(FAILED.*|.*PANIC.*)$", said, "the machine did not come to the end")


def nearest(bug):
    return next((names for part, names in NEAREST.items() if bug.file.startswith("hypervisor/" + part)), [])


def look_for(bug, tree, log, units, scale):
    """Who found it; None: nobody."""
    if bug.file.startswith("hypervisor/x86/"):
        return by_hostile(tree, log)
    near = nearest(bug)
    return (by_unit(tree, log, near) or by_model(tree, log, scale) or by_unit(tree, log, [u for u in units if u not in near])
            or by_hostile(tree, log))


def try_bug(bug, trees, units, scale):
    tree = trees.get()
    begin = time.monotonic()
    try:
        put_back_all(tree)
        (tree / bug.file).write_text(with_bug(bug))
        with open(OUT / f"{bug.slug}.log", "w", encoding="utf-8") as log:
            return look_for(bug, tree, log, units, scale), time.monotonic() - begin
    except Wrong as wrong:
        print(f"BROKEN {bug.name}: {wrong}", flush=True)
        return None, time.monotonic() - begin
    finally:
        trees.put(tree)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="bugs with this in their name or file")
    parser.add_argument("--quick", action="store_true", help="those of every make test only")
    parser.add_argument("--scale", type=int, default=1, help="how much longer the model runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--check", action="store_true", help="only see that each can be made")
    a = parser.parse_args()
    bugs = read_bugs()
    for bug in bugs:
        write_patch(bug)
    if a.check:
        print(f"{len(bugs)} seeded bugs can be made")
        return 0
    bugs = [b for b in bugs if (a.only in b.name or a.only in b.file) and (b.quick or not a.quick)]
    units = sorted(p.name for p in (ROOT / UNITS).glob("test_*") if not p.suffix)
    trees = queue.SimpleQueue()
    for n in range(a.jobs):
        trees.put(OUT / f"tree-{n}")
    found = 0
    with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        running = {pool.submit(try_bug, b, trees, units, a.scale): b for b in bugs}
        for done in concurrent.futures.as_completed(running):
            who, seconds = done.result()
            found += bool(who)
            print(f"{'found ' if who else 'MISSED'} {running[done].name}{': ' + who if who else ''} ({seconds:.0f} s)", flush=True)
    print(f"seeded bugs: {found} of {len(bugs)} found")
    return 0 if found >= WANTED * len(bugs) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as wrong:
        sys.exit(f"seeded bugs: {wrong}")

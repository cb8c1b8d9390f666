# SPDX-License-Identifier: MIT
"""A small set of combinations in which every pair of values of different dimensions occurs together at least once."""

import itertools


def covering_pairs(dimensions):
    """dimensions: name -> list of values. Greedy and deterministic; returns a list of dicts."""
    names = list(dimensions)
    missing = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2) for x in dimensions[a] for y in dimensions[b]}
    rows = []
    while missing:
        row = dict(min(missing, key=repr))
        for name in names:
            if name in row:
                continue
            # The value that covers most pairs with what the row has already; ties go to what is still missing most.
            def gain(value, name=name):
                pairs = 0
                for other, chosen in row.items():
                    pair = ((name, value), (other, chosen))
                    pairs += pair in missing or pair[::-1] in missing
                rest = sum((name, value) in pair for pair in missing)
                return pairs, rest
            row[name] = max(dimensions[name], key=gain)
        rows.append({name: row[name] for name in names})
        for a, b in itertools.combinations(names, 2):
            missing.discard(((a, row[a]), (b, row[b])))
    return rows

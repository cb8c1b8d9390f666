#!/bin/sh
# SPDX-License-Identifier: MIT
# The style that a machine can check: clang-format for C, shellcheck for shell, a licence line in every source file,
# seeded bugs that still fit.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0
sources=$(git ls-files '*.c' '*.h')
scripts=$(git ls-files '*.sh'; git ls-files | xargs grep -l -m 1 -E '^#!/bin/sh' 2>/dev/null)

# shellcheck disable=SC2086 # lists of words
clang-format-14 --dry-run -Werror $sources || status=1

echo "$scripts" | sort -u | xargs shellcheck || status=1
for f in $(git ls-files '*.c' '*.h' '*.S' '*.sh' '*.py' '*.mk' Makefile); do
    head -n 3 "$f" | grep -q 'SPDX-License-Identifier: MIT' || {
        echo "$f: no SPDX line" >&2
        status=1
    }
done
/usr/bin/python3 tests/seeded/seeded.py --check >/dev/null || status=1
exit $status

#!/bin/sh
# SPDX-License-Identifier: MIT
# Prepares a kernel once, so that the hypervisor need not unpack it at every start: takes a bzImage as Debian ships it and
# writes its payload, unpacked, as an ELF file; or with --lz4 packed again by LZ4 (a quarter of the size: for slow disks; the
# hypervisor unpacks it in a twentieth of XZ's time). Either serves as module 0.
#
#   scripts/kernel-prepare.sh [--lz4] VMLINUZ OUTPUT
set -eu

die() {
    echo "kernel-prepare.sh: $*" >&2
    exit 1
}

lz4=
if [ "${1:-}" = --lz4 ]; then
    lz4=yes
    shift
fi
[ $# -eq 2 ] || die "usage: kernel-prepare.sh [--lz4] VMLINUZ OUTPUT"
kernel=$1
output=$2
[ -r "$kernel" ] || die "cannot read $kernel"

# An unsigned little-endian number of $2 bytes at offset $1
number() {
    od -A n -t "u$2" -j "$1" -N "$2" "$kernel" | tr -d ' '
}

# The payload: $1 bytes less than the header tells of
payload() {
    tail -c "+$((start + 1))" "$kernel" | head -c "$((length - $1))"
}

[ "$(od -A n -t x1 -j 514 -N 4 "$kernel" | tr -d ' ')" = 48647253 ] || die "$kernel is not a bzImage"
[ "$(number 518 2)" -ge 520 ] || die "$kernel is of a boot protocol before 2.08"
sectors=$(number 497 1)
[ "$sectors" -ne 0 ] || sectors=4
start=$(((sectors + 1) * 512 + $(number 584 4)))
length=$(number 588 4)
[ "$(wc -c <"$kernel")" -ge $((start + length)) ] || die "$kernel is truncated"

work=$(mktemp "$output.XXXXXX")
trap 'rm -f "$work" "$work.packed"' EXIT
# All packers but gzip have the unpacked size appended, four bytes, which are not part of their stream.
case $(od -A n -t x1 -j "$start" -N 6 "$kernel" | tr -d ' ') in
7f454c46*) payload 0 ;;
1f8b*) payload 0 | gzip -dc ;;
fd377a585a00) payload 4 | xz -dc ;;
28b52ffd*) payload 4 | zstd -dcq ;;
02214c18*) payload 4 | lz4 -dcq ;;
425a68*) payload 4 | bzip2 -dc ;;
5d0000*) payload 4 | xz -dc --format=lzma ;;
894c5a4f*) payload 4 | lzop -dc ;;
*) die "$kernel is packed in an unknown way" ;;
esac >"$work"
[ "$(od -A n -t x1 -N 4 "$work" | tr -d ' ')" = 7f454c46 ] || die "$kernel: no ELF file came out of it"

if [ -n "$lz4" ]; then
    size=$(wc -c <"$work")
    lz4 -l -9 -q -c "$work" >"$work.packed"
    for shift in 0 8 16 24; do
        # shellcheck disable=SC2059 # the format is the octal escape of one byte
        printf "\\$(printf %03o $((size >> shift & 255)))"
    done >>"$work.packed"
    mv "$work.packed" "$work"
fi
chmod 644 "$work"
mv "$work" "$output"

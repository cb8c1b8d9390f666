#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's Xen, the reference that the benchmark compares with and the tests can be run against, as a black box:
#
#   images/reference.sh FILE       puts the hypervisor image of xen-hypervisor-4.17-amd64 there
set -eu
cd "$(dirname "$0")/.."
. images/lib.sh
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && fetch_debs xen-hypervisor-4.17-amd64 && dpkg-deb -x xen-hypervisor-4.17-amd64_*.deb x)
mkdir -p "$(dirname "$out")"
# QEMU's multiboot loader takes no compressed image.
gzip -dc "$work"/x/boot/xen-4.17-amd64.gz >"$out.new"
mv "$out.new" "$out"

#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's kernels for the tests and guests: the two newest bookworm kernels, the newest of the rt and cloud flavours, as they are.
#
#   images/kernels.sh DIR      makes DIR/newest, DIR/previous, DIR/rt, DIR/cloud: links to
#                            DIR/<release>/{vmlinuz,config,lib/modules}; and DIR/grub-xen.bin, GRUB as a guest's kernel
#
# Of rt kernels, only those before 6.1.0-55: from there on (6.1.191) they hang early as PV guests on any hypervisor; docs/kernels.md.
set -eu
cd "$(dirname "$0")/.."
. images/lib.sh
dir=$1

unpack() { # link package
    release=${2#linux-image-}
    if [ ! -f "$dir/$release/vmlinuz" ]; then
        work=$dir/.unpack
        rm -rf "$work" "${dir:?}/$release"
        mkdir -p "$work/x"
        (cd "$work" && fetch_debs "$2")
        dpkg-deb -x "$work/$2"_*.deb "$work/x"
        mv "$work/x/boot/vmlinuz-$release" "$work/x/vmlinuz"
        mv "$work/x/boot/config-$release" "$work/x/config"
        rm -rf "$work/x/boot" "$work/x/usr"
        depmod -b "$work/x" "$release"
        mv "$work/x" "$dir/$release"
        rm -rf "$work"
    fi
    ln -sfn "$release" "$dir/$1"
}

# Of a list of kernel packages, those with a number below $1.
before() {
    awk -F- -v limit="$1" '$4 < limit'
}

mkdir -p "$dir"
# shellcheck disable=SC2046 # one word each
set -- $(kernel_packages amd64 | head -n 2) $(kernel_packages rt-amd64 | before 55 | head -n 1) \
    $(kernel_packages cloud-amd64 | head -n 1)
[ $# -eq 4 ] || {
    echo "kernels.sh: apt does not list the four 6.1 kernels; is bookworm among its sources?" >&2
    exit 1
}
unpack newest "$1"
unpack previous "$2"
unpack rt "$3"
unpack cloud "$4"
if [ ! -f "$dir/grub-xen.bin" ]; then
    work=$dir/.grub
    rm -rf "$work"
    mkdir -p "$work"
    (cd "$work" && fetch_debs grub-xen-host)
    dpkg-deb -x "$work"/grub-xen-host_*.deb "$work/x"
    mv "$work/x/usr/lib/grub-xen/grub-x86_64-xen.bin" "$dir/grub-xen.bin"
    rm -rf "$work"
fi
touch "$dir/.stamp"

#!/bin/sh
# SPDX-License-Identifier: MIT
# The ramdisk of a tiny guest: busybox, a kernel's modules for paravirtual disks and network cards, a shell on the console.
#
#   images/tiny.sh KERNEL-DIR OUT
set -eu
kernel=$(realpath "$1")
out=$2
here=$(dirname "$0")
modules='xen_blkfront xen_netfront'

release=$(basename "$kernel")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/etc/udhcpc" "$root/lib/modules/$release"
cp /bin/busybox "$root/bin/"
ln -s busybox "$root/bin/sh"
cp "$here/tiny-init" "$root/init"
cp "$here/udhcpc" "$root/etc/udhcpc/default.script"
chmod 755 "$root/init" "$root/etc/udhcpc/default.script"
for m in $modules; do
    modprobe -d "$kernel" -S "$release" --show-depends "$m" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p' || true
done | sort -u | while read -r path; do
    name=lib/modules/${path#*/lib/modules/}
    mkdir -p "$root/$(dirname "$name")"
    cp "$path" "$root/$name"
done
cp "$kernel/lib/modules/$release/modules.order" "$kernel/lib/modules/$release/modules.builtin" \
    "$kernel/lib/modules/$release/modules.builtin.modinfo" "$root/lib/modules/$release/"
depmod -b "$root" "$release"
mkdir -p "$(dirname "$out")"
(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$out.new"
mv "$out.new" "$out"

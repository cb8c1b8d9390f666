#!/bin/sh
# SPDX-License-Identifier: MIT
# The ramdisk of a tiny guest: busybox, a kernel's modules for paravirtual disks and network cards, a shell on the console.
#
#   images/tiny.sh KERNEL-DIR OUT
set -eu
kernel=$(realpath "$1")
out=$2
here=$(dirname "$0")
# shellcheck source=images/lib.sh
. "$here/lib.sh"
modules='xen_blkfront xen_netfront'

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/sbin" "$root/etc/udhcpc"
cp /bin/busybox "$root/bin/"
ln -s busybox "$root/bin/sh"
cp "$here/tiny-init" "$root/init"
cp "$here/udhcpc" "$root/etc/udhcpc/default.script"
chmod 755 "$root/init" "$root/etc/udhcpc/default.script"
# What the kernel runs when Domain 0 asks the guest to go (xm shutdown, xm reboot).
for word in poweroff reboot; do
    printf '#!/bin/sh\nexec /bin/busybox %s -f\n' $word >"$root/sbin/$word"
    chmod 755 "$root/sbin/$word"
done
# shellcheck disable=SC2086 # a list of words
copy_modules "$kernel" "$root" $modules

mkdir -p "$(dirname "$out")"
(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$out.new"
mv "$out.new" "$out"

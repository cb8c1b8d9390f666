#!/bin/sh
# SPDX-License-Identifier: MIT
# The smoke image: an initramfs of busybox, a kernel's modules for the devices of the test machines, and the
# project's guest test programs. Boots to a shell in seconds.
#
#   images/smoke.sh KERNEL-DIR PROGRAMS-DIR OUT
set -eu
kernel=$(realpath "$1")
programs=$(realpath "$2")
out=$3
here=$(dirname "$0")
modules='virtio_pci virtio_blk virtio_net e1000 e1000e ahci ata_piix sd_mod nvme xhci_pci uhci_hcd ehci_pci usb_storage usbhid
         xen_acpi_processor xen_evtchn xen_gntdev xen_privcmd xenfs msr cpuid'

release=$(basename "$kernel")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/test" "$root/etc" "$root/etc/udhcpc" "$root/lib/modules/$release"
cp /bin/busybox "$root/bin/"
ln -s busybox "$root/bin/sh"
cp "$here/smoke-init" "$root/init"
cp "$here/udhcpc" "$root/etc/udhcpc/default.script"
chmod 755 "$root/init" "$root/etc/udhcpc/default.script"
cp "$programs"/* "$root/test/"

for m in $modules; do
    # A name that the flavour has built in lists nothing.
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
# Not compressed: unpacking costs an emulated machine more than reading.
(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$out.new"
mv "$out.new" "$out"

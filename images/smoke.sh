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
# shellcheck source=images/lib.sh
. "$here/lib.sh"
modules='virtio_pci virtio_blk virtio_net e1000 e1000e ahci ata_piix sd_mod nvme xhci_pci uhci_hcd ehci_pci usb_storage usbhid
         xen_acpi_processor xen_evtchn xen_gntdev xen_privcmd xenfs msr cpuid'

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/test" "$root/etc" "$root/etc/udhcpc"
cp /bin/busybox "$root/bin/"
ln -s busybox "$root/bin/sh"
cp "$here/smoke-init" "$root/init"
cp "$here/udhcpc" "$root/etc/udhcpc/default.script"
chmod 755 "$root/init" "$root/etc/udhcpc/default.script"
cp "$programs"/* "$root/test/"

# shellcheck disable=SC2086 # a list of words
copy_modules "$kernel" "$root" $modules

mkdir -p "$(dirname "$out")"
# Not compressed: unpacking costs an emulated machine more than reading.
(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$out.new"
mv "$out.new" "$out"

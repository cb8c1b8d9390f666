#!/bin/sh
# SPDX-License-Identifier: MIT
# The disk with the guests that Domain 0 offers: an ext4 image labelled "guests", mounted at /var/lib/xen/images.
#
#   images/guests.sh KERNELS OUT.img
#
# demo/ is Debian 12 with the cloud kernel on a disk of its own; tiny/ is the same kernel with a ramdisk of busybox.
set -eu
cd "$(dirname "$0")/.."
. images/lib.sh
kernels=$1
out=$2
size=4G
packages='linux-image-cloud-amd64,initramfs-tools,systemd-sysv,systemd,udev,dbus,kmod,procps,iproute2,iputils-ping,util-linux,
 curl,ca-certificates,socat,less,nano-tiny'
packages=$(echo "$packages" | tr -d ' \n')

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debian_sources >"$work/sources.list"
[ -s "$work/sources.list" ] || {
    echo "guests.sh: apt lists no Debian bookworm archive on this machine" >&2
    exit 1
}
cat >"$work/setup" <<'SETUP'
set -eu
root=$1
echo demo >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 demo\n::1 localhost\n' >"$root/etc/hosts"
echo '/dev/xvda / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
mkdir -p "$root/etc/systemd/network"
printf '[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n' >"$root/etc/systemd/network/80-dhcp.network"
# For a guest whose kernel= is GRUB, which boots the kernel of this disk: the unpacked one, as the cloud kernel is packed by
# LZ4, which Debian's GRUB does not read.
mkdir -p "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<'GRUB'
set timeout=5
menuentry demo {
    linux /boot/vmlinux root=/dev/xvda ro console=hvc0
    initrd /initrd.img
}
GRUB
chroot "$root" passwd -d root
: >"$root/etc/machine-id"
: >"$root/etc/motd"
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap"
SETUP
short_start "$work" xen-blkfront ext4
chmod 755 "$work" "$work/setup" "$work/early" "$work/late" "$work/modules"
apt-config dump Acquire | grep -E '^Acquire::(https?|ftp|Check-)' >"$work/aptopt" || true
mmdebstrap --variant=minbase --include="$packages" --aptopt="$work/aptopt" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --essential-hook="sh $work/early \"\$1\"" \
    --customize-hook="sh $work/setup \"\$1\"" --customize-hook="sh $work/late \"\$1\"" \
    --format=tar bookworm "$work/root.tar" "$work/sources.list"

mkdir "$work/root" "$work/guests" "$work/guests/demo" "$work/guests/tiny"
images/tiny.sh "$kernels/cloud" "$work/guests/tiny/initrd.img"
cp -L "$kernels/cloud/vmlinuz" "$work/guests/tiny/vmlinuz"
cat >"$work/pack" <<'PACK'
set -eu
tar -C "$1/root" -xpf "$1/root.tar" --exclude=./dev/*
rm "$1/root.tar"
scripts/kernel-prepare.sh "$1/root/boot/"vmlinuz-* "$1/root/boot/vmlinux"
cp -L "$1/root/boot/"vmlinuz-* "$1/guests/demo/vmlinuz"
cp -L "$1/root/boot/"initrd.img-* "$1/guests/demo/initrd.img"
truncate -s 2G "$1/guests/demo/disk.img"
mkfs.ext4 -q -F -L demo -m 1 -E lazy_itable_init=0,lazy_journal_init=0 -d "$1/root" "$1/guests/demo/disk.img"
rm -f "$2.new"
truncate -s "$3" "$2.new"
mkfs.ext4 -q -F -L guests -m 0 -E lazy_itable_init=0,lazy_journal_init=0 -d "$1/guests" "$2.new"
PACK
mkdir -p "$(dirname "$out")"
rootly sh "$work/pack" "$work" "$out" "$size"
chmod -R u+rwX "$work/root"
chmod 644 "$out.new"
mv "$out.new" "$out"

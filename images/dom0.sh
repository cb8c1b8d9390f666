#!/bin/sh
# SPDX-License-Identifier: MIT
# Domain 0 for people: Debian 12 as it comes, with its stock kernel, in a raw ext4 disk image.
#
#   images/dom0.sh DIR      makes DIR/disk.img (label "hospes"), DIR/vmlinuz, DIR/initrd.img
#
# Root logs in by itself on the console; the network comes by DHCP on whatever card there is. Everything is made from
# the machine's own apt configuration, as root or, through user namespaces, without.
set -eu
cd "$(dirname "$0")/.."
. images/lib.sh
dir=$1
size=3G
packages='linux-image-amd64,initramfs-tools,systemd-sysv,systemd,udev,dbus,kmod,procps,iproute2,iputils-ping,util-linux,
 util-linux-extra,pciutils,usbutils,ethtool,stress-ng,gdb,strace,openssl,curl,wget,ca-certificates,less,nano-tiny,file,zstd,
 libc6-i386,bash-completion,psmisc,hdparm,
 libuv1,libjansson4,libxencall1,libxenforeignmemory1,libxenevtchn1,libxengnttab1,libxenstore4,libxentoollog1,libxentoolcore1,
 zlib1g,liblzma5,libzstd1,liblz4-1,xenstore-utils,dnsmasq-base,busybox-static,socat'
packages=$(echo "$packages" | tr -d ' \n')

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debian_sources >"$work/sources.list"
[ -s "$work/sources.list" ] || {
    echo "dom0.sh: apt lists no Debian bookworm archive on this machine" >&2
    exit 1
}

cat >"$work/setup" <<'SETUP'
set -eu
root=$1
echo hospes >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 hospes\n::1 localhost\n' >"$root/etc/hosts"
printf 'LABEL=hospes / ext4 errors=remount-ro 0 1\nLABEL=guests /var/lib/xen/images ext4 nofail,noatime 0 2\n' >"$root/etc/fstab"
mkdir -p "$root/var/lib/xen/images"
# QEMU's user network answers DNS there; DHCP says the same.
rm -f "$root/etc/resolv.conf"
echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
mkdir -p "$root/etc/systemd/network" "$root/etc/systemd/system/serial-getty@.service.d"
printf '[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n' >"$root/etc/systemd/network/80-dhcp.network"
printf '[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200,57600,38400,9600 %%I $TERM\n' \
    >"$root/etc/systemd/system/serial-getty@.service.d/autologin.conf"
chroot "$root" passwd -d root
: >"$root/etc/machine-id"
: >"$root/etc/motd"
: >"$root/etc/default/locale"
# The builder's apt settings (a proxy, perhaps) stay with the builder.
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap"
SETUP
short_start "$work" virtio_pci virtio_blk ata_piix ahci nvme sd_mod ext4
chmod 755 "$work" "$work/setup" "$work/early" "$work/late" "$work/modules"

mkdir -p "$dir"
apt-config dump Acquire | grep -E '^Acquire::(https?|ftp|Check-)' >"$work/aptopt" || true
mmdebstrap --variant=minbase --include="$packages" --aptopt="$work/aptopt" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --essential-hook="sh $work/early \"\$1\"" \
    --customize-hook="sh $work/setup \"\$1\"" --customize-hook="sh $work/late \"\$1\"" \
    --format=tar bookworm "$work/root.tar" "$work/sources.list"

mkdir "$work/root"
cat >"$work/pack" <<'PACK'
set -eu
tar -C "$1/root" -xpf "$1/root.tar" --exclude=./dev/*
rm "$1/root.tar"
cp -L "$1/root/boot/"vmlinuz-* "$2/vmlinuz"
cp -L "$1/root/boot/"initrd.img-* "$2/initrd.img"
rm -f "$2/disk.img.new"
truncate -s "$3" "$2/disk.img.new"
mkfs.ext4 -q -F -L hospes -m 1 -E lazy_itable_init=0,lazy_journal_init=0 -d "$1/root" "$2/disk.img.new"
PACK
rootly sh "$work/pack" "$work" "$dir" "$size"
chmod -R u+rwX "$work/root"
chmod 644 "$dir/vmlinuz" "$dir/initrd.img"
mv "$dir/disk.img.new" "$dir/disk.img"

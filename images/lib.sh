# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the image scripts share. Sourced, with `set -eu` on.

# The machine's own Debian archives as sources.list lines, whatever form apt has them in.
debian_sources() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT) from $(ORIGIN)' \
        'Created-By: Packages' | sed -n 's/ from Debian$//p' | grep ' bookworm' | sort -u
}

# Kernel package names of a flavour ("amd64" or "rt-amd64"), newest first.
kernel_packages() {
    apt-cache pkgnames linux-image-6.1.0- | grep -E "^linux-image-6\.1\.0-[0-9]+-$1\$" | sort -rV
}

# Downloads packages into the current directory: no rights needed. A directory that the _apt user cannot
# enter makes apt warn; that is no fault.
fetch_debs() {
    apt-get download -q "$@" 2>&1 | grep -v 'unsandboxed as root' >&2 || true
    for fetched in "$@"; do
        set -- "$fetched"_*.deb
        [ -f "$1" ] || {
            echo "could not download $fetched (is the machine's apt configuration in order?)" >&2
            return 1
        }
    done
}

# Runs a command that makes files of root's: as it is when we are root, under fakeroot otherwise.
rootly() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else fakeroot "$@"; fi
}

# Puts modules, with all that they need and their index, below ROOT: copy_modules KERNEL-DIR ROOT MODULE...
copy_modules() {
    modules_kernel=$1
    modules_root=$2
    shift 2
    modules_release=$(basename "$modules_kernel")
    modules_from=$modules_kernel/lib/modules/$modules_release
    mkdir -p "$modules_root/lib/modules/$modules_release"
    for m in "$@"; do
        # A name that the flavour has built in lists nothing.
        modprobe -d "$modules_kernel" -S "$modules_release" --show-depends "$m" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p' || true
    done | sort -u | while read -r path; do
        name=lib/modules/${path#*/lib/modules/}
        mkdir -p "$modules_root/$(dirname "$name")"
        cp "$path" "$modules_root/$name"
    done
    cp "$modules_from/modules.order" "$modules_from/modules.builtin" "$modules_from/modules.builtin.modinfo" \
        "$modules_root/lib/modules/$modules_release/"
    depmod -b "$modules_root" "$modules_release"
}

# For mmdebstrap: what makes a whole Debian start quickly in a virtual machine. short_start DIR MODULE... writes DIR/early (before
# packages are installed: a ramdisk with just these modules) and DIR/late (no service or module that it has no use of).
short_start() {
    short_dir=$1
    shift
    printf '%s\n' "$@" >"$short_dir/modules"
    cat >"$short_dir/early" <<'EARLY'
set -eu
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
echo MODULES=list >"$1/etc/initramfs-tools/conf.d/hospes"
cp "$(dirname "$0")/modules" "$1/usr/share/initramfs-tools/modules.d/hospes"
EARLY
    cat >"$short_dir/late" <<'LATE'
set -eu
root=$1
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/hospes.conf"
# networkd asks for wireless cards, and the kernel would load all that is needed for one.
printf 'alias net-pf-16-proto-16-family-nl80211 off\n' >"$root/etc/modprobe.d/hospes.conf"
printf 'blacklist %s\n' pcspkr parport_pc floppy powernow_k8 bochs >>"$root/etc/modprobe.d/hospes.conf"
# Nothing waits for the network; nothing refreshes package lists or trims disks behind a test's back.
chroot "$root" systemctl enable systemd-networkd
chroot "$root" systemctl disable systemd-networkd-wait-online.service
chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer \
    e2scrub_reap.service systemd-tmpfiles-clean.timer systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    systemd-random-seed.service systemd-journal-flush.service systemd-rfkill.socket systemd-logind.service getty@tty1.service
LATE
}

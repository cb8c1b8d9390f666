#!/bin/sh
# SPDX-License-Identifier: MIT
# A Domain 0 disk with the tools in it: a copy of the plain one, the tools' tree written into its file system, the services enabled.
#
#   images/install-tools.sh DISK.img TOOLS-TREE OUT.img
#
# Done with debugfs: seconds, no rights, and the plain image need not be made again whenever a tool changes.
set -eu
disk=$1
tree=$2
out=$3
services='xenstored.service xenconsoled.service xend.service'
PATH=$PATH:/sbin:/usr/sbin
commands=$(mktemp)
said=$(mktemp)
trap 'rm -f "$commands" "$said" "$out.new"' EXIT

cp --sparse=always --reflink=auto "$disk" "$out.new"

list_commands() {
    find "$tree" -mindepth 1 -type d | LC_ALL=C sort | while read -r dir; do
        echo "mkdir /${dir#"$tree"/}"
    done
    find "$tree" -type f | LC_ALL=C sort | while read -r file; do
        name=/${file#"$tree"/}
        mode=0100644
        [ ! -x "$file" ] || mode=0100755
        printf 'rm %s\nwrite %s %s\nsif %s mode %s\nsif %s uid 0\nsif %s gid 0\n' "$name" "$file" "$name" "$name" "$mode" "$name" "$name"
    done
    find "$tree" -type l | LC_ALL=C sort | while read -r link; do
        echo "symlink /${link#"$tree"/} $(readlink "$link")"
    done
    printf 'rm /etc/xen/xend-config.sxp\nwrite %s /etc/xen/xend-config.sxp\n' "$(dirname "$0")/xend-config.sxp"
    echo 'mkdir /etc/systemd/system/multi-user.target.wants'
    for service in $services; do
        [ ! -f "$tree/usr/lib/systemd/system/$service" ] ||
            echo "symlink /etc/systemd/system/multi-user.target.wants/$service /usr/lib/systemd/system/$service"
    done
}

list_commands >"$commands"
# debugfs complains of a directory that is there already and of a file that is not there yet: no faults.
debugfs -w -f "$commands" "$out.new" >"$said" 2>&1
if grep -v -E '^debugfs|already exists|File not found|^Allocated inode|^$' "$said" >&2; then
    echo "install-tools.sh: writing the tools into $out went wrong" >&2
    exit 1
fi
mv "$out.new" "$out"

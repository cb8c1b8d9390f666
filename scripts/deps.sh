#!/bin/sh
# SPDX-License-Identifier: MIT
# The Debian packages that a task needs: installs those that are missing, as root or through sudo.
#
#   scripts/deps.sh [build|image|run|test|bench|afl ...]     default: all of them but afl, which only make fuzz-afl needs
#
# When nothing is missing it neither asks for rights nor touches the network. The mirror is the machine's own.
set -eu

build='gcc make binutils libxen-dev libc6-dev gzip python3 liblzma-dev zlib1g-dev libzstd-dev liblz4-dev libuv1-dev libjansson-dev'
image='mmdebstrap e2fsprogs fakeroot cpio kmod busybox-static uidmap xz-utils zstd lz4 bzip2 lzop python3'
run='qemu-system-x86 qemu-utils'
test='libcmocka-dev clang-14 libclang-rt-14-dev libzydis-dev clang-format-14 shellcheck universal-ctags python3 python3-pytest python3-pytest-xdist python3-pexpect
      grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools ovmf bochs bochsbios vgabios
      xenstore-utils iproute2 iputils-ping procps man-db mandoc bash-completion'
bench='python3'
afl='afl++ clang-14'

wanted() {
    for task in "$@"; do
        case $task in
        build) echo "$build" ;;
        image) echo "$image" ;;
        run) echo "$build $image $run" ;;
        test) echo "$build $image $run $test" ;;
        bench) echo "$build $run $bench $image" ;;
        afl) echo "$build $test $afl" ;;
        *)
            echo "deps.sh: no task '$task'; there are build, image, run, test, bench, afl" >&2
            exit 2
            ;;
        esac
    done | xargs -n 1 | sort -u
}

installed() {
    test "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "deps.sh: packages are missing and there is neither root nor sudo. As root: $*" >&2
        exit 1
    fi
}

[ $# -gt 0 ] || set -- build image run test bench
packages=$(wanted "$@")
missing=
for p in $packages; do
    installed "$p" || missing="$missing $p"
done
# The image and the kernels come by apt as well: its lists must be there.
lists=yes
apt-cache show linux-image-amd64 >/dev/null 2>&1 || lists=no

if [ -n "$missing" ] || [ "$lists" = no ]; then
    as_root apt-get update -q
fi
if [ -n "$missing" ]; then
    echo "deps.sh: installing$missing"
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi

#!/bin/sh
# SPDX-License-Identifier: MIT
# A machine in this terminal: the hypervisor, Debian as Domain 0 on a virtio disk, a virtio network card on QEMU's
# user network. `make run` calls it when all is built.
#
#   scripts/run.sh [--gdb] [--smoke]
#
# Environment: HYPERVISOR, SMP, MEM; HVARGS and LINUXARGS add options for the hypervisor and for Domain 0's kernel;
# QEMUARGS adds to QEMU's. The disk's changes stay in build/run/disk.qcow2 until the image itself is made anew.
set -eu
cd "$(dirname "$0")/.."

hypervisor=${HYPERVISOR:-build/hospes}
gdb=
smoke=
for arg in "$@"; do
    case $arg in
    --gdb) gdb='-s -S' ;;
    --smoke) smoke=yes ;;
    *)
        echo "run.sh: no option $arg" >&2
        exit 2
        ;;
    esac
done

kernel=build/images/dom0/vmlinuz
initrd=build/images/dom0/initrd.img
linuxargs='root=LABEL=hospes ro console=hvc0 quiet'
if [ -n "$smoke" ]; then
    kernel=build/kernels/newest/vmlinuz
    initrd=build/images/smoke-newest.img
    linuxargs='console=hvc0'
fi
[ ! -f $kernel.prepared ] || kernel=$kernel.prepared

# KVM only where the processor offers it: a /dev/kvm alone proves nothing.
accel='-accel tcg,thread=multi -cpu max,-smap,+svm,+npt'
if grep -q -w -E 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]; then
    accel='-accel kvm -cpu host'
fi

mkdir -p build/run
disk=build/run/disk.qcow2
base=build/images/dom0/disk.img
if [ -f $base ] && { [ ! -f $disk ] || [ -n "$(find $base -newer $disk)" ]; }; then
    qemu-img create -q -f qcow2 -F raw -b "$PWD/$base" $disk
fi
drive=
[ -n "$smoke" ] || drive="-drive if=virtio,format=qcow2,file=$disk"

if [ -n "$gdb" ]; then
    cat <<'HINT'
The machine waits for gdb, stopped before its first instruction. In another terminal, here:
  gdb build/hospes.debug -ex 'target remote :1234'
  (gdb) hbreak panic        then: continue. Break on hardware (hbreak) until the hypervisor has its page tables.
HINT
fi

# Ctrl-] is QEMU's escape here, so that three times Ctrl-a reaches the hypervisor.
# shellcheck disable=SC2086 # lists of words
exec qemu-system-x86_64 $accel -smp "${SMP:-2}" -m "${MEM:-2G}" $gdb \
    -kernel "$hypervisor" -append "console=com1,vga com1=115200,8n1 ${HVARGS:-}" \
    -initrd "$kernel $linuxargs ${LINUXARGS:-},$initrd" \
    $drive -nic user,model=virtio-net-pci -device virtio-rng-pci \
    -display none -serial mon:stdio -echr 0x1d ${QEMUARGS:-}

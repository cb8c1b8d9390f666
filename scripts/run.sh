#!/bin/sh
# SPDX-License-Identifier: MIT
# A machine in this terminal: the hypervisor, Debian as Domain 0 on a virtio disk, a virtio network card on QEMU's
# user network. `make run` calls it when all is built.
#
#   scripts/run.sh [--gdb] [--smoke]
#
# Environment: HYPERVISOR, SMP, MEM; DOM0_MEM (the rest is for guests; 1G of a
# machine of 2G or more); HVARGS and LINUXARGS add options for the hypervisor and for Domain 0's kernel;
# QEMUARGS adds to QEMU's. The disks' changes stay in build/run/ until the images themselves are made anew.
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
# psi: statistics of pressure cost each wake-up in Domain 0 some 2,000 instructions.
linuxargs='root=LABEL=hospes ro console=hvc0 quiet psi=0'
# A machine of 2 GiB or more is shared with guests; a smaller one is Domain 0's alone.
dom0_mem=${DOM0_MEM:-}
mib=$(echo "${MEM:-2G}" | awk '/[Gg]$/ { $0 *= 1024 } { print int($0) }')
[ -n "$dom0_mem" ] || [ "$mib" -lt 2048 ] || dom0_mem=1G
hvargs=${dom0_mem:+dom0_mem=$dom0_mem}
if [ -n "$smoke" ]; then
    kernel=build/kernels/newest/vmlinuz
    initrd=build/images/smoke-newest.img
    linuxargs='console=hvc0'
    hvargs=
fi
[ ! -f $kernel.prepared ] || kernel=$kernel.prepared

# KVM only where the processor offers it: a /dev/kvm alone proves nothing.
accel='-accel tcg,thread=multi -cpu max,-smap,+svm,+npt'
if grep -q -w -E 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]; then
    accel='-accel kvm -cpu host'
fi

mkdir -p build/run
disk=build/run/disk.qcow2
guests=build/run/guests.qcow2
# overlay DISK BASE: what the machine writes stays in DISK until BASE is made anew.
overlay() {
    if [ -f "$2" ] && { [ ! -f "$1" ] || [ -n "$(find "$2" -newer "$1")" ]; }; then
        qemu-img create -q -f qcow2 -F raw -b "$PWD/$2" "$1"
    fi
}
drives=
if [ -z "$smoke" ]; then
    overlay $disk build/images/dom0/hospes.img
    overlay $guests build/images/guests.img
    drives="-drive if=virtio,format=qcow2,file=$disk -drive if=virtio,format=qcow2,file=$guests"
fi

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
    -kernel "$hypervisor" -append "console=com1,vga com1=115200,8n1 $hvargs ${HVARGS:-}" \
    -initrd "$kernel $linuxargs ${LINUXARGS:-},$initrd" \
    $drives -nic user,model=virtio-net-pci -device virtio-rng-pci \
    -display none -serial mon:stdio -echr 0x1d ${QEMUARGS:-}

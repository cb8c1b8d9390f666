#!/bin/sh
# SPDX-License-Identifier: MIT
# check_core.sh CC OBJECT...: proves that hypervisor/core and hypervisor/hypercall know nothing of the machine but the port.
# Includes: only core/, hw/, hypercall/, <xen/...> and the compiler's <std*.h>; no assembly. The objects: linked together,
# they may leave undefined only the port (hw_*, panic, option_noreboot), x86's own hypercall handlers, the linker's option bounds, and what
# compilers call by themselves (mem*, the stack protector) or core/lib/string.h declares.
cc=$1
shift
bad=0
includes=$(grep -rnE '^[[:space:]]*#[[:space:]]*include' --include='*.[ch]' hypervisor/core hypervisor/hypercall hypervisor/hw |
    grep -vE 'include[[:space:]]+("(core|hw|hypercall)/[^"]*"|<xen/[^>]*>|<std[a-z]*\.h>)')
if [ -n "$includes" ]; then
    echo "core may not include these:"
    echo "$includes"
    bad=1
fi
assembly=$(grep -rnE '\b(asm|__asm__|__asm)\b[[:space:]]*(volatile|__volatile__)?[[:space:]]*[({]' --include='*.[ch]' \
    hypervisor/core hypervisor/hypercall)
if [ -n "$assembly" ]; then
    echo "core may hold no assembly:"
    echo "$assembly"
    bad=1
fi
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
"$cc" -nostdlib -r -o "$tmp/core.o" "$@" || exit 1
x86_handlers='do_(set_trap_table|set_gdt|stack_switch|fpu_taskswitch|set_debugreg|get_debugreg|iret|set_segment_base|callback_op)'
strings='mem(cpy|move|set|cmp)|str(len|nlen|cmp|ncmp|chr|str)'
undefined=$(nm -u "$tmp/core.o" | awk '{print $2}' |
    grep -vxE "hw_[a-z0-9_]*|panic|option_noreboot|$x86_handlers|$strings|__st(art|op)_options|__stack_chk_(fail|guard)|_GLOBAL_OFFSET_TABLE_")
if [ -n "$undefined" ]; then
    echo "core needs these, which are not the port:"
    echo "$undefined" | sed 's/^/    /'
    bad=1
fi
[ "$bad" -eq 0 ] && echo "core imports only the port ($(nm -u "$tmp/core.o" | grep -c ' hw_') functions of it)"
exit "$bad"

# SPDX-License-Identifier: MIT
# Hospes: builds the hypervisor, its tests, and the machines to try it on.
#
#   make            build/hospes (ELF32, Multiboot 1 and 2), build/hospes.gz, build/hospes.debug
#   make run        everything from a bare Debian 12 to a root shell in Domain 0; SMP=4 MEM=6G make run
#   make test       every test; ends in 'N passed, N failed'
#   make bench      the measurements; make size: the sizes and the depth of stacks; make help: the rest
SHELL    := /bin/sh
B        := build
CC       := gcc
CLANG    := clang-14
OBJCOPY  := objcopy
DEBUG    ?= 0
LATENCY  ?= 0
V        ?= 0
Q        := $(if $(filter 1,$(V)),,@)

ABI      := $(B)/abi
GCC_INC   = $(shell $(CC) -print-file-name=include)
# The machine's half: freestanding, no FPU registers, interrupts off, position-independent code at a fixed high address.
WARN     := -Wall -Wextra -Wundef -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
            -Wimplicit-fallthrough -Wwrite-strings -Wno-unused-parameter -Werror
DEFS     := -D__XEN_INTERFACE_VERSION__=0x00040e00 -D__XEN_TOOLS__
HV_FLAGS  = -std=gnu17 -O2 -g -ffreestanding -nostdinc -isystem $(GCC_INC) -isystem $(ABI) \
            -Ihypervisor -Ihypervisor/x86/include -I$(B)/gen $(DEFS) $(WARN) \
            -m64 -mno-red-zone -mgeneral-regs-only -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fcf-protection=none \
            -fpie -fvisibility=hidden -include hypervisor/x86/include/hidden.h -fno-common -fno-strict-aliasing -fno-delete-null-pointer-checks \
            -fstack-protector-strong -mstack-protector-guard=global -ffunction-sections -fdata-sections \
            $(if $(filter 1,$(DEBUG)),-DDEBUG) $(if $(filter 1,$(LATENCY)),-DMEASURE_LATENCY)
# The files that join Debian's decompression libraries see the system's headers
LIBRARY_INC  = -isystem /usr/include -isystem /usr/include/$(shell $(CC) -print-multiarch)
HV_EXTRA_xz = $(LIBRARY_INC)
HV_EXTRA_gzip = $(LIBRARY_INC)
HV_EXTRA_zstd = $(LIBRARY_INC)
HV_EXTRA_lz4 = $(LIBRARY_INC)
HV_C     := $(wildcard hypervisor/core/*/*.c hypervisor/hypercall/*.c hypervisor/hypercall/*/*.c hypervisor/x86/*.c hypervisor/x86/*/*.c hypervisor/x86/*/*/*.c)
HV_S     := $(wildcard hypervisor/x86/*/*.S)
HV_O     := $(HV_C:%.c=$(B)/hv/%.o) $(HV_S:%.S=$(B)/hv/%.o)
CORE_C   := $(wildcard hypervisor/core/*/*.c hypervisor/hypercall/*.c hypervisor/hypercall/*/*.c)

.PHONY: all clean help
all: $(B)/hospes $(B)/hospes.gz

$(ABI)/xen:
	$(Q)mkdir -p $(ABI) && ln -sfn /usr/include/xen $@

# What guards guests converts no number silently.
$(CORE_C:%.c=$(B)/hv/%.o): HV_FLAGS += -Wconversion -Wno-sign-conversion
$(B)/hv/%.o: %.c | $(ABI)/xen
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HV_FLAGS) $(HV_EXTRA_$(notdir $*)) -MMD -MP -c $< -o $@

$(B)/hv/%.o: %.S | $(ABI)/xen
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HV_FLAGS) -D__ASSEMBLY__ -MMD -MP -c $< -o $@

clean:
	rm -rf $(B)

-include $(HV_O:.o=.d)
include scripts/offsets.mk
include scripts/image.mk
include tests/tests.mk
include toolstack/toolstack.mk
include tests/tools/tools.mk
include tests/fuzz/fuzz.mk
include images/images.mk
include tests/system/system.mk
include tests/hostile/hostile.mk
include bench/bench.mk

.PHONY: test test-full style size stack
test:
	@scripts/test.sh
test-full:
	@scripts/test.sh --full
style:
	$(Q)scripts/style.sh
size: stack
	$(Q)/usr/bin/python3 scripts/size.py hypervisor $(B)/hospes.debug
# The worst case, from the call graph.
stack: all
	$(Q)/usr/bin/python3 scripts/stack.py $(B)/hospes.debug

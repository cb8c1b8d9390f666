# SPDX-License-Identifier: MIT
# The measurements: a PV kernel of our own, and two probes that tell where a boot begins and ends.
BENCH_FLAGS := -std=gnu17 -O2 -g -ffreestanding -nostdlib -static -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only -mcmodel=kernel \
               -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -Wall -Wextra -Werror -Wl,--build-id=none

$(B)/bench/guest: bench/guest/entry.S bench/guest/main.c bench/guest/hypercall.h bench/guest/guest.lds
	$(Q)mkdir -p $(@D)
	$(Q)gcc $(BENCH_FLAGS) -Wl,-z,max-page-size=4096,--no-warn-rwx-segments -T bench/guest/guest.lds -o $@ bench/guest/entry.S bench/guest/main.c

$(B)/bench/machine-entry: bench/probe/machine-entry.S
	$(Q)mkdir -p $(@D)
	$(Q)gcc -m32 -ffreestanding -nostdlib -static -fno-pic -no-pie -Wl,--build-id=none,-Ttext=0x200000 -o $@ $<

$(B)/bench/guest-entry: bench/probe/guest-entry.S
	$(Q)mkdir -p $(@D)
	$(Q)gcc -ffreestanding -nostdlib -static -fno-pic -no-pie -Wl,--build-id=none,-Ttext=0 -o $@.elf $<
	$(Q)$(OBJCOPY) -O binary -j .text $@.elf $@

.PHONY: bench bench-images
bench-images: $(B)/bench/guest $(B)/bench/machine-entry $(B)/bench/guest-entry $(KERNELS)/.stamp $(IMAGES)/smoke-newest.img
bench:
	$(Q)scripts/deps.sh bench
	$(Q)$(MAKE) --no-print-directory all bench-images $(filter $(KERNELS)/newest/%,$(PREPARED))
	$(Q)$(MAKE) --no-print-directory reference || echo 'bench: no reference to compare with'
	$(Q)/usr/bin/python3 bench/bench.py

# What people wait for with guests: creating and destroying one, the store.
$(B)/bench/store: bench/tools/store.c $(LIB_STORE_C)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -O2 -g $(WARN) -Wno-missing-prototypes -Itoolstack -o $@ $^ -lxenstore

.PHONY: bench-guests
bench-guests: all $(B)/bench/store
	$(Q)$(MAKE) --no-print-directory $(IMAGES)/dom0/hospes.img $(IMAGES)/guests.img $(IMAGES)/dom0/vmlinuz.prepared
	$(Q)PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 bench/guests.py

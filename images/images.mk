# SPDX-License-Identifier: MIT
# Domain 0 images and machines to run. Everything lies under build/images and build/kernels, and is made again only
# when what it is made of changes; `make refresh-images` asks apt for newer packages.
IMAGES   := $(B)/images
KERNELS  := $(B)/kernels
REFERENCE := $(B)/reference/xen
# Another hypervisor image (Debian's Xen: build/reference/xen) may take the place of ours in run, system and bench.
HYPERVISOR ?= $(B)/hospes
SMP      ?= 2
MEM      ?= 2G

# ---- Guest test programs: static, so that they run in any image ----
GUEST_C   := $(wildcard tests/guest/*.c)
GUEST_BIN := $(patsubst tests/guest/%.c,$(B)/guest/%,$(GUEST_C))
# They go into Domain 0 in the system tests as well: not to be removed as intermediate.
.SECONDARY: $(GUEST_BIN)
GUEST_FLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -static

$(B)/guest/%32: tests/guest/%32.c
	$(Q)mkdir -p $(@D)
	$(Q)gcc -std=gnu17 -O2 -Wall -Wextra -Werror -m32 -march=i686 -ffreestanding -nostdlib -static -fno-pic -fno-stack-protector -o $@ $<

$(B)/guest/%: tests/guest/%.c
	$(Q)mkdir -p $(@D)
	$(Q)gcc $(GUEST_FLAGS) -pthread -o $@ $<

# ---- Kernels, images, the reference ----
$(KERNELS)/.stamp: images/kernels.sh images/lib.sh
	$(Q)scripts/deps.sh image
	$(Q)images/kernels.sh $(KERNELS)

$(IMAGES)/smoke-%.img: images/smoke.sh images/lib.sh images/smoke-init images/udhcpc $(KERNELS)/.stamp $(GUEST_BIN)
	$(Q)images/smoke.sh $(KERNELS)/$* $(B)/guest $@

$(IMAGES)/dom0/disk.img: images/dom0.sh images/lib.sh
	$(Q)scripts/deps.sh image
	$(Q)images/dom0.sh $(IMAGES)/dom0

# Domain 0 with the tools, and the guests that it offers.
$(IMAGES)/dom0/hospes.img: $(IMAGES)/dom0/disk.img images/install-tools.sh images/xend-config.sxp $(TOOLS_ALL) $(TOOLS_FILES)
	$(Q)images/install-tools.sh $(IMAGES)/dom0/disk.img $(TOOLS) $@

$(IMAGES)/guests.img: images/guests.sh images/tiny.sh images/tiny-init images/udhcpc images/lib.sh $(KERNELS)/.stamp
	$(Q)scripts/deps.sh image
	$(Q)images/guests.sh $(KERNELS) $@

$(REFERENCE): images/reference.sh images/lib.sh
	$(Q)images/reference.sh $@

# A kernel prepared once (uncompressed) spares the hypervisor the unpacking at every start.
$(KERNELS)/%/vmlinuz.prepared: $(KERNELS)/.stamp $(wildcard scripts/kernel-prepare.sh)
	$(Q)scripts/kernel-prepare.sh $(KERNELS)/$*/vmlinuz $@

$(IMAGES)/dom0/vmlinuz.prepared: $(IMAGES)/dom0/disk.img $(wildcard scripts/kernel-prepare.sh)
	$(Q)scripts/kernel-prepare.sh $(IMAGES)/dom0/vmlinuz $@

SMOKE_IMAGES := $(foreach k,newest previous rt,$(IMAGES)/smoke-$(k).img)
PREPARED := $(if $(wildcard scripts/kernel-prepare.sh),$(IMAGES)/dom0/vmlinuz.prepared \
            $(foreach k,newest previous rt,$(KERNELS)/$(k)/vmlinuz.prepared))

.PHONY: images smoke-images reference refresh-images deps run run-gdb run-smoke
images: smoke-images $(IMAGES)/dom0/hospes.img $(IMAGES)/guests.img
smoke-images: $(SMOKE_IMAGES)
reference: $(REFERENCE)
refresh-images:
	$(Q)rm -rf $(KERNELS) $(IMAGES) $(B)/reference
	$(Q)$(MAKE) images
deps:
	$(Q)scripts/deps.sh

# ---- Machines in this terminal ----
# What is missing is installed before make looks at anything that needs it.
run run-gdb:
	$(Q)scripts/deps.sh run
	$(Q)$(MAKE) --no-print-directory $(if $(filter $(B)/hospes,$(HYPERVISOR)),all) $(IMAGES)/dom0/hospes.img $(IMAGES)/guests.img $(filter $(IMAGES)/%,$(PREPARED))
	$(Q)HYPERVISOR='$(HYPERVISOR)' SMP='$(SMP)' MEM='$(MEM)' scripts/run.sh $(if $(filter run-gdb,$@),--gdb)

run-smoke:
	$(Q)scripts/deps.sh run
	$(Q)$(MAKE) --no-print-directory $(if $(filter $(B)/hospes,$(HYPERVISOR)),all) $(IMAGES)/smoke-newest.img $(filter $(KERNELS)/newest/%,$(PREPARED))
	$(Q)HYPERVISOR='$(HYPERVISOR)' SMP='$(SMP)' MEM='$(MEM)' scripts/run.sh --smoke

help:
	@echo 'make                 build/hospes (ELF32, Multiboot 1 and 2), build/hospes.gz (GRUB), build/hospes.debug (gdb)'
	@echo 'make run             Debian as Domain 0 in this terminal; poweroff in it ends it. SMP=4 MEM=6G make run'
	@echo '                     three times Ctrl-a: hypervisor keys (h lists them); Ctrl-] x: ends the machine'
	@echo 'make run-smoke       the same with the small test image'
	@echo 'make run-gdb         make run, stopped at the reset vector for gdb, with the commands to attach'
	@echo 'make test            every test of bounded length; ends in one line: N passed, N failed'
	@echo 'make test-full       the same with the whole machine matrix and the long loads'
	@echo 'make system          only the whole-machine tests of make test (T=expression as with pytest -k)'
	@echo 'make system-full     all whole-machine tests'
	@echo 'make bench           costs in instructions beside those of Debian'"'"'s Xen; bench/results.json'
	@echo 'make tools           Domain 0'"'"'s tools, below build/tools; make install DESTDIR=/somewhere puts them there'
	@echo 'make tools-unit      unit tests of the tools; make tools-check: their programs against a played machine'
	@echo 'make hostile         hostile guests against the hypervisor, then the fuzzer for T seconds; ONLY=text, SEED=n'
	@echo 'make bench-guests    what creating and destroying a guest and the store cost, in instructions'
	@echo 'make model           the random model tests of core; make fuzz: the fuzzers. T=3600 make fuzz: for an hour'
	@echo 'make size            code, image and memory sizes'
	@echo 'make images          the Domain 0 and test images alone; make refresh-images: anew, with newer packages'
	@echo 'make deps            installs what any of these needs'
	@echo 'make clean           removes build/'
	@echo
	@echo 'HYPERVISOR=build/reference/xen (make reference) puts Debian'"'"'s Xen in our place in run, system and bench.'
	@echo 'CC=clang-14, DEBUG=1 (checks and counters), V=1 (commands shown) work with all of them.'

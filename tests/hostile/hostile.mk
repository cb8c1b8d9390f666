# SPDX-License-Identifier: MIT
# Hostile guests: small PV kernels, each with one attack, under a Domain 0 of their own. make hostile runs all of them and then the
# fuzzer for T seconds; ONLY=text chooses attacks by name, SEED=n repeats a run.
HOSTILE       := tests/hostile
HOSTILE_FLAGS := -std=gnu17 -O2 -g -ffreestanding -nostdlib -static -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only -mcmodel=kernel \
                 -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-omit-frame-pointer -fno-strict-aliasing \
                 -fno-builtin -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror -I$(HOSTILE)
HOSTILE_LINK  := -nostdlib -static -no-pie -Wl,--build-id=none,-z,max-page-size=4096,--no-warn-rwx-segments
HOSTILE_SRC   := $(wildcard $(HOSTILE)/runtime/*.[cS])
HOSTILE_GUEST := $(HOSTILE_SRC) $(wildcard $(HOSTILE)/guest/*.[cS] $(HOSTILE)/attacks/*.c $(HOSTILE)/fuzz/*.c)
HOSTILE_DOM0  := $(HOSTILE_SRC) $(wildcard $(HOSTILE)/dom0/*.[cS]) $(HOSTILE)/fuzz/generate.c
HOSTILE_O      = $(patsubst %,$(B)/%.o,$(basename $(1)))

$(B)/$(HOSTILE)/%.o: $(HOSTILE)/%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOSTILE_FLAGS) -MMD -MP -c $< -o $@

$(B)/$(HOSTILE)/%.o: $(HOSTILE)/%.S
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOSTILE_FLAGS) -D__ASSEMBLY__ -DGUEST_IMAGE='"$(B)/hostile/guest.bin"' -MMD -MP -c $< -o $@

$(B)/hostile/guest.bin: $(call HOSTILE_O,$(HOSTILE_GUEST)) $(HOSTILE)/guest/guest.lds
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HOSTILE_LINK) -T $(HOSTILE)/guest/guest.lds -o $(@:.bin=.elf) $(filter %.o,$^)
	$(Q)$(OBJCOPY) -O binary $(@:.bin=.elf) $@

$(B)/$(HOSTILE)/dom0/entry.o: $(B)/hostile/guest.bin
$(B)/hostile/dom0: $(call HOSTILE_O,$(HOSTILE_DOM0)) $(HOSTILE)/dom0/dom0.lds
	$(Q)$(CC) $(HOSTILE_LINK) -T $(HOSTILE)/dom0/dom0.lds -o $@ $(filter %.o,$^)

.PHONY: hostile
hostile: all $(B)/hostile/dom0
	$(Q)/usr/bin/python3 $(HOSTILE)/run.py --seconds $(or $(T),20) --seed $(or $(SEED),1) $(if $(ONLY),--only '$(ONLY)')

-include $(patsubst %.o,%.d,$(call HOSTILE_O,$(HOSTILE_GUEST) $(HOSTILE_DOM0)))

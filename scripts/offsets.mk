# SPDX-License-Identifier: MIT
# build/gen/asm_offsets.h: where the entry code finds things in C structs.
$(B)/gen/asm_offsets.h: scripts/asm_offsets.c | $(ABI)/xen
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(HV_FLAGS) -MMD -MP -MT $@ -MF $(@D)/asm_offsets.d -S -o $(@D)/asm_offsets.s $<
	$(Q)sed -n 's/.*"->\([A-Z0-9_]*\) \(.*\)".*/#define \1 \2/p' $(@D)/asm_offsets.s > $@.new && mv $@.new $@
$(B)/hv/hypervisor/x86/trap/entry.o $(B)/hv/hypervisor/x86/trap/short.o $(B)/hv/hypervisor/x86/trap/copy_unsafe.o: $(B)/gen/asm_offsets.h
-include $(B)/gen/asm_offsets.d

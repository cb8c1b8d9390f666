# SPDX-License-Identifier: MIT
# The linked hypervisor: hospes.debug (ELF64 with symbols, twice linked: the second time with the table of its own function
# names, which lies behind all code, so that no function moves), hospes (ELF32 for Multiboot loaders), hospes.gz.
# --no-relax: the linker would shorten the libraries' address loads to forms that reach only the low 2 GiB.
HV_LIBS   = $(foreach l,lzma z zstd lz4,$(wildcard $(shell $(CC) -print-file-name=lib$(l).a)))
HV_LINK   = $(CC) -m64 -nostdlib -static $(if $(findstring clang,$(CC)),,-no-pie) -Wl,-T,hypervisor/x86/hospes.lds -Wl,--gc-sections -Wl,--build-id=none \
            -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,--no-relax -Wl,--no-warn-rwx-segments -Wl,--orphan-handling=place

$(B)/gen/symbols0.S: scripts/symbols.py
	$(Q)mkdir -p $(@D)
	$(Q)scripts/symbols.py </dev/null >$@

$(B)/hospes.pass1: $(HV_O) $(B)/gen/symbols0.o hypervisor/x86/hospes.lds scripts/image.mk
	$(Q)$(HV_LINK) -o $@ $(HV_O) $(B)/gen/symbols0.o -Wl,--start-group $(HV_LIBS) -Wl,--end-group

$(B)/gen/symbols1.S: $(B)/hospes.pass1 scripts/symbols.py
	$(Q)nm -n $< | scripts/symbols.py >$@

$(B)/gen/%.o: $(B)/gen/%.S
	$(Q)$(CC) -m64 -c $< -o $@

$(B)/hospes.debug: $(B)/hospes.pass1 $(B)/gen/symbols1.o
	$(Q)$(HV_LINK) -o $@ $(HV_O) $(B)/gen/symbols1.o -Wl,--start-group $(HV_LIBS) -Wl,--end-group

$(B)/hospes: $(B)/hospes.debug scripts/elf32.py
	$(Q)scripts/elf32.py $< $@

$(B)/hospes.gz: $(B)/hospes
	$(Q)gzip -9nc $< >$@

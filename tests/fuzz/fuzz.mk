# SPDX-License-Identifier: MIT
# Fuzzers: tests/fuzz/NAME.c each. make fuzz: a bounded run from the corpus, the same each time. make fuzz T=3600: that many
# seconds, shared by all. What they find is kept in build/fuzz/found/. make fuzz-build builds, make fuzz-afl builds for AFL++:
#   afl-fuzz -i tests/fuzz/corpus/sxp -o build/fuzz-afl/sxp.out -- build/fuzz-afl/sxp @@
FB         := $(B)/fuzz
FUZZ_CC    := $(CLANG)
FUZZ_COVER := -fsanitize=fuzzer-no-link
FUZZ_LINK  := -fsanitize=fuzzer
FUZZ_MAIN  :=
FUZZ_BASE   = -std=gnu17 -O1 -g $(SANITIZE) $(FUZZ_COVER) -fno-strict-aliasing -fno-common $(WARN) -Wno-missing-prototypes
FUZZ_HOST_FLAGS  = $(FUZZ_BASE) -DDEBUG -Itests/host/include -Ihypervisor -I$(B)/gen -Itests/fuzz $(DEFS)
FUZZ_TOOLS_FLAGS = $(FUZZ_BASE) -D_GNU_SOURCE -Itoolstack -Ihypervisor -Itests/tools -Itests/fuzz

# One fuzzer: $(call fuzz_target,NAME,runs of the bounded form,host or tools: whose flags,other sources,libraries)
define fuzz_target
FUZZ_ALL += $(1):$(2)
FUZZ_BIN += $$(FB)/$(1)
FUZZ_O   += $$(patsubst %.c,$$(FB)/$(3)/%.o,tests/fuzz/$(1).c $(4) $$(FUZZ_MAIN))
$$(FB)/$(1): $$(patsubst %.c,$$(FB)/$(3)/%.o,tests/fuzz/$(1).c $(4) $$(FUZZ_MAIN))
	$$(Q)$$(FUZZ_CC) $$(SANITIZE) $$(FUZZ_LINK) -o $$@ $$^ $(5) -lpthread
endef

$(FB)/host/%.o: %.c | $(ABI)/xen
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_HOST_FLAGS) -MMD -MP -c $< -o $@

$(FB)/tools/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_TOOLS_FLAGS) -MMD -MP -c $< -o $@

$(eval $(call fuzz_target,decode,700000,host,,-lZydis))
FUZZ_CORE := $(CORE_C) $(wildcard tests/host/*.c) # -lcmocka
$(eval $(call fuzz_target,hypercall,2000,host,$(FUZZ_CORE),-lcmocka))
$(eval $(call fuzz_target,ptwrite,120000,host,$(FUZZ_CORE),-lZydis -lcmocka))
$(eval $(call fuzz_target,privop,400000,host,$(FUZZ_CORE),-lZydis -lcmocka))
IMAGE_C := $(wildcard hypervisor/core/image/*.c) toolstack/lib/build/decompress.c
$(eval $(call fuzz_target,image,600000,tools,$(IMAGE_C),$(LIB_BUILD_LIBS)))
$(eval $(call fuzz_target,decompress,18000,tools,$(IMAGE_C) $(patsubst %,hypervisor/x86/boot/decompress/%.c,gzip xz zstd lz4),$(LIB_BUILD_LIBS)))
$(eval $(call fuzz_target,kernel,15000,tools,toolstack/lib/report.c $(filter-out %/cache.c,$(LIB_BUILD_FILES_C)),$(LIB_BUILD_LIBS)))
$(eval $(call fuzz_target,config,9000,tools,toolstack/lib/report.c $(LIB_CONFIG_C),-ljansson))
$(eval $(call fuzz_target,json,120000,tools,toolstack/lib/report.c $(LIB_CONFIG_C),-ljansson))
$(eval $(call fuzz_target,sxp,8000,tools,toolstack/lib/report.c toolstack/lib/config/sxp.c $(addprefix toolstack/xend/,config.c files.c),))
$(eval $(call fuzz_target,xenstored,2500,tools,tests/fuzz/xenstored_machine.c $(filter-out %/main.c %/loop.c %/hypervisor.c,$(XENSTORED_C)),-Wl$(comma)--wrap=say))
$(eval $(call fuzz_target,api,9000,tools,$(addprefix toolstack/xend/,server.c api.c vm.c files.c) $(LIB_C) $(LIB_CONFIG_C) $(LIB_RPC_C),-luv -ljansson -lm))
$(eval $(call fuzz_target,console,20000,tools,$(addprefix toolstack/xenconsoled/,ring.c backlog.c pty.c console.c),))

.PHONY: fuzz fuzz-build fuzz-afl
fuzz-build: $(FUZZ_BIN)
fuzz: $(FUZZ_BIN)
	$(Q)scripts/run_fuzz.sh $(FB) $(or $(T),0) $(FUZZ_ALL)
fuzz-afl:
	$(Q)AFL_QUIET=1 $(MAKE) --no-print-directory FB=$(B)/fuzz-afl FUZZ_CC=afl-clang-fast FUZZ_COVER= FUZZ_LINK= FUZZ_MAIN=tests/fuzz/main.c fuzz-build
-include $(FUZZ_O:.o=.d)

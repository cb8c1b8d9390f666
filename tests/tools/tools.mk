# SPDX-License-Identifier: MIT
# Unit tests of the tools: make tools-unit. With sanitizers, on the build host, without a hypervisor; CC=clang-14 does the same with clang.
TT       := $(B)/tools-$(firstword $(subst -, ,$(notdir $(CC))))
TT_FLAGS := -std=gnu17 -O1 -g -D_GNU_SOURCE -DTEST_KERNELS='"$(abspath build/kernels)"' $(SANITIZE) -fno-strict-aliasing -fno-common \
            -Itoolstack -Ihypervisor -Itests/tools $(WARN) -Wno-unused-parameter -Wno-missing-prototypes

# One test program, tests/tools/NAME.c: $(call tools_test,NAME,other sources,libraries)
define tools_test
$(TT)/$(1): $(patsubst %.c,$(TT)/%.o,tests/tools/$(1).c $(2))
	$$(Q)$$(CC) $$(SANITIZE) -o $$@ $$^ $(3) -lcmocka -lpthread
TT_ALL += $(TT)/$(1)
TT_O   += $(patsubst %.c,$(TT)/%.o,tests/tools/$(1).c $(2))
endef

$(TT)/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TT_FLAGS) -MMD -MP -c $< -o $@

# What the builder has of its own about files and kernels, without domains
LIB_BUILD_FILES_C := $(addprefix toolstack/lib/build/,cache.c file.c kernel.c decompress.c) $(wildcard hypervisor/core/image/*.c)
$(eval $(call tools_test,test_build,tests/tools/fake_hv.c toolstack/lib/report.c toolstack/lib/fault.c $(LIB_BUILD_C),$(LIB_BUILD_LIBS)))
$(eval $(call tools_test,test_kernel_cache,toolstack/lib/report.c $(LIB_BUILD_FILES_C),$(LIB_BUILD_LIBS)))
$(eval $(call tools_test,test_hv,toolstack/lib/report.c $(LIB_HV_C),))
$(eval $(call tools_test,test_config,toolstack/lib/report.c $(LIB_CONFIG_C),-ljansson))
$(eval $(call tools_test,test_store,$(LIB_STORE_C),-lxenstore))
$(eval $(call tools_test,test_sxp,toolstack/lib/report.c toolstack/lib/config/sxp.c,))
$(eval $(call tools_test,test_console,$(addprefix toolstack/xenconsoled/,ring.c backlog.c log.c pty.c console.c)))

# xenconsoled with a machine that is played by tests/tools/test_xenconsoled.py
CONSOLE_HOST_O := $(patsubst %.c,$(TT)/%.o,tests/tools/console/host.c toolstack/lib/report.c \
                  $(filter-out %/wire.c,$(wildcard toolstack/xenconsoled/*.c)))
$(TT)/xenconsoled_host: $(CONSOLE_HOST_O)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ -luv -lxenstore
TT_O += $(CONSOLE_HOST_O)

# The tools' programs and scripts on the build host, driven by pytest: make tools-check. Hypervisor, guests and daemons are played.
.PHONY: tools-check
tools-check: $(TT)/xenconsoled_host $(B)/xend-test $(B)/sim/xenstored $(TOOLS)/usr/sbin/xm $(TOOLS)/usr/share/bash-completion/completions/xm
	$(Q)mkdir -p $(B)/tmp
	$(Q)XENCONSOLED_HOST=$(TT)/xenconsoled_host XEND_TEST=$(abspath $(B)/xend-test) XENSTORED=$(B)/sim/xenstored XM=$(TOOLS)/usr/sbin/xm \
	    $(PYTEST) --basetemp=$(B)/tmp/tools-check $(if $(T),-k '$(T)') tests/tools

.PHONY: tools-unit try-build
tools-unit: $(TT_ALL)
	$(Q)scripts/run_unit.sh $(TT_ALL)
-include $(TT_O:.o=.d)

# For trying the builder in a Domain 0, without xend: make try-build
TRY_BUILD_C := tests/tools/try_build.c toolstack/lib/report.c toolstack/lib/fault.c $(LIB_HV_C) $(LIB_BUILD_C)
TRY_BUILD_WRAP := hv_populate hv_map hv_unmap hv_claim_pages hv_pin_l4 hv_grant_seed hv_vcpu_set_context hv_domain_create hv_domain_destroy \
                  input_open input_read
try-build: $(B)/try_build
$(B)/try_build: $(TRY_BUILD_C:%.c=$(B)/ts/%.o)
	$(Q)$(CC) $(TOOLS_LDFLAGS) $(TRY_BUILD_WRAP:%=-Wl,--wrap=%) -o $@ $^ $(LIB_HV_LIBS) $(LIB_BUILD_LIBS)

# xm against a xend that pretends: make tools-xm
.PHONY: tools-xm
tools-xm: $(TOOLS)/usr/sbin/xm $(TOOLS)/usr/share/bash-completion/completions/xm
	$(Q)XM=$(TOOLS)/usr/sbin/xm timeout 300 /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/tools/test_xm.py

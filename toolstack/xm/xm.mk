# SPDX-License-Identifier: MIT
# xm, its bash completion, and the example configurations.
XM_C := $(wildcard toolstack/xm/*.c) toolstack/lib/report.c $(LIB_CONFIG_C) $(LIB_RPC_C)
$(eval $(call tool,usr/sbin/xm,$(XM_C),-ljansson))

TOOLS_FILES += $(TOOLS)/usr/share/bash-completion/completions/xm
$(TOOLS)/usr/share/bash-completion/completions/xm: toolstack/xm/completion.bash
	$(Q)mkdir -p $(@D) && cp $< $@

XEN_CONFIGS := $(patsubst toolstack/%,$(TOOLS)/%,$(wildcard toolstack/etc/xen/*))
TOOLS_FILES += $(XEN_CONFIGS)
$(XEN_CONFIGS): $(TOOLS)/%: toolstack/%
	$(Q)mkdir -p $(@D) && cp $< $@

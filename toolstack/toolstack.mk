# SPDX-License-Identifier: MIT
# The tools of Domain 0: `make tools` builds what `make install` would put into it, below build/tools.
# Each program's folder has its own .mk with its sources and libraries.
TOOLS        := $(B)/tools
TOOLS_CFLAGS := -std=gnu17 -O2 -g -D_GNU_SOURCE -Itoolstack -Ihypervisor -fno-strict-aliasing -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
                -fPIE $(WARN) -Wno-unused-parameter
TOOLS_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed

# One program: $(call tool,path below build/tools,sources,libraries)
define tool
$(TOOLS)/$(1): $(patsubst %.c,$(B)/ts/%.o,$(2))
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(TOOLS_LDFLAGS) -o $$@ $$^ $(3)
TOOLS_ALL += $(TOOLS)/$(1)
TOOLS_O   += $(patsubst %.c,$(B)/ts/%.o,$(2))
endef

$(B)/ts/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TOOLS_CFLAGS) -MMD -MP -c $< -o $@

LIB_C := $(wildcard toolstack/lib/*.c)

include $(wildcard toolstack/*/*.mk)

.PHONY: tools install
tools: $(TOOLS_ALL) $(TOOLS_FILES)
install: tools
	$(Q)mkdir -p '$(DESTDIR)/'
	$(Q)cp -R --preserve=mode,links '$(TOOLS)/.' '$(DESTDIR)/'
-include $(TOOLS_O:.o=.d)

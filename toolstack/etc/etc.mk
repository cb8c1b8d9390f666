# SPDX-License-Identifier: MIT
# What Domain 0 gets beside the programs: units and directories for systemd, the network scripts, the manual.

# $(call tool_files,folder below build/tools,sources)
define tool_files
TOOLS_FILES += $(addprefix $(TOOLS)/$(1)/,$(notdir $(2)))
$(addprefix $(TOOLS)/$(1)/,$(notdir $(2))): $(TOOLS)/$(1)/%: $(patsubst %/,%,$(dir $(firstword $(2))))/%
	$$(Q)mkdir -p $$(@D) && cp $$< $$@
endef

$(eval $(call tool_files,usr/lib/systemd/system,$(wildcard toolstack/etc/systemd/*)))
$(eval $(call tool_files,usr/lib/tmpfiles.d,toolstack/etc/tmpfiles.d/hospes.conf))
$(eval $(call tool_files,usr/lib/modules-load.d,toolstack/etc/modules-load.d/hospes.conf))
$(eval $(call tool_files,etc/xen/scripts,$(wildcard toolstack/scripts/*)))
$(foreach section,1 5 8,$(if $(wildcard docs/man/*.$(section)),\
    $(eval $(call tool_files,usr/share/man/man$(section),$(wildcard docs/man/*.$(section))))))

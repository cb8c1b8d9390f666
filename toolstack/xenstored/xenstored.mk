# SPDX-License-Identifier: MIT
# xenstored: build/tools/usr/sbin/xenstored, and its tests: make xenstored-test
XENSTORED_C := $(wildcard toolstack/xenstored/*.c)
$(eval $(call tool,usr/sbin/xenstored,$(XENSTORED_C),-lxenevtchn -lxengnttab -lxencall))

# The same daemon for tests: sanitizers, steps at which it can be killed, a machine of files instead of the hypervisor
XENSTORED_SIM_C := $(filter-out toolstack/xenstored/hypervisor.c,$(XENSTORED_C)) tests/tools/xenstored/sim.c
XENSTORED_SIM_O := $(XENSTORED_SIM_C:%.c=$(B)/sim/%.o)

$(B)/sim/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -O2 -D_FORTIFY_SOURCE=2,$(TOOLS_CFLAGS)) -O1 -fsanitize=address,undefined \
	    -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DXENSTORED_STEPS -MMD -MP -c $< -o $@

$(B)/sim/xenstored: $(XENSTORED_SIM_O)
	$(Q)$(CC) -pie -fsanitize=address,undefined -o $@ $^

.PHONY: xenstored-test
xenstored-test: $(B)/sim/xenstored
	$(Q)XENSTORED=$< /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/tools/xenstored
-include $(XENSTORED_SIM_O:.o=.d)

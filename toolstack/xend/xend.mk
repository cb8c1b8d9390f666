# SPDX-License-Identifier: MIT
XEND_C    := $(wildcard toolstack/xend/*.c) $(LIB_C) $(LIB_CONFIG_C) $(LIB_STORE_C)
XEND_LIBS := -luv -ljansson -lxenstore -lm
$(eval $(call tool,usr/sbin/xend,$(XEND_C) $(LIB_HV_C) $(LIB_BUILD_C),$(XEND_LIBS) $(LIB_HV_LIBS) $(LIB_BUILD_LIBS)))

# The same with a hypervisor that is a file, and sanitizers: tests/tools/test_xend.py
XEND_TEST_O := $(patsubst %.c,$(B)/xend-test.d/%.o,$(XEND_C) tests/tools/xend/fake_hv.c)
$(B)/xend-test.d/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(TOOLS_CFLAGS) -O1 -U_FORTIFY_SOURCE $(SANITIZE) -Wno-missing-prototypes -MMD -MP -c $< -o $@
$(B)/xend-test: $(XEND_TEST_O)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(XEND_LIBS) -lpthread
-include $(XEND_TEST_O:.o=.d)
.PHONY: test-xend
test-xend: $(B)/xend-test
	$(Q)XEND_TEST=$(abspath $(B)/xend-test) /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/tools/test_xend.py

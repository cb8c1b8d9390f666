# SPDX-License-Identifier: MIT
# Test targets: make unit, make check-core. CC=clang-14 builds and runs the same with clang, beside gcc's.
# LOOSE=1 goes on although parts of core are missing or do not compile (a call of one crashes): for the time while they
# are written; STANDINS=libx.a is linked last.
HOST_CC   := $(CC)
HB        := $(B)/host-$(firstword $(subst -, ,$(notdir $(HOST_CC))))
SANITIZE  := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
HOST_FLAGS = -std=gnu17 -O1 -g -DDEBUG $(SANITIZE) -fno-strict-aliasing -fno-common -Itests/host/include -Ihypervisor \
             -I$(B)/gen $(DEFS) $(WARN) $(HOST_FLAGS_EXTRA)
LOOSE_O    = $(if $(filter 1,$(LOOSE)),|| { echo | $(HOST_CC) -x c -c - -o $@ && touch -d @0 $@; })
HOST_O    := $(CORE_C:%.c=$(HB)/%.o)
PORT_O    := $(patsubst %.c,$(HB)/%.o,$(wildcard tests/host/*.c))
# Each is one program. A name here without its file is an error.
UNIT_TESTS := test_lib test_domain test_host test_sched test_timer test_vcpu_op test_image test_reservation test_event test_fifo test_grant test_emulate test_mem_alloc test_mem_type test_mem_mmu test_mem_race test_audit test_domctl test_sysctl
UNIT_BIN  := $(UNIT_TESTS:%=$(HB)/%)

.PHONY: unit check-core host-lib
host-lib: $(HB)/libcore.a $(HB)/libport.a

unit: $(UNIT_BIN)
	$(Q)scripts/run_unit.sh $(UNIT_BIN)

$(HB)/%.o: %.c | $(ABI)/xen
	$(Q)mkdir -p $(@D)
	$(Q)$(HOST_CC) $(HOST_FLAGS) $(if $(filter tests/%,$<),-Wno-missing-prototypes) -MMD -MP -c $< -o $@ $(LOOSE_O)

$(HB)/libcore.a: $(HOST_O)
	$(Q)rm -f $@ && ar rcs $@ $(HOST_O)

$(HB)/libport.a: $(PORT_O)
	$(Q)rm -f $@ && ar rcs $@ $(PORT_O)

# The libraries need one another, hence the group.
$(UNIT_BIN): $(HB)/%: $(HB)/tests/unit/%.o $(HB)/libcore.a $(HB)/libport.a
	$(Q)$(HOST_CC) $(SANITIZE) $(if $(filter 1,$(LOOSE)),-no-pie -Wl$(comma)--unresolved-symbols=ignore-all) -o $@ $< \
	    -Wl,--start-group $(HB)/libcore.a $(HB)/libport.a -Wl,--end-group $(STANDINS) -lcmocka -lpthread
comma := ,

# The freestanding objects are looked at: what they leave undefined must be the port.
CORE_O    := $(CORE_C:%.c=$(B)/hv/%.o)
check-core: $(CORE_O)
	$(Q)scripts/check_core.sh $(CC) $(CORE_O)

.SECONDARY: $(UNIT_TESTS:%=$(HB)/tests/unit/%.o)
-include $(HOST_O:.o=.d) $(PORT_O:.o=.d) $(UNIT_TESTS:%=$(HB)/tests/unit/%.d)

# The model tests: core and the fake machine once more, with points at which CPUs change turns; sanitized, and fast for long runs.
MODEL_C    := $(wildcard tests/model/*.c)
MODEL_SRC  := $(CORE_C) $(wildcard tests/host/*.c) $(MODEL_C)
MODEL_WRAP := hw_preempt_check heap_alloc heap_alloc_array alloc_frames alloc_block free_frames reservation_add hw_domain_alloc \
              hw_domain_free hw_vcpu_alloc hw_copy_from_guest hw_copy_to_guest tlb_note_flush hw_machine_restart hw_machine_poweroff
MODEL_FLAGS = -std=gnu17 -g -DDEBUG -fno-strict-aliasing -fno-common -Itests/host/include -Itests/model -Ihypervisor -I$(B)/gen $(DEFS) $(WARN) \
              -Wno-missing-prototypes $(if $(filter hypervisor/%,$<),-include tests/model/point.h)
MODEL_asan := -O1 $(SANITIZE)
MODEL_fast := -O2
MODEL_BIN  := $(HB)/model-fast $(HB)/model-asan

define MODEL_RULES
$(HB)/model-$(1)-o/%.o: %.c | $(ABI)/xen
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(HOST_CC) $$(MODEL_FLAGS) $$(MODEL_$(1)) -MMD -MP -c $$< -o $$@
$(HB)/model-$(1): $(MODEL_SRC:%.c=$(HB)/model-$(1)-o/%.o)
	$$(Q)$$(HOST_CC) $$(MODEL_$(1)) -o $$@ $$^ $(MODEL_WRAP:%=-Wl,--wrap=%) -lcmocka
-include $(MODEL_SRC:%.c=$(HB)/model-$(1)-o/%.d)
endef
$(eval $(call MODEL_RULES,asan))
$(eval $(call MODEL_RULES,fast))

# T=seconds: so long; otherwise the bounded form.
.PHONY: model
model: $(MODEL_BIN)
	$(Q)tests/model/run.sh $(HB)/model-fast $(HB)/model-asan

# Branch coverage of core and hypercall by unit and model tests together; what is missed: build/coverage/missed.txt.
COVERAGE_MAKE = $(MAKE) --no-print-directory B=$(B)/coverage SANITIZE=--coverage HOST_FLAGS_EXTRA=-O0 MODEL_fast='-O0 --coverage'
.PHONY: coverage
coverage:
	$(Q)find $(B)/coverage -name '*.gcda' -delete 2>/dev/null || true
	$(Q)$(COVERAGE_MAKE) unit
	$(Q)$(COVERAGE_MAKE) $(B)/coverage/host-$(firstword $(subst -, ,$(notdir $(HOST_CC))))/model-fast
	$(Q)SEED=1 RUNS=100 STEPS=4000 AUDIT=8 $(B)/coverage/host-$(firstword $(subst -, ,$(notdir $(HOST_CC))))/model-fast | tail -n 1
	$(Q)/usr/bin/python3 scripts/coverage.py $(B)/coverage

# Seeded bugs (tests/seeded/bugs): all, or with QUICK=1 those of every make test.
.PHONY: seeded test-isolation
seeded: all $(UNIT_BIN) $(MODEL_BIN) $(B)/hostile/dom0
	$(Q)/usr/bin/python3 tests/seeded/seeded.py $(if $(filter 1,$(QUICK)),--quick)
test-isolation: all $(UNIT_BIN) $(MODEL_BIN) $(B)/hostile/dom0
	$(Q)$(MAKE) --no-print-directory B=$(B)/latency LATENCY=1 all
	$(Q)$(MAKE) --no-print-directory fuzz-build
	$(Q)scripts/test_isolation.sh

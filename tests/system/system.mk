# SPDX-License-Identifier: MIT
# Whole machines under QEMU. T="expression" chooses as pytest's -k does; the counts are in build/system*.xml.
PYTEST = PYTHONDONTWRITEBYTECODE=1 HYPERVISOR=$(HYPERVISOR) /usr/bin/python3 -m pytest -p no:cacheprovider -q -rfE --tb=short --durations=8
# So many machines run at once: each waits for its devices, or has one processor busy, most of the time.
MACHINES ?= 2
# What takes nothing of ours but the guests' test programs.
SYSTEM_IMAGES = $(SMOKE_IMAGES) $(IMAGES)/dom0/disk.img $(IMAGES)/guests.img $(PREPARED)
SYSTEM_NEEDS = $(if $(filter $(B)/hospes,$(HYPERVISOR)),all) $(SYSTEM_IMAGES) $(IMAGES)/dom0/hospes.img $(B)/bench/guest $(B)/debug/hospes $(B)/hostile/dom0

.PHONY: system system-full system-deps system-images
system-images: $(SYSTEM_IMAGES)
system-deps:
	$(Q)scripts/deps.sh test

system system-full: system-deps
	$(Q)$(MAKE) --no-print-directory $(SYSTEM_NEEDS)
	$(Q)rm -rf $(B)/test-logs && mkdir -p $(B)/tmp
	$(Q)$(PYTEST) -n $(MACHINES) --dist loadgroup --basetemp=$(B)/tmp/$@ --junitxml=$(B)/$@.xml $(if $(filter system-full,$@),--full) \
	    $(if $(T),-k '$(T)') tests/system

# DEBUG builds make their own faults on purpose.
.PHONY: debug-hypervisor
debug-hypervisor $(B)/debug/hospes:
	$(Q)$(MAKE) --no-print-directory B=$(B)/debug DEBUG=1 all

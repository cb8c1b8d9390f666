# SPDX-License-Identifier: MIT
# The console daemon.
XENCONSOLED_C := $(wildcard toolstack/xenconsoled/*.c) $(wildcard toolstack/lib/hv/*.c) toolstack/lib/report.c
$(eval $(call tool,usr/sbin/xenconsoled,$(XENCONSOLED_C),-luv -lxenstore -lxenevtchn -lxengnttab -lxenforeignmemory -lxencall))

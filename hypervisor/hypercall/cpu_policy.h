/* SPDX-License-Identifier: MIT */
/* CPU policies as domctl and sysctl give them to the tools (hypercall/sysctl/cpu_policy.c). */
#pragma once
#include "core/domain/cpu_policy.h"

/* Two lists, each into a buffer of the caller's. *leaves and *msrs say how many entries fit at the guest addresses, and then how
 * many there are; address 0: only how many there may be at most. 0; -ENOBUFS too little room; -EFAULT; -ENOMEM. */
int policy_list_out(const struct cpu_policy *p, uint32_t *leaves, uint64_t leaves_at, uint32_t *msrs, uint64_t msrs_at);

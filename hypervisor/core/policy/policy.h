/* SPDX-License-Identifier: MIT */
/*
 * The policy gate: every privileged action asks here: subject, verb, object. The default rules:
 * Domain 0 may; a domain may do to itself what its verbs allow.
 */
#pragma once
#include "core/lib/types.h"
struct domain;
enum policy_verb {
    MAY_CONTROL_MACHINE, /* platform, physdev on real hardware, sysctl; object: none */
    MAY_CONTROL_DOMAIN,  /* domctl, pause, destroy; object: the domain */
    MAY_MAP_FOREIGN,     /* map or pin frames of another; object: the domain */
    MAY_CONSOLE_WRITE,   /* the machine's console */
    MAY_CONSOLE_READ,
    MAY_SEE_MEMORY_MAP, /* the machine's memory map */
    MAY_CONTROL_PCI,
    MAY_SET_TIME,
    MAY_SHUTDOWN_MACHINE,
    MAY_ALLOC_ADDRESS_BITS, /* memory below an address, contiguous blocks */
};
/* 0 or -EPERM */
int policy_check(struct domain *subject, enum policy_verb verb, struct domain *object);

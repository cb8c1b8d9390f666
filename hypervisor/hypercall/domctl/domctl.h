/* SPDX-License-Identifier: MIT */
/*
 * domctl: what the tools that control domains ask. The table in domctl.c names every operation, its handler and its rules; the
 * handlers stand in one file per family and get the domain, with a reference, and the struct that was copied in.
 *
 * A handler gives 0, -errno, or -ERESTART to be called again with what is in the caller's memory. What it writes into the
 * struct is copied out only where the table says so.
 */
#pragma once
#include "hypercall/hypercall.h"
#include <xen/domctl.h>

typedef int domctl_handler(struct domain *d, struct xen_domctl *op);
/* life.c */
domctl_handler domctl_createdomain, domctl_destroydomain, domctl_pausedomain, domctl_unpausedomain, domctl_resumedomain;
domctl_handler domctl_max_vcpus;
/* info.c */
domctl_handler domctl_getdomaininfo, domctl_getvcpuinfo;
/* vcpu.c */
domctl_handler domctl_setvcpucontext, domctl_getvcpucontext, domctl_set_ext_vcpucontext, domctl_get_ext_vcpucontext;
domctl_handler domctl_setvcpuextstate, domctl_getvcpuextstate, domctl_set_vcpu_msrs, domctl_get_vcpu_msrs,
    domctl_sendtrigger;
/* memory.c */
domctl_handler domctl_max_mem, domctl_getpageframeinfo3, domctl_shadow_op, domctl_hypercall_init;
/* sched.c */
domctl_handler domctl_setvcpuaffinity, domctl_getvcpuaffinity, domctl_scheduler_op, domctl_setnodeaffinity,
    domctl_getnodeaffinity;
/* rights.c */
domctl_handler domctl_irq_permission, domctl_iomem_permission, domctl_ioport_permission;
/* settings.c */
domctl_handler domctl_setdomainhandle, domctl_setdebugging, domctl_settimeoffset, domctl_settscinfo, domctl_gettscinfo;
domctl_handler domctl_set_address_size, domctl_get_address_size;
/* policy.c */
domctl_handler domctl_get_cpu_policy, domctl_set_cpu_policy;

/* Fills the whole struct, as of now. d is held by a reference. */
void domctl_fill_domaininfo(struct domain *d, struct xen_domctl_getdomaininfo *info);

/* CPU or node masks of the tools. In: bits beyond theirs are 0, those beyond `bits` ignored. Out: bits beyond `bits` are 0 in
 * theirs. 0; -EFAULT; -EINVAL more than 64 Ki bits. */
int domctl_bitmap_in(uint64_t *words, unsigned bits, const struct xenctl_bitmap *from);
int domctl_bitmap_out(const struct xenctl_bitmap *to, const uint64_t *words, unsigned bits);

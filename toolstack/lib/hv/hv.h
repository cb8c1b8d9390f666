/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor, as the tools see it: domctl, sysctl, memory and event calls through Debian's stable libraries (libxencall,
 * libxenforeignmemory). One function a call: arguments in the ABI's units, 0 or -errno. Nothing is kept but the open handles, which
 * several threads may use.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifndef __XEN_TOOLS__
#define __XEN_TOOLS__ 1
#endif
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xenforeignmemory.h>
#include "lib/report.h"

struct hv;
struct hv_grant { /* an entry of a grant table: read and written by domain `to` */
    uint32_t ref, to;
    uint64_t mfn;
};
/* 0; -1: *r says that this is not a Domain 0, or what is missing (modules, /dev/xen). */
int hv_open(struct hv **out, struct report *r);
void hv_close(struct hv *hv);
xenforeignmemory_handle *hv_memory(struct hv *hv);

/* ---- Domains: hv/domain.c ---- */
struct hv_domain_new {
    uint8_t uuid[16];
    unsigned max_vcpus;
    unsigned max_evtchn_port, max_grant_frames, max_maptrack_frames; /* 0: the usual */
};
/* Made paused, without memory. The number that was chosen is in *domid. */
int hv_domain_create(struct hv *hv, const struct hv_domain_new *want, uint32_t *domid);
/* Long: may take as long as the domain is big; cut short and gone on with inside. */
int hv_domain_destroy(struct hv *hv, uint32_t domid);
int hv_domain_pause(struct hv *hv, uint32_t domid);
int hv_domain_unpause(struct hv *hv, uint32_t domid);
int hv_domain_set_max_memory(struct hv *hv, uint32_t domid, uint64_t kib);
int hv_domain_set_memory_map(struct hv *hv, uint32_t domid, uint64_t kib);
int hv_domain_set_handle(struct hv *hv, uint32_t domid, const uint8_t uuid[16]);
int hv_domain_info(struct hv *hv, uint32_t domid,
                   struct xen_domctl_getdomaininfo *info); /* -ESRCH when exactly that one is absent */
/* Domains from `first` on, in the order of numbers; returns how many (0: none left; some hundred at most, whatever `max`), -errno. */
int hv_domain_list(struct hv *hv, uint32_t first, unsigned max, struct xen_domctl_getdomaininfo *infos);
int hv_vcpu_info(struct hv *hv, uint32_t domid, unsigned vcpu, struct xen_domctl_getvcpuinfo *info);
int hv_vcpu_set_affinity(struct hv *hv, uint32_t domid, unsigned vcpu, const uint8_t *map, unsigned bits);
int hv_vcpu_get_affinity(struct hv *hv, uint32_t domid, unsigned vcpu, uint8_t *map, unsigned bits); /* the hard one */
int hv_vcpu_set_context(struct hv *hv, uint32_t domid, unsigned vcpu, const vcpu_guest_context_t *ctxt);
/* Of the scheduler that runs (credit, credit2); weight 1..65535; cap in percent of a CPU, 0 none. */
int hv_domain_set_credit(struct hv *hv, uint32_t domid, unsigned weight, unsigned cap);
/* Fills the guest's page `mfn` with its way to make hypercalls. */
int hv_hypercall_page(struct hv *hv, uint32_t domid, uint64_t mfn);
int hv_domain_send_nmi(struct hv *hv, uint32_t domid, unsigned vcpu);
/* An event channel port of the new domain that Domain 0 may bind; *port. */
int hv_evtchn_alloc_unbound(struct hv *hv, uint32_t domid, uint32_t remote, uint32_t *port);
/* ---- Memory: hv/memory.c ---- */
int hv_claim_pages(struct hv *hv, uint32_t domid, uint64_t pages); /* 0 pages: gives the claim up */
/* Gives the domain count extents of 2^order frames at gfns[]; the first mfn of each comes back in the same array. Returns how many were
 * given, or -errno. */
int64_t hv_populate(struct hv *hv, uint32_t domid, unsigned order, uint64_t count, xen_pfn_t *gfns);
int hv_pin_l4(struct hv *hv, uint32_t domid, uint64_t mfn);
/* Frames of a domain, one behind the other in our address space, writable. All of them or none: -errno. Dear: some 1,000 instructions
 * a page, the same for unmapping. While a frame is mapped so, it cannot become a page table. */
int hv_map(struct hv *hv, uint32_t domid, size_t count, const xen_pfn_t *mfns, void **out);
void hv_unmap(struct hv *hv, void *p, size_t count);
/* Writes entries of a new domain's grant table (version 1, its first frame: references below 512). */
int hv_grant_seed(struct hv *hv, uint32_t domid, const struct hv_grant *grants, unsigned count);
/* ---- The machine: hv/machine.c ---- */
int hv_physinfo(struct hv *hv, struct xen_sysctl_physinfo *info);
uint64_t hv_free_kib(struct hv *hv);                    /* 0 when that cannot be told */
int hv_version(struct hv *hv, char *text, size_t size); /* "4.17.1" and so on */
struct hv_identity {
    int major, minor;
    char extra[16], capabilities[1024], compiler[64], compile_by[16], compile_domain[32], compile_date[32],
        changeset[64], commandline[1024];
    unsigned page_size;
    uint64_t virt_start;
};
int hv_identity(struct hv *hv, struct hv_identity *id);
int hv_scheduler(struct hv *hv, uint32_t *id);
/* Console ring: from *index on (0: the oldest); returns bytes copied; *index moves. clear empties it. */
int hv_read_console(struct hv *hv, char *buffer, size_t size, bool clear, bool incremental, uint32_t *index);
int hv_debug_keys(struct hv *hv, const char *keys);

/* SPDX-License-Identifier: MIT */
/*
 * The domain builder: puts a PV kernel, its ramdisk, page tables and start-of-day structures into a new, paused domain.
 *
 *   kernel file --kernel_cache_get--> unpacked ELF (kept for the next guest) --build_pv--> a domain that can be unpaused
 *
 * Files and kernels are not trusted: every size and offset is checked. build_pv blocks (page populating, reading files): run it in a
 * worker thread. What it has made of the domain when it fails goes with the domain: the caller destroys it.
 */
#pragma once
#include "lib/hv/hv.h"

struct kernel_cache; /* unpacked kernels below a directory, found by device, inode, size and times of the file */
int kernel_cache_open(const char *directory, struct kernel_cache **out, struct report *r);
void kernel_cache_close(struct kernel_cache *c);

struct build_request {
    uint32_t domid;
    const char *kernel, *ramdisk; /* paths; ramdisk NULL: none */
    const char *cmdline;          /* "" none */
    uint64_t memory_kib, max_memory_kib;
    unsigned vcpus;                    /* max_vcpus of the domain */
    uint32_t store_port, console_port; /* the guest's ends */
};
struct build_result {
    uint64_t store_mfn, console_mfn; /* frames of the rings; also grant references 1 and 0 */
    uint64_t kernel_entry;           /* for the log */
    bool from_cache;                 /* the kernel had been unpacked before */
};
int build_pv(struct hv *hv, struct kernel_cache *cache, const struct build_request *rq, struct build_result *out,
             struct report *r);
/* Looks the files over without a domain (xm create -n): is it a kernel we can start, does it fit into the memory. */
int build_check(struct kernel_cache *cache, const char *kernel, const char *ramdisk, uint64_t memory_kib,
                struct report *r);

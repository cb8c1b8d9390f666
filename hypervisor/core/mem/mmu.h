/* SPDX-License-Identifier: MIT */
/*
 * Changes of a guest's page tables: single entries, pins, roots.
 *
 * An entry changes by compare-and-swap while a type reference holds its table valid: the new entry's references are
 * taken first, then the swap, then the old entry's references are dropped. No lock is needed: each swap moves exactly
 * the references of the two values it exchanged. (Room for log-dirty tracking: pt_entry_set() is the one place where
 * a live entry of a guest changes.)
 */
#pragma once
#include "core/lib/types.h"
#include "core/mem/frame.h"
#include "core/mem/pte.h"

struct domain;
struct vcpu;

enum pt_how {
    PT_SET,         /* replace */
    PT_PRESERVE_AD, /* replace, but keep accessed and dirty bits that the processor sets meanwhile */
};
/* Writes entry `index` of the table `table` (any level, owner pt_owner), whose target belongs to `target_owner`: the
 * pt_owner's domid, a foreign domain's, DOMID_IO. What the caller may map is checked by the caller (policy). Foreign
 * targets only in L1 tables.
 * 0; -EINVAL not a page table, bad bits or a reserved slot; -EBUSY target has another owner or cannot take the type;
 * -EPERM; -EACCES; -ERESTART (levels 2 to 4 only, or a table that another CPU has in transition).
 * After success on levels 2 to 4 the old subtree may still wait to be dropped: call mmu_finish_drops() until it gives 0
 * before the guest goes on. */
int mmu_update_entry(struct domain *pt_owner, struct frame *table, unsigned index, pte_t value, enum pt_how how,
                     uint16_t target_owner);
/* Drops what earlier calls of this vCPU (or the CPU's idle vCPU) left behind: 0 or -ERESTART. Every operation on roots,
 * pins and upper tables does it first. */
int mmu_finish_drops(struct vcpu *v);
/* A 8-byte-aligned guest store into its own valid L1 table, seen as a page fault: writes `value` if the entry still is
 * `expected`. 0; -EAGAIN the entry was another; else as above. Used by the write emulation. */
int mmu_cmpxchg_l1(struct domain *d, mfn_t l1, unsigned index, pte_t expected, pte_t value);
/* L1 entry of a linear address in the vCPU's current tables: mfn of the L1 and index. -EINVAL: none. The L1 comes with
 * a type reference, to be dropped by mmu_put_l1(). */
int mmu_find_l1(struct vcpu *v, uint64_t va, struct frame **l1, unsigned *index);
void mmu_put_l1(struct frame *l1);

int mmu_pin(struct domain *d, mfn_t mfn, unsigned level); /* level 1..4 */
int mmu_unpin(struct domain *d, mfn_t mfn);
/* What a frame of the domain's RAM is now: FT_L1..FT_L4 of a valid page table, else FT_NONE; *pinned. -EINVAL: it is none. */
int mmu_frame_kind(struct domain *d, mfn_t mfn, bool *pinned);
/* New kernel / user root of the current vCPU. INVALID_MFN for no user root. */
int mmu_set_kernel_root(struct vcpu *v, mfn_t l4);
int mmu_set_user_root(struct vcpu *v, mfn_t l4);
/* Drops both roots of a vCPU that runs nowhere. 0 or -ERESTART. */
int mmu_drop_roots(struct vcpu *v);
/* Gives back all memory of a dying domain: pins, parked tables, allocations. 0 or -ERESTART. */
int mmu_relinquish(struct domain *d);

/* Machine frames outside RAM that the domain may map (and of those, the ones it can only read: RW is silently dropped
 * from its entries, as Linux maps MSI-X tables writable but does not write them). Existing mappings stay. 0, -ENOMEM, -EINVAL.
 * They take the memory lock; nothing else may touch d->io_frames and d->io_frames_ro of a domain that runs. */
int io_frames_permit(struct domain *d, uint64_t first, uint64_t last, bool permit);
int io_frames_readonly(struct domain *d, uint64_t first, uint64_t last, bool readonly);

/* Takes over the references that an L1 entry value asks for, without a table: grant mappings. Completes the value (US). */
int l1_entry_get(struct domain *pt_owner, pte_t *value, uint16_t target_owner);
void l1_entry_put(pte_t value);

/* Whether the 8-byte segment descriptor may be in a guest's descriptor table; fixes its DPL up to 3 and such. */
bool descriptor_ok(uint64_t *desc);

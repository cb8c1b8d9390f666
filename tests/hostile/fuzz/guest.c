/* SPDX-License-Identifier: MIT */
/* Fuzzing as a guest: each vCPU has a sequence of its own; all share the pages. Some are granted to the other domain. */
#include "guest/attack.h"
#include "fuzz/fuzz.h"

#define GRANTS      16
#define REPAIR_EACH 1024 /* steps, then the pages are mapped again where that is possible */

static uint8_t *pages;
static struct fuzz fuzzers[VCPUS_MAX];

static void repair(void)
{
    traps_init();
    shared_info->vcpu_info[this_cpu()->id].evtchn_upcall_mask = 1;
    for (unsigned i = 0; i < FUZZ_PAGES; i++)
        map_entry(pages + i * PAGE, entry_of(pages + i * PAGE, PLAIN));
    for (unsigned ref = 0; ref < GRANTS; ref++)
        grant(ref, board->peer, pages + ref * PAGE, ref & 1 ? GTF_readonly : 0);
}

static void fuzz_on(void *arg)
{
    struct fuzz *f = arg;
    unsigned id = this_cpu()->id;

    for (unsigned i = 1; !has_stopped(); i++) {
        fuzz_step(f);
        WRITE_ONCE(board->hypercalls[id], f->count);
        if (i % REPAIR_EACH == 0)
            repair();
    }
}

void fuzz_guest(void)
{
    pages = new_pages(FUZZ_PAGES);
    repair();
    for (unsigned id = 0; id < VCPUS_MAX; id++) {
        fuzzers[id] = (struct fuzz){.state = board->seed * VCPUS_MAX + id,
                                    .pages = pages,
                                    .call = new_page(),
                                    .frames = {board->domain0_mfn, board->domain0_table_mfn, board->peer_mfn, 0x200,
                                               mfn_of(table_of(pages, 1)), mfn_of(table_of(pages, 4)),
                                               start_info->shared_info / PAGE, board->frames_max},
                                    .domains = {board->domain, board->peer, 0, DOMID_SELF}};
        if (id)
            cpu_start(id, fuzz_on, &fuzzers[id]);
    }
    fuzz_on(&fuzzers[0]);
    end_with(VERDICT_PASSED);
}

/* SPDX-License-Identifier: MIT */
/* A hostile guest: makes the attack that its board names, or is its peer, or the fuzzer; says what came of it, and ends. */
#include "guest/attack.h"
#include "fuzz/fuzz.h"

struct board *board;
static size_t text_used;
static uint64_t next_pfn;

void guest_main(struct board *b, const struct start_info *info);

void put_text(const char *text, size_t length)
{
    for (; length && text_used + 1 < sizeof(board->text); length--)
        board->text[text_used++] = *text++;
    board->text[text_used] = 0;
}

void end_with(enum verdict verdict)
{
    struct sched_shutdown how = {.reason = SHUTDOWN_poweroff};

    WRITE_ONCE(board->verdict, verdict);
    for (;;)
        sched_op(SCHEDOP_shutdown, &how);
}

void attack_failed(const char *file, int line, const char *what, long value)
{
    const struct trap *t = &this_cpu()->trap;

    print("%s:%d: %s (%ld)\n  last trap: %u error %lx at %lx, cr2 %lx\n", file, line, what, value, t->vector, t->error,
          t->rip, t->cr2);
    end_with(VERDICT_FAILED);
}

void unexpected_trap(const struct trap *t)
{
    print("trap %u error %lx at %lx, cr2 %lx\n", t->vector, t->error, t->rip, t->cr2);
    end_with(VERDICT_FAILED);
}

void *new_pages(unsigned count)
{
    void *page = (void *)(VIRT_BASE + next_pfn * PAGE);

    next_pfn += count;
    if (next_pfn > board->free_end)
        FAIL("no more pages", count);
    return page;
}

void *new_page(void)
{
    return new_pages(1);
}

void make_readonly(const void *page)
{
    ALLOWED(map_entry(page, entry_of(page, READONLY)));
}

void make_writable(const void *page)
{
    ALLOWED(map_entry(page, entry_of(page, PLAIN)));
}

uint64_t *new_table(void)
{
    uint64_t *table = new_page();

    make_readonly(table);
    return table;
}

bool has_stopped(void)
{
    return READ_ONCE(board->stop);
}

void guest_main(struct board *b, const struct start_info *info)
{
    extern const struct attack *const attacks[];
    const struct attack *attack;

    board = b;
    next_pfn = b->free_pfn;
    paging_init(info);
    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
    traps_init();
    grants_init();
    if (b->role == ROLE_FUZZER)
        fuzz_guest();
    attack = attacks[b->attack];
    if (b->role == ROLE_PEER)
        attack->peer();
    else
        attack->run();
    end_with(VERDICT_PASSED);
}

/* SPDX-License-Identifier: MIT */
/*
 * Domain 0's kernel: every attack in a domain of its own, then fuzzing; a line for each, the last one 'hostile: N passed, M
 * failed'; then the machine is reset, which ends QEMU under -no-reboot.
 *
 * Command line: only=TEXT (attacks whose names contain it), seconds=N of fuzzing, seed=N, repeat=N (of every
 * attack, with a seed that counts up),
 * patience=N times the time for each; key=X is pressed at the end.
 */
#include "dom0/dom0.h"

#define ATTACK_NS 20000000000UL
#define PEER_NS   5000000000UL

struct arguments {
    char only[64];
    uint64_t seconds, seed, repeat, patience;
    char key; /* 0: none */
};

void dom0_main(const struct start_info *info);

static uint64_t patience = 1; /* a busy machine is slow */

void put_text(const char *text, size_t length)
{
    hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, length, ADDRESS(text), 0);
}

void unexpected_trap(const struct trap *t)
{
    print("hostile: Domain 0: trap %u error %lx at %lx, cr2 %lx\n", t->vector, t->error, t->rip, t->cr2);
    reset_machine();
}

/* ---- Arguments ---- */

/* The value behind `name` at the start of a word of the command line; NULL: none. */
static const char *value_of(const char *line, const char *name)
{
    for (const char *p = line; *p; p++) {
        const char *a = p, *b = name;

        if (p != line && p[-1] != ' ')
            continue;
        while (*b && *a == *b)
            a++, b++;
        if (!*b)
            return a;
    }
    return NULL;
}

static uint64_t number_of(const char *line, const char *name, uint64_t otherwise)
{
    const char *p = value_of(line, name);
    uint64_t n = 0;

    if (!p)
        return otherwise;
    while (*p >= '0' && *p <= '9')
        n = n * 10 + (uint64_t)(*p++ - '0');
    return n;
}

static struct arguments parse(const char *line)
{
    struct arguments a = {.seconds = number_of(line, "seconds=", 0),
                          .seed = number_of(line, "seed=", 1),
                          .repeat = number_of(line, "repeat=", 1),
                          .patience = number_of(line, "patience=", 1)};
    const char *only = value_of(line, "only="), *key = value_of(line, "key=");

    for (unsigned i = 0; only && only[i] && only[i] != ' ' && i + 1 < sizeof(a.only); i++)
        a.only[i] = only[i];
    a.key = key ? *key : 0;
    return a;
}

static bool chosen(const struct arguments *a, const char *name)
{
    for (const char *p = name; *p; p++) {
        const char *x = p, *y = a->only;

        while (*y && *x == *y)
            x++, y++;
        if (!*y)
            return true;
    }
    return false;
}

/* ---- One attack ---- */

static bool make_guests(const struct attack *attack, unsigned index, uint64_t seed)
{
    unsigned count = attack->peer ? 2 : 1;

    for (unsigned i = 0; i < count; i++) {
        if (!guest_create(&guests[i], i ? ROLE_PEER : ROLE_ATTACKER))
            return false;
        guests[i].board->attack = index;
        guests[i].board->seed = seed;
        guests[i].board->frames_max = (uint64_t)memory_op(XENMEM_maximum_ram_page, NULL);
    }
    for (unsigned i = 0; i < count; i++) {
        guests[i].board->peer = guests[count - 1 - i].domain;
        guests[i].board->peer_mfn = guests[count - 1 - i].mfns[0];
    }
    for (unsigned i = count; i-- > 0;) /* the peer first */
        if (!guest_start(&guests[i]))
            return false;
    return true;
}

/* How a guest ended, against how it must. */
static bool judge_guest(const struct guest *g, const char *who, int reason, uint64_t outcome)
{
    bool passed = reason == SHUTDOWN_poweroff && g->board->verdict == VERDICT_PASSED;
    bool good = outcome == SURVIVES ? passed
                : outcome == DIES   ? reason == SHUTDOWN_crash
                                    : passed || reason == SHUTDOWN_crash;

    g->board->text[sizeof(g->board->text) - 1] = 0;
    if (!good)
        print("  %s %s (%d), verdict %u: %s\n", who, reason < 0 ? "hangs" : "ended", reason, g->board->verdict,
              g->board->text);
    return good;
}

static bool run_guests(const struct attack *attack)
{
    int reason = guest_wait(&guests[0], ATTACK_NS * patience);
    bool good;

    if (reason < 0) /* what are its vCPUs at? */
        press_key('d');
    if (attack->peer)
        WRITE_ONCE(guests[1].board->stop, 1);
    good = judge_guest(&guests[0], "the guest", reason, attack->outcome);
    if (attack->peer)
        good &= judge_guest(&guests[1], "its peer", guest_wait(&guests[1], PEER_NS * patience), SURVIVES);
    return good;
}

static bool try_attack(unsigned index, uint64_t seed)
{
    const struct attack *attack = guest_attack(index);
    uint64_t begin = now_ns();
    bool good = make_guests(attack, index, seed) && run_guests(attack);

    good &= guests_destroy();
    good &= all_is_well();
    print("%s %s (%lu ms)\n", good ? "passed" : "FAILED", guest_text(attack->name), (now_ns() - begin) / 1000000);
    return good;
}

static bool run_attack(unsigned index, uint64_t seed)
{
    bool good = try_attack(index, seed);

    if (!memory_is_missing())
        return good;
    good &= try_attack(index, seed);
    if (memory_is_missing())
        print("FAILED %s: it costs memory each time\n", guest_text(guest_attack(index)->name));
    return good && !memory_is_missing();
}

/* The hypervisor keeps some memory once it has had it: the first domains come and go before anything is counted. */
static void warm_up(void)
{
    for (unsigned i = 0; i < GUESTS_MAX; i++)
        guest_create(&guests[i], ROLE_ATTACKER);
    guests_destroy();
}

void dom0_main(const struct start_info *info)
{
    unsigned passed = 0, failed = 0;
    struct arguments a;

    paging_init(info);
    traps_init();
    guests_init();
    a = parse((const char *)info->cmd_line);
    patience = a.patience;
    warm_up();
    judge_init();
    print("hostile: %u attacks, %lu seconds of fuzzing, seed %lu\n", guest_attacks_count(), a.seconds, a.seed);
    for (unsigned i = 0; i < guest_attacks_count(); i++)
        if (chosen(&a, guest_text(guest_attack(i)->name)))
            for (uint64_t n = 0; n < a.repeat; n++)
                run_attack(i, a.seed + n) ? passed++ : failed++;
    if (a.seconds)
        fuzz_for(a.seconds, a.seed) ? failed++ : passed++;
    if (a.key)
        press_key(a.key);
    print("hostile: %u passed, %u failed\n", passed, failed);
    reset_machine();
}

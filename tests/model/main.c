/* SPDX-License-Identifier: MIT */
/*
 * Runs sequences of steps, each in a process of its own, until the time is over. One that fails is made shorter as long as it
 * still fails, and its steps are printed.
 *
 *   SEED=n      the first sequence's seed (1)             STEPS=n   of a sequence (20000)
 *   T=seconds   at least so long (0: RUNS decides)        RUNS=n    sequences (8)
 *   MODE=seq | smp    one CPU at a time, or interleaved; both in turn by default
 *   AUDIT=n     audit after every n-th step (1)           TRACE=1   print every step
 *   SHRINK=0    do not make it shorter
 *   EVERY_SWITCH=n  after a sequence, n rounds of two CPUs with a switch at every point, and at many pairs of points
 */
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "model.h"
#include "core/mem/audit.h"

#define STEPS_MAX 10000000UL

uint64_t model_seed;
bool model_trace;
struct model_stats *stats;

static struct shared {
    struct model_stats stats;
    uint64_t schedules;
    unsigned points; /* of the last round */
    uint64_t at;     /* the step that the sequence is at */
    bool quiet;
    bool stop_early; /* the last audit is what fails */
    uint8_t left_out[STEPS_MAX];
} * shared;
static uint64_t steps, audit_every, every_switch_rounds;

/* ---- Reporting ---- */

void __noreturn violation(const char *fmt, ...)
{
    va_list ap;

    if (!shared->quiet) {
        va_start(ap, fmt);
        printf("step %lu: ", shared->at);
        vprintf(fmt, ap);
        printf("\n");
        va_end(ap);
        fflush(stdout);
    }
    _Exit(3);
}

void say(const char *fmt, ...)
{
    va_list ap;

    if (!model_trace)
        return;
    va_start(ap, fmt);
    printf("%lu", shared->at);
    vprintf(fmt, ap);
    va_end(ap);
    fflush(stdout);
}

static uint64_t number_from(const char *name, uint64_t usual)
{
    const char *s = getenv(name);

    return s && *s ? strtoull(s, NULL, 0) : usual;
}

/* ---- One sequence ---- */

static void audit(void)
{
    struct audit_result r;

    stats->audits++;
    check_all();
    host_console_len = 0;
    r = audit_run(true);
    if (r.violations)
        violation("the audit says:\n%s", host_console);
}

/* A few switches anywhere, or many close together. */
static void plan_switches(void)
{
    bool dense = chance(3);
    unsigned at = rnd(dense ? 100 : 1), n = dense ? SWITCHES : rnd(5);

    memset(cpus_switch_at, 0, sizeof(cpus_switch_at));
    for (unsigned i = 0; i < n; i++)
        cpus_switch_at[i] = at += 1 + rnd(dense ? 6 : chance(2) ? 40 : 400);
}

static void one_step(uint64_t seed, bool smp)
{
    model_seed = seed;
    tlb_model_fill();
    if (smp) {
        plan_switches();
        cpus_round(rnd64());
    } else {
        unsigned cpu = rnd(MODEL_CPUS);

        port_step_begin();
        world_step(cpu);
        port_step_end();
    }
    stats->steps++;
}

/* One round with these switches, in a process of its own. True: it went well; *points is how many it had. */
static bool try_switches(uint64_t seed, unsigned first, unsigned second)
{
    int status;
    pid_t pid = fork();

    if (pid < 0)
        exit(2);
    if (!pid) {
        memset(cpus_switch_at, 0, sizeof(cpus_switch_at));
        cpus_switch_at[0] = first;
        cpus_switch_at[1] = second;
        cpus_round(seed);
        shared->points = cpus_points;
        audit();
        _Exit(0);
    }
    if (waitpid(pid, &status, 0) != pid)
        exit(2);
    shared->schedules++;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        printf("with switches at points %u and %u of round %lx\n", first, second, seed);
    return WIFEXITED(status) && !WEXITSTATUS(status);
}

#define SECOND_EACH 3 /* of the second switches, one in so many */

/* Every place where one CPU may be interrupted by all of the other's step, and many of the pairs of places. */
static void every_switch(uint64_t seed)
{
    unsigned points;

    if (!try_switches(seed, 0, 0))
        _Exit(3);
    points = MIN(shared->points, 400u);
    for (unsigned i = 1; i <= points; i++)
        for (unsigned j = 0; j <= points; j = j ? j + 1 + rnd(2 * SECOND_EACH) : i + 1)
            if ((!j || points < 120 || chance(8)) && !try_switches(seed, i, j))
                _Exit(3);
}

static void run_sequence(uint64_t seed, bool smp)
{
    model_seed = seed;
    world_create();
    for (uint64_t i = 0; i < steps; i++) {
        if (shared->left_out[i])
            continue;
        shared->at = i;
        one_step((seed << 32 ^ i) * 0x9e3779b97f4a7c15, smp);
        if (stats->steps % audit_every == 0)
            audit();
    }
    audit();
    for (uint64_t n = 0; n < every_switch_rounds; n++)
        every_switch((seed << 40 ^ n) * 0x9e3779b97f4a7c15);
    if (shared->stop_early)
        return;
    shared->at = steps;
    world_end();
}

/* True: it went well. */
static bool try_sequence(uint64_t seed, bool smp)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    if (!pid) {
        if (shared->quiet && (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)))
            _Exit(2);
        alarm(shared->quiet ? 60 : 0);
        run_sequence(seed, smp);
        exit(0);
    }
    if (waitpid(pid, &status, 0) != pid)
        exit(2);
    if (WIFSIGNALED(status) && !shared->quiet)
        printf("step %lu: signal %d\n", shared->at, WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- Making it shorter ---- */

static bool try_without(uint64_t first, uint64_t count, uint64_t seed, bool smp)
{
    static uint8_t before[STEPS_MAX];

    memcpy(before + first, shared->left_out + first, count);
    memset(shared->left_out + first, 1, count);
    if (!try_sequence(seed, smp))
        return true;
    memcpy(shared->left_out + first, before + first, count);
    return false;
}

static uint64_t steps_left(void)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < steps; i++)
        n += !shared->left_out[i];
    return n;
}

/* Audits cost most of the time; while there are none but the last, what fails must still be seen then. */
static void shorten(uint64_t seed, bool smp, time_t until)
{
    shared->stop_early = shared->at < steps;
    steps = MIN(steps, shared->at + 1);
    audit_every = UINT64_MAX;
    if (try_sequence(seed, smp))
        audit_every = 1;
    for (uint64_t piece = steps / 2; piece; piece = piece == 1 ? 0 : (piece + 1) / 2) {
        for (uint64_t at = 0; at < steps && time(NULL) < until; at += piece) {
            uint64_t n = MIN(piece, steps - at), kept = 0;

            for (uint64_t i = at; i < at + n; i++)
                kept += !shared->left_out[i];
            if (kept)
                try_without(at, n, seed, smp);
        }
    }
}

static void report_failure(uint64_t seed, bool smp)
{
    if (audit_every > 1) { /* where exactly? */
        audit_every = 1;
        try_sequence(seed, smp);
    }
    if (number_from("SHRINK", 1)) {
        shared->quiet = true;
        shorten(seed, smp, time(NULL) + (time_t)number_from("SHRINK_SECONDS", 120));
        shared->quiet = false;
        audit_every = 1;
        printf("--- %lu steps are enough:\n", steps_left());
        model_trace = true;
        try_sequence(seed, smp);
    }
    printf("FAILED: SEED=%lu RUNS=1 MODE=%s STEPS=%lu\n", seed, smp ? "smp" : "seq", number_from("STEPS", 20000));
}

/* ---- All of them ---- */

static void print_totals(double seconds)
{
    struct model_stats *s = stats;

    for (unsigned i = 0; op_name(i); i++)
        printf("  %-32s %10lu made, %10lu well\n", op_name(i), s->tried[i], s->done[i]);
    printf("model: %lu steps (%lu rounds of %d CPUs, %lu switches), %lu hypercalls, %lu continued, %lu failing "
           "allocations, %lu domains made, %lu freed, %lu audits, %lu planned orders, %.0f steps/s\n",
           s->steps, s->rounds, MODEL_CPUS, s->switches, s->calls, s->continued, s->faults, s->created, s->destroyed,
           s->audits, shared->schedules, seconds > 0 ? (double)s->steps / seconds : 0);
}

int main(void)
{
    uint64_t seed = number_from("SEED", 1), runs = number_from("RUNS", 8), n = 0;
    const char *mode = getenv("MODE");
    time_t begin = time(NULL), until = begin + (time_t)number_from("T", 0);
    bool failed = false;

    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    stats = &shared->stats;
    steps = MIN(number_from("STEPS", 20000), STEPS_MAX);
    every_switch_rounds = number_from("EVERY_SWITCH", 0);
    audit_every = MAX(number_from("AUDIT", 1), 1UL);
    model_trace = number_from("TRACE", 0);
    world_learn();
    for (; !failed && (n < runs || time(NULL) < until); n++) {
        bool smp = mode ? !strcmp(mode, "smp") : n & 1;

        failed = !try_sequence(seed + n, smp);
        if (failed)
            report_failure(seed + n, smp);
    }
    print_totals(difftime(time(NULL), begin));
    return failed;
}

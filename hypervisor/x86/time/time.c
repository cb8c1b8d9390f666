/* SPDX-License-Identifier: MIT */
/*
 * The clock: system time, in nanoseconds since entry of the hypervisor, from the TSC.
 *
 *   ns = ns_base + scale(tsc - offset of the CPU - tsc_base)       scale(x) = ((x << shift) * mul) >> 32, the ABI's form
 *
 * The frequency is measured at boot against the platform timer, in 10 ms, and each second again. What the clock is then
 * wrong by is removed over the next seconds by a change of the rate, at most 500 parts in a million: time never jumps and
 * never goes back. The parameters change only where both rates give the same time.
 *
 * `clock` is written by the boot CPU once a second and read everywhere: a sequence count guards it, and since it is alone in
 * its cache line, reading costs no traffic. Offsets between TSCs are measured once, when a CPU starts: the TSCs run at the
 * same rate and do not stop, since idle CPUs are only halted.
 */
#include "core/domain/domain.h"
#include "core/lib/fail.h"
#include "core/lib/print.h"
#include "core/time/timer.h"
#include "core/time/wallclock.h"
#include "core/trace/conring.h"
#include "core/trace/trace.h"
#include "x86/apic/apic.h"
#include "x86/boot/boot.h"
#include "x86/cpu/cpu.h"
#include "x86/time/clock.h"
#include "x86/time/platform.h"
#include "x86/time/time.h"

#define CALIBRATION_NS         (10 * MSEC)
#define CALIBRATION_CYCLES_MAX (1UL << 34) /* a platform timer that stops must not hang the boot */
#define GUESS_HZ               1000000000UL
#define TIMER_FAR_NS           SEC /* the one-shot is never set further: the clock may change its rate */
#define SLEW_PPB_MAX           500000
#define SLEW_SECONDS           4           /* in which an error is to be removed */
#define SAMPLE_WIDTH_NS        (50 * USEC) /* a reading more uncertain is not used */
#define JUMP_SHARE             64          /* an interval off by more than 1/64 is a disturbance, not a frequency */
#define JUMPS_MAX              3
#define PUBLISH_DELAY_NS       (100 * USEC)

static struct clock clock __aligned_to(64);
static uint64_t tsc_hz;
static uint64_t timer_mul; /* ticks of the timer (TSC or local APIC) a nanosecond, 32.32 */
static uint32_t scale_mul; /* the frequency measured at boot */
static int scale_shift;

static struct {
    struct timer timer;
    struct platform_sample last;
    uint64_t platform_ns;  /* system time by the platform timer at `last` */
    uint32_t measured_mul; /* rate that the platform timer says */
    unsigned samples, jumps;
    int64_t error_ns; /* last seen */
} discipline;
static struct timer publish_timers[MAX_CPUS];

/* a * b / c; the caller sees to it that the quotient fits. */
static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t high, low;

    __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(a), "r"(b));
    if (high >= c)
        return ~0UL;
    __asm__("divq %2" : "+a"(low), "+d"(high) : "r"(c));
    return low;
}

/* ---- Reading ----------------------------------------------------------------------------------------------- */

static inline uint64_t clock_at(const struct clock *c, uint64_t tsc)
{
    int64_t delta = (int64_t)(tsc - c->tsc_base);

    /* Another CPU's counter may be a few cycles behind a base that has just been set. */
    return c->ns_base + (likely(delta > 0) ? tsc_scale((uint64_t)delta, c->mul, c->shift) : 0);
}

uint64_t hw_now_ns(void)
{
    uint64_t ns;
    uint32_t seq;

    do {
        seq = __atomic_load_n(&clock.seq, __ATOMIC_ACQUIRE);
        ns = clock_at(&clock, rdtsc() - (uint64_t)this_x86_cpu()->tsc_offset);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (unlikely((seq & 1) || seq != __atomic_load_n(&clock.seq, __ATOMIC_RELAXED)));
    return ns;
}

struct clock clock_snapshot(void)
{
    struct clock c;

    do {
        while ((c.seq = __atomic_load_n(&clock.seq, __ATOMIC_ACQUIRE)) & 1)
            __builtin_ia32_pause();
        c.mul = clock.mul;
        c.shift = clock.shift;
        c.stable = clock.stable;
        c.tsc_base = clock.tsc_base;
        c.ns_base = clock.ns_base;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (c.seq != __atomic_load_n(&clock.seq, __ATOMIC_RELAXED));
    return c;
}

uint64_t tsc_khz(void)
{
    return tsc_hz / 1000;
}

uint32_t hw_tsc_khz(void)
{
    return (uint32_t)tsc_khz();
}

void udelay(unsigned us)
{
    /* Before calibration: as for a fast processor. */
    uint64_t cycles = us * (tsc_hz ? tsc_hz / 1000000 + 1 : 4000), start = rdtsc();

    while (rdtsc() - start < cycles)
        __builtin_ia32_pause();
}

/* ---- Boot -------------------------------------------------------------------------------------------------- */

static void __init_only set_scale(uint64_t hz)
{
    scale_shift = 0;
    while (hz > 2 * SEC) {
        hz >>= 1;
        scale_shift--;
    }
    while (hz <= SEC) {
        hz <<= 1;
        scale_shift++;
    }
    scale_mul = (uint32_t)((SEC << 32) / hz);
}

static uint64_t elapsed_ns(const struct platform_sample *a, const struct platform_sample *b)
{
    uint64_t ticks = (b->counter - a->counter) & (platform_wrap() - 1);
    return mul_div(ticks, SEC, platform_timer->hz);
}

/* The local APIC's counter and the TSC at about the same moment. */
static uint32_t __init_only lapic_sample(uint64_t *tsc)
{
    uint64_t before = rdtsc();
    uint32_t count = lapic_timer_count();

    *tsc = before + (rdtsc() - before) / 2;
    return count;
}

static void __init_only calibrate(struct platform_sample *end)
{
    struct platform_sample start, now;
    uint64_t lapic_tsc[2], ticks;
    uint32_t lapic[2];

    lapic_timer_set_ticks(~0u); /* it cannot expire in this time, and interrupts are off */
    start = platform_sample();
    lapic[0] = lapic_sample(&lapic_tsc[0]);
    do {
        __builtin_ia32_pause();
        now = (struct platform_sample){.tsc = rdtsc(), .counter = platform_timer->read()};
    } while (elapsed_ns(&start, &now) < CALIBRATION_NS && now.tsc - start.tsc < CALIBRATION_CYCLES_MAX);
    *end = platform_sample();
    lapic[1] = lapic_sample(&lapic_tsc[1]);
    lapic_timer_set_ticks(0);

    ticks = (end->counter - start.counter) & (platform_wrap() - 1);
    if (ticks)
        tsc_hz = mul_div(end->tsc - start.tsc, platform_timer->hz, ticks);
    if (tsc_hz < 1000000 || tsc_hz > 1000 * SEC) {
        log_warn("time: the TSC cannot be measured, taken for %lu MHz", GUESS_HZ / 1000000);
        tsc_hz = GUESS_HZ;
    }
    if (lapic_tsc[1] > lapic_tsc[0])
        lapic_timer_hz = mul_div(lapic[0] - lapic[1], tsc_hz, lapic_tsc[1] - lapic_tsc[0]);
}

void __init_only time_boot_init(void)
{
    platform_timer_init();
    calibrate(&discipline.last);
    set_scale(tsc_hz);
    clock.mul = discipline.measured_mul = scale_mul;
    clock.shift = scale_shift;
    clock.stable = cpu_features.invariant_tsc;
    clock.tsc_base = boot_tsc;
    clock.ns_base = 0;
    discipline.platform_ns = clock_at(&clock, discipline.last.tsc);

    if (!cpu_features.tsc_deadline && !lapic_timer_hz)
        panic("the local APIC's timer does not count");
    timer_mul = mul_div(cpu_features.tsc_deadline ? tsc_hz : lapic_timer_hz, 1UL << 32, SEC);
    log_info("Time: TSC %lu.%03lu MHz%s by %s", tsc_hz / 1000000, tsc_hz / 1000 % 1000,
             cpu_features.invariant_tsc ? " (invariant)" : "", platform_timer->name);
    if (!cpu_features.tsc_deadline)
        log_info("Time: local APIC timer %lu.%03lu MHz", lapic_timer_hz / 1000000, lapic_timer_hz / 1000 % 1000);
}

/* ---- The one-shot timer of this CPU -------------------------------------------------------------------------- */

void time_cpu_init(void)
{
    hw_timer_set(~0UL);
}

void hw_timer_set(uint64_t deadline_ns)
{
    uint64_t now, ticks = 1;

    if (deadline_ns == ~0UL) {
        if (cpu_features.tsc_deadline)
            lapic_timer_set_deadline(0);
        else
            lapic_timer_set_ticks(0);
        return;
    }
    now = hw_now_ns();
    if (deadline_ns > now)
        ticks += (MIN(deadline_ns - now, TIMER_FAR_NS) * timer_mul) >> 32;
    if (cpu_features.tsc_deadline)
        lapic_timer_set_deadline(rdtsc() + ticks);
    else
        lapic_timer_set_ticks((uint32_t)MIN(ticks, 0xffffffffUL));
}

/* ---- Discipline ----------------------------------------------------------------------------------------------- */

/* From this moment on the clock runs at the new rate. Boot CPU only. */
static void clock_set_rate(uint32_t mul)
{
    uint64_t tsc;

    __atomic_store_n(&clock.seq, clock.seq + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    tsc = rdtsc();
    clock.ns_base = clock_at(&clock, tsc);
    clock.tsc_base = tsc;
    clock.mul = mul;
    __atomic_store_n(&clock.seq, clock.seq + 1, __ATOMIC_RELEASE);
}

/* Real time between two samples: the counter's, with as many wraps as the TSC says have passed. */
static uint64_t interval_ns(const struct platform_sample *now, uint64_t expected_ns)
{
    uint64_t ns = elapsed_ns(&discipline.last, now);
    uint64_t wrap_ns = mul_div(platform_wrap(), SEC, platform_timer->hz);

    if (expected_ns > ns)
        ns += (expected_ns - ns + wrap_ns / 2) / wrap_ns * wrap_ns;
    return ns;
}

/* Takes the rate of one interval into the measured one; false: the interval was disturbed. */
static bool learn_rate(uint64_t ns, uint64_t tsc_delta)
{
    static const int8_t weights[] = {1, 2, 4, 8};
    uint64_t scaled = scale_shift >= 0 ? tsc_delta << scale_shift : tsc_delta >> -scale_shift;
    uint64_t mul = mul_div(ns, 1UL << 32, scaled);
    int64_t change = (int64_t)(mul - discipline.measured_mul);
    int64_t limit = discipline.measured_mul / JUMP_SHARE;

    if (mul > UINT32_MAX || ((change > limit || change < -limit) && ++discipline.jumps < JUMPS_MAX))
        return false;
    if (change > limit || change < -limit) {
        log_warn("time: the TSC's frequency has changed");
        discipline.samples = 0;
    }
    discipline.jumps = 0;
    discipline.measured_mul += (uint32_t)(int32_t)(change / weights[MIN(discipline.samples, ARRAY_SIZE(weights) - 1)]);
    discipline.samples++;
    return true;
}

static void discipline_step(const struct platform_sample *now)
{
    uint64_t tsc_delta = now->tsc - discipline.last.tsc;
    uint64_t expected = tsc_scale(tsc_delta, discipline.measured_mul, scale_shift);
    uint64_t ns = interval_ns(now, expected);
    int64_t ppb;

    discipline.platform_ns += learn_rate(ns, tsc_delta) ? ns : expected;
    discipline.last = *now;
    discipline.error_ns = (int64_t)(discipline.platform_ns - clock_at(&clock, now->tsc));
    ppb = MIN(MAX(discipline.error_ns / SLEW_SECONDS, -SLEW_PPB_MAX), SLEW_PPB_MAX);
    clock_set_rate(
        (uint32_t)((int64_t)discipline.measured_mul + (int64_t)discipline.measured_mul * ppb / (int64_t)SEC));
    trace(TRACE_TIME, "time: error %ld ns, slew %ld ppb, rate %#x, width %lu", discipline.error_ns, ppb,
          discipline.measured_mul, now->width);
}

static uint64_t next_second(void)
{
    return (hw_now_ns() / SEC + 1) * SEC;
}

static void discipline_tick(void *arg)
{
    struct platform_sample now = platform_sample();

    if (tsc_scale(now.width, scale_mul, scale_shift) <= SAMPLE_WIDTH_NS)
        discipline_step(&now);
    timer_set(&discipline.timer, next_second());
}

/* Each CPU, a little after the boot CPU has set the rate: its vCPU's copy follows. */
static void publish_tick(void *arg)
{
    struct vcpu *v = current_vcpu();

    if (v->domain)
        hw_update_vcpu_time(v);
    timer_set(arg, next_second() + PUBLISH_DELAY_NS);
}

static void time_print(void)
{
    print_raw("clock: %lu ns; mul %#x shift %d, measured %#x; error %ld ns to the %s; TSC %s\n", hw_now_ns(), clock.mul,
              clock.shift, discipline.measured_mul, discipline.error_ns, platform_timer->name,
              clock.stable ? "stable" : "not stable");
}

void __init_only time_discipline_start(void)
{
    uint64_t utc_ns = rtc_read_utc_s() * SEC, now = hw_now_ns();
    unsigned cpu;

    wallclock_set(utc_ns > now ? utc_ns - now : 0);
    key_register('C', "the clock", time_print);
    timer_init(&discipline.timer, discipline_tick, NULL, this_cpu()->id);
    timer_set(&discipline.timer, next_second());
    for_each_cpu (cpu, &cpus_online) {
        timer_init(&publish_timers[cpu], publish_tick, &publish_timers[cpu], cpu);
        timer_set(&publish_timers[cpu], next_second() + PUBLISH_DELAY_NS);
    }
}

/* ---- Offsets between CPUs --------------------------------------------------------------------------------------- */

#define SYNC_ROUNDS     8
#define SYNC_CYCLES_MAX (1UL << 32)
static struct {
    uint32_t request __aligned_to(64); /* cpu * 64 + round + 1; SYNC_ROUNDS: done */
    uint32_t reply __aligned_to(64);
    uint64_t tsc;
} sync;

static bool __init_only sync_wait(const uint32_t *word, uint32_t value)
{
    uint64_t start = rdtsc();

    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
        if (rdtsc() - start > SYNC_CYCLES_MAX)
            return false;
        __builtin_ia32_pause();
    }
    return true;
}

/* The new CPU's half: says what its counter shows when asked. */
static void __init_only sync_answer(unsigned cpu)
{
    for (uint32_t round = 1; round <= SYNC_ROUNDS; round++) {
        if (!sync_wait(&sync.request, cpu * 64 + round))
            return;
        sync.tsc = rdtsc();
        __atomic_store_n(&sync.reply, cpu * 64 + round, __ATOMIC_RELEASE);
    }
    sync_wait(&sync.request, cpu * 64 + SYNC_ROUNDS + 1); /* the offset is known */
}

void __init_only time_sync_cpu(unsigned cpu)
{
    uint64_t best_width = ~0UL;
    int64_t offset = 0;

    if (this_cpu()->id == cpu) {
        sync_answer(cpu);
        return;
    }
    for (uint32_t round = 1; round <= SYNC_ROUNDS; round++) {
        uint64_t before = rdtsc(), width;

        __atomic_store_n(&sync.request, cpu * 64 + round, __ATOMIC_SEQ_CST);
        if (!sync_wait(&sync.reply, cpu * 64 + round)) {
            log_err("time: CPU %u does not answer", cpu);
            return;
        }
        width = rdtsc() - before;
        if (width < best_width) {
            best_width = width;
            offset = (int64_t)(sync.tsc - (before + width / 2));
        }
    }
    /* Within what the measurement can tell, the counters are the same. */
    if (offset <= (int64_t)(best_width / 2) && -offset <= (int64_t)(best_width / 2))
        offset = 0;
    x86_cpu_of(pcpus[cpu])->tsc_offset = offset;
    if (offset) {
        clock.stable = false;
        log_info("Time: the TSC of CPU %u is %ld cycles off (+-%lu)", cpu, offset, best_width / 2);
    }
    __atomic_store_n(&sync.request, cpu * 64 + SYNC_ROUNDS + 1, __ATOMIC_RELEASE);
}

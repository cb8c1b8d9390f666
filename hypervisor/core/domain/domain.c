/* SPDX-License-Identifier: MIT */
/*
 * Domains: the list of them, creating, pausing, shutting down and destroying.
 *
 *   domain_create      -> ALIVE, paused
 *   domain_shutdown    -> ALIVE, shutdown set, every vCPU paused once more (domain_resume undoes
 * it) domain_destroy     -> DYING -> (teardown in steps, each of which may be cut short) -> DEAD,
 * off the list's grace last domain_put    -> freed
 *
 * A domain is on the list, and can be found, until teardown is complete, no frame has its number any more
 * (frames_owned: others may have mapped some) and its last reference is gone: so a dead domain whose
 * frames are still mapped elsewhere stays visible as dying. The list's reference goes with the last
 * frame, by the task `reaper`. Lock: LOCK_DOMLIST guards the list; the fields are as marked in domain.h.
 */
#include "core/domain/domain.h"
#include "core/domain/cpu_policy.h"
#include <xen/sched.h>
#include "core/event/event.h"
#include "core/grant/grant.h"
#include "core/lib/fail.h"
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/mem/alloc.h"
#include "core/mem/mmu.h"
#include "core/mem/reservation.h"
#include "core/mem/type.h"
#include "core/sched/task.h"
#include "core/time/vcpu_timer.h"
#include "core/time/wallclock.h"
#include "core/trace/trace.h"

struct domain *domain0;
static struct list domains = LIST_INIT(domains);
static struct spinlock domains_lock = SPINLOCK_INIT(LOCK_DOMLIST);
static uint16_t last_id;
static bool reap_dead(void *unused);
static struct task reaper = {.link = LIST_INIT(reaper.link), .run = reap_dead};

void domain_subsystem_init(void)
{
    list_init(&domains);
    last_id = 0;
    domain0 = NULL;
}

/* ---- Finding
 * ---------------------------------------------------------------------------------------------- */

/* A reference is only given while the count is not 0: a domain on its way out is not revived. */
static bool try_ref(struct domain *d)
{
    uint32_t n = __atomic_load_n(&d->refcount, __ATOMIC_RELAXED);
    while (n)
        if (__atomic_compare_exchange_n(&d->refcount, &n, n + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    return false;
}

static struct domain *find_at_or_after(uint16_t id, bool exact)
{
    struct domain *d, *found = NULL;

    spin_lock(&domains_lock);
    list_for_each (d, &domains, all) {
        if (d->id < id || (exact && d->id != id) || !try_ref(d))
            continue;
        found = d;
        break;
    }
    spin_unlock(&domains_lock);
    return found;
}

struct domain *domain_get(uint16_t id)
{
    return find_at_or_after(id, true);
}

struct domain *domain_get_from(uint16_t id)
{
    return find_at_or_after(id, false);
}

struct domain *domain_get_ref(uint16_t id, struct domain *self)
{
    if (id == DOMID_SELF || id == self->id)
        return try_ref(self) ? self : NULL;
    return domain_get(id);
}

/* A domain with a reference is on the list: the next is behind it. */
struct domain *domain_next(struct domain *d)
{
    struct domain *found = NULL;
    struct list *at;

    spin_lock(&domains_lock);
    for (at = d ? d->all.next : domains.next; at != &domains && !found; at = at->next)
        if (try_ref(list_entry(at, struct domain, all)))
            found = list_entry(at, struct domain, all);
    spin_unlock(&domains_lock);
    if (d)
        domain_put(d);
    return found;
}

/* ---- Creating
 * --------------------------------------------------------------------------------------------- */

static void vcpu_destroy(struct vcpu *v)
{
    sched_vcpu_remove(v);
    vcpu_timers_destroy(v);
    hw_vcpu_free(v);
}

static struct vcpu *vcpu_create(struct domain *d, unsigned id)
{
    struct vcpu *v = hw_vcpu_alloc(d, id);

    if (!v)
        return NULL;
    v->domain = d;
    v->id = id;
    v->pause_flags = VPF_DOWN;
    v->pause_count = 1; /* the domain starts paused */
    v->kernel_l4 = v->user_l4 = INVALID_MFN;
    v->in_kernel = true;
    v->no_info.evtchn_upcall_mask = 1;
    v->info = id < XEN_LEGACY_MAX_VCPUS ? &d->shared_info->vcpu_info[id] : &v->no_info;
    v->runstate = RUNSTATE_offline;
    v->runstate_entry_ns = hw_now_ns();
    vcpu_timers_init(v);
    if (sched_vcpu_init(v)) {
        vcpu_timers_destroy(v);
        hw_vcpu_free(v);
        return NULL;
    }
    return v;
}

/* Timers that each vCPU may have set at once: single-shot, periodic, poll; and the domain's two
 * watchdogs. */
#define TIMERS_PER_VCPU 3

static int create_vcpus(struct domain *d)
{
    int rc = timer_reserve(d->max_vcpus * TIMERS_PER_VCPU + ARRAY_SIZE(d->watchdogs));
    if (rc)
        return rc;
    for (unsigned i = 0; i < d->max_vcpus; i++) {
        d->vcpus[i] = vcpu_create(d, i);
        if (!d->vcpus[i])
            return fail(-ENOMEM);
    }
    return 0;
}

static int create_shared_info(struct domain *d)
{
    d->shared_info_mfn = shared_frame_alloc(d);
    if (mfn_eq(d->shared_info_mfn, INVALID_MFN))
        return fail(-ENOMEM);
    d->shared_info = hw_frame_va(d->shared_info_mfn);
    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        d->shared_info->vcpu_info[i].evtchn_upcall_mask = 1;
    wallclock_publish(d);
    return 0;
}

static int create_cpu_policy(struct domain *d)
{
    d->cpu_policy = heap_alloc(sizeof(*d->cpu_policy));
    if (!d->cpu_policy)
        return fail(-ENOMEM);
    *d->cpu_policy = *hw_cpu_policy(d->is_hardware ? CPU_POLICY_DOMAIN0 : CPU_POLICY_PV_DEFAULT);
    return 0;
}

/* Gives back all that creation made; safe at every stage of it. */
static void domain_free(struct domain *d)
{
    struct vcpu *v;

    for (unsigned i = 0; i < ARRAY_SIZE(d->watchdogs); i++)
        timer_kill(&d->watchdogs[i]);
    if (d->vcpus)
        for_each_vcpu (d, v, i)
            vcpu_destroy(v);
    if (d->grants)
        grant_table_destroy(d);
    if (d->events)
        evtchn_table_destroy(d);
    if (d->shared_info)
        shared_frame_free(d->shared_info_mfn);
    heap_free(d->vcpus);
    heap_free(d->memory_map);
    heap_free(d->cpu_policy);
    rangeset_free(&d->io_ports);
    rangeset_free(&d->io_frames);
    rangeset_free(&d->io_frames_ro);
    rangeset_free(&d->io_irqs);
    hw_domain_destroy(d);
    hw_domain_free(d);
}

static int domain_build(struct domain *d, const struct domain_config *cfg)
{
    int rc = hw_domain_init(d);
    if (!rc)
        rc = create_cpu_policy(d);
    if (!rc)
        rc = create_shared_info(d);
    if (!rc)
        rc = evtchn_table_create(d, cfg->max_evtchn_port);
    if (!rc)
        rc = grant_table_create(d, cfg->max_grant_frames, cfg->max_maptrack_frames);
    if (rc)
        return rc;
    d->vcpus = heap_alloc_array(d->max_vcpus, sizeof(d->vcpus[0]));
    if (!d->vcpus)
        return fail(-ENOMEM);
    return create_vcpus(d);
}

static bool id_listed(uint16_t id)
{
    struct domain *d;
    list_for_each (d, &domains, all)
        if (d->id == id)
            return true;
    return false;
}

/* Frames of the last domain with this number may still be held by others: theirs must not become another's. */
static bool id_in_use(uint16_t id)
{
    return id_listed(id) || frames_owned(id);
}

/* The next free number after the last one given, so that a number is not soon used again. 0: none. */
static uint16_t choose_id(void)
{
    for (unsigned tries = 0; tries < DOMID_FIRST_RESERVED; tries++) {
        last_id++;
        if (last_id >= DOMID_FIRST_RESERVED)
            last_id = 1;
        if (!id_in_use(last_id))
            return last_id;
    }
    return 0;
}

static void insert_sorted(struct domain *d)
{
    struct domain *at;

    list_for_each (at, &domains, all)
        if (at->id > d->id)
            break;
    list_add_tail(&d->all, &at->all);
}

/* Takes a number: a place holder is not needed, since creating domains is serialised by the
 * caller's policy and the number is checked again when the domain goes onto the list. */
static int domain_list_add(struct domain *d, uint16_t wanted)
{
    int rc = 0;

    spin_lock(&domains_lock);
    if (wanted != DOMID_INVALID && id_listed(wanted))
        rc = -EEXIST;
    else
        insert_sorted(d);
    spin_unlock(&domains_lock);
    return rc;
}

static int reserve_id(uint16_t wanted, uint16_t *id)
{
    int rc = 0;

    if (wanted != DOMID_INVALID && wanted >= DOMID_FIRST_RESERVED)
        return fail(-EINVAL);
    spin_lock(&domains_lock);
    *id = wanted;
    if (wanted == DOMID_INVALID) {
        *id = choose_id();
        rc = *id ? 0 : -ENOSPC;
    } else if (id_in_use(wanted)) {
        rc = -EEXIST;
    }
    spin_unlock(&domains_lock);
    return rc ? fail(rc) : 0;
}

int domain_create(struct domain_config *cfg, struct domain **out)
{
    struct domain *d;
    uint16_t id = 0;
    int rc = reserve_id(cfg->id, &id);

    if (rc)
        return rc;
    if (!cfg->max_vcpus || cfg->max_vcpus > VCPU_MAX)
        return fail(-EINVAL);
    d = hw_domain_alloc();
    if (!d)
        return fail(-ENOMEM);
    d->id = id;
    d->is_privileged = cfg->privileged;
    d->is_hardware = cfg->hardware;
    d->max_vcpus = cfg->max_vcpus;
    d->pages_max = cfg->pages_max;
    d->shutdown_code = ~0u;
    d->is_xenstore = cfg->xenstore;
    d->pause_count = d->control_pauses = 1;
    d->refcount = 1;
    memcpy(d->handle, cfg->handle, sizeof(d->handle));
    spin_init(&d->domctl_lock, LOCK_DOMCTL);
    spin_init(&d->memory_lock, LOCK_MEMORY);
    spin_init(&d->event_lock, LOCK_EVENT);
    d->sched.weight = SCHED_WEIGHT_DEFAULT;
    list_init(&d->all);
    rc = domain_build(d, cfg);
    if (!rc)
        rc = domain_list_add(d, id);
    if (rc) {
        domain_free(d);
        return rc;
    }
    trace(TRACE_DOMAIN, "domain %u created, %u vcpus", id, cfg->max_vcpus);
    cfg->id = id;
    *out = d;
    return 0;
}

void domain_put(struct domain *d)
{
    if (__atomic_sub_fetch(&d->refcount, 1, __ATOMIC_ACQ_REL))
        return;
    spin_lock(&domains_lock);
    list_del(&d->all);
    spin_unlock(&domains_lock);
    trace(TRACE_DOMAIN, "domain %u is gone", d->id);
    domain_free(d);
    evtchn_raise_global_virq(VIRQ_DOM_EXC); /* its number is off the list */
}

/* ---- Pausing
 * ---------------------------------------------------------------------------------------------- */

static void pause_vcpus(struct domain *d, bool wait)
{
    struct vcpu *v;

    for_each_vcpu (d, v, i)
        vcpu_pause_nosync(v);
    if (wait)
        for_each_vcpu (d, v, i)
            while (v != current_vcpu() && __atomic_load_n(&v->running, __ATOMIC_ACQUIRE))
                hw_relax();
}

void domain_pause(struct domain *d)
{
    __atomic_fetch_add(&d->pause_count, 1, __ATOMIC_SEQ_CST);
    pause_vcpus(d, true);
}

void domain_unpause(struct domain *d)
{
    struct vcpu *v;

    __atomic_fetch_sub(&d->pause_count, 1, __ATOMIC_SEQ_CST);
    for_each_vcpu (d, v, i)
        vcpu_unpause(v);
}

#define CONTROL_PAUSES_MAX 255

/* Moves the count by one, but not from the value `end`. */
static bool control_count(struct domain *d, unsigned by, unsigned end)
{
    unsigned n = __atomic_load_n(&d->control_pauses, __ATOMIC_RELAXED);

    do {
        if (n == end)
            return false;
    } while (!__atomic_compare_exchange_n(&d->control_pauses, &n, n + by, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return true;
}

/* A pause is counted when it is there, so that another CPU cannot end it before. */
int domain_control_pause(struct domain *d)
{
    domain_pause(d);
    if (control_count(d, 1, CONTROL_PAUSES_MAX))
        return 0;
    domain_unpause(d);
    return fail(-EOVERFLOW);
}

int domain_control_unpause(struct domain *d)
{
    if (!control_count(d, -1u, 0))
        return fail(-EINVAL);
    domain_unpause(d);
    return 0;
}

/* ---- Shutting down and destroying
 * -------------------------------------------------------------------------- */

static const char *shutdown_name(uint32_t reason)
{
    static const char *const names[] = {"power off", "reboot", "suspend", "crash", "watchdog"};
    return reason < ARRAY_SIZE(names) ? names[reason] : "unknown reason";
}

/* The hardware domain's end is the machine's. */
static void hardware_domain_ended(struct domain *d, uint32_t reason)
{
    print_raw("(HV) Domain 0 has ended: %s\n", shutdown_name(reason));
    if (reason == SHUTDOWN_poweroff)
        hw_machine_poweroff();
    if (reason == SHUTDOWN_crash)
        hw_print_guest_state(d);
    if ((reason == SHUTDOWN_crash || reason == SHUTDOWN_watchdog) && option_noreboot) {
        print_raw("(HV) noreboot was given: the machine stays as it is; reset it by hand\n");
        hw_machine_halt();
    }
    hw_machine_restart();
}

void domain_shutdown(struct domain *d, uint32_t reason)
{
    uint32_t none = ~0u;

    if (!__atomic_compare_exchange_n(&d->shutdown_code, &none, reason, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    if (d->is_hardware)
        hardware_domain_ended(d, reason);
    pause_vcpus(d, false);
    __atomic_store_n(&d->shutdown, true, __ATOMIC_SEQ_CST); /* last: domain_resume undoes the pauses */
    evtchn_raise_global_virq(VIRQ_DOM_EXC);
}

/* Once the code is reset a new shutdown may pause again: the counts stay right. */
void domain_resume(struct domain *d)
{
    struct vcpu *v;

    if (!__atomic_exchange_n(&d->shutdown, false, __ATOMIC_SEQ_CST))
        return;
    __atomic_store_n(&d->crashed_reported, false, __ATOMIC_RELAXED);
    __atomic_store_n(&d->shutdown_code, ~0u, __ATOMIC_SEQ_CST);
    for_each_vcpu (d, v, i)
        vcpu_unpause(v);
}

void domain_crash(struct domain *d, const char *fmt, ...)
{
    if (!__atomic_exchange_n(&d->crashed_reported, true, __ATOMIC_SEQ_CST)) {
        char text[160];
        va_list ap;

        va_start(ap, fmt);
        hv_vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        print_raw("(HV) domain %u has crashed: %s\n", d->id, text);
        if (!d->is_hardware)
            hw_print_guest_state(d);
    }
    domain_shutdown(d, SHUTDOWN_crash);
}

/* What the domain shares with us. From here on nobody writes there: its ports are closed, its vCPUs stopped. */
static void give_up_shared_frames(struct domain *d)
{
    mfn_t mfn = d->shared_info_mfn;

    grant_table_close(d);
    if (!d->shared_info)
        return;
    wallclock_forget(d);
    d->shared_info_mfn = INVALID_MFN;
    shared_frame_free(mfn);
}

/* Each step may be cut short (-ERESTART) and is harmless to repeat. */
static int domain_teardown(struct domain *d)
{
    struct vcpu *v;
    int rc = evtchn_close_some(d); /* first: a sender may still write into the registered frames */

    if (rc)
        return rc;
    for_each_vcpu (d, v, i) {
        if (vcpu_is_initialising(v))
            return -ERESTART;
        vcpu_timers_destroy(v);
        rc = mmu_drop_roots(v);
        if (rc)
            return rc;
        hw_vcpu_release(v);
        v->info = &v->no_info;
        if (v->info_frame) {
            struct frame *f = v->info_frame;
            v->info_frame = NULL;
            writable_put(f);
        }
    }
    hw_pirq_release_all(d);
    /* The page tables before the grants: a granter that sees a grant end may use the frame for anything again. */
    rc = mmu_relinquish(d);
    if (!rc)
        rc = grant_release_mappings(d);
    if (rc)
        return rc;
    give_up_shared_frames(d);
    reservation_claim(d, 0);
    return 0;
}

/* The list lets go of the domains that are dead and have no frame left. */
static bool reap_dead(void *unused)
{
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d)) {
        if (__atomic_load_n(&d->dying, __ATOMIC_SEQ_CST) == DOMAIN_DEAD && !frames_owned(d->id) &&
            !__atomic_exchange_n(&d->reaped, true, __ATOMIC_SEQ_CST))
            domain_put(d); /* the list's reference: ours is left */
    }
    return false;
}

void domain_frames_gone(void)
{
    task_raise(&reaper);
}

int domain_destroy(struct domain *d)
{
    uint8_t state = DOMAIN_ALIVE;
    int rc;

    if (d == domain0 || d == current_vcpu()->domain)
        return fail(-EINVAL);
    if (__atomic_exchange_n(&d->teardown_active, true, __ATOMIC_ACQUIRE))
        return -ERESTART; /* another CPU is at it */
    if (__atomic_compare_exchange_n(&d->dying, &state, DOMAIN_DYING, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        domain_pause(d);
    rc = state == DOMAIN_DEAD ? 0 : domain_teardown(d);
    if (!rc && state != DOMAIN_DEAD)
        __atomic_store_n(&d->dying, DOMAIN_DEAD, __ATOMIC_SEQ_CST);
    __atomic_store_n(&d->teardown_active, false, __ATOMIC_RELEASE);
    if (!rc && state != DOMAIN_DEAD) {
        evtchn_raise_global_virq(VIRQ_DOM_EXC);
        reap_dead(NULL);
    }
    return rc;
}

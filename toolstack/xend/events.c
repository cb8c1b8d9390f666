/* SPDX-License-Identifier: MIT */
/* Events: see events.h. Everything here runs in the loop, but for the connecting to xenstored (a job: it may have to wait). */
#include "xend/events.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "xend/clock.h"
#include "xend/life.h"
#include "xend/log.h"
#include "xend/nodes.h"
#include "xend/state.h"
#include "xend/store.h"
#include "xend/xend.h"

#define WATCH_RETRY_MS 500
#define LIST_CHUNK     64
#define RELEASE_TOKEN  "release"

/* ---- A look at one domain ---------------------------------------------------------------------------------------- */

struct look {
    struct job job;
    bool recover;
    struct guest_config *successor;
};

static void look_run(struct job *j)
{
    struct look *l = (struct look *)j;

    if (l->recover)
        life_recover(j->vm, &l->successor);
    else
        life_look(j->vm, &l->successor);
}

static void start_run(struct job *j)
{
    struct report r = {0};

    if (life_create(j->vm, &r))
        log_error("domain '%s' could not be restarted: %s", j->vm->config.name, r.text);
}

static void job_free(struct job *j)
{
    free(j);
}

/* rename-restart: a new record beside the preserved one. The file of that uuid says already that it is to be started. */
static void start_successor(struct guest_config *config, const struct vm *preserved)
{
    struct job *j = calloc(1, sizeof(*j));
    struct report r = {0};
    struct vm *vm = j ? vm_new(config, &r) : NULL;

    if (!vm) {
        log_error("the domain '%s' could not be restarted: %s", config->name ? config->name : "", r.text);
        state_remove(config->uuid);
        free(j);
    } else {
        vm->then = THEN_RESTART; /* should xend be killed meanwhile, it is begun again */
        vm->generation = preserved->generation + 1;
        vm->quick_reboots = preserved->quick_reboots;
        j->vm = vm;
        j->run = start_run;
        j->done = job_free;
        job_submit(j);
    }
    guest_config_free(config);
    free(config);
}

static void look_done(struct job *j)
{
    struct look *l = (struct look *)j;

    if (l->successor)
        start_successor(l->successor, j->vm);
    free(l);
}

static void look_at(struct vm *vm, bool recover)
{
    struct look *l = calloc(1, sizeof(*l));

    if (!l)
        return;
    l->job.vm = vm;
    l->job.run = look_run;
    l->job.done = look_done;
    l->recover = recover;
    job_submit(&l->job);
}

/* ---- A look at all ------------------------------------------------------------------------------------------------- */

struct list {
    struct xen_domctl_getdomaininfo *infos;
    unsigned count;
};

static int list_read(struct list *l)
{
    uint32_t next = 0;
    int got = 0;

    memset(l, 0, sizeof(*l));
    do {
        struct xen_domctl_getdomaininfo *more =
            realloc(l->infos, (l->count + LIST_CHUNK) * sizeof(struct xen_domctl_getdomaininfo));

        if (!more)
            break;
        l->infos = more;
        got = hv_domain_list(xend.hv, next, LIST_CHUNK, more + l->count);
        l->count += got > 0 ? (unsigned)got : 0;
        next = l->count ? l->infos[l->count - 1].domain + 1u : 0;
    } while (got == LIST_CHUNK);
    return got < 0 ? -1 : 0;
}

static int by_number(const void *a, const void *b)
{
    const struct xen_domctl_getdomaininfo *x = a, *y = b;

    return x->domain < y->domain ? -1 : x->domain > y->domain;
}

static const struct xen_domctl_getdomaininfo *list_find(const struct list *l, int64_t domid)
{
    struct xen_domctl_getdomaininfo key = {.domain = (domid_t)domid};

    return domid < 0 ? NULL : bsearch(&key, l->infos, l->count, sizeof(key), by_number);
}

static bool needs_look(const struct vm *vm, const struct list *l)
{
    const struct xen_domctl_getdomaininfo *info;

    if (vm->state == VM_DYING) /* it waited for xenstored */
        return true;
    if (vm->domid < 0 || (vm->state != VM_RUNNING && vm->state != VM_PRESERVED))
        return false;
    info = list_find(l, vm->domid);
    return !info || info->flags & XEN_DOMINF_dying || (vm->state == VM_RUNNING && info->flags & XEN_DOMINF_shutdown);
}

void events_look(void)
{
    struct list l;

    if (list_read(&l)) {
        free(l.infos);
        return;
    }
    for (struct vm *vm = vm_list; vm; vm = vm->next) {
        if (vm->busy) /* the record is its job's */
            vm->look_again = true;
        else if (needs_look(vm, &l))
            look_at(vm, false);
    }
    free(l.infos);
}

/* ---- Those who wait -------------------------------------------------------------------------------------------------- */

struct waiter {
    struct waiter *next;
    struct request *rq;
    char uuid[37];
    unsigned generation;
    const char *state; /* what it is answered: NULL: not yet, or it took too long */
    uv_timer_t timer;
};
static struct waiter *waiters;

static void on_waiter_closed(uv_handle_t *h)
{
    free(h->data);
}

/* One that is not on the list any more. */
static void waiter_end(struct waiter *w)
{
    if (w->state)
        w->rq->result = json_pack("{ss}", "state", w->state);
    else
        report_set(&w->rq->report, REPORT_TIMEOUT, "the domain has not gone down in time");
    request_end(w->rq);
    uv_close((uv_handle_t *)&w->timer, on_waiter_closed);
}

static void on_timeout(uv_timer_t *t)
{
    struct waiter **p = &waiters;

    while (*p != t->data)
        p = &(*p)->next;
    *p = (*p)->next;
    waiter_end(t->data);
}

/* NULL: nothing yet. One whose client has gone does not wait any more. */
static const char *waiter_state(const struct waiter *w)
{
    const char *state = NULL;
    const struct vm *vm;

    vm_lock();
    vm = vm_find_uuid(w->uuid);
    if (!vm || !request_is_wanted(w->rq))
        state = "gone";
    else if (vm->state == VM_PRESERVED)
        state = "preserved";
    else if (vm->state == VM_RUNNING && vm->generation > w->generation)
        state = "restarted";
    vm_unlock();
    return state;
}

static void waiters_look(void)
{
    struct waiter **p = &waiters, *ends = NULL, *w;

    while ((w = *p)) {
        w->state = waiter_state(w);
        if (!w->state) {
            p = &w->next;
            continue;
        }
        *p = w->next;
        w->next = ends;
        ends = w;
    }
    while ((w = ends)) { /* an answer may let in another request, which comes back here */
        ends = w->next;
        waiter_end(w);
    }
}

void events_wait(struct request *rq, const char *uuid, unsigned generation, double timeout_s)
{
    struct waiter *w = calloc(1, sizeof(*w));

    if (!w) {
        report_set(&rq->report, REPORT_FAILED, "xend has no memory left");
        request_end(rq);
        return;
    }
    w->rq = rq;
    w->generation = generation;
    snprintf(w->uuid, sizeof(w->uuid), "%s", uuid);
    w->timer.data = w;
    uv_timer_init(uv_default_loop(), &w->timer);
    uv_timer_start(&w->timer, on_timeout, (uint64_t)(timeout_s * 1000), 0);
    w->next = waiters;
    waiters = w;
    waiters_look();
}

static void after_job(struct vm *vm)
{
    waiters_look();
    if (vm->busy)
        return;
    if (vm->state == VM_GONE) {
        vm_free(vm);
    } else if (vm->look_again) {
        vm->look_again = false;
        look_at(vm, false);
    }
}

/* ---- The watch --------------------------------------------------------------------------------------------------------- */

static struct {
    struct job job;
    struct xs_handle *xs;
    int guard; /* a bare connection */
    uv_poll_t poll, guard_poll;
    uv_timer_t retry;
} watch;

static void watch_begin(void);

static void watch_retry(uv_timer_t *t)
{
    watch_begin();
}

static void on_poll_closed(uv_handle_t *h)
{
    xs_close(watch.xs);
    watch.xs = NULL;
    uv_timer_start(&watch.retry, watch_retry, WATCH_RETRY_MS, 0);
}

static void on_guard_closed(uv_handle_t *h)
{
    close(watch.guard);
    uv_close((uv_handle_t *)&watch.poll, on_poll_closed);
}

static void on_gone(uv_poll_t *p, int status, int events)
{
    log_warn("xenstored has gone: waiting for it");
    uv_close((uv_handle_t *)p, on_guard_closed);
}

static void on_readable(uv_poll_t *p, int status, int events)
{
    bool fired = false;
    char **event;

    while ((event = xs_check_watch(watch.xs))) {
        fired = true;
        free(event);
    }
    if (fired)
        events_look();
}

static void watch_run(struct job *j)
{
    watch.guard = store_guard();
    watch.xs = watch.guard >= 0 ? store_connect() : NULL;
    if (watch.xs && xs_watch(watch.xs, "@releaseDomain", RELEASE_TOKEN))
        return;
    if (watch.xs)
        xs_close(watch.xs);
    if (watch.guard >= 0)
        close(watch.guard);
    watch.xs = NULL;
}

static void watch_done(struct job *j)
{
    uv_loop_t *loop = uv_default_loop();

    if (!watch.xs) {
        uv_timer_start(&watch.retry, watch_retry, WATCH_RETRY_MS, 0);
        return;
    }
    log_debug("xenstored: connected");
    uv_poll_init(loop, &watch.poll, xs_fileno(watch.xs));
    uv_poll_start(&watch.poll, UV_READABLE,
                  on_readable); /* the first event comes at once: a look at all that was missed */
    uv_poll_init(loop, &watch.guard_poll, watch.guard);
    uv_poll_start(&watch.guard_poll, UV_READABLE | UV_DISCONNECT, on_gone);
}

static void watch_begin(void)
{
    watch.job.run = watch_run;
    watch.job.done = watch_done;
    job_submit(&watch.job);
}

/* ---- What the last xend left --------------------------------------------------------------------------------------------- */

static const struct xen_domctl_getdomaininfo *find_handle(const struct list *l, const char *uuid)
{
    uint8_t handle[16];

    if (!uuid_parse(uuid, handle))
        return NULL;
    for (unsigned i = 0; i < l->count; i++)
        if (!memcmp(l->infos[i].handle, handle, sizeof(handle)) && !(l->infos[i].flags & XEN_DOMINF_dying))
            return &l->infos[i];
    return NULL;
}

/* The number that the domain really has: one that was being made had none yet in its file. */
static void find_number(struct vm *vm, const struct list *l)
{
    const struct xen_domctl_getdomaininfo *found = find_handle(l, vm->uuid), *there = list_find(l, vm->domid);
    uint8_t handle[16];

    uuid_parse(vm->uuid, handle);
    if (found)
        vm->domid = found->domain;
    else if (there && memcmp(there->handle, handle, sizeof(handle)))
        vm->domid = VM_NO_DOMID;
}

static bool is_ours(uint32_t domid)
{
    for (const struct vm *vm = vm_list; vm; vm = vm->next)
        if (vm->domid == domid)
            return true;
    return false;
}

/* A domain without a file can be seen and destroyed, no more. */
static void adopt_stranger(const struct xen_domctl_getdomaininfo *info)
{
    struct guest_config config = {0};
    struct report r = {0};
    struct vm *vm;
    char name[32];

    snprintf(name, sizeof(name), "domain-%u", info->domain);
    config.name = strdup(name);
    if (!config.name)
        return;
    uuid_format(info->handle, config.uuid);
    vm = vm_new(&config, &r);
    guest_config_free(&config);
    if (!vm) {
        log_warn("domain %u is not known and cannot be taken up: %s", info->domain, r.text);
        return;
    }
    vm->state = VM_RUNNING;
    vm->domid = info->domain;
    vm->foreign = true;
    log_warn("domain %u was not made by this xend: it can be listed and destroyed, as '%s'", info->domain, name);
}

void events_open(void)
{
    struct list l;

    job_after_vm = after_job;
    uv_timer_init(uv_default_loop(), &watch.retry);
    state_load_all();
    if (list_read(&l))
        log_error("the hypervisor does not tell of its domains");
    for (struct vm *vm = vm_list; vm; vm = vm->next)
        find_number(vm, &l);
    for (unsigned i = 0; i < l.count; i++)
        if (l.infos[i].domain && l.infos[i].domain < DOMID_FIRST_RESERVED && !is_ours(l.infos[i].domain) &&
            !(l.infos[i].flags & XEN_DOMINF_dying))
            adopt_stranger(&l.infos[i]);
    free(l.infos);
    for (struct vm *vm = vm_list; vm; vm = vm->next)
        look_at(vm, true);
    watch_begin();
}

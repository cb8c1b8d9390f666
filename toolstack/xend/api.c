/* SPDX-License-Identifier: MIT */
/*
 * The methods of the API: one table, one function each. A method of kind
 *   AT_ONCE  answers in the loop;
 *   QUERY    works in a worker, beside everything;
 *   VM_JOB   works in a worker, in the queue of the domain that params.vm names.
 */
#include "xend/api.h"
#include <math.h>
#include <string.h>
#include "lib/fault.h"
#include "xend/check.h"
#include "xend/events.h"
#include "xend/host.h"
#include "xend/life.h"
#include "xend/log.h"
#include "xend/record.h"
#include "xend/xend.h"

enum method_kind { AT_ONCE, QUERY, VM_JOB };
#define WAIT_MAX_S (7 * 24 * 3600.0)

/* ---- Parameters and answers ------------------------------------------------------------------------------------- */

static const char *text_param(struct request *rq, const char *name)
{
    const char *text = json_string_value(json_object_get(rq->params, name));

    if (!text)
        report_set(&rq->report, REPORT_USAGE, "the parameter '%s' is missing or no string", name);
    return text;
}

static struct vm *vm_param(struct request *rq)
{
    const char *which = text_param(rq, "vm");
    struct vm *vm;

    if (which && (!strcmp(which, "Domain-0") || !strcmp(which, "0"))) {
        report_set(&rq->report, REPORT_DENIED, "this cannot be done with Domain 0");
        return NULL;
    }
    vm_lock();
    vm = which ? vm_find(which, &rq->report) : NULL;
    vm_unlock();
    return vm;
}

static void done_ok(struct request *rq, int rc)
{
    if (!rc)
        rq->result = json_object();
}

/* ---- VM: jobs ------------------------------------------------------------------------------------------------------ */

static void vm_create_work(struct request *rq)
{
    struct vm *vm = rq->job.vm;

    if (life_create(vm, &rq->report))
        return;
    rq->result = json_pack("{ss sI ss sn}", "uuid", vm->uuid, "domid", (json_int_t)vm->domid, "name", vm->config.name,
                           "console");
}

static void vm_destroy_work(struct request *rq)
{
    done_ok(rq, life_destroy(rq->job.vm, &rq->report));
}

static void ask(struct request *rq, const char *what)
{
    unsigned generation = rq->job.vm->generation;

    if (!life_ask(rq->job.vm, what, &rq->report))
        rq->result = json_pack("{si}", "generation", (int)generation);
}

static void vm_shutdown_work(struct request *rq)
{
    ask(rq, "poweroff");
}

static void vm_reboot_work(struct request *rq)
{
    ask(rq, "reboot");
}

static void vm_pause_work(struct request *rq)
{
    done_ok(rq, life_pause(rq->job.vm, true, &rq->report));
}

static void vm_unpause_work(struct request *rq)
{
    done_ok(rq, life_pause(rq->job.vm, false, &rq->report));
}

static bool is_name(const char *name, struct report *r)
{
    size_t length = strlen(name);
    bool number = length && strspn(name, "0123456789") == length;

    if (length && length <= GUEST_NAME_MAX && !number &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+:") == length)
        return true;
    report_set(r, REPORT_USAGE, "'%.80s' is no name for a domain: letters, digits and _-.+: and not only digits", name);
    return false;
}

static void vm_rename_work(struct request *rq)
{
    const char *name = text_param(rq, "name");

    if (name && is_name(name, &rq->report))
        done_ok(rq, life_rename(rq->job.vm, name, &rq->report));
}

/* ---- VM: queries ------------------------------------------------------------------------------------------------------ */

static void vm_record_work(struct request *rq)
{
    const char *which = text_param(rq, "vm");

    if (which)
        rq->result = record_of(which, &rq->report);
}

static void vm_all_work(struct request *rq)
{
    rq->result = record_all(&rq->report);
}

static void vm_check_work(struct request *rq)
{
    struct guest_config config = {0};
    json_t *problems, *plan;

    if (guest_config_from_json(json_object_get(rq->params, "config"), &config, &rq->report))
        return;
    problems = json_array();
    plan = json_array();
    check_all(&config, problems, plan);
    guest_config_free(&config);
    rq->result = json_pack("{so so}", "problems", problems, "plan", plan);
}

/* ---- VM: in the loop --------------------------------------------------------------------------------------------------- */

static void submit(struct request *rq, struct vm *vm, void (*work)(struct request *rq));

static void vm_create(struct request *rq)
{
    struct guest_config config = {0};
    struct vm *vm;
    json_t *start = json_object_get(rq->params, "start");

    if (start && !json_is_true(start))
        report_set(&rq->report, REPORT_USAGE,
                   "keeping a guest without starting it is not offered; VM.check looks it over");
    else if (!guest_config_from_json(json_object_get(rq->params, "config"), &config, &rq->report)) {
        vm = vm_new(&config, &rq->report);
        guest_config_free(&config);
        if (vm) {
            vm->paused = json_is_true(json_object_get(rq->params, "paused"));
            submit(rq, vm, vm_create_work);
            return;
        }
    }
    request_end(rq);
}

static void vm_wait(struct request *rq)
{
    const char *which = text_param(rq, "vm");
    json_t *generation = json_object_get(rq->params, "generation"), *timeout = json_object_get(rq->params, "timeout_s");
    double timeout_s = timeout ? json_number_value(timeout) : WAIT_MAX_S;
    char uuid[37] = "";
    struct vm *vm;

    vm_lock();
    vm = which ? vm_find(which, NULL) : NULL;
    if (vm)
        memcpy(uuid, vm->uuid, sizeof(uuid));
    vm_unlock();
    if (which && !json_is_integer(generation))
        report_set(&rq->report, REPORT_USAGE, "the parameter 'generation' is missing or no number");
    else if (which && (timeout && !json_is_number(timeout)))
        report_set(&rq->report, REPORT_USAGE, "the parameter 'timeout_s' is no number");
    else if (which && !vm)
        rq->result = json_pack("{ss}", "state", "gone");
    else if (which) {
        events_wait(rq, uuid, (unsigned)json_integer_value(generation), fmin(fmax(timeout_s, 0), WAIT_MAX_S));
        return;
    }
    request_end(rq);
}

/* ---- host, debug -------------------------------------------------------------------------------------------------------- */

static void host_record_work(struct request *rq)
{
    rq->result = host_record(&rq->report);
}

static void host_dmesg_work(struct request *rq)
{
    rq->result = host_dmesg(json_is_true(json_object_get(rq->params, "clear")), &rq->report);
}

static void host_log_work(struct request *rq)
{
    rq->result = host_log(&rq->report);
}

static void debug_fail_at(struct request *rq)
{
    const char *step = json_string_value(json_object_get(rq->params, "step")); /* null: none */

    if (!xend.debug)
        report_set(&rq->report, REPORT_DENIED, "xend runs without --debug");
    else if (fault_arm(step))
        report_set(&rq->report, REPORT_USAGE, "there is no step '%.40s'", step);
    else
        rq->result = json_object();
    request_end(rq);
}

/* ---- The table ------------------------------------------------------------------------------------------------------------ */

static const struct method {
    const char *name;
    enum method_kind kind;
    void (*run)(struct request *rq);
} methods[] = {
    {"VM.create", AT_ONCE, vm_create},
    {"VM.check", QUERY, vm_check_work},
    {"VM.get_record", QUERY, vm_record_work},
    {"VM.get_all_records", QUERY, vm_all_work},
    {"VM.hard_shutdown", VM_JOB, vm_destroy_work},
    {"VM.clean_shutdown", VM_JOB, vm_shutdown_work},
    {"VM.clean_reboot", VM_JOB, vm_reboot_work},
    {"VM.wait", AT_ONCE, vm_wait},
    {"VM.pause", VM_JOB, vm_pause_work},
    {"VM.unpause", VM_JOB, vm_unpause_work},
    {"VM.set_name_label", VM_JOB, vm_rename_work},
    {"host.get_record", QUERY, host_record_work},
    {"host.dmesg", QUERY, host_dmesg_work},
    {"host.get_log", QUERY, host_log_work},
    {"debug.fail_at", AT_ONCE, debug_fail_at},
};

static void job_run(struct job *j)
{
    struct request *rq = (struct request *)j;

    rq->work(rq);
}

static void job_done(struct job *j)
{
    request_end((struct request *)j);
}

static void submit(struct request *rq, struct vm *vm, void (*work)(struct request *rq))
{
    rq->job.vm = vm;
    rq->job.run = job_run;
    rq->job.done = job_done;
    rq->work = work;
    job_submit(&rq->job);
}

void api_handle(struct request *rq, const char *method)
{
    const struct method *m = NULL;
    struct vm *vm = NULL;

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]) && !m; i++)
        if (!strcmp(methods[i].name, method))
            m = &methods[i];
    if (!m)
        report_set(&rq->report, REPORT_USAGE, "there is no method '%.60s'", method);
    if (m && m->kind == VM_JOB)
        vm = vm_param(rq);
    if (!m || (m->kind == VM_JOB && !vm))
        request_end(rq);
    else if (m->kind == AT_ONCE)
        m->run(rq);
    else
        submit(rq, vm, m->run);
}

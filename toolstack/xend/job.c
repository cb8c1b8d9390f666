/* SPDX-License-Identifier: MIT */
/* Jobs: see job.h. All of the queues belongs to the loop's thread. */
#include "xend/job.h"
#include <stddef.h>
#include "xend/vm.h"

void (*job_after_vm)(struct vm *vm);
static unsigned jobs;

static void start(struct job *j);

static void work(uv_work_t *w)
{
    struct job *j = w->data;
    j->run(j);
}

static void next_of(struct vm *vm)
{
    struct job *j = vm->queue;

    vm->busy = j != NULL;
    if (!j)
        return;
    vm->queue = j->next;
    start(j);
}

static void after(uv_work_t *w, int status)
{
    struct job *j = w->data;
    struct vm *vm = j->vm;

    jobs--;
    j->done(j);
    if (!vm)
        return;
    next_of(vm);
    if (job_after_vm)
        job_after_vm(vm);
}

static void start(struct job *j)
{
    j->work.data = j;
    if (j->vm)
        j->vm->busy = true;
    uv_queue_work(uv_default_loop(), &j->work, work, after);
}

void job_submit(struct job *j)
{
    struct job **end;

    jobs++;
    j->next = NULL;
    if (!j->vm || !j->vm->busy) {
        start(j);
        return;
    }
    for (end = &j->vm->queue; *end; end = &(*end)->next)
        ;
    *end = j;
}

unsigned job_count(void)
{
    return jobs;
}

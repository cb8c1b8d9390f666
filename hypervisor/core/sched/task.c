/* SPDX-License-Identifier: MIT */
/*
 * Deferred tasks. A CPU's list is touched by that CPU only, with interrupts off: it needs no lock. One pass runs what was
 * on the list when it began; who wants to run again goes to the end, and the CPU does its other work before.
 */
#include "core/sched/task.h"
#include "core/domain/domain.h"

void task_init(struct task *t, bool (*run)(void *), void *arg)
{
    *t = (struct task){.run = run, .arg = arg};
    list_init(&t->link);
}

void task_raise(struct task *t)
{
    if (__atomic_exchange_n(&t->queued, 1, __ATOMIC_ACQ_REL))
        return; /* queued already, here or on another CPU: it has not begun yet */
    list_add_tail(&t->link, &this_cpu()->tasks);
    pcpu_raise(this_cpu()->id, PCPU_WORK_TASK);
}

void tasks_run(void)
{
    struct list *tasks = &this_cpu()->tasks, batch;

    if (list_empty(tasks))
        return;
    list_insert(&batch, tasks->prev, tasks); /* the whole list moves behind a head of this pass */
    list_del(tasks);
    while (!list_empty(&batch)) {
        struct task *t = list_first(&batch, struct task, link);

        list_del(&t->link);
        __atomic_store_n(&t->queued, 0, __ATOMIC_RELEASE); /* before it runs: raised meanwhile, it runs once more */
        if (t->run(t->arg))
            task_raise(t);
    }
}

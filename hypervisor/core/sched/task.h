/* SPDX-License-Identifier: MIT */
/*
 * Deferred tasks: work that must not be done where it arises (a lock is held, it is long). A task runs on its CPU from
 * pcpu_do_work, without locks; a long one returns true to be called again after other work had its turn.
 */
#pragma once
#include "core/lib/types.h"
#include "core/lib/list.h"
struct task {
    struct list link;
    bool (*run)(void *arg); /* true: again */
    void *arg;
    uint32_t queued; /* [a] */
};
void task_init(struct task *t, bool (*run)(void *), void *arg);
void task_raise(struct task *t); /* on this CPU; nothing when it is queued already */
void tasks_run(void);

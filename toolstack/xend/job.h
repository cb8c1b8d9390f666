/* SPDX-License-Identifier: MIT */
/*
 * Jobs: work that may block, done in libuv's worker threads. Jobs of one domain are done one after the other, in the order they
 * were submitted; jobs of different domains, and those of none, side by side.
 */
#pragma once
#include <stdbool.h>
#include <uv.h>

struct vm;
struct job {
    uv_work_t work;
    struct vm *vm;               /* NULL: of no domain */
    void (*run)(struct job *j);  /* in a worker; while it runs, nobody else changes the vm */
    void (*done)(struct job *j); /* in the loop, after it; may free the job */
    struct job *next;            /* in the vm's queue */
};

/* In the loop. The vm stays until its queue is empty. */
void job_submit(struct job *j);
/* Jobs that run or wait. */
unsigned job_count(void);
/* Called in the loop after each job of a vm (its record may be gone by then, if it was to go). */
extern void (*job_after_vm)(struct vm *vm);

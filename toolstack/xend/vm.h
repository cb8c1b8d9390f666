/* SPDX-License-Identifier: MIT */
/*
 * The records of domains: what xend knows of each guest.
 *
 * Who may touch what:
 *  L  the loop's thread alone.
 *  J  written by the vm's running job (or, when it has none, the loop) with vm_lock held; that writer reads it freely, all
 *     others with vm_lock held.
 *  C  constant once the record is in the list.
 * What is passed on from a job to the loop is ordered by libuv's queue.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "lib/config/guest.h"
#include "lib/hv/hv.h"
#include "lib/report.h"

struct job;
/* The states of a domain; what leads from one to another: life.c. The numbers are in the saved files. */
enum vm_state { VM_CREATING = 1, VM_RUNNING = 2, VM_DYING = 3, VM_PRESERVED = 4, VM_GONE = 5 };
enum vm_then { THEN_FORGET = 0, THEN_RESTART = 1 }; /* after VM_DYING */

#define VM_NO_DOMID (-1)
/* What a disk of the configuration has become on this machine. */
struct vm_disk {
    bool known;             /* the rest is valid: it has been looked at */
    bool is_file;           /* identity: device and inode of the file; else device number of the disk */
    uint64_t device, inode; /* 0 inode: a block device */
    int loop;               /* number of the loop device, -1 none */
    unsigned major, minor;  /* what the backend opens */
};

struct vm {
    struct vm *next;            /* the list: changed by the loop with vm_lock held */
    char uuid[37];              /* J (changes with rename-restart) */
    struct guest_config config; /* J; its name is the domain's; MAC addresses are filled in when it is first started */
    struct vm_disk *disks;      /* J; as many as the configuration has */
    enum vm_state state;        /* J */
    enum vm_then then;          /* J */
    int64_t domid;              /* J */
    unsigned generation;        /* J; grows with each restart */
    time_t start_time;          /* J; since 1970 */
    uint64_t started_ms;        /* J; clock_ms of the last start, 0: by an earlier xend */
    unsigned quick_reboots;     /* J; restarts in a row that came right after the start */
    char shutdown_reason[12];   /* J; "" none */
    bool paused;                /* J; as it was asked for: paused until it is unpaused */
    bool foreign;               /* C; found running without a file of ours: no configuration */
    struct job *queue;          /* L; jobs that wait */
    bool busy;                  /* L; a job runs */
    bool look_again;            /* L; something happened to the domain while it was busy */
};

/* ---- The list ------------------------------------------------------------------------------------------------ */
void vm_lock(void);
void vm_unlock(void);
extern struct vm *vm_list;

/* A record in VM_CREATING, taking over the configuration (emptied). Name and uuid must be free: REPORT_EXISTS else. NULL: *r. */
struct vm *vm_new(struct guest_config *config, struct report *r);
/* Takes it from the list and frees it. No job may be left. */
void vm_free(struct vm *vm);
/* The next three with vm_lock held. By name, domain number or uuid; NULL: none, and *r says so when r is given. */
struct vm *vm_find(const char *which, struct report *r);
struct vm *vm_find_uuid(const char *uuid);
/* Is the name taken, by another than `but`? */
bool vm_name_taken(const char *name, const struct vm *but);
/* For the running job: changes of what others read. */
void vm_set_state(struct vm *vm, enum vm_state state, enum vm_then then);
void vm_set_domid(struct vm *vm, int64_t domid);

bool uuid_parse(const char *text, uint8_t uuid[16]);
void uuid_format(const uint8_t uuid[16], char text[37]);
void uuid_make(char text[37]);

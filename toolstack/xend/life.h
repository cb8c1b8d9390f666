/* SPDX-License-Identifier: MIT */
/* A domain's life: the steps between its states. All block and run in the vm's jobs; life.c has the picture. */
#pragma once
#include "xend/vm.h"

/* VM_CREATING to VM_RUNNING, or to VM_GONE with the reason. */
int life_create(struct vm *vm, struct report *r);
/* Any state to VM_GONE. */
int life_destroy(struct vm *vm, struct report *r);
/* Something has happened to the domain: if it has gone down, what its configuration says is done.
 * *successor: a configuration to be started anew beside it (rename-restart), NULL none. */
void life_look(struct vm *vm, struct guest_config **successor);
/* After a start of xend: what the last one left. domid is right already. */
void life_recover(struct vm *vm, struct guest_config **successor);

int life_pause(struct vm *vm, bool pause, struct report *r);
int life_rename(struct vm *vm, const char *name, struct report *r);
/* "poweroff" or "reboot" */
int life_ask(struct vm *vm, const char *what, struct report *r);

/* SPDX-License-Identifier: MIT */
/* A domain's nodes in xenstore: below /local/domain/DOMID and /vm/UUID, as guests and other tools look for them. */
#pragma once
#include "xend/domain.h"
#include "xend/store.h"

/* All of them, and those of its devices, in one transaction. */
int nodes_write(struct store *s, const struct vm *vm, const struct domain_made *made, struct report *r);
int nodes_rename(struct store *s, const struct vm *vm, struct report *r);
/* Removes them. -1: xenstored cannot be reached. */
int nodes_remove(struct store *s, const struct vm *vm);
/* "poweroff", "reboot" */
int nodes_ask_shutdown(struct store *s, const struct vm *vm, const char *what, struct report *r);
/* The path of the guest's terminal; NULL none yet. The caller frees. */
char *nodes_console(struct store *s, uint32_t domid);
/* Domain 0's own, once. */
void nodes_write_domain0(struct store *s);

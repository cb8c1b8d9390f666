/* SPDX-License-Identifier: MIT */
/* The hypervisor's side of making a guest: domain, event channels, memory and kernel, where and how much it runs. Blocks. */
#pragma once
#include "xend/vm.h"

struct domain_made {
    uint64_t store_mfn;
    uint32_t store_port, console_port; /* the guest's ends */
    uint64_t console_mfn;
};
/* Is there memory for it? REPORT_NO_MEMORY says how much is needed and free. */
int domain_check_memory(const struct guest_config *c, struct report *r);
/* Makes it, paused. vm->domid is set as soon as there is a domain; what is made goes with it. */
int domain_make(struct vm *vm, struct domain_made *made, struct report *r);
/* Destroys it. False: there is none of that number, and nothing to wait for. */
bool domain_destroy(uint32_t domid);
/* Waits until nothing of it is left: what Domain 0 maps of it keeps it as a shell. */
void domain_wait_gone(uint32_t domid);
/* The number of the domain whose handle is the uuid; -1 none */
int64_t domain_of_uuid(const char *uuid);

/* SPDX-License-Identifier: MIT */
/* What xend tells of the machine, the hypervisor and itself. Block a little. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include "lib/report.h"

json_t *host_record(struct report *r);
/* {"text"}: the hypervisor's console ring */
json_t *host_dmesg(bool clear, struct report *r);
/* {"text"} */
json_t *host_log(struct report *r);
/* Takes CPUs from Domain 0 so that `count` are left; 0: leaves all. */
void host_limit_dom0_cpus(unsigned count);

/* SPDX-License-Identifier: MIT */
/* VM records as the API shows them (docs/api.md), made from xend's own records and what the hypervisor says. Block a little. */
#pragma once
#include <jansson.h>
#include "lib/report.h"

json_t *record_of(const char *which, struct report *r);
/* {"vms": [...]}: Domain-0 first, then by number; domains that are only being made are left out */
json_t *record_all(struct report *r);

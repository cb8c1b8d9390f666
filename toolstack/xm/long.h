/* SPDX-License-Identifier: MIT */
/* A VM record as an S-expression, as `xm list -l` prints it. */
#pragma once
#include <jansson.h>

void xm_print_long(const json_t *record);

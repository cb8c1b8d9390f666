/* SPDX-License-Identifier: MIT */
/*
 * S-expressions: xend-config.sxp, and what `xm list -l` prints. Reading is bounded: depth 32, 1 MiB.
 */
#pragma once
#include <stddef.h>
#include <stdio.h>
#include "lib/report.h"

struct sxp { /* an atom (text != NULL) or a list */
    char *text;
    struct sxp **items;
    size_t count;
    unsigned line, column;
};
/* All top-level expressions as one list; comments start with '#'. NULL: *r says where and why. Freed with sxp_free. */
struct sxp *sxp_parse(const char *name, const char *text, size_t size, struct report *r);
void sxp_free(struct sxp *s);
/* The value of the first (key value) list in s: its second item; NULL none */
const struct sxp *sxp_child(const struct sxp *s, const char *key);
const char *sxp_value(const struct sxp *s, const char *key, const char *otherwise);
/* Prints an atom, in quotes when it needs them. */
void sxp_print_atom(FILE *out, const char *text);

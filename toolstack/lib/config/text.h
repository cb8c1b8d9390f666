/* SPDX-License-Identifier: MIT */
/* Small helpers for words in configurations. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define WHY_MAX 256
/* Fills in why something is wrong; returns -1 */
int why_set(char why[WHY_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Cuts blanks off both ends, in place. */
char *text_trim(char *s);
/* The nearest of `count` names by the number of typing slips (a letter more, less, other, two exchanged; capitals are one with
 * small letters); NULL when none is near enough to be meant. name_at gives the i-th name. */
const char *text_guess(const char *word, const char *(*name_at)(size_t i), size_t count);
/* Whether all is printable (UTF-8 is, control characters are not). */
bool text_printable(const char *s);

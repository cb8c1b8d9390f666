/* SPDX-License-Identifier: MIT */
/* Words: see text.h. */
#include "lib/config/text.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 32 /* longer ones are not guessed */

int why_set(char why[WHY_MAX], const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, WHY_MAX, fmt, ap);
    va_end(ap);
    return -1;
}

char *text_trim(char *s)
{
    size_t length;

    s += strspn(s, " \t");
    length = strlen(s);
    while (length && (s[length - 1] == ' ' || s[length - 1] == '\t'))
        length--;
    s[length] = 0;
    return s;
}

bool text_printable(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return false;
    return true;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Typing slips between two words (optimal string alignment), row by row. Both shorter than WORD_MAX */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2], *spare;
    size_t n = strlen(b);

    for (size_t k = 0; k <= n; k++)
        above[k] = before[k] = (unsigned)k;
    for (size_t i = 1; a[i - 1]; i++) {
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= n; k++) {
            row[k] = least(least(above[k] + 1, row[k - 1] + 1), above[k - 1] + !same(a[i - 1], b[k - 1]));
            if (i > 1 && k > 1 && same(a[i - 1], b[k - 2]) && same(a[i - 2], b[k - 1]))
                row[k] = least(row[k], before[k - 2] + 1);
        }
        spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[n];
}

const char *text_guess(const char *word, const char *(*name_at)(size_t i), size_t count)
{
    const char *best = NULL;
    size_t length = strlen(word);
    unsigned slips = length < 4 ? 1 : length < 8 ? 2 : 3, d;

    if (length >= WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(name_at(i)) >= WORD_MAX)
            continue;
        d = distance(word, name_at(i));
        if (d < slips || (d == slips && !best)) {
            best = name_at(i);
            slips = d;
        }
    }
    return best;
}

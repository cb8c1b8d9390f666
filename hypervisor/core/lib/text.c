/* SPDX-License-Identifier: MIT */
/* Small text functions used by both builds. */
#include "core/lib/string.h"

size_t text_copy(char *dst, const char *src, size_t size)
{
    size_t len = strlen(src);
    if (size) {
        size_t n = MIN(len, size - 1);
        memcpy(dst, src, n);
        dst[n] = 0;
    }
    return len;
}

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 99;
}

uint64_t text_to_u64(const char *s, const char **end)
{
    uint64_t value = 0;
    unsigned base = 10;

    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && digit_value(s[2]) < 16) {
        base = 16;
        s += 2;
    } else if (s[0] == '0') {
        base = 8;
    }
    for (; digit_value(*s) < base; s++)
        value = value * base + digit_value(*s);
    if (end)
        *end = s;
    return value;
}

/* SPDX-License-Identifier: MIT */
/*
 * The C library's memory and string functions, freestanding, and the two frame operations of the port. No locks.
 *
 * Blocks go by string instructions of eight bytes: the fewest instructions, and what processors have fast paths for; short
 * ones by two overlapping loads, which have no start-up cost.
 */
#include "core/lib/string.h"
#include "hw/hw.h"

static inline uint64_t load8(const void *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, 8);
    return v;
}

static inline void store8(void *p, uint64_t v)
{
    __builtin_memcpy(p, &v, 8);
}

static inline uint32_t load4(const void *p)
{
    uint32_t v;
    __builtin_memcpy(&v, p, 4);
    return v;
}

static inline void store4(void *p, uint32_t v)
{
    __builtin_memcpy(p, &v, 4);
}

/* At most 32 bytes; all loads come before the stores that could overlap them. */
static inline void move_short(char *d, const char *s, size_t n)
{
    if (n >= 16) {
        uint64_t a = load8(s), b = load8(s + 8), c = load8(s + n - 16), e = load8(s + n - 8);
        store8(d, a);
        store8(d + 8, b);
        store8(d + n - 16, c);
        store8(d + n - 8, e);
    } else if (n >= 8) {
        uint64_t a = load8(s), b = load8(s + n - 8);
        store8(d, a);
        store8(d + n - 8, b);
    } else if (n >= 4) {
        uint32_t a = load4(s), b = load4(s + n - 4);
        store4(d, a);
        store4(d + n - 4, b);
    } else if (n) {
        char a = s[0], b = s[n / 2], c = s[n - 1];
        d[0] = a;
        d[n / 2] = b;
        d[n - 1] = c;
    }
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    char *d = dst;
    const char *s = src;

    if (n <= 32) {
        move_short(d, s, n);
        return dst;
    }
    uint64_t last = load8(s + n - 8);
    size_t words = n / 8;
    __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words)::"memory");
    store8((char *)dst + n - 8, last);
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    char *d = dst;
    const char *s = src;

    if (n <= 32)
        move_short(d, s, n);
    else if ((uint64_t)d - (uint64_t)s >= n)
        memcpy(dst, src, n);
    else {
        d += n - 1;
        s += n - 1;
        __asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(n)::"memory");
    }
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    char *d = dst;
    uint64_t pattern = (uint8_t)c * 0x0101010101010101UL;

    if (n >= 8) {
        size_t words = n / 8;
        store8(d + n - 8, pattern);
        if (words <= 4)
            for (size_t i = 0; i < words; i++)
                store8(d + 8 * i, pattern);
        else
            __asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
    } else if (n >= 4) {
        store4(d, (uint32_t)pattern);
        store4(d + n - 4, (uint32_t)pattern);
    } else if (n) {
        d[0] = d[n / 2] = d[n - 1] = (char)c;
    }
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    for (; n >= 8 && load8(x) == load8(y); n -= 8, x += 8, y += 8)
        ;
    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *s)
{
    const char *p = s;

    for (; *p; p++)
        __asm__ volatile(""); /* or the compiler makes it a call of strlen */
    return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n && s[i])
        i++;
    return i;
}

int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n && *a && *a == *b; a++, b++, n--)
        ;
    return n ? (uint8_t)*a - (uint8_t)*b : 0;
}

char *strchr(const char *s, int c)
{
    for (; *s != (char)c; s++)
        if (!*s)
            return NULL;
    return (char *)(uintptr_t)s;
}

/* The compiler's helper for counting bits: not every processor that we run on has the instruction. */
int __popcountdi2(int64_t v);
int __popcountdi2(int64_t v)
{
    uint64_t x = (uint64_t)v;

    x -= (x >> 1) & 0x5555555555555555UL;
    x = (x & 0x3333333333333333UL) + ((x >> 2) & 0x3333333333333333UL);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fUL;
    return (int)((x * 0x0101010101010101UL) >> 56);
}

void hw_clear_frame(mfn_t mfn)
{
    void *d = hw_frame_va(mfn);
    size_t words = PAGE_SIZE / 8;
    __asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(0UL) : "memory");
}

void hw_copy_frame(mfn_t dst, mfn_t src)
{
    void *d = hw_frame_va(dst), *s = hw_frame_va(src);
    size_t words = PAGE_SIZE / 8;
    __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words)::"memory");
}

/* SPDX-License-Identifier: MIT */
/* Text, memory, chance: what a kernel without a library needs of them. */
#include "runtime/runtime.h"

void *memcpy(void *to, const void *from, size_t n)
{
    void *result = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
    return result;
}

void *memset(void *to, int byte, size_t n)
{
    void *result = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
    return result;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x < *y ? -1 : 1;
    return 0;
}

bool text_equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

struct output {
    char *to;
    size_t size, length;
};

static void put_char(struct output *o, char c)
{
    if (o->length + 1 < o->size)
        o->to[o->length++] = c;
}

static void put_number(struct output *o, uint64_t n, unsigned base)
{
    char digits[20];
    int count = 0;

    do
        digits[count++] = "0123456789abcdef"[n % base];
    while (n /= base);
    while (count)
        put_char(o, digits[--count]);
}

static void put_signed(struct output *o, int64_t n)
{
    if (n < 0)
        put_char(o, '-');
    put_number(o, n < 0 ? -(uint64_t)n : (uint64_t)n, 10);
}

size_t format_list(char *to, size_t size, const char *format, __builtin_va_list list)
{
    struct output o = {to, size, 0};

    for (const char *f = format; *f; f++) {
        bool wide = false;

        if (*f != '%') {
            put_char(&o, *f);
            continue;
        }
        if (*++f == 'l') {
            wide = true;
            f++;
        }
        if (*f == 's')
            for (const char *s = __builtin_va_arg(list, const char *); *s; s++)
                put_char(&o, *s);
        else if (*f == 'c')
            put_char(&o, (char)__builtin_va_arg(list, int));
        else if (*f == 'd')
            put_signed(&o, wide ? __builtin_va_arg(list, long) : __builtin_va_arg(list, int));
        else
            put_number(&o, wide ? __builtin_va_arg(list, unsigned long) : __builtin_va_arg(list, unsigned),
                       *f == 'x' ? 16 : 10);
    }
    if (size)
        to[o.length] = 0;
    return o.length;
}

size_t format(char *to, size_t size, const char *format, ...)
{
    __builtin_va_list list;
    size_t n;

    __builtin_va_start(list, format);
    n = format_list(to, size, format, list);
    __builtin_va_end(list);
    return n;
}

void print(const char *format, ...)
{
    __builtin_va_list list;
    char line[256];

    __builtin_va_start(list, format);
    put_text(line, format_list(line, sizeof(line), format, list));
    __builtin_va_end(list);
}

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

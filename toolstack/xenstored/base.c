/* SPDX-License-Identifier: MIT */
/* Memory, messages and byte buffers. Invariant: no function here returns without what it was asked for. */
#include "xenstored/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void *need(size_t size)
{
    void *p = malloc(size);

    if (!p)
        die("out of memory (%zu bytes asked for)", size);
    return p;
}

void *need_zeroed(size_t size)
{
    void *p = calloc(1, size);

    if (!p)
        die("out of memory (%zu bytes asked for)", size);
    return p;
}

void *need_more(void *old, size_t size)
{
    void *p = realloc(old, size);

    if (!p)
        die("out of memory (%zu bytes asked for)", size);
    return p;
}

__attribute__((format(printf, 1, 0))) static void print(const char *format, va_list args)
{
    fputs("xenstored: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void say(const char *format, ...)
{
    static time_t since;
    static unsigned lines;
    struct timespec now;
    va_list args;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec - since >= 10) {
        since = now.tv_sec;
        lines = 0;
    }
    if (lines++ >= SAY_BURST)
        return;
    va_start(args, format);
    print(format, args);
    va_end(args);
}

void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print(format, args);
    va_end(args);
    exit(1);
}

char *buffer_grow(struct buffer *b, uint32_t size)
{
    uint32_t used = buffer_size(b);

    if (b->room - b->end >= size)
        return b->data + b->end;
    if (b->start && b->room - used >= size) {
        memmove(b->data, b->data + b->start, used);
        b->start = 0;
        b->end = used;
        return b->data + used;
    }
    if (size > UINT32_MAX / 4 - b->end)
        die("a buffer would grow by %u bytes beyond all limits", size);
    b->room = (b->end + size) * 2;
    b->data = need_more(b->data, b->room);
    return b->data + b->end;
}

void buffer_add(struct buffer *b, const void *bytes, uint32_t size)
{
    if (!size)
        return;
    memcpy(buffer_grow(b, size), bytes, size);
    b->end += size;
}

void buffer_clear(struct buffer *b, uint32_t keep)
{
    b->start = b->end = 0;
    if (b->room <= keep)
        return;
    free(b->data);
    b->data = NULL;
    b->room = 0;
}

/* SPDX-License-Identifier: MIT */
/* Backlogs: see backlog.h. `start` and `used` describe a circle of `size` bytes. */
#include "xenconsoled/backlog.h"
#include <stdlib.h>
#include <string.h>

#define SIZE_FIRST 512

static size_t copy_out(const struct backlog *b, char *to)
{
    size_t first = b->used < b->size - b->start ? b->used : b->size - b->start;

    if (!b->used)
        return 0;
    memcpy(to, b->data + b->start, first);
    memcpy(to + first, b->data, b->used - first);
    return b->used;
}

/* Without memory the size stays as it is: then less is kept. */
static void grow(struct backlog *b, size_t want)
{
    size_t size = b->size ? b->size : SIZE_FIRST;
    char *data;

    while (size < want)
        size *= 2;
    if (size == b->size)
        return;
    data = malloc(size);
    if (!data)
        return;
    copy_out(b, data);
    free(b->data);
    b->data = data;
    b->size = size;
    b->start = 0;
}

static void discard(struct backlog *b, size_t len)
{
    b->used -= len;
    b->start = (b->start + len) & (b->size - 1);
}

void backlog_add(struct backlog *b, const char *data, size_t len)
{
    size_t total, room, at, first;

    if (!len)
        return;
    total = b->used + len < b->limit ? b->used + len : b->limit;
    grow(b, total);
    room = b->size < b->limit ? b->size : b->limit;
    if (len > room) {
        data += len - room;
        len = room;
    }
    if (!len) /* no memory at all */
        return;
    if (b->used + len > room)
        discard(b, b->used + len - room);
    at = (b->start + b->used) & (b->size - 1);
    first = len < b->size - at ? len : b->size - at;
    memcpy(b->data + at, data, first);
    memcpy(b->data, data + first, len - first);
    b->used += len;
}

size_t backlog_peek(const struct backlog *b, const char **data)
{
    if (!b->used)
        return 0;
    *data = b->data + b->start;
    return b->used < b->size - b->start ? b->used : b->size - b->start;
}

void backlog_drop(struct backlog *b, size_t len)
{
    discard(b, len);
    if (!b->used)
        backlog_free(b);
}

void backlog_free(struct backlog *b)
{
    free(b->data);
    b->data = NULL;
    b->size = b->start = b->used = 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * A backlog: the newest bytes of a guest's output that nobody has read yet, at most `limit`. It grows when it is used and gives its
 * memory back when it is empty. When it is full the oldest bytes go.
 */
#pragma once
#include <stddef.h>

struct backlog {
    char *data;
    size_t size; /* of data: 0, or a power of two up to the one that holds limit */
    size_t start, used, limit;
};
/* Appends; what does not fit below the limit, or into memory, pushes the oldest out. */
void backlog_add(struct backlog *b, const char *data, size_t len);
/* The oldest bytes that lie in one piece: 0 only when it is empty. */
size_t backlog_peek(const struct backlog *b, const char **data);
/* Forgets the oldest len bytes (len <= used). */
void backlog_drop(struct backlog *b, size_t len);
void backlog_free(struct backlog *b);

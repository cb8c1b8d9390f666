/* SPDX-License-Identifier: MIT */
/*
 * What every room of xenstored uses: memory that never comes back NULL, messages for people, growable byte buffers
 * and the steps at which tests kill the daemon. Single-threaded: the whole daemon is one loop and has no locks.
 */
#ifndef XENSTORED_BASE_H
#define XENSTORED_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory, or the end of the process: all state is in the journal, so a restart is safer than a half-done request. */
void *need(size_t size);
void *need_zeroed(size_t size);
void *need_more(void *old, size_t size);

/* Prints a line to standard error, at most SAY_BURST lines in any ten seconds: guests can cause some of them. */
#define SAY_BURST 50
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same without a limit, then ends the process with status 1. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Bytes [start, end) of data are the content; room is what is allocated. All zero is an empty buffer. */
struct buffer {
    char *data;
    uint32_t start, end, room;
};

static inline uint32_t buffer_size(const struct buffer *b)
{
    return b->end - b->start;
}

/* Its content; NULL of a buffer that never had any. */
static inline const char *buffer_bytes(const struct buffer *b)
{
    return b->data ? b->data + b->start : NULL;
}

/* Makes room for size more bytes after end and returns where they go; end does not move. */
char *buffer_grow(struct buffer *b, uint32_t size);
void buffer_add(struct buffer *b, const void *bytes, uint32_t size);
/* Empties it. Memory beyond keep bytes is given back. */
void buffer_clear(struct buffer *b, uint32_t keep);

/*
 * A point after which the outside sees something new. Test builds define XENSTORED_STEPS and die at the n-th one; in
 * the daemon it is nothing.
 */
#ifdef XENSTORED_STEPS
void step(void);
#else
static inline void step(void)
{
}
#endif

#endif

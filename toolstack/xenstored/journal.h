/* SPDX-License-Identifier: MIT */
/*
 * The journal: a file of records that says what the daemon knows, mapped into its memory. A record is complete or
 * absent: its header (length and checksum) is written last, in one store. The file outlives the process as page
 * cache, also if that is killed between two instructions; it is on a tmpfs (/run), since nothing in it outlives the
 * machine's boot.
 *
 * Use: items are added to the record in preparation; journal_commit makes it part of the file. Only then may effects
 * leave the process. When the file is full or has grown to several times what it says, it is written anew as a
 * snapshot and renamed into place.
 *
 * Invariants: a file is zero behind its last record. The file of the name "journal" is always whole.
 */
#ifndef XENSTORED_JOURNAL_H
#define XENSTORED_JOURNAL_H

#include "xenstored/base.h"

/* One thing that happened. Its body follows, padded to eight bytes. */
struct journal_item {
    uint16_t type;
    uint16_t domid;
    uint32_t len; /* of the body */
};

/*
 * Calls play for each item of an existing journal of this boot, in order. True: there was one. Dies if it cannot
 * be read.
 */
bool journal_replay(const char *dir, void (*play)(const struct journal_item *item, const char *body));
/* Starts a new file with what snapshot adds. Dies if that cannot be done: then nothing would be safe. */
void journal_start(const char *dir, void (*snapshot)(void));
/* No file: journal_add and journal_commit do nothing. */
void journal_none(void);

/* Adds an item of up to two parts to the record in preparation. */
void journal_add(uint16_t type, unsigned domid, const void *first, uint32_t first_len, const void *second,
                 uint32_t second_len);
/* Completes the record, if anything was added. */
void journal_commit(void);

#endif

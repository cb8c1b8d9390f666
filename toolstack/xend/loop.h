/* SPDX-License-Identifier: MIT */
/*
 * Loop devices for disks in files. Each carries a tag in its name field ("xend UUID/DISK"), so that a killed xend's successor finds
 * what belongs to whom without a record of the number.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/report.h"

#define LOOP_TAG_MAX 64 /* with its end: LO_NAME_SIZE */

/* Whose disk: the tag of one disk of one guest. */
void loop_tag(char tag[LOOP_TAG_MAX], const char *uuid, unsigned device_number);
/* A new loop device on the file; its number. Direct I/O when the file system can. */
int loop_attach(const char *path, bool read_only, const char *tag, int *number, struct report *r);
/* Lets go of it when it still carries the tag; the kernel waits for its last user by itself. */
void loop_detach(int number, const char *tag);
/* Detaches all with the tag; for when the number is not known. */
void loop_detach_tagged(const char *tag);
/* A loop device that is not ours and has the file: its number, *read_only; -1: none. */
int loop_other_user(uint64_t device, uint64_t inode, bool *read_only);
/* What its device number is. */
int loop_number(int number, unsigned *major, unsigned *minor);

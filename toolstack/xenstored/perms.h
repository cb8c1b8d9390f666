/* SPDX-License-Identifier: MIT */
/*
 * Permissions of nodes. The first entry names the owner, and its access is that of every domain that is not listed;
 * the owner and Domain 0 may do all. Lists are immutable and shared by the nodes that inherited them. Invariant: an
 * entry set before its domain died is void (an id that is used again gains nothing); a void owner is Domain 0.
 */
#ifndef XENSTORED_PERMS_H
#define XENSTORED_PERMS_H

#include "xenstored/base.h"

enum access { ACCESS_NONE = 0, ACCESS_READ = 1, ACCESS_WRITE = 2 };

/* Who asks. A domain that serves another (SET_TARGET) has that one's rights too. */
#define NO_TARGET UINT16_MAX
struct subject {
    uint16_t domid;
    uint16_t target;
};

struct perm {
    uint16_t domid;
    uint16_t access;
};

struct perms {
    uint32_t refs;
    uint32_t count;
    uint64_t stamp;
    struct perm entry[];
};

/* A new list with one reference; the entries are to be filled in. */
struct perms *perms_new(uint32_t count);
struct perms *perms_ref(struct perms *perms);
void perms_unref(struct perms *perms);

/* The access of the words of SET_PERMS, "w3" and the like. -EINVAL: one is not of that form. */
int perm_parse(const char *word, struct perm *perm);
/* Writes the word of an entry ("n0"), as it counts today. Returns its length. */
#define PERM_WORD 8
unsigned perm_print(const struct perms *perms, uint32_t index, char word[PERM_WORD]);
/* Whether the entry still means anything: the owner's does always. */
bool perm_stands(const struct perms *perms, uint32_t index);

unsigned perms_owner(const struct perms *perms);
/* Whether the domain, or the one it serves, is the owner. Domain 0 always is. */
bool perms_owned_by(const struct perms *perms, const struct subject *who);
bool perms_allow(const struct perms *perms, const struct subject *who, enum access want);
/*
 * What a node that who makes below a node with these permissions gets: the same, but what a guest makes is its
 * own.
 */
struct perms *perms_inherit(struct perms *parent, const struct subject *who);

#endif

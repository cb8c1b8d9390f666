/* SPDX-License-Identifier: MIT */
/* Permissions: lists shared by reference count, compared with who asks. */
#include "xenstored/perms.h"
#include "xenstored/path.h"
#include "xenstored/quota.h"
#include "xenstored/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = "nrwb";

struct perms *perms_new(uint32_t count)
{
    struct perms *perms = need(sizeof(*perms) + count * sizeof(perms->entry[0]));

    perms->refs = 1;
    perms->count = count;
    perms->stamp = tree_stamp();
    return perms;
}

struct perms *perms_ref(struct perms *perms)
{
    perms->refs++;
    return perms;
}

void perms_unref(struct perms *perms)
{
    if (--perms->refs == 0)
        free(perms);
}

int perm_parse(const char *word, struct perm *perm)
{
    const char *letter = word[0] ? strchr(letters, word[0]) : NULL;
    unsigned domid;

    if (!letter || !parse_domid(word + 1, &domid))
        return -EINVAL;
    *perm = (struct perm){.domid = (uint16_t)domid, .access = (uint16_t)(letter - letters)};
    return 0;
}

static bool is_void(const struct perms *perms, uint32_t index)
{
    return perms->stamp <= account_death(perms->entry[index].domid);
}

bool perm_stands(const struct perms *perms, uint32_t index)
{
    return index == 0 || !is_void(perms, index);
}

unsigned perm_print(const struct perms *perms, uint32_t index, char word[PERM_WORD])
{
    unsigned domid = index ? perms->entry[index].domid : perms_owner(perms);

    return (unsigned)snprintf(word, PERM_WORD, "%c%u", letters[perms->entry[index].access & 3], domid & 0xffffU);
}

unsigned perms_owner(const struct perms *perms)
{
    return is_void(perms, 0) ? 0 : perms->entry[0].domid;
}

bool perms_owned_by(const struct perms *perms, const struct subject *who)
{
    unsigned owner = perms_owner(perms);

    return who->domid == 0 || owner == who->domid || (owner && owner == who->target);
}

static bool allow_domain(const struct perms *perms, unsigned domid, enum access want)
{
    for (uint32_t i = 1; i < perms->count; i++)
        if (perms->entry[i].domid == domid && !is_void(perms, i))
            return (perms->entry[i].access & want) == want;
    return (perms->entry[0].access & want) == want;
}

bool perms_allow(const struct perms *perms, const struct subject *who, enum access want)
{
    if (perms_owned_by(perms, who) || allow_domain(perms, who->domid, want))
        return true;
    return who->target != NO_TARGET && allow_domain(perms, who->target, want);
}

struct perms *perms_inherit(struct perms *parent, const struct subject *who)
{
    struct perms *own;
    uint32_t count = 0;

    if (who->domid == 0 || perms_owner(parent) == who->domid)
        return perms_ref(parent);
    own = perms_new(parent->count);
    for (uint32_t i = 0; i < parent->count; i++)
        if (perm_stands(parent, i))
            own->entry[count++] = parent->entry[i];
    own->count = count;
    own->entry[0].domid = who->domid;
    return own;
}

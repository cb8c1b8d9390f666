/* SPDX-License-Identifier: MIT */
/*
 * Grant copy: moves bytes between two frames, each named by a grant or by the caller's own frame number. Within one page
 * on each side. Both frames are held for the time of the copy; what the guests write meanwhile is their affair.
 */
#include "core/grant/internal.h"
#include "core/lib/string.h"
#include "core/trace/trace.h"

/* One side: `use` for a granted frame, `own` for one of the caller's. */
struct side {
    struct grant_use use;
    struct frame *own;
    bool write;
};

static int16_t side_begin(struct side *s, struct domain *d, const struct gnttab_copy_ptr *p, bool by_ref, bool write)
{
    *s = (struct side){.write = write};
    if (by_ref)
        return grant_use_begin(&s->use, d, p->domid, p->u.ref, write);
    if (p->domid != DOMID_SELF && p->domid != d->id)
        return GNTST_permission_denied;
    return grant_hold_frame(MFN(p->u.gmfn), d->id, write, &s->own);
}

static void side_end(struct side *s)
{
    if (s->own)
        grant_drop_frame(s->own, s->write);
    grant_use_end(&s->use);
}

static char *side_va(const struct side *s, unsigned offset)
{
    return (char *)hw_frame_va(frame_mfn(s->own ? s->own : s->use.frame)) + offset;
}

static bool crosses(const struct gnttab_copy_ptr *p, unsigned len)
{
    return p->offset >= PAGE_SIZE || p->offset + len > PAGE_SIZE;
}

void grant_copy(struct domain *d, struct gnttab_copy *op)
{
    struct side from, to;

    if (crosses(&op->source, op->len) || crosses(&op->dest, op->len)) {
        op->status = GNTST_bad_copy_arg;
        return;
    }
    op->status = side_begin(&from, d, &op->source, op->flags & GNTCOPY_source_gref, false);
    if (op->status != GNTST_okay)
        return;
    op->status = side_begin(&to, d, &op->dest, op->flags & GNTCOPY_dest_gref, true);
    if (op->status == GNTST_okay) {
        memmove(side_va(&to, op->dest.offset), side_va(&from, op->source.offset), op->len); /* may be one frame */
        side_end(&to);
    }
    side_end(&from);
}

/* SPDX-License-Identifier: MIT */
/*
 * The ELF notes named "Xen" in which a kernel says how it wants to be started. Hostile input: see image.h.
 *
 * Required features (the FEATURES string) that we do not know are refused.
 */
#include "core/image/image.h"
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "core/mem/pte.h"
#include <xen/elfnote.h>
#include <xen/features.h>

struct note_header {
    uint32_t name_size, desc_size, type;
};
struct note {
    uint32_t type;
    struct image_span desc;
};
#define NOTES_MAX 256 /* of all names: more is nonsense */

static int bad(const char **why, const char *text)
{
    *why = text;
    return fail(-ENOEXEC);
}

/* 1: *n is the next note named Xen; 0: no more; -ENOEXEC. */
static int next_xen_note(struct image_span *rest, unsigned *budget, struct note *n, const char **why)
{
    struct note_header h;

    while (rest->size >= sizeof(h)) {
        uint64_t name_room, desc_room;
        const uint8_t *name = rest->data + sizeof(h);

        memcpy(&h, rest->data, sizeof(h));
        name_room = ROUND_UP((uint64_t)h.name_size, 4);
        desc_room = ROUND_UP((uint64_t)h.desc_size, 4);
        /* the last one's padding may be missing */
        if (name_room > rest->size - sizeof(h) || h.desc_size > rest->size - sizeof(h) - name_room || !(*budget)--)
            return bad(why, "has damaged ELF notes");
        n->type = h.type;
        n->desc = (struct image_span){name + name_room, h.desc_size};
        desc_room = MIN(desc_room, rest->size - sizeof(h) - name_room);
        rest->data += sizeof(h) + name_room + desc_room;
        rest->size -= sizeof(h) + name_room + desc_room;
        if (h.name_size == 4 && !memcmp(name, "Xen", 4))
            return 1;
    }
    return 0;
}

static bool number(const struct note *n, uint64_t *value)
{
    uint32_t narrow;

    if (n->desc.size == 8) {
        memcpy(value, n->desc.data, 8);
        return true;
    }
    if (n->desc.size != 4)
        return false;
    memcpy(&narrow, n->desc.data, 4);
    *value = narrow;
    return true;
}

static void string(const struct note *n, char *dst, size_t size)
{
    size_t len = MIN(n->desc.size, size - 1);

    memcpy(dst, n->desc.data, len);
    dst[len] = 0;
}

static bool is_word(const struct note *n, const char *word)
{
    size_t len = strlen(word);
    return n->desc.size >= len && !memcmp(n->desc.data, word, len) && (n->desc.size == len || !n->desc.data[len]);
}

static const struct {
    const char *name;
    unsigned bit;
} features[] = {
    {"writable_page_tables", XENFEAT_writable_page_tables},
    {"writable_descriptor_tables", XENFEAT_writable_descriptor_tables},
    {"auto_translated_physmap", XENFEAT_auto_translated_physmap},
    {"supervisor_mode_kernel", XENFEAT_supervisor_mode_kernel},
    {"pae_pgdir_above_4gb", XENFEAT_pae_pgdir_above_4gb},
    {"hvm_callback_vector", XENFEAT_hvm_callback_vector},
    {"dom0", XENFEAT_dom0},
};

static bool feature_bit(const char *name, size_t len, unsigned *bit)
{
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (strlen(features[i].name) == len && !memcmp(features[i].name, name, len)) {
            *bit = features[i].bit;
            return true;
        }
    return false;
}

/* "a|!b|c": what the kernel can make use of, with '!' what it cannot do without. Linux's "!writable_page_tables" is
 * historical: our emulated page-table writes are what it means. */
static int required_features(const struct note *n, const char **why)
{
    const uint64_t cannot = 1UL << XENFEAT_auto_translated_physmap | 1UL << XENFEAT_supervisor_mode_kernel;
    const char *p = (const char *)n->desc.data, *end = p + n->desc.size;

    while (p < end && *p) {
        bool required = *p == '!';
        const char *name = p + required;
        unsigned bit;

        for (p = name; p < end && *p && *p != '|';)
            p++;
        if (required && (!feature_bit(name, (size_t)(p - name), &bit) || (cannot >> bit & 1)))
            return bad(why, "requires a feature that this hypervisor does not have");
        if (p < end && *p == '|')
            p++;
    }
    return 0;
}

static int take_note(const struct note *n, struct xen_notes *out, const char **why)
{
    bool good = true;
    uint64_t value;

    switch (n->type) {
    case XEN_ELFNOTE_ENTRY:
        good = out->has_entry = number(n, &out->entry);
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        good = out->has_hypercall_page = number(n, &out->hypercall_page);
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        good = out->has_virt_base = number(n, &out->virt_base);
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        good = number(n, &out->paddr_offset);
        break;
    case XEN_ELFNOTE_INIT_P2M:
        good = out->has_init_p2m = number(n, &out->init_p2m);
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        good = number(n, &value);
        out->mod_start_pfn = good && value;
        break;
    case XEN_ELFNOTE_SUPPORTED_FEATURES:
        good = out->has_supported_features = number(n, &out->supported_features);
        break;
    case XEN_ELFNOTE_PAE_MODE:
        out->pae = is_word(n, "yes");
        break;
    case XEN_ELFNOTE_FEATURES:
        return required_features(n, why);
    case XEN_ELFNOTE_XEN_VERSION:
        string(n, out->xen_version, sizeof(out->xen_version));
        break;
    case XEN_ELFNOTE_GUEST_OS:
        string(n, out->guest_os, sizeof(out->guest_os));
        break;
    case XEN_ELFNOTE_GUEST_VERSION:
        string(n, out->guest_version, sizeof(out->guest_version));
        break;
    default:
        break; /* the others say nothing that a PV start needs */
    }
    return good ? 0 : bad(why, "has a Xen ELF note of the wrong size");
}

static int check_notes(const struct elf_image *elf, const struct xen_notes *x, const char **why)
{
    uint64_t first = elf->paddr_first - x->paddr_offset + x->virt_base;
    uint64_t size = elf->paddr_end - elf->paddr_first;

    if (!x->has_entry || !x->has_virt_base)
        return bad(why, "has no Xen ELF notes for a PV start: it was built without PV support");
    if (strcmp(x->xen_version, "xen-3.0"))
        return bad(why, "is for another version of the Xen interface than xen-3.0");
    if (x->virt_base % PAGE_SIZE || x->paddr_offset > elf->paddr_first || first < x->virt_base ||
        !guest_range_ok(x->virt_base, first - x->virt_base + size))
        return bad(why, "wants to be at addresses that it cannot have");
    if (x->entry < first || x->entry - first >= size)
        return bad(why, "has its entry point outside of itself");
    if (x->has_hypercall_page && (x->hypercall_page % PAGE_SIZE || x->hypercall_page < first || size < PAGE_SIZE ||
                                  x->hypercall_page - first > size - PAGE_SIZE))
        return bad(why, "has its hypercall page outside of itself");
    if (x->has_init_p2m && (x->init_p2m % PAGE_SIZE || !guest_range_ok(x->init_p2m, PAGE_SIZE)))
        return bad(why, "wants its frame list at an address that it cannot have");
    return 0;
}

int notes_parse(const struct elf_image *elf, struct xen_notes *out, const char **why)
{
    unsigned budget = NOTES_MAX;

    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < elf->notes_count; i++) {
        struct image_span rest = elf->notes[i];
        struct note n = {0};
        int rc;

        while ((rc = next_xen_note(&rest, &budget, &n, why)) > 0) {
            rc = take_note(&n, out, why);
            if (rc)
                return rc;
        }
        if (rc)
            return rc;
    }
    return check_notes(elf, out, why);
}

int notes_check_dom0(const struct xen_notes *x, const char **why)
{
    if (x->has_supported_features && !(x->supported_features >> XENFEAT_dom0 & 1))
        return bad(why, "was built without support for being Domain 0");
    return 0;
}

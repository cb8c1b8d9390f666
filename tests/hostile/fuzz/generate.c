/* SPDX-License-Identifier: MIT */
/* Making up hypercalls: each family has a function that fills the arguments; then some word of them may be spoilt. */
#include "fuzz/fuzz.h"
#include <xen/domctl.h>
#include <xen/sysctl.h>

struct call {
    uint64_t nr, args[4];
    unsigned bytes; /* of the arguments page in use */
};

static uint64_t any(struct fuzz *f)
{
    return random_next(&f->state);
}

static uint64_t below(struct fuzz *f, uint64_t n)
{
    return any(f) % n;
}

static bool one_in(struct fuzz *f, uint64_t n)
{
    return !below(f, n);
}

/* ---- Values ---- */

static uint64_t interesting(struct fuzz *f)
{
    static const uint64_t values[] = {0,
                                      1,
                                      2,
                                      7,
                                      8,
                                      64,
                                      511,
                                      512,
                                      4095,
                                      4096,
                                      0x7fff,
                                      0x8000,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      1UL << 32,
                                      1UL << 52,
                                      1UL << 63,
                                      ~0UL,
                                      ~0UL - 1,
                                      HV_START,
                                      HV_END,
                                      0x0000800000000000,
                                      0xffff82d080000000,
                                      0xffff830000000000,
                                      DOMID_SELF,
                                      DOMID_IO,
                                      DOMID_XEN,
                                      DOMID_INVALID};

    return values[below(f, COUNT_OF(values))];
}

static void *page(struct fuzz *f)
{
    return f->pages + below(f, FUZZ_PAGES) * PAGE;
}

/* An address to read and write: of the pages mostly. */
static uint64_t pointer(struct fuzz *f)
{
    if (one_in(f, 12))
        return interesting(f);
    return ADDRESS(page(f)) + (one_in(f, 3) ? below(f, PAGE) & ~7UL : 0);
}

static uint64_t frame(struct fuzz *f)
{
    uint64_t at = below(f, 20);

    if (at < COUNT_OF(f->frames))
        return f->frames[at];
    return at == 19 ? any(f) >> below(f, 64) : mfn_of(page(f));
}

static uint16_t domain(struct fuzz *f)
{
    if (!one_in(f, 6))
        return one_in(f, 2) ? DOMID_SELF : f->domains[below(f, COUNT_OF(f->domains))];
    return (uint16_t)interesting(f);
}

static uint64_t entry(struct fuzz *f)
{
    uint64_t e = frame(f) * PAGE | (one_in(f, 8) ? any(f) & 0xfff : one_in(f, 2) ? PLAIN : READONLY);

    return one_in(f, 6) ? 0 : one_in(f, 10) ? e | NX : e;
}

/* A frame that the domain must not lose or type by chance: of its own, and not set aside. */
static bool is_precious(const struct fuzz *f, uint64_t mfn)
{
    uint64_t pfn, limit = HV_START + mfn * 8;

    if (!f->privileged || mfn >= f->frames[7] || limit < HV_START)
        return false;
    pfn = M2P[mfn];
    if (pfn >= start_info->nr_pages || p2m[pfn] != mfn)
        return false;
    pfn -= (ADDRESS(f->pages) - VIRT_BASE) / PAGE;
    return pfn >= FUZZ_PAGES;
}

/* ---- Families ---- */

/* Whose table a request changes. The tables that the guest runs on only now and then: it would be gone at once. */
static uint64_t table_frame(struct fuzz *f)
{
    uint64_t mfn = frame(f);

    return (mfn == f->frames[4] || mfn == f->frames[5]) && !one_in(f, 100) ? mfn_of(page(f)) : mfn;
}

static void make_mmu_update(struct fuzz *f, struct call *c)
{
    struct mmu_update *u = (struct mmu_update *)f->call;
    unsigned n = 1 + (unsigned)below(f, 12);

    for (unsigned i = 0; i < n; i++) {
        uint64_t table = table_frame(f), *l1 = l1_entry(page(f));

        u[i].ptr = one_in(f, 3) && !f->privileged ? machine_of(l1)
                                                  : table * PAGE + below(f, 512) * 8 + (one_in(f, 4) ? below(f, 4) : 0);
        u[i].val = entry(f);
        if (is_precious(f, u[i].ptr / PAGE))
            u[i].ptr = mfn_of(page(f)) * PAGE;
        if (is_precious(f, (u[i].val & ADDR) / PAGE))
            u[i].val = 0;
    }
    *c = (struct call){
        __HYPERVISOR_mmu_update, {ADDRESS(u), n, one_in(f, 4) ? pointer(f) : 0, domain(f)}, n * sizeof(*u)};
}

static void make_mmuext(struct fuzz *f, struct call *c)
{
    struct mmuext_op *op = (struct mmuext_op *)f->call;
    unsigned n = 1 + (unsigned)below(f, 6);

    for (unsigned i = 0; i < n; i++) {
        op[i] = (struct mmuext_op){.cmd = (unsigned)below(f, one_in(f, 6) ? 22 : 5),
                                   .arg1.mfn = frame(f),
                                   .arg2.src_mfn = one_in(f, 3) ? pointer(f) : below(f, 600)};
        if (op[i].cmd >= MMUEXT_TLB_FLUSH_LOCAL && op[i].cmd <= MMUEXT_SET_LDT && one_in(f, 2))
            op[i].arg1.linear_addr = pointer(f) & ~(PAGE - 1);
        if (f->privileged && (op[i].cmd == MMUEXT_NEW_BASEPTR || op[i].cmd == MMUEXT_FLUSH_CACHE ||
                              op[i].cmd == MMUEXT_FLUSH_CACHE_GLOBAL))
            op[i].cmd = MMUEXT_PIN_L1_TABLE;
        if (is_precious(f, op[i].arg1.mfn))
            op[i].arg1.mfn = mfn_of(page(f));
    }
    *c = (struct call){__HYPERVISOR_mmuext_op, {ADDRESS(op), n, 0, domain(f)}, n * sizeof(*op)};
}

static void make_va_mapping(struct fuzz *f, struct call *c)
{
    uint64_t e = entry(f), flags = (one_in(f, 4) ? below(f, 3) : 0) | (one_in(f, 12)  ? UVMF_ALL
                                                                       : one_in(f, 9) ? pointer(f) & ~3UL
                                                                                      : 0);

    if (is_precious(f, (e & ADDR) / PAGE))
        e = 0;
    *c = (struct call){one_in(f, 5) ? __HYPERVISOR_update_va_mapping_otherdomain : __HYPERVISOR_update_va_mapping,
                       {ADDRESS(page(f)), e, flags, domain(f)},
                       0};
    if (one_in(f, 3)) /* its own again */
        c->args[1] = entry_of((void *)c->args[0], PLAIN);
}

static void fill_frames(struct fuzz *f, uint64_t *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        list[i] = frame(f);
        if (is_precious(f, list[i]))
            list[i] = 0;
    }
}

static void make_memory(struct fuzz *f, struct call *c)
{
    static const uint8_t cmds[] = {XENMEM_increase_reservation,
                                   XENMEM_decrease_reservation,
                                   XENMEM_decrease_reservation,
                                   XENMEM_populate_physmap,
                                   XENMEM_exchange,
                                   XENMEM_memory_map,
                                   XENMEM_current_reservation};
    struct xen_memory_exchange *e = (struct xen_memory_exchange *)f->call;
    uint64_t *list = (uint64_t *)(f->call + 512);
    unsigned cmd = one_in(f, 4) && !f->privileged ? (unsigned)below(f, 64) : cmds[below(f, COUNT_OF(cmds))];

    fill_frames(f, list, 16);
    *e = (struct xen_memory_exchange){
        .in = {.nr_extents = below(f, 9), .domid = domain(f), .extent_order = one_in(f, 4) ? (unsigned)below(f, 4) : 0},
        .out = {.nr_extents = below(f, 9), .domid = domain(f)}};
    if (f->privileged && cmd == XENMEM_decrease_reservation)
        e->in.extent_order = 0;
    set_xen_guest_handle(e->in.extent_start, list);
    set_xen_guest_handle(e->out.extent_start, list + 8);
    *c = (struct call){
        __HYPERVISOR_memory_op, {cmd | (one_in(f, 20) ? below(f, 9) << 6 : 0), ADDRESS(e)}, f->privileged ? 0 : 640};
}

static void make_grant(struct fuzz *f, struct call *c)
{
    static const uint8_t cmds[] = {GNTTABOP_map_grant_ref,  GNTTABOP_unmap_grant_ref, GNTTABOP_copy,
                                   GNTTABOP_setup_table,    GNTTABOP_query_size,      GNTTABOP_map_grant_ref,
                                   GNTTABOP_unmap_grant_ref};
    /* What Domain 0 maps it could not find again, and the granter would stay for ever. */
    unsigned cmd = cmds[f->privileged ? 2 + below(f, 3) : below(f, COUNT_OF(cmds))], n = 1 + (unsigned)below(f, 4);
    struct gnttab_copy *copy = (struct gnttab_copy *)f->call;
    struct gnttab_map_grant_ref *map = (struct gnttab_map_grant_ref *)f->call;
    struct gnttab_unmap_grant_ref *unmap = (struct gnttab_unmap_grant_ref *)f->call;

    memset(f->call, 0, 512);
    for (unsigned i = 0; i < n; i++) {
        if (cmd == GNTTABOP_map_grant_ref)
            map[i] = (struct gnttab_map_grant_ref){ADDRESS(page(f)),
                                                   (uint32_t)(one_in(f, 3) ? any(f) & 31 : 2),
                                                   (uint32_t)below(f, 16),
                                                   domain(f),
                                                   0,
                                                   0,
                                                   0};
        else if (cmd == GNTTABOP_unmap_grant_ref)
            unmap[i] = (struct gnttab_unmap_grant_ref){ADDRESS(page(f)), 0, (uint32_t)below(f, 24), 0};
        else if (cmd == GNTTABOP_copy)
            copy[i] = (struct gnttab_copy){{{.ref = (uint32_t)below(f, 16)}, domain(f), (uint16_t)below(f, 4096)},
                                           {{.gmfn = mfn_of(page(f))}, DOMID_SELF, (uint16_t)below(f, 4096)},
                                           (uint16_t)below(f, 999),
                                           (uint16_t)below(f, 4),
                                           0};
        else
            ((struct gnttab_setup_table *)f->call)->dom = domain(f);
    }
    *c = (struct call){__HYPERVISOR_grant_table_op,
                       {cmd, ADDRESS(f->call), cmd > GNTTABOP_copy || cmd == GNTTABOP_setup_table ? 1 : n},
                       f->privileged ? 0 : 256};
}

/* Commands about small numbers: ports, vCPUs, times. */
static void make_small(struct fuzz *f, struct call *c, unsigned nr, unsigned cmds)
{
    uint32_t *words = (uint32_t *)f->call;

    for (unsigned i = 0; i < 8; i++)
        words[i] = one_in(f, 3) ? domain(f) : one_in(f, 20) ? (uint32_t)interesting(f) : (uint32_t)below(f, 24);
    if (one_in(f, 3))
        *(uint64_t *)words = frame(f);
    *c = (struct call){nr, {below(f, cmds), ADDRESS(words), 0, 0}, 32};
}

static void make_event(struct fuzz *f, struct call *c)
{
    make_small(f, c, __HYPERVISOR_event_channel_op, 15);
    if (f->privileged && c->args[0] == EVTCHNOP_reset)
        c->args[0] = EVTCHNOP_status;
}

static void make_vcpu(struct fuzz *f, struct call *c)
{
    make_small(f, c, __HYPERVISOR_vcpu_op, 15);
    c->args[2] = c->args[1];
    c->args[1] = below(f, VCPUS_MAX + 1);
    if (f->privileged || (c->args[0] == VCPUOP_down && !one_in(f, 50)))
        c->args[0] = one_in(f, 2) ? VCPUOP_get_runstate_info : VCPUOP_is_up;
}

static void make_cpu(struct fuzz *f, struct call *c)
{
    static const uint8_t calls[] = {
        __HYPERVISOR_set_gdt,      __HYPERVISOR_update_descriptor, __HYPERVISOR_set_segment_base,
        __HYPERVISOR_set_debugreg, __HYPERVISOR_get_debugreg,      __HYPERVISOR_vm_assist,
        __HYPERVISOR_set_timer_op, __HYPERVISOR_fpu_taskswitch,    __HYPERVISOR_xen_version};
    uint64_t *list = (uint64_t *)f->call;

    fill_frames(f, list, 16);
    *c = (struct call){calls[below(f, COUNT_OF(calls))], {below(f, 12), below(f, 600), 0, 0}, 0};
    if (c->nr == __HYPERVISOR_set_gdt) {
        c->args[0] = ADDRESS(list);
    } else if (c->nr == __HYPERVISOR_update_descriptor) {
        c->args[0] = list[0] * PAGE + below(f, 512) * 8;
        c->args[1] = any(f);
    } else if (c->nr == __HYPERVISOR_xen_version) {
        c->args[1] = pointer(f);
    } else if (c->nr == __HYPERVISOR_set_segment_base || c->nr == __HYPERVISOR_set_debugreg) {
        c->args[1] = f->privileged ? below(f, 64) : interesting(f);
    }
}

/* Anything, in a guest; in Domain 0 a control operation on another domain. */
static void make_wild(struct fuzz *f, struct call *c)
{
    struct xen_domctl *op = (struct xen_domctl *)f->call;
    uint64_t *words = (uint64_t *)&op->u;

    if (!f->privileged) {
        *c = (struct call){below(f, 66), {interesting(f), pointer(f), interesting(f), pointer(f)}, 0};
        if (one_in(f, 2))
            c->args[0] = below(f, 40);
        return;
    }
    memset(op, 0, sizeof(*op));
    op->cmd = (uint32_t)below(f, 92);
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = f->domains[below(f, COUNT_OF(f->domains))];
    for (unsigned i = 0; i < 8; i++)
        words[i] = one_in(f, 3) ? pointer(f) : one_in(f, 2) ? below(f, 16) : one_in(f, 2) ? interesting(f) : frame(f);
    if (op->cmd == XEN_DOMCTL_destroydomain && !one_in(f, 100))
        op->cmd = XEN_DOMCTL_getdomaininfo;
    if (!op->domain && op->cmd != XEN_DOMCTL_createdomain)
        op->cmd = XEN_DOMCTL_getvcpuinfo;
    *c = (struct call){__HYPERVISOR_domctl, {ADDRESS(op)}, 0};
}

static void make_sched(struct fuzz *f, struct call *c)
{
    struct sched_poll poll = {.nr_ports = (unsigned)below(f, 4), .timeout = now_ns() + below(f, 50000)};

    *c = (struct call){__HYPERVISOR_sched_op, {one_in(f, 2) ? SCHEDOP_yield : SCHEDOP_poll, ADDRESS(f->call)}, 0};
    set_xen_guest_handle(poll.ports, (evtchn_port_t *)(f->call + 64));
    *(struct sched_poll *)f->call = poll;
    ((uint32_t *)f->call)[16] = (uint32_t)below(f, 40);
}

static void make(struct fuzz *f, struct call *c)
{
    switch (below(f, 16)) {
    case 0:
    case 1:
    case 2:
        make_mmu_update(f, c);
        break;
    case 3:
    case 4:
    case 5:
        make_mmuext(f, c);
        break;
    case 6:
    case 7:
        make_va_mapping(f, c);
        break;
    case 8:
        make_memory(f, c);
        break;
    case 9:
    case 10:
        make_grant(f, c);
        break;
    case 11:
        make_event(f, c);
        break;
    case 12:
        make_vcpu(f, c);
        break;
    case 13:
        make_cpu(f, c);
        break;
    case 14:
        make_wild(f, c);
        break;
    default:
        make_sched(f, c);
    }
}

/* ---- Spoiling and making ---- */

static void spoil(struct fuzz *f, struct call *c)
{
    if (f->privileged)
        return; /* what was left out could come back */
    if (one_in(f, 2))
        c->args[below(f, 4)] ^= one_in(f, 2) ? 1UL << below(f, 64) : interesting(f);
    else if (c->bytes)
        ((uint64_t *)f->call)[below(f, c->bytes / 8)] = one_in(f, 2) ? interesting(f) : any(f);
}

/* Calls that would only end the guest, or put it to sleep for ever, most of the time. */
static bool is_dull(struct fuzz *f, const struct call *c)
{
    uint32_t cmd = (uint32_t)c->args[0];

    if (c->nr == __HYPERVISOR_console_io || c->nr == __HYPERVISOR_iret || c->nr == __HYPERVISOR_set_trap_table ||
        c->nr == __HYPERVISOR_stack_switch)
        return !one_in(f, 200);
    if (c->nr == __HYPERVISOR_sched_op && cmd != SCHEDOP_yield && cmd != SCHEDOP_poll)
        return !one_in(f, 500);
    return c->nr == __HYPERVISOR_sched_op && c->bytes;
}

static void do_call(void *arg)
{
    const struct call *c = arg;

    hypercall(c->nr, c->args[0], c->args[1], c->args[2], c->args[3]);
}

void fuzz_step(struct fuzz *f)
{
    struct call c;

    make(f, &c);
    if (one_in(f, 4))
        spoil(f, &c);
    if (is_dull(f, &c))
        return;
    f->count++;
    guarded(do_call, &c);
}

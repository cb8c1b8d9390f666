/* SPDX-License-Identifier: MIT */
/* The fake machine's guests: their memory through their page tables, their hypercalls, and the
 * containers of domains and vCPUs. The handlers of hypercalls that are x86's own (processor state)
 * answer -ENOSYS here. */
#include <stdlib.h>
#include <string.h>
#include "host/machine.h"
#include "core/domain/cpu_policy.h"
#include "core/lib/poison.h"
#include "core/mem/pte.h"
#include "core/mem/type.h"
#include "hypercall/hypercall.h"
#include <xen/domctl.h>

unsigned host_copy_fail_after;
uint64_t host_direct_start, host_direct_size;
struct host_continuation host_continuation;
unsigned host_continuations;
int host_domain_init_result, host_set_context_result;
unsigned host_domains_live, host_vcpus_live;

/* ---- Guest memory ---- */
static uint64_t *walk(mfn_t root, uint64_t va, bool write)
{
    mfn_t table = root;
    uint64_t need = PTE_P | PTE_US | (write ? PTE_RW : 0);

    for (unsigned level = 4;; level--) {
        if (table.n >= hw_frames_max || frame_of(table)->owner == FRAME_OWNER_IO)
            panic("the walk of a guest's tables reaches frame %lx as a table", table.n);
        uint64_t *e = (uint64_t *)hw_frame_va(table) + pt_index(va, level);
        uint64_t value = __atomic_load_n(e, __ATOMIC_RELAXED);
        if ((value & need) != need || (level > 1 && (value & PTE_PS)))
            return NULL;
        __atomic_fetch_or(e, PTE_A | (level == 1 && write ? PTE_D : 0), __ATOMIC_RELAXED);
        if (level == 1)
            return e;
        table = pte_mfn(value);
    }
}

bool host_translate(struct vcpu *v, uint64_t va, bool write, void **host)
{
    mfn_t root = v->in_kernel ? v->kernel_l4 : v->user_l4;

    if (host_direct_size ? va - host_direct_start < host_direct_size : mfn_eq(v->kernel_l4, INVALID_MFN)) {
        *host = (void *)va;
        return va != 0;
    }
    if (mfn_eq(root, INVALID_MFN))
        return false;
    const uint64_t *e = walk(root, va, write);
    if (!e || pte_mfn(*e).n >= hw_frames_max)
        return false;
    *host = (uint8_t *)hw_frame_va(pte_mfn(*e)) + (va & (PAGE_SIZE - 1));
    return true;
}

static int copy(uint64_t va, void *buf, size_t size, bool write)
{
    if (!guest_range_ok(va, size) || (host_copy_fail_after && !--host_copy_fail_after))
        return -EFAULT;
    while (size) {
        size_t n = MIN(size, PAGE_SIZE - (va & (PAGE_SIZE - 1)));
        void *p;

        if (!host_translate(current_vcpu(), va, write, &p))
            return -EFAULT;
        memcpy(write ? p : buf, write ? buf : p, n);
        va += n;
        buf = (uint8_t *)buf + n;
        size -= n;
    }
    return 0;
}

int hw_copy_from_guest(void *dst, uint64_t src, size_t size)
{
    return copy(src, dst, size, false);
}

int hw_copy_to_guest(uint64_t dst, const void *src, size_t size)
{
    ASSERT(!poison_in(src, size));
    return copy(dst, (void *)src, size, true);
}

/* ---- Hypercalls ---- */
int64_t hw_hypercall_continue(unsigned nr, unsigned count, const uint64_t *args)
{
    struct hypercall_continuation *in_multicall = current_vcpu()->mc_cont;

    if (count > 6 || nr >= HYPERCALLS_COUNT)
        panic("continuation of hypercall %u with %u arguments", nr, count);
    host_continuations++;
    if (in_multicall) {
        *in_multicall = (struct hypercall_continuation){.preempted = true, .op = nr};
        memcpy(in_multicall->args, args, count * sizeof(*args));
        return 0;
    }
    host_continuation = (struct host_continuation){.valid = true, .nr = nr, .count = count};
    memcpy(host_continuation.args, args, count * sizeof(*args));
    return HOST_CONTINUE;
}

int64_t host_hypercall_run(host_handler_t *fn, const uint64_t args[6], void (*between)(void))
{
    uint64_t regs[6];

    memcpy(regs, args, sizeof(regs));
    for (unsigned round = 0; round < 10000000; round++) {
        host_continuation.valid = false;
        int64_t rc = fn(regs);
        lock_assert_none_held();
        if (rc == -ERESTART)
            panic("-ERESTART left a hypercall handler");
        if (rc != HOST_CONTINUE || !host_continuation.valid)
            return rc;
        memcpy(regs, host_continuation.args, host_continuation.count * sizeof(*regs));
        if (between)
            between();
    }
    panic("a hypercall was continued ten million times");
}

#define NOT_HERE(name)                                                                                                 \
    int64_t do_##name(const uint64_t args[6])                                                                          \
    {                                                                                                                  \
        (void)args;                                                                                                    \
        return -ENOSYS;                                                                                                \
    }
NOT_HERE(set_trap_table)
NOT_HERE(stack_switch)
NOT_HERE(fpu_taskswitch)
NOT_HERE(set_debugreg)
NOT_HERE(get_debugreg)
NOT_HERE(iret)
NOT_HERE(set_segment_base)
NOT_HERE(callback_op)

/* ---- Descriptor tables: only that their frames are held ---- */

static void gdt_put(struct host_vcpu *v)
{
    for (unsigned i = 0; i < ARRAY_SIZE(v->gdt); i++)
        if (v->gdt[i])
            type_put(v->gdt[i], false);
    memset(v->gdt, 0, sizeof(v->gdt));
}

static int gdt_set(struct host_vcpu *v, const uint64_t *mfns, unsigned entries)
{
    struct frame *new[HOST_GDT_PAGES] = {NULL};
    int rc = 0;

    if (entries > HOST_GDT_PAGES * 512)
        return -EINVAL;
    for (unsigned i = 0; !rc && i < DIV_ROUND_UP(entries, 512); i++) {
        struct frame *f = frame_get_owned(MFN(mfns[i]), v->core.domain->id);

        rc = f ? type_get(v->core.domain, f, FT_DESC) : -EINVAL;
        if (!rc)
            new[i] = f;
        if (f)
            frame_put(f);
    }
    if (!rc)
        gdt_put(v);
    for (unsigned i = 0; i < HOST_GDT_PAGES; i++) {
        if (rc && new[i])
            type_put(new[i], false);
        else if (!rc)
            v->gdt[i] = new[i];
    }
    return rc;
}

int64_t do_set_gdt(const uint64_t args[6])
{
    uint64_t mfns[HOST_GDT_PAGES];

    if (args[1] > HOST_GDT_PAGES * 512)
        return -EINVAL;
    if (hw_copy_from_guest(mfns, args[0], DIV_ROUND_UP(args[1], 512) * sizeof(mfns[0])))
        return -EFAULT;
    return gdt_set(host_vcpu_of(current_vcpu()), mfns, (unsigned)args[1]);
}

/* ---- Domains and vCPUs ---- */
/* A processor with XSAVE and SSE4.2, and of policies the least: hyper-threading can be promised, but is not by default. */
const struct cpu_policy *hw_cpu_policy(enum cpu_policy_kind kind)
{
    static struct cpu_policy p[CPU_POLICY_DOMAIN0 + 1];
    struct cpu_policy *q = &p[kind];

    cpu_policy_leaf(q, 0, 0)[CPUID_EAX] = 0xd;
    cpu_policy_leaf(q, 1, 0)[CPUID_ECX] = 1u << 20 | 1u << 26;
    if (kind <= CPU_POLICY_PV_MAX)
        cpu_policy_leaf(q, 1, 0)[CPUID_EDX] = 1u << 28;
    cpu_policy_leaf(q, 0xd, 0)[CPUID_EAX] = 3;
    cpu_policy_leaf(q, 0x40000000, 0)[CPUID_EAX] = 0x40000005;
    cpu_policy_leaf(q, 0x80000000, 0)[CPUID_EAX] = 0x80000008;
    return q;
}

struct domain *hw_domain_alloc(void)
{
    struct domain *d = calloc(1, sizeof(*d));

    if (d)
        host_domains_live++;
    return d;
}

void hw_domain_free(struct domain *d)
{
    host_domains_live--;
    free(d);
}

int hw_domain_init(struct domain *d)
{
    (void)d;
    return host_domain_init_result;
}

void hw_domain_destroy(struct domain *d)
{
    (void)d;
}

struct vcpu *hw_vcpu_alloc(struct domain *d, unsigned id)
{
    struct host_vcpu *v = calloc(1, sizeof(*v));

    (void)d;
    (void)id;
    if (!v)
        return NULL;
    v->core.kernel_l4 = v->core.user_l4 = INVALID_MFN;
    host_vcpus_live++;
    return &v->core;
}

void hw_vcpu_free(struct vcpu *v)
{
    host_vcpus_live--;
    free(host_vcpu_of(v)->context);
    free(v);
}

int hw_vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctxt)
{
    struct host_vcpu *hv = host_vcpu_of(v);

    if (host_set_context_result)
        return host_set_context_result;
    if (!hv->context && !(hv->context = malloc(sizeof(*ctxt))))
        return -ENOMEM;
    if (ctxt->gdt_ents > HOST_GDT_PAGES * 512 || gdt_set(hv, ctxt->gdt_frames, (unsigned)ctxt->gdt_ents))
        return -EINVAL;
    *hv->context = *ctxt;
    return 0;
}

void hw_vcpu_get_context(struct vcpu *v, struct vcpu_guest_context *ctxt)
{
    memset(ctxt, 0, sizeof(*ctxt));
    if (host_vcpu_of(v)->context)
        *ctxt = *host_vcpu_of(v)->context;
}

int hw_vcpu_set_ext_context(struct vcpu *v, const struct xen_domctl_ext_vcpucontext *ctxt)
{
    host_vcpu_of(v)->ext_context = *ctxt;
    return 0;
}

void hw_vcpu_get_ext_context(struct vcpu *v, struct xen_domctl_ext_vcpucontext *ctxt)
{
    ctxt->syscall32_callback_eip = host_vcpu_of(v)->ext_context.syscall32_callback_eip;
    ctxt->sysenter_callback_eip = host_vcpu_of(v)->ext_context.sysenter_callback_eip;
}

size_t hw_xstate_size(uint64_t *mask)
{
    *mask = 7;
    return sizeof(((struct host_vcpu *)0)->xstate);
}

void hw_vcpu_get_xstate(struct vcpu *v, void *buf)
{
    memcpy(buf, host_vcpu_of(v)->xstate, sizeof(host_vcpu_of(v)->xstate));
}

int hw_vcpu_set_xstate(struct vcpu *v, const void *buf, size_t size)
{
    memcpy(host_vcpu_of(v)->xstate, buf, size);
    return 0;
}

void hw_fill_hypercall_page(void *page)
{
    memset(page, 0xcc, PAGE_SIZE);
}

void hw_vcpu_release(struct vcpu *v)
{
    gdt_put(host_vcpu_of(v));
}

void hw_vcpu_for_each_ref(struct vcpu *v, void (*fn)(struct frame *f, enum frame_type type, void *arg), void *arg)
{
    for (unsigned i = 0; i < HOST_GDT_PAGES; i++)
        if (host_vcpu_of(v)->gdt[i])
            fn(host_vcpu_of(v)->gdt[i], FT_DESC, arg);
    if (!v->id && host_eoi_map && host_eoi_map->owner == v->domain->id)
        fn(host_eoi_map, FT_WRITABLE, arg);
}

int hw_set_ldt(struct vcpu *v, uint64_t base, unsigned entries)
{
    if (entries > 8192 || (base & (PAGE_SIZE - 1)))
        return -EINVAL;
    host_vcpu_of(v)->ldt_base = base;
    host_vcpu_of(v)->ldt_entries = entries;
    return 0;
}

void hw_set_iopl(struct vcpu *v, unsigned iopl)
{
    host_vcpu_of(v)->iopl = iopl;
}

void hw_set_iobitmap(struct vcpu *v, uint64_t gva, unsigned ports)
{
    host_vcpu_of(v)->io_bitmap = gva;
    host_vcpu_of(v)->io_bitmap_ports = ports;
}

void hw_print_guest_state(struct domain *d)
{
    (void)d;
}

void hw_set_hypercall_result(struct vcpu *v, int64_t rc)
{
    host_vcpu_of(v)->result = rc;
    host_vcpu_of(v)->results_set++;
}

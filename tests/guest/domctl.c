/* SPDX-License-Identifier: MIT */
/*
 * The control interface as the tools use it, from Domain 0: domains are made, given memory, asked about and destroyed, many times,
 * without a frame lost; and one is started that is a page of code, which finds itself an unprivileged guest, is stopped, saved,
 * loaded and resumed.
 */
#define _GNU_SOURCE
#define __XEN_TOOLS__             1
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/sys/privcmd.h>

#define PAGE  4096UL
#define PAGES 64 /* of a domain */
#define CHECK(c)                                                                                                       \
    do {                                                                                                               \
        if (!(c)) {                                                                                                    \
            printf("domctl: line %d: %s (errno %d)\n", __LINE__, #c, errno);                                           \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Memory of which the hypervisor can be told: locked, so that its pages are there. */
static struct shared {
    struct xen_domctl domctl;
    struct xen_sysctl sysctl;
    struct xen_memory_reservation reservation;
    struct mmuext_op mmuext;
    struct vcpu_guest_context context;
    struct xen_cpuid_leaf leaves[200];
    struct xen_msr_entry msrs[8];
    xen_pfn_t frames[PAGES];
    int errors[PAGES];
    uint8_t cpus[8];
    uint64_t xstate[2048];
} * m;
static int fd;

static long call(unsigned nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    privcmd_hypercall_t h = {nr, {a, b, c, d, 0}};

    return ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, &h);
}

/* The operation on m->domctl. 0, or -1 with errno. */
static long domctl(uint32_t cmd, domid_t id)
{
    m->domctl.cmd = cmd;
    m->domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    m->domctl.domain = id;
    return call(__HYPERVISOR_domctl, (uint64_t)&m->domctl, 0, 0, 0);
}

static int refused(long rc, int why)
{
    return rc == -1 && errno == why;
}

static long free_pages(void)
{
    memset(&m->sysctl, 0, sizeof(m->sysctl));
    m->sysctl.cmd = XEN_SYSCTL_physinfo;
    m->sysctl.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    CHECK(!call(__HYPERVISOR_sysctl, (uint64_t)&m->sysctl, 0, 0, 0));
    return (long)(m->sysctl.u.physinfo.free_pages + m->sysctl.u.physinfo.scrub_pages);
}

/* When nothing is on its way back any more. */
static long free_pages_settled(void)
{
    long now = free_pages(), last;

    do {
        last = now;
        usleep(200000);
        now = free_pages();
    } while (now != last);
    return now;
}

static long create(unsigned vcpus)
{
    memset(&m->domctl, 0, sizeof(m->domctl));
    m->domctl.u.createdomain = (struct xen_domctl_createdomain){.max_vcpus = vcpus,
                                                                .max_evtchn_port = 1023,
                                                                .max_grant_frames = -1,
                                                                .max_maptrack_frames = -1,
                                                                .grant_opts = 1};
    return domctl(XEN_DOMCTL_createdomain, 0);
}

static domid_t make(unsigned vcpus)
{
    CHECK(!create(vcpus));
    return m->domctl.domain;
}

static void set_memory(domid_t id, unsigned pages)
{
    m->domctl.u.max_mem.max_memkb = pages * 4;
    CHECK(!domctl(XEN_DOMCTL_max_mem, id));
    for (unsigned i = 0; i < pages; i++)
        m->frames[i] = i;
    m->reservation = (struct xen_memory_reservation){.nr_extents = pages, .domid = id};
    set_xen_guest_handle(m->reservation.extent_start, m->frames);
    CHECK(call(__HYPERVISOR_memory_op, XENMEM_populate_physmap, (uint64_t)&m->reservation, 0, 0) == pages);
}

static const struct xen_domctl_getdomaininfo *info(domid_t id)
{
    CHECK(!domctl(XEN_DOMCTL_getdomaininfo, id) && m->domctl.domain == id);
    return &m->domctl.u.getdomaininfo;
}

/* ---- Making, asking, destroying ---- */

static void wrong_calls(void)
{
    domid_t id;

    CHECK((info(0)->flags & XEN_DOMINF_running) && !(m->domctl.u.getdomaininfo.flags & XEN_DOMINF_paused));
    m->domctl.interface_version = 0;
    m->domctl.cmd = XEN_DOMCTL_createdomain;
    CHECK(refused(call(__HYPERVISOR_domctl, (uint64_t)&m->domctl, 0, 0, 0), EACCES));
    CHECK(refused(call(__HYPERVISOR_domctl, 0, 0, 0, 0), EFAULT));
    CHECK(refused(domctl(999, 0), ENOSYS));
    CHECK(refused(create(0), EINVAL) && refused(create(100000), EINVAL));
    CHECK(refused(domctl(XEN_DOMCTL_pausedomain, 0), EINVAL) && refused(domctl(XEN_DOMCTL_destroydomain, 0), EINVAL));
    CHECK(refused(domctl(XEN_DOMCTL_getdomaininfo, 30000), ESRCH));
    CHECK(refused(domctl(XEN_DOMCTL_max_mem, 30000), ESRCH));
    id = make(1);
    CHECK(refused(domctl(XEN_DOMCTL_createdomain, id), EEXIST)); /* the same configuration came back */
    m->domctl.u.max_vcpus.max = 2;
    CHECK(refused(domctl(XEN_DOMCTL_max_vcpus, id), EINVAL));
    CHECK(!domctl(XEN_DOMCTL_pausedomain, id) && !domctl(XEN_DOMCTL_unpausedomain, id));
    CHECK(!domctl(XEN_DOMCTL_unpausedomain, id) && refused(domctl(XEN_DOMCTL_unpausedomain, id), EINVAL));
    CHECK(!domctl(XEN_DOMCTL_destroydomain, id));
    CHECK(refused(domctl(XEN_DOMCTL_unpausedomain, id), ESRCH));
}

static void settings(domid_t id)
{
    m->domctl.u.max_vcpus.max = 2;
    CHECK(!domctl(XEN_DOMCTL_max_vcpus, id));
    m->domctl.u.address_size.size = 64;
    CHECK(!domctl(XEN_DOMCTL_set_address_size, id));
    CHECK(!domctl(XEN_DOMCTL_get_address_size, id) && m->domctl.u.address_size.size == 64);
    m->domctl.u.tsc_info = (struct xen_domctl_tsc_info){.tsc_mode = 0, .incarnation = 3};
    CHECK(!domctl(XEN_DOMCTL_settscinfo, id));
    CHECK(!domctl(XEN_DOMCTL_gettscinfo, id) && m->domctl.u.tsc_info.incarnation == 3);
    memset(&m->domctl.u, 0, sizeof(m->domctl.u));
    m->cpus[0] = 1;
    m->domctl.u.vcpuaffinity.vcpu = 1;
    m->domctl.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD;
    m->domctl.u.vcpuaffinity.cpumap_hard.nr_bits = 64;
    set_xen_guest_handle(m->domctl.u.vcpuaffinity.cpumap_hard.bitmap, m->cpus);
    CHECK(!domctl(XEN_DOMCTL_setvcpuaffinity, id) && m->cpus[0] == 1);
    memset(m->cpus, 0xff, sizeof(m->cpus));
    CHECK(!domctl(XEN_DOMCTL_getvcpuaffinity, id) && m->cpus[0] == 1 && !m->cpus[7]);
    m->domctl.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT;
    m->domctl.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    CHECK(!domctl(XEN_DOMCTL_scheduler_op, id) && m->domctl.u.scheduler_op.u.credit.weight == 256);
}

static void one_life(unsigned round)
{
    domid_t id = make(2);
    const struct xen_domctl_getdomaininfo *i = info(id);

    CHECK(i->flags & XEN_DOMINF_paused && !(i->flags & (XEN_DOMINF_dying | XEN_DOMINF_running)));
    CHECK(!i->tot_pages && i->max_vcpu_id == 1 && !i->nr_online_vcpus && i->shared_info_frame);
    settings(id);
    set_memory(id, PAGES);
    i = info(id);
    CHECK(i->tot_pages == PAGES && i->max_pages == PAGES);
    m->domctl.u.max_mem.max_memkb = PAGES * 2;
    CHECK(!domctl(XEN_DOMCTL_max_mem, id) && info(id)->max_pages == PAGES / 2);
    if (round % 2)
        CHECK(!domctl(XEN_DOMCTL_unpausedomain, id)); /* it has no vCPU that is up */
    CHECK(!domctl(XEN_DOMCTL_destroydomain, id));
    CHECK(domctl(XEN_DOMCTL_getdomaininfo, id) || m->domctl.domain != id);
}

/* ---- CPU policies ---- */

static void policies(domid_t id)
{
    struct xen_domctl_cpu_policy *p = &m->domctl.u.cpu_policy;
    struct xen_sysctl_cpu_policy *s = &m->sysctl.u.cpu_policy;
    uint32_t leaves, msrs;

    memset(&m->sysctl, 0, sizeof(m->sysctl));
    m->sysctl.cmd = XEN_SYSCTL_get_cpu_policy;
    m->sysctl.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    s->index = XEN_SYSCTL_cpu_policy_pv_default;
    CHECK(!call(__HYPERVISOR_sysctl, (uint64_t)&m->sysctl, 0, 0, 0));
    leaves = s->nr_leaves;
    msrs = s->nr_msrs;
    CHECK(leaves > 20 && leaves <= 200 && msrs == 2);
    memset(&m->domctl.u, 0, sizeof(m->domctl.u));
    p->nr_leaves = leaves;
    p->nr_msrs = msrs;
    set_xen_guest_handle(p->leaves, m->leaves);
    set_xen_guest_handle(p->msrs, m->msrs);
    CHECK(!domctl(XEN_DOMCTL_get_cpu_policy, id) && p->nr_leaves > 10 && p->nr_leaves <= leaves && p->nr_msrs == 2);
    CHECK(!m->leaves[0].leaf && m->leaves[0].a >= 7 && m->msrs[0].idx == 0xce && m->msrs[1].idx == 0x10a);
    m->leaves[1].c &= ~(1u << 30); /* no RDRAND for this one */
    CHECK(!domctl(XEN_DOMCTL_set_cpu_policy, id));
    m->leaves[1].c |= 1u << 5; /* VMX */
    CHECK(refused(domctl(XEN_DOMCTL_set_cpu_policy, id), EINVAL) && p->err_leaf == 1 && p->err_msr == ~0u);
    m->leaves[1].c &= ~(1u << 5);
    m->msrs[1].val = 1;
    CHECK(refused(domctl(XEN_DOMCTL_set_cpu_policy, id), EINVAL) && p->err_leaf == ~0u && p->err_msr == 0x10a);
}

/* ---- A guest ---- */

/* What it finds, behind its code. */
struct findings {
    uint32_t features, hypervisor, port, iopl_result, version, padding;
    int64_t domctl_result, first_shutdown, timer_port;
};
extern const uint8_t guest_code[], guest_findings[], guest_code_end[];
#define CPUID_FORCED ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2\n"
#define STRING_(x)   #x
#define STRING(x)    STRING_(x)
#define HYPERCALL(n) "mov $" STRING(n) ", %eax\n syscall\n"
__asm__(".pushsection .rodata\n.balign 64\n"
        "guest_code:\n"
        "mov $1, %eax\n xor %ecx, %ecx\n" CPUID_FORCED "mov %ecx, guest_findings(%rip)\n"
        "mov $0x40000000, %eax\n xor %ecx, %ecx\n" CPUID_FORCED "mov %ebx, guest_findings + 4(%rip)\n"
        "mov $6, %edi\n lea 3f(%rip), %rsi\n" HYPERCALL(
            33) "mov %eax, guest_findings + 12(%rip)\n"
                "xor %eax, %eax\n in $0x71, %al\n mov %eax, guest_findings + 8(%rip)\n"
                "xor %edi, %edi\n xor %esi, %esi\n" HYPERCALL(
                    17) "mov %eax, guest_findings + 16(%rip)\n"
                        "lea guest_findings(%rip), %rdi\n" HYPERCALL(
                            36) "mov %rax, guest_findings + 24(%rip)\n"
                                "mov $2, %edi\n lea 1f(%rip), %rsi\n" HYPERCALL(
                                    29) "mov %rax, guest_findings + 32(%rip)\n"
                                        "mov $2, %edi\n lea 2f(%rip), %rsi\n" HYPERCALL(
                                            29) "ud2\n"
                                                ".balign 8\n 1: .long " STRING(SHUTDOWN_suspend) "\n 2: .long " STRING(
                                                    SHUTDOWN_reboot) "\n 3: .long 1\n"
                                                                     ".balign 8\n guest_findings: .fill 64\n "
                                                                     "guest_code_end:\n.popsection\n");

enum { L4, L3, L2, L1, CODE, GUEST_PAGES };
#define TABLE_FLAGS 0x67 /* present, writable, user, accessed, dirty */
#define READ_ONLY   0x65

static void *map_foreign(domid_t id, unsigned count)
{
    void *at = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    privcmd_mmapbatch_v2_t b = {.num = count, .dom = id, .addr = (uint64_t)at, .arr = m->frames, .err = m->errors};

    CHECK(at != MAP_FAILED && !ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &b));
    return at;
}

/* The hypervisor writes one stub for each hypercall. */
static void hypercall_page(domid_t id, const uint8_t *page)
{
    m->domctl.u.hypercall_init.gmfn = m->frames[CODE];
    CHECK(!domctl(XEN_DOMCTL_hypercall_init, id));
    for (unsigned n = 0; n < PAGE / 32; n++)
        CHECK(page[n * 32] == 0x51 && page[n * 32 + (n == __HYPERVISOR_iret ? 5 : 4)] == n);
    CHECK(page[29 * 32 + 13] == 0xc3 && page[29 * 32 + 14] == 0xcc);
}

/* Its tables map all its pages from address 0 on; the tables themselves read-only. */
static void fill_guest(domid_t id)
{
    uint8_t *at = map_foreign(id, GUEST_PAGES);
    uint64_t *entry = (uint64_t *)at;

    hypercall_page(id, at + CODE * PAGE);
    entry[L4 * 512] = m->frames[L3] * PAGE | TABLE_FLAGS;
    entry[L3 * 512] = m->frames[L2] * PAGE | TABLE_FLAGS;
    entry[L2 * 512] = m->frames[L1] * PAGE | TABLE_FLAGS;
    for (unsigned i = 0; i < GUEST_PAGES; i++)
        entry[L1 * 512 + i] = m->frames[i] * PAGE | (i < CODE ? READ_ONLY : TABLE_FLAGS);
    memcpy(at + CODE * PAGE, guest_code, (size_t)(guest_code_end - guest_code));
    munmap(at, GUEST_PAGES * PAGE);
}

static void set_context(domid_t id)
{
    memset(&m->domctl.u, 0, sizeof(m->domctl.u));
    set_xen_guest_handle(m->domctl.u.vcpucontext.ctxt, &m->context);
    CHECK(!domctl(XEN_DOMCTL_setvcpucontext, id));
}

static void start_guest(domid_t id)
{
    m->mmuext = (struct mmuext_op){.cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = m->frames[L4]};
    CHECK(!call(__HYPERVISOR_mmuext_op, (uint64_t)&m->mmuext, 1, 0, id));
    memset(&m->context, 0, sizeof(m->context));
    m->context.flags = VGCF_in_kernel | VGCF_online;
    m->context.user_regs.rip = CODE * PAGE;
    m->context.user_regs.cs = FLAT_KERNEL_CS;
    m->context.user_regs.ss = m->context.kernel_ss = FLAT_KERNEL_SS;
    m->context.user_regs.rsp = m->context.kernel_sp = (CODE + 1) * PAGE;
    m->context.user_regs.rflags = 0x200;
    m->context.ctrlreg[3] = xen_pfn_to_cr3(m->frames[L4]);
    set_context(id);
    CHECK(info(id)->nr_online_vcpus == 1);
    CHECK(!domctl(XEN_DOMCTL_unpausedomain, id));
}

static void wait_shutdown(domid_t id, unsigned reason)
{
    for (unsigned tries = 0; !(info(id)->flags & XEN_DOMINF_shutdown); tries++) {
        CHECK(tries < 1000);
        usleep(10000);
    }
    CHECK((info(id)->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask) == reason);
}

static long xstate(domid_t id, uint32_t cmd, uint64_t size)
{
    memset(&m->domctl.u, 0, sizeof(m->domctl.u));
    m->domctl.u.vcpuextstate.size = size;
    if (size)
        set_xen_guest_handle(m->domctl.u.vcpuextstate.buffer, m->xstate);
    return domctl(cmd, id);
}

/* The state comes and goes; what the processor would fault on is refused. */
static void further_state(domid_t id)
{
    uint64_t size;

    CHECK(!xstate(id, XEN_DOMCTL_getvcpuextstate, 0));
    size = m->domctl.u.vcpuextstate.size;
    CHECK(size >= 16 + 576 && size <= sizeof(m->xstate));
    CHECK(!xstate(id, XEN_DOMCTL_getvcpuextstate, size) && (m->xstate[0] & 1));
    m->xstate[2 + 160 / 8] = 0x1234; /* xmm0 */
    m->xstate[2 + 512 / 8] = 3;      /* the features that are there: x87, SSE */
    CHECK(!xstate(id, XEN_DOMCTL_setvcpuextstate, size));
    m->xstate[2 + 160 / 8] = 0;
    CHECK(!xstate(id, XEN_DOMCTL_getvcpuextstate, size) && m->xstate[2 + 160 / 8] == 0x1234);
    m->xstate[2 + 520 / 8] = 1UL << 63; /* the compacted form */
    CHECK(refused(xstate(id, XEN_DOMCTL_setvcpuextstate, size), EINVAL));
    m->xstate[2 + 520 / 8] = 0;
    m->xstate[2 + 512 / 8] = 1UL << 62;
    CHECK(refused(xstate(id, XEN_DOMCTL_setvcpuextstate, size), EINVAL));
    m->xstate[2 + 512 / 8] = 3;
    m->xstate[0] = 2; /* without x87 */
    CHECK(refused(xstate(id, XEN_DOMCTL_setvcpuextstate, size), EINVAL));
    memset(&m->domctl.u, 0, sizeof(m->domctl.u));
    m->domctl.u.ext_vcpucontext.size = sizeof(m->domctl.u.ext_vcpucontext);
    m->domctl.u.ext_vcpucontext.sysenter_callback_eip = 1UL << 60;
    CHECK(refused(domctl(XEN_DOMCTL_set_ext_vcpucontext, id), EINVAL));
}

/* As after a checkpoint: the context is read, changed in one register, and set again. */
static void resume_guest(domid_t id)
{
    memset(&m->domctl.u, 0, sizeof(m->domctl.u));
    set_xen_guest_handle(m->domctl.u.vcpucontext.ctxt, &m->context);
    memset(&m->context, 0xee, sizeof(m->context));
    CHECK(!domctl(XEN_DOMCTL_getvcpucontext, id));
    CHECK(m->context.user_regs.rax == 0 && m->context.ctrlreg[3] == xen_pfn_to_cr3(m->frames[L4]));
    CHECK((m->context.flags & (VGCF_in_kernel | VGCF_online)) == (VGCF_in_kernel | VGCF_online));
    m->context.ctrlreg[3] = xen_pfn_to_cr3(m->frames[L3]);
    CHECK(refused(domctl(XEN_DOMCTL_setvcpucontext, id), EOPNOTSUPP));
    m->context.ctrlreg[3] = xen_pfn_to_cr3(m->frames[L4]);
    m->context.user_regs.rax = 77;
    set_context(id);
    CHECK(!domctl(XEN_DOMCTL_resumedomain, id));
}

static void check_findings(domid_t id)
{
    const uint8_t *at = map_foreign(id, GUEST_PAGES);
    const struct findings *f = (const void *)(at + CODE * PAGE + (guest_findings - guest_code));

    CHECK(f->features >> 31 & 1);    /* there is a hypervisor */
    CHECK(!(f->features >> 30 & 1)); /* as its policy says */
    CHECK(f->hypervisor == 0x566e6558);
    CHECK(!f->iopl_result && f->port == 0xff);
    CHECK(f->version == 0x40011 && f->domctl_result == -EPERM);
    CHECK(f->first_shutdown == 77);
    munmap((void *)at, GUEST_PAGES * PAGE);
}

static void frame_kinds(domid_t id)
{
    xen_pfn_t saved[GUEST_PAGES];

    memcpy(saved, m->frames, sizeof(saved));
    memset(&m->domctl.u, 0, sizeof(m->domctl.u));
    m->domctl.u.getpageframeinfo3.num = GUEST_PAGES;
    set_xen_guest_handle(m->domctl.u.getpageframeinfo3.array, m->frames);
    CHECK(!domctl(XEN_DOMCTL_getpageframeinfo3, id));
    CHECK(m->frames[L4] == (XEN_DOMCTL_PFINFO_L4TAB | XEN_DOMCTL_PFINFO_LPINTAB));
    CHECK(m->frames[L1] == XEN_DOMCTL_PFINFO_L1TAB && m->frames[CODE] == XEN_DOMCTL_PFINFO_NOTAB);
    CHECK(!domctl(XEN_DOMCTL_getpageframeinfo3, id) && m->frames[CODE] == XEN_DOMCTL_PFINFO_XTAB);
    memcpy(m->frames, saved, sizeof(saved));
}

static void guest(void)
{
    domid_t id = make(1);

    policies(id);
    set_memory(id, GUEST_PAGES);
    fill_guest(id);
    start_guest(id);
    wait_shutdown(id, SHUTDOWN_suspend);
    frame_kinds(id);
    further_state(id);
    resume_guest(id);
    wait_shutdown(id, SHUTDOWN_reboot);
    check_findings(id);
    memset(&m->domctl.u, 0, sizeof(m->domctl.u));
    CHECK(refused(domctl(XEN_DOMCTL_set_cpu_policy, id), EBUSY));
    CHECK(!domctl(XEN_DOMCTL_destroydomain, id));
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 100;
    long before, after;

    fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    CHECK(m != MAP_FAILED);
    wrong_calls();
    for (unsigned i = 0; i < 4; i++) {
        one_life(i); /* the first of their kind may leave caches behind */
        guest();
    }
    before = free_pages_settled();
    for (unsigned i = 0; i < rounds; i++)
        one_life(i);
    for (unsigned i = 0; i < rounds / 10; i++)
        guest();
    after = free_pages_settled();
    printf("domctl: %u domains, %u guests, free pages %ld, then %ld\n", rounds, rounds / 10, before, after);
    return labs(before - after) > 16; /* what the heap keeps */
}

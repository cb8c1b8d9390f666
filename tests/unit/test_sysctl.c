/* SPDX-License-Identifier: MIT */
/* sysctl: who may ask, what is answered, and that small buffers get no more than fits. */
#include "host/test.h"
#include "core/mem/alloc.h"
#include "core/mem/reservation.h"
#include "core/sched/credit.h"
#include "core/trace/conring.h"
#include "hypercall/sysctl/sysctl.h"

static struct domain *dom;
static struct xen_sysctl op;

static struct domain *make(uint16_t id, bool privileged)
{
    struct domain_config cfg = {.id = id, .max_vcpus = 1, .pages_max = 1000, .privileged = privileged};
    struct domain *d = NULL;

    assert_int_equal(domain_create(&cfg, &d), 0);
    return d;
}

static void begin(void)
{
    host_machine_init(4, 0);
    dom = make(0, true);
    host_set_current(0, dom->vcpus[0]);
}

static int64_t sysctl(uint32_t cmd)
{
    op.cmd = cmd;
    op.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return host_hypercall(sysctl, (uint64_t)&op);
}

static void refusals(void **state)
{
    begin();
    assert_int_equal(sysctl(0), -ENOSYS);
    assert_int_equal(sysctl(XEN_SYSCTL_perfc_op), -ENOSYS);
    assert_int_equal(sysctl(XEN_SYSCTL_tbuf_op), -ENOSYS);
    assert_int_equal(sysctl(XEN_SYSCTL_livepatch_op), -ENOSYS);
    assert_int_equal(sysctl(~0u), -ENOSYS);
    op.cmd = XEN_SYSCTL_sched_id;
    op.interface_version = XEN_SYSCTL_INTERFACE_VERSION - 1;
    assert_int_equal(host_hypercall(sysctl, (uint64_t)&op), -EACCES);
    assert_int_equal(hypercall_table[__HYPERVISOR_sysctl].callers, FOR_PRIVILEGED);
    dom->is_privileged = false;
    assert_int_equal(sysctl(XEN_SYSCTL_sched_id), -EPERM);
    dom->is_privileged = true;
    host_copy_fail_after = 1;
    assert_int_equal(sysctl(XEN_SYSCTL_sched_id), -EFAULT);
}

static void machine(void **state)
{
    struct xen_sysctl_physinfo *p = &op.u.physinfo;
    uint64_t free;

    begin();
    assert_int_equal(reservation_claim(dom, 30), 0);
    free = alloc_free_count();
    memset(&op, 0xee, sizeof(op));
    assert_int_equal(sysctl(XEN_SYSCTL_physinfo), 0);
    assert_int_equal(p->nr_cpus, 4);
    assert_int_equal(p->max_cpu_id, 3);
    assert_int_equal(p->nr_nodes, 1);
    assert_int_equal(p->max_node_id, 0);
    assert_int_equal(p->cpu_khz, 2000000);
    assert_int_equal(p->capabilities, XEN_SYSCTL_PHYSCAP_pv | XEN_SYSCTL_PHYSCAP_gnttab_v1);
    assert_int_equal(p->arch_capabilities | p->pad, 0);
    assert_int_equal(p->free_pages, free);
    assert_int_equal(p->scrub_pages, free); /* nothing of it has been cleared */
    assert_int_equal(p->outstanding_pages, 30);
    assert_int_equal(p->max_mfn, hw_frames_max - 1);
    assert_int_equal(p->hw_cap[7], 8);
    alloc_scrub_some();
    assert_int_equal(sysctl(XEN_SYSCTL_physinfo), 0);
    assert_true(p->scrub_pages < free && p->free_pages == free);

    op.u.availheap = (struct xen_sysctl_availheap){.node = -1};
    assert_int_equal(sysctl(XEN_SYSCTL_availheap), 0);
    assert_int_equal(op.u.availheap.avail_bytes, free * PAGE_SIZE);
    op.u.availheap.max_bitwidth = 32;
    assert_int_equal(sysctl(XEN_SYSCTL_availheap), -EOPNOTSUPP);
}

static void processors(void **state)
{
    struct xen_sysctl_cpuinfo info[5] = {0};
    struct xen_sysctl_cputopo topology[5];

    begin();
    pcpus[2]->sched.idle_ns = 5 * SEC;
    pcpus[2]->sched.idle_since_ns = hw_now_ns() - SEC;
    op.u.getcpuinfo.max_cpus = 5;
    set_xen_guest_handle(op.u.getcpuinfo.info, info);
    info[4].idletime = 77;
    assert_int_equal(sysctl(XEN_SYSCTL_getcpuinfo), 0);
    assert_int_equal(op.u.getcpuinfo.nr_cpus, 4);
    assert_int_equal(info[2].idletime, 6 * SEC);
    assert_int_equal(info[4].idletime, 77);

    memset(topology, 0xee, sizeof(topology));
    op.u.cputopoinfo.num_cpus = 0;
    set_xen_guest_handle(op.u.cputopoinfo.cputopo, (xen_sysctl_cputopo_t *)NULL);
    assert_int_equal(sysctl(XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(op.u.cputopoinfo.num_cpus, 4);
    op.u.cputopoinfo.num_cpus = 3;
    set_xen_guest_handle(op.u.cputopoinfo.cputopo, topology);
    assert_int_equal(sysctl(XEN_SYSCTL_cputopoinfo), 0);
    assert_int_equal(op.u.cputopoinfo.num_cpus, 4);
    assert_int_equal(topology[2].socket, 1);
    assert_int_equal(topology[1].core, 1);
    assert_int_equal(topology[2].node, 0);
    assert_int_equal(topology[3].node, 0xeeeeeeee);
}

static void node(void **state)
{
    struct xen_sysctl_meminfo memory = {0};
    uint32_t distance = 0;

    begin();
    memset(&op, 0, sizeof(op));
    assert_int_equal(sysctl(XEN_SYSCTL_numainfo), 0);
    assert_int_equal(op.u.numainfo.num_nodes, 1);
    set_xen_guest_handle(op.u.numainfo.meminfo, &memory);
    set_xen_guest_handle(op.u.numainfo.distance, &distance);
    op.u.numainfo.num_nodes = 0; /* no room */
    assert_int_equal(sysctl(XEN_SYSCTL_numainfo), 0);
    assert_int_equal(distance, 0);
    assert_int_equal(sysctl(XEN_SYSCTL_numainfo), 0);
    assert_int_equal(distance, 10);
    assert_int_equal(memory.memfree, alloc_free_count() * PAGE_SIZE);
}

static void domains(void **state)
{
    struct xen_domctl_getdomaininfo info[4];
    struct xen_sysctl_getdomaininfolist *l = &op.u.getdomaininfolist;

    begin();
    make(3, false);
    make(8, false);
    memset(info, 0xee, sizeof(info));
    *l = (struct xen_sysctl_getdomaininfolist){.max_domains = 4};
    set_xen_guest_handle(l->buffer, info);
    assert_int_equal(sysctl(XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(l->num_domains, 3);
    assert_int_equal(info[0].domain, 0);
    assert_int_equal(info[1].domain, 3);
    assert_int_equal(info[2].domain, 8);
    assert_int_equal(info[3].domain, 0xeeee);
    l->first_domain = 1;
    l->max_domains = 1;
    assert_int_equal(sysctl(XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(l->num_domains, 1);
    assert_int_equal(info[0].domain, 3);
    l->first_domain = 9;
    assert_int_equal(sysctl(XEN_SYSCTL_getdomaininfolist), 0);
    assert_int_equal(l->num_domains, 0);
    for (struct domain *d = domain_next(NULL); d; d = domain_next(d))
        assert_int_equal(d->refcount, 2); /* the list's and ours */
}

static void pools(void **state)
{
    struct xen_sysctl_cpupool_op *p = &op.u.cpupool_op;
    uint8_t bits[3] = {0xee, 0xee, 0xee};

    begin();
    *p = (struct xen_sysctl_cpupool_op){.op = XEN_SYSCTL_CPUPOOL_OP_INFO, .cpumap.nr_bits = 16};
    set_xen_guest_handle(p->cpumap.bitmap, bits);
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(p->cpupool_id, 0);
    assert_int_equal(p->sched_id, XEN_SCHEDULER_CREDIT);
    assert_int_equal(p->n_dom, 1);
    assert_int_equal(bits[0], 0xf);
    assert_int_equal(bits[1], 0);
    assert_int_equal(bits[2], 0xee);
    p->cpupool_id = 1;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), -ENOENT);
    p->cpupool_id = 0;
    p->op = XEN_SYSCTL_CPUPOOL_OP_FREEINFO;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), 0);
    assert_int_equal(bits[0], 0);
    p->op = XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN;
    p->domid = 0;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), 0);
    p->domid = 70000;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), -EINVAL);
    p->op = XEN_SYSCTL_CPUPOOL_OP_CREATE;
    assert_int_equal(sysctl(XEN_SYSCTL_cpupool_op), -EOPNOTSUPP);
}

static void scheduler(void **state)
{
    struct xen_sysctl_scheduler_op *s = &op.u.scheduler_op;

    begin();
    assert_int_equal(sysctl(XEN_SYSCTL_sched_id), 0);
    assert_int_equal(op.u.sched_id.sched_id, 5);
    *s = (struct xen_sysctl_scheduler_op){.sched_id = 5, .cmd = XEN_SYSCTL_SCHEDOP_getinfo};
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), 0);
    assert_int_equal(s->u.sched_credit.tslice_ms, 30);
    assert_int_equal(s->u.sched_credit.ratelimit_us, 1000);
    s->cmd = XEN_SYSCTL_SCHEDOP_putinfo;
    s->u.sched_credit.tslice_ms = 5;
    s->u.sched_credit.ratelimit_us = 0;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), 0);
    assert_int_equal(option_slice_us, 5000);
    assert_int_equal(option_ratelimit_us, 0);
    s->u.sched_credit.tslice_ms = 1001;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -EINVAL);
    s->u.sched_credit = (struct xen_sysctl_credit_schedule){.tslice_ms = 5, .ratelimit_us = 6000};
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -EINVAL);
    s->sched_id = 6;
    assert_int_equal(sysctl(XEN_SYSCTL_scheduler_op), -EINVAL);
    assert_int_equal(option_slice_us, 5000);
}

static void console(void **state)
{
    struct xen_sysctl_readconsole *r = &op.u.readconsole;
    static char text[3000], line[1200];

    begin();
    for (unsigned i = 0; i < 1200; i++)
        line[i] = (char)('a' + i % 26);
    conring_write(line, 1200);
    *r = (struct xen_sysctl_readconsole){.count = 1000};
    set_xen_guest_handle(r->buffer, text);
    assert_int_equal(sysctl(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(r->count, 1000);
    assert_memory_equal(text, line, 1000);
    assert_int_equal(text[1000], 0);
    /* the rest, and what has come since */
    conring_write("more", 4);
    r->incremental = r->clear = 1;
    r->count = sizeof(text);
    assert_int_equal(sysctl(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(r->count, 204);
    assert_memory_equal(text, line + 1000, 200);
    assert_memory_equal(text + 200, "more", 4);
    *r = (struct xen_sysctl_readconsole){.count = 1000};
    set_xen_guest_handle(r->buffer, text);
    assert_int_equal(sysctl(XEN_SYSCTL_readconsole), 0);
    assert_int_equal(r->count, 0); /* cleared */
}

/* What an unprivileged domain writes is told when the machine is told to tell it, and moves no cursor. */
static void guest_text(void **state)
{
    char text[] = "a\033[2Jb\rc\nd\177e";

    begin();
    host_set_current(0, make(5, false)->vcpus[0]);
    host_console_len = 0;
    assert_int_equal(host_hypercall(console_io, CONSOLEIO_write, sizeof(text) - 1, (uint64_t)text), 0);
    assert_int_equal(host_console_len, 0);
    log_guest_threshold = LOG_DEBUG;
    assert_int_equal(host_hypercall(console_io, CONSOLEIO_write, sizeof(text) - 1, (uint64_t)text), 0);
    host_console[host_console_len] = 0;
    assert_non_null(strstr(host_console, "a [2Jb c d e"));
}

static unsigned pressed;

static void on_key(void)
{
    pressed++;
}

static void keys(void **state)
{
    begin();
    key_register('z', "test", on_key);
    set_xen_guest_handle_raw(op.u.debug_keys.keys, (void *)"zz?");
    op.u.debug_keys.nr_keys = 3;
    assert_int_equal(sysctl(XEN_SYSCTL_debug_keys), 0);
    assert_int_equal(pressed, 2);
    op.u.debug_keys.nr_keys = 65;
    assert_int_equal(sysctl(XEN_SYSCTL_debug_keys), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(refusals), isolated_test(machine),    isolated_test(processors), isolated_test(node),
        isolated_test(domains),  isolated_test(pools),      isolated_test(scheduler),  isolated_test(console),
        isolated_test(keys),     isolated_test(guest_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor library against stand-ins for libxencall and libxenforeignmemory: what goes out in the ABI's structures, what comes back,
 * and that buffers are kept.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/hv/call.h"
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>

static struct {
    unsigned buffers, calls;
    int error;      /* of the next call */
    unsigned again; /* so many times, EAGAIN first */
    struct xen_domctl domctl;
    struct xen_sysctl sysctl;
    uint64_t populate_limit;
    unsigned map_error;
    grant_entry_v1_t table[512];
} fake;

/* ---- The stand-ins ---- */

void *xencall_alloc_buffer(xencall_handle *h, size_t size)
{
    fake.buffers++;
    return malloc(size);
}

void xencall_free_buffer(xencall_handle *h, void *p)
{
    fake.buffers--;
    free(p);
}

xencall_handle *xencall_open(struct xentoollog_logger *l, unsigned flags)
{
    return NULL;
}

int xencall_close(xencall_handle *h)
{
    return 0;
}

static int answer_domctl(struct xen_domctl *op)
{
    fake.domctl = *op;
    if (op->interface_version != 0x15)
        return EACCES;
    if (op->cmd == XEN_DOMCTL_createdomain)
        op->domain = 12;
    if (op->cmd == XEN_DOMCTL_getdomaininfo)
        op->u.getdomaininfo.domain = op->domain > 5 ? 9 : op->domain;
    if (op->cmd == XEN_DOMCTL_getvcpuaffinity) {
        uint8_t map[] = {0x5, 0x1};
        memcpy(op->u.vcpuaffinity.cpumap_hard.bitmap.p, map, (op->u.vcpuaffinity.cpumap_hard.nr_bits + 7) / 8);
    }
    return 0;
}

static int answer_sysctl(struct xen_sysctl *op)
{
    fake.sysctl = *op;
    if (op->cmd == XEN_SYSCTL_getdomaininfolist) {
        unsigned n = op->u.getdomaininfolist.max_domains;
        op->u.getdomaininfolist.num_domains = n;
        for (unsigned i = 0; i < n; i++)
            op->u.getdomaininfolist.buffer.p[i].domain = (domid_t)(op->u.getdomaininfolist.first_domain + i);
    }
    if (op->cmd == XEN_SYSCTL_readconsole) {
        op->u.readconsole.count = 5;
        memcpy(op->u.readconsole.buffer.p, "hello", 5);
        op->u.readconsole.index += 5;
    }
    if (op->cmd == XEN_SYSCTL_sched_id)
        op->u.sched_id.sched_id = XEN_SCHEDULER_CREDIT;
    return 0;
}

int xencall1(xencall_handle *h, unsigned op, uint64_t arg)
{
    fake.calls++;
    errno = fake.again ? EAGAIN : fake.error;
    if (fake.again) {
        fake.again--;
        return -1;
    }
    if (!errno)
        errno = op == __HYPERVISOR_domctl ? answer_domctl((void *)arg) : answer_sysctl((void *)arg);
    return errno ? -1 : 0;
}

int xencall2(xencall_handle *h, unsigned op, uint64_t a, uint64_t b)
{
    return (int)xencall2L(h, op, a, b);
}

long xencall2L(xencall_handle *h, unsigned op, uint64_t a, uint64_t b)
{
    struct xen_memory_reservation *r = (void *)b;

    fake.calls++;
    if (op == __HYPERVISOR_event_channel_op)
        ((struct evtchn_alloc_unbound *)b)->port = 33;
    if (op != __HYPERVISOR_memory_op || a != XENMEM_populate_physmap)
        return 0;
    if (fake.error) {
        errno = fake.error;
        return -1;
    }
    for (uint64_t i = 0; i < r->nr_extents; i++) {
        if (!fake.populate_limit--)
            return (long)i;
        r->extent_start.p[i] += 1000000;
    }
    return (long)r->nr_extents;
}

int xencall3(xencall_handle *h, unsigned op, uint64_t a, uint64_t b, uint64_t c)
{
    struct gnttab_setup_table *t = (void *)b;

    t->status = GNTST_okay;
    *t->frame_list.p = 77;
    return 0;
}

int xencall4(xencall_handle *h, unsigned op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return 0;
}

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *l, unsigned flags)
{
    return NULL;
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
    return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t dom, int prot, size_t n, const xen_pfn_t mfns[],
                           int err[])
{
    return mfns[0] == 77 ? fake.table : NULL;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *h, void *p, size_t n)
{
    return 0;
}

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(xenforeignmemory_handle *h, domid_t domid,
                                                                unsigned type, unsigned id, unsigned long frame,
                                                                unsigned long n, void **at, int prot, int flags)
{
    errno = (int)fake.map_error;
    *at = fake.table;
    return errno ? NULL : (void *)fake.table;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *h, xenforeignmemory_resource_handle *r)
{
    return 0;
}

/* ---- */

static struct hv *hv;

static int start(void **state)
{
    memset(&fake, 0, sizeof(fake));
    hv = calloc(1, sizeof(*hv));
    pthread_mutex_init(&hv->lock, NULL);
    return 0;
}

static int end(void **state)
{
    hv_close(hv);
    return fake.buffers; /* all were given back */
}

static void domains(void **state)
{
    struct hv_domain_new want = {.uuid = {1, 2, 3}, .max_vcpus = 4};
    struct xen_domctl_getdomaininfo info, *infos = malloc(5000 * sizeof(info));
    uint32_t domid = 0;
    int n;

    assert_int_equal(hv_domain_create(hv, &want, &domid), 0);
    assert_int_equal(domid, 12);
    assert_int_equal(fake.domctl.cmd, XEN_DOMCTL_max_vcpus);
    assert_int_equal(fake.domctl.u.max_vcpus.max, 4);
    assert_int_equal(hv_domain_info(hv, 5, &info), 0);
    assert_int_equal(hv_domain_info(hv, 7, &info), -ESRCH); /* the next one is told of */
    assert_int_equal(hv_domain_info(hv, 0x12345, &info), -ESRCH);
    n = hv_domain_list(hv, 3, 5000, infos);
    assert_true(n > 100 && n < 5000); /* what a buffer holds */
    assert_int_equal(infos[n - 1].domain, 3 + n - 1);
    assert_int_equal(hv_domain_list(hv, DOMID_FIRST_RESERVED, 10, infos), 0);
    free(infos);
    fake.again = 3;
    assert_int_equal(hv_domain_destroy(hv, 5), 0);
    fake.error = EPERM;
    assert_int_equal(hv_domain_pause(hv, 5), -EPERM);
    assert_int_equal(fake.buffers, 1); /* one for all these calls */
}

/* A domain whose virtual CPUs are refused does not stay. */
static void refused_vcpus(void **state)
{
    struct hv_domain_new want = {.max_vcpus = 4};
    uint32_t domid;

    fake.error = ENOMEM;
    assert_int_equal(hv_domain_create(hv, &want, &domid), -ENOMEM);
    assert_int_equal(fake.calls, 1);
}

static void settings(void **state)
{
    uint8_t map[2] = {0xff, 0xff};
    uint32_t index = 7, port = 0;
    char text[64];

    assert_int_equal(hv_vcpu_get_affinity(hv, 1, 0, map, 9), 0);
    assert_int_equal(map[0] | map[1] << 8, 0x105);
    assert_int_equal(hv_vcpu_get_affinity(hv, 1, 0, map, 0), -EINVAL);
    assert_int_equal(hv_domain_set_credit(hv, 1, 512, 50), 0);
    assert_int_equal(fake.domctl.u.scheduler_op.u.credit.weight, 512);
    assert_int_equal(hv_domain_set_credit(hv, 1, 0, 50), -EINVAL);
    assert_int_equal(hv_domain_set_credit(hv, 1, 65536, 0), -EINVAL);
    assert_int_equal(hv_read_console(hv, text, sizeof(text), false, true, &index), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(index, 12);
    assert_int_equal(hv_evtchn_alloc_unbound(hv, 1, 0, &port), 0);
    assert_int_equal(port, 33);
}

static void populating(void **state)
{
    const uint64_t count = 30000; /* of several buffers */
    xen_pfn_t *gfns = malloc(count * sizeof(*gfns));

    for (uint64_t i = 0; i < count; i++)
        gfns[i] = i;
    fake.populate_limit = 25000;
    assert_int_equal(hv_populate(hv, 1, 0, count, gfns), 25000);
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(gfns[i], i < 25000 ? i + 1000000 : i);
    fake.error = EPERM;
    assert_int_equal(hv_populate(hv, 1, 0, count, gfns), -EPERM);
    assert_int_equal(hv_populate(hv, 1, 0, 0, gfns), 0);
    free(gfns);
}

static void grants(void **state)
{
    const struct hv_grant g[] = {{0, 0, 0x123}, {1, 3, 0x124}}, bad = {512, 0, 1}, wide = {1, 0, 1ul << 32};

    assert_int_equal(hv_grant_seed(hv, 1, g, 2), 0);
    assert_int_equal(fake.table[1].frame, 0x124);
    assert_int_equal(fake.table[1].domid, 3);
    assert_int_equal(fake.table[1].flags, GTF_permit_access);
    assert_int_equal(hv_grant_seed(hv, 1, &bad, 1), -EINVAL);
    assert_int_equal(hv_grant_seed(hv, 1, &wide, 1), -EINVAL);
    memset(fake.table, 0, sizeof(fake.table));
    fake.map_error = EOPNOTSUPP; /* an older kernel: by the frame's number */
    assert_int_equal(hv_grant_seed(hv, 1, g, 2), 0);
    assert_int_equal(fake.table[0].frame, 0x123);
    fake.map_error = EPERM;
    assert_int_equal(hv_grant_seed(hv, 1, g, 2), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(domains, start, end),
        cmocka_unit_test_setup_teardown(refused_vcpus, start, end),
        cmocka_unit_test_setup_teardown(settings, start, end),
        cmocka_unit_test_setup_teardown(populating, start, end),
        cmocka_unit_test_setup_teardown(grants, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

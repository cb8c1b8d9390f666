/* SPDX-License-Identifier: MIT */
/* Domains and vCPUs: numbers, references, pausing, ends; multicall, version and the hypercall table. */
#include "host/test.h"
#include <xen/sched.h>
#include <xen/version.h>
#include <xen/features.h>
#include "core/event/event.h"
#include "core/grant/grant.h"
#include "core/mem/alloc.h"
#include "core/mem/audit.h"
#include "core/mem/reservation.h"
#include "core/trace/conring.h"
#include "hypercall/hypercall.h"

static struct domain *make(uint16_t id, unsigned vcpus)
{
    struct domain_config cfg = {.id = id,
                                .max_vcpus = vcpus,
                                .max_evtchn_port = 1023,
                                .max_grant_frames = 4,
                                .max_maptrack_frames = 4,
                                .pages_max = 1000};
    struct domain *d = NULL;

    assert_int_equal(domain_create(&cfg, &d), 0);
    return d;
}

static void numbers(void **state)
{
    struct domain_config bad = {.id = 5, .max_vcpus = 0};
    struct domain *d, *a, *b;

    (void)state;
    host_machine_init(2, 0);
    a = make(5, 1);
    b = make(DOMID_INVALID, 1);
    assert_int_equal(b->id, 1);
    assert_int_equal(make(DOMID_INVALID, 1)->id, 2);
    assert_int_equal(domain_create(&bad, &d), -EEXIST);
    bad.id = 6;
    assert_int_equal(domain_create(&bad, &d), -EINVAL);
    bad.max_vcpus = VCPU_MAX + 1;
    assert_int_equal(domain_create(&bad, &d), -EINVAL);
    bad.id = DOMID_SELF;
    assert_int_equal(domain_create(&bad, &d), -EINVAL);

    d = domain_get(5);
    assert_ptr_equal(d, a);
    domain_put(d);
    assert_null(domain_get(77));
    unsigned seen = 0;
    uint16_t last = 0;
    for (d = domain_next(NULL); d; d = domain_next(d), seen++) {
        assert_true(d->id > last);
        last = d->id;
    }
    assert_int_equal(seen, 3);
    assert_int_equal(a->refcount, 1);
}

static void destroy_gives_all_back(void **state)
{
    uint64_t frames, heap;

    (void)state;
    host_machine_init(2, 0);
    domain0 = make(0, 2);
    assert_int_equal(domain_destroy(make(9, 2)), 0); /* the first of its kind may leave caches behind */
    frames = alloc_free_count();
    heap = heap_used_bytes();
    for (unsigned i = 0; i < 20; i++) {
        struct domain *d = make((uint16_t)(10 + i), 4);
        unsigned rounds = 0;

        for (unsigned p = 0; p < 50; p++)
            assert_int_not_equal(reservation_add(d, 0, 0, false).n, INVALID_MFN.n);
        assert_int_equal(audit_run(true).violations, 0);
        host_preempt_after(3);
        int rc;
        while ((rc = domain_destroy(d)) == -ERESTART)
            assert_true(++rounds < 1000);
        host_preempt_after(0);
        assert_int_equal(rc, 0);
        assert_null(domain_get((uint16_t)(10 + i)));
        assert_int_equal(audit_run(true).violations, 0);
    }
    assert_int_equal(alloc_free_count(), frames);
    assert_int_equal(heap_used_bytes(), heap);
}

static void domain0_is_not_destroyed(void **state)
{
    (void)state;
    host_machine_init(1, 0);
    domain0 = make(0, 1);
    assert_int_equal(domain_destroy(domain0), -EINVAL);
}

static void shutdown_stops_and_keeps_the_first_reason(void **state)
{
    struct domain *d;

    (void)state;
    host_machine_init(2, 0);
    d = make(3, 2);
    domain_shutdown(d, SHUTDOWN_reboot);
    domain_shutdown(d, SHUTDOWN_crash);
    assert_int_equal(d->shutdown_code, SHUTDOWN_reboot);
    assert_true(d->shutdown);
    domain_unpause(d);
    assert_int_equal(d->vcpus[0]->pause_count, 1); /* stopped still */
}

static void crash_says_why_once(void **state)
{
    struct domain *d;

    (void)state;
    host_machine_init(1, 0);
    d = make(3, 1);
    domain_crash(d, "because of %u", 7u);
    domain_crash(d, "again");
    assert_non_null(strstr(host_console, "domain 3 has crashed: because of 7"));
    assert_null(strstr(host_console, "again"));
    assert_int_equal(d->shutdown_code, SHUTDOWN_crash);
}

static void privileged_calls_are_refused(void **state)
{
    const uint64_t none[6] = {0};
    struct domain *d;

    (void)state;
    host_machine_init(1, 0);
    d = make(3, 1);
    host_set_current(0, d->vcpus[0]);
    assert_int_equal(hypercall_dispatch(none, __HYPERVISOR_platform_op), -EPERM);
    assert_int_equal(hypercall_dispatch(none, 63), -ENOSYS);
    assert_int_equal(hypercall_dispatch(none, 64), -ENOSYS);
    assert_int_equal(hypercall_dispatch(none, ~0UL), -ENOSYS);
}

static void versions_are_filled(void **state)
{
    char text[1024];
    xen_feature_info_t fi = {.submap_idx = 0};
    struct domain *d;

    (void)state;
    host_machine_init(1, 0);
    d = make(3, 1);
    host_set_current(0, d->vcpus[0]);
    assert_int_equal(host_hypercall(xen_version, XENVER_version, 0), 0x40011);
    memset(text, 0x5a, sizeof(text));
    assert_int_equal(host_hypercall(xen_version, XENVER_commandline, (uint64_t)text), 0);
    for (unsigned i = 8; i < sizeof(text); i++) /* nothing of ours behind the text */
        assert_int_equal(text[i], 0);
    assert_int_equal(host_hypercall(xen_version, XENVER_get_features, (uint64_t)&fi), 0);
    assert_false(fi.submap & (1u << XENFEAT_dom0));
    fi.submap_idx = 1;
    assert_int_equal(host_hypercall(xen_version, XENVER_get_features, (uint64_t)&fi), -EINVAL);
    assert_int_equal(host_hypercall(xen_version, XENVER_get_features, 0), -EFAULT);
    assert_int_equal(host_hypercall(xen_version, 99, 0), -ENOSYS);
    assert_int_equal(host_hypercall(vm_assist, VMASST_CMD_enable, 31), -EINVAL);
    assert_int_equal(host_hypercall(vm_assist, VMASST_CMD_enable, ~0UL), -EINVAL);
    assert_int_equal(host_hypercall(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables), 0);
}

static void multicalls(void **state)
{
    multicall_entry_t e[3] = {{.op = __HYPERVISOR_xen_version, .args = {XENVER_version}},
                              {.op = __HYPERVISOR_multicall, .args = {0, 1}},
                              {.op = 60}};
    struct domain *d;

    (void)state;
    host_machine_init(1, 0);
    d = make(3, 1);
    host_set_current(0, d->vcpus[0]);
    assert_int_equal(host_hypercall(multicall, (uint64_t)e, 3), 0);
    assert_int_equal(e[0].result, 0x40011);
    assert_int_equal((int64_t)e[1].result, -EINVAL);
    assert_int_equal((int64_t)e[2].result, -ENOSYS);
    assert_int_equal(host_hypercall(multicall, 0, 1), -EFAULT);
    assert_int_equal(host_hypercall(multicall, (uint64_t)e, 1UL << 32), -EINVAL);
    assert_int_equal(host_hypercall(multicall, 0, 0), 0);
}

static void console_ring_keeps_the_newest(void **state)
{
    static char buf[70000];
    uint32_t index = 0;
    size_t n;

    (void)state;
    host_machine_init(1, 0);
    conring_read(buf, sizeof(buf), true, false, &index);
    conring_write("hello", 5);
    n = conring_read(buf, sizeof(buf), false, true, &index);
    assert_int_equal(n, 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(conring_read(buf, sizeof(buf), false, true, &index), 0);
    for (unsigned i = 0; i < 10000; i++)
        conring_write("0123456789", 10);
    n = conring_read(buf, sizeof(buf), false, true, &index);
    assert_int_equal(n, 32768);
    assert_int_equal(buf[n - 1], '9');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(numbers),
        isolated_test(destroy_gives_all_back),
        isolated_test(domain0_is_not_destroyed),
        isolated_test(shutdown_stops_and_keeps_the_first_reason),
        isolated_test(crash_says_why_once),
        isolated_test(privileged_calls_are_refused),
        isolated_test(versions_are_filled),
        isolated_test(multicalls),
        isolated_test(console_ring_keeps_the_newest),
    };
    return cmocka_run_group_tests_name("domain", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The fake machine itself: other tests trust it. */
#include "host/test.h"
#include "core/mem/pte.h"
#include "hypercall/hypercall.h"

static struct vcpu *bare_vcpu(void)
{
    struct vcpu *v = hw_vcpu_alloc(NULL, 0);
    host_set_current(0, v);
    return v;
}

static void guest_pointers_are_host_pointers_without_tables(void **state)
{
    uint64_t a = 7, b = 0;

    (void)state;
    host_machine_init(2, 0);
    struct vcpu *v = bare_vcpu();
    assert_int_equal(hw_copy_from_guest(&b, (uint64_t)&a, sizeof(a)), 0);
    assert_int_equal(b, 7);
    assert_int_equal(hw_copy_from_guest(&b, 0, 8), -EFAULT);
    assert_int_equal(hw_copy_from_guest(&b, HYPERVISOR_START, 8), -EFAULT);
    assert_int_equal(hw_copy_from_guest(&b, (1UL << 47) - 4, 8), -EFAULT);
    host_set_current(0, pcpus[0]->idle);
    hw_vcpu_free(v);
}

static void tables_are_walked(void **state)
{
    uint64_t va = 0xffffffff80123ff8UL, value[2] = {1, 2}, back[2] = {0, 0};
    uint64_t flags = PTE_P | PTE_RW | PTE_US;

    (void)state;
    host_machine_init(1, 256);
    for (unsigned i = 1; i < 240; i++)
        hw_clear_frame(MFN(i));
    for (unsigned level = 4; level > 1; level--) /* tables in frames 4, 3, 2, 1 */
        ((uint64_t *)hw_frame_va(MFN(level)))[pt_index(va, level)] = pte_make(MFN(level - 1), flags);
    uint64_t *l1 = hw_frame_va(MFN(1));
    l1[pt_index(va, 1)] = pte_make(MFN(100), flags);
    l1[pt_index(va, 1) + 1] = pte_make(MFN(200), PTE_P | PTE_US);

    struct vcpu *v = bare_vcpu();
    v->kernel_l4 = MFN(4);
    v->in_kernel = true;
    assert_int_equal(hw_copy_to_guest(va, value, 8), 0);
    assert_int_equal(hw_copy_to_guest(va, value, 16), -EFAULT); /* the second page is read-only */
    assert_int_equal(hw_copy_from_guest(back, va, 16), 0);
    assert_int_equal(back[0], 1);
    assert_int_equal(*(uint64_t *)((uint8_t *)hw_frame_va(MFN(100)) + 0xff8), 1);
    assert_true(l1[pt_index(va, 1)] & PTE_D);
    assert_int_equal(hw_copy_from_guest(back, va + 2 * PAGE_SIZE, 8), -EFAULT);
    v->in_kernel = false; /* no user root */
    assert_int_equal(hw_copy_from_guest(back, va, 8), -EFAULT);
    host_set_current(0, pcpus[0]->idle);
    hw_vcpu_free(v);
}

static int64_t count_down(const uint64_t args[6])
{
    uint64_t next[2] = {args[0] - 1, args[1] + 1};
    return args[0] ? hw_hypercall_continue(5, 2, next) : (int64_t)args[1];
}

static void hypercalls_are_continued(void **state)
{
    (void)state;
    host_machine_init(1, 0);
    assert_int_equal(host_hypercall_run(count_down, (const uint64_t[6]){9, 1}, NULL), 10);
    assert_int_equal(host_continuations, 9);
}

static void preemption_comes_as_told(void **state)
{
    (void)state;
    host_machine_init(1, 0);
    assert_false(hw_preempt_check());
    host_preempt_after(2);
    assert_false(hw_preempt_check());
    assert_true(hw_preempt_check());
    assert_false(hw_preempt_check());
    assert_true(hw_preempt_check());
}

static void a_panic_can_be_expected(void **state)
{
    (void)state;
    host_machine_init(1, 0);
    if (HOST_EXPECT_PANIC()) {
        panic("because %u", 5u);
    } else {
        assert_string_equal(host_panic_text, "because 5");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        isolated_test(guest_pointers_are_host_pointers_without_tables),
        isolated_test(tables_are_walked),
        isolated_test(hypercalls_are_continued),
        isolated_test(preemption_comes_as_told),
        isolated_test(a_panic_can_be_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

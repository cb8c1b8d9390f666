/* SPDX-License-Identifier: MIT */
/*
 * Put before every file of core/ and hypercall/ in the model's build: a point at each atomic operation, where another CPU may
 * be given its turn (cpus.c). Locks are made of atomic operations, so their boundaries are points too. A macro is not
 * expanded inside itself: what follows the comma is the compiler's own.
 */
#pragma once
extern int model_points_on;
void model_point(void);

static inline void model_point_here(void)
{
    if (__builtin_expect(model_points_on, 0))
        model_point();
}

#define __atomic_load_n(...)             (model_point_here(), __atomic_load_n(__VA_ARGS__))
#define __atomic_store_n(...)            (model_point_here(), __atomic_store_n(__VA_ARGS__))
#define __atomic_exchange_n(...)         (model_point_here(), __atomic_exchange_n(__VA_ARGS__))
#define __atomic_compare_exchange_n(...) (model_point_here(), __atomic_compare_exchange_n(__VA_ARGS__))
#define __atomic_fetch_add(...)          (model_point_here(), __atomic_fetch_add(__VA_ARGS__))
#define __atomic_fetch_sub(...)          (model_point_here(), __atomic_fetch_sub(__VA_ARGS__))
#define __atomic_fetch_and(...)          (model_point_here(), __atomic_fetch_and(__VA_ARGS__))
#define __atomic_fetch_or(...)           (model_point_here(), __atomic_fetch_or(__VA_ARGS__))
#define __atomic_add_fetch(...)          (model_point_here(), __atomic_add_fetch(__VA_ARGS__))
#define __atomic_sub_fetch(...)          (model_point_here(), __atomic_sub_fetch(__VA_ARGS__))
#define __atomic_test_and_set(...)       (model_point_here(), __atomic_test_and_set(__VA_ARGS__))
#define __atomic_clear(...)              (model_point_here(), __atomic_clear(__VA_ARGS__))

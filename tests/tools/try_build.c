/* SPDX-License-Identifier: MIT */
/*
 * Tries the domain builder in a Domain 0, without xend: creates a domain, builds it, lets it run for some time while its console is shown,
 * destroys it. It tells how long each call of the builder took; under `-icount shift=0` a nanosecond is an instruction.
 *
 *   try_build [-r RAMDISK] [-m MIB] [-v VCPUS] [-c COMMAND-LINE] [-s SECONDS] [-n TIMES] [-d CACHE-DIRECTORY] KERNEL
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "lib/build/build.h"
#include "lib/build/file.h"
#include <xen/io/console.h>

static struct options {
    struct build_request rq;
    const char *directory;
    unsigned seconds, times;
} o = {.rq = {.cmdline = "console=hvc0 earlyprintk=xen", .memory_kib = 192 * 1024, .vcpus = 1},
       .directory = "/var/lib/xend/kernels",
       .seconds = 10,
       .times = 1};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- How long the builder's calls take: the linker leads them through here (--wrap) ---- */

#define TIMED(result, name, parameters, arguments, ...)                                                                \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters;                                                                                   \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        uint64_t start = now_ns();                                                                                     \
        result rc = __real_##name arguments;                                                                           \
        printf("  %10lu ns " #name __VA_ARGS__, now_ns() - start);                                                     \
        return rc;                                                                                                     \
    }
TIMED(int64_t, hv_populate, (struct hv * hv, uint32_t d, unsigned order, uint64_t n, xen_pfn_t *gfns),
      (hv, d, order, n, gfns), "\n")
TIMED(int, hv_map, (struct hv * hv, uint32_t d, size_t n, const xen_pfn_t *mfns, void **out), (hv, d, n, mfns, out),
      "\n")
TIMED(int, hv_claim_pages, (struct hv * hv, uint32_t d, uint64_t n), (hv, d, n), "\n")
TIMED(int, hv_pin_l4, (struct hv * hv, uint32_t d, uint64_t mfn), (hv, d, mfn), "\n")
TIMED(int, hv_grant_seed, (struct hv * hv, uint32_t d, const struct hv_grant *g, unsigned n), (hv, d, g, n), "\n")
TIMED(int, hv_vcpu_set_context, (struct hv * hv, uint32_t d, unsigned v, const vcpu_guest_context_t *c), (hv, d, v, c),
      "\n")
TIMED(int, hv_domain_create, (struct hv * hv, const struct hv_domain_new *w, uint32_t *d), (hv, w, d), "\n")
TIMED(int, hv_domain_destroy, (struct hv * hv, uint32_t d), (hv, d), "\n")
TIMED(int, input_read, (const struct input_file *f, void *to, struct report *r), (f, to, r), "\n")
TIMED(int, input_open, (const char *w, const char *p, uint64_t m, struct input_file *f, struct report *r),
      (w, p, m, f, r), "\n")
void __real_hv_unmap(struct hv *hv, void *p, size_t n);
void __wrap_hv_unmap(struct hv *hv, void *p, size_t n);
void __wrap_hv_unmap(struct hv *hv, void *p, size_t n)
{
    uint64_t start = now_ns();

    __real_hv_unmap(hv, p, n);
    printf("  %10lu ns hv_unmap of %zu pages\n", now_ns() - start, n);
}

/* ---- */

static int failed(const char *what, int rc)
{
    printf("%s: %s\n", what, strerror(-rc));
    return 1;
}

static void show_console(volatile struct xencons_interface *ring)
{
    while (ring->out_cons != ring->out_prod) {
        putchar(ring->out[MASK_XENCONS_IDX(ring->out_cons, ring->out)]);
        ring->out_cons++;
    }
    fflush(stdout);
}

static int run(struct hv *hv, uint32_t domid, uint64_t console_mfn)
{
    uint64_t end = now_ns() + o.seconds * 1000000000ul;
    struct xen_domctl_getdomaininfo info = {0};
    xen_pfn_t mfn = console_mfn;
    void *ring;
    int rc = hv_map(hv, domid, 1, &mfn, &ring);

    if (!rc)
        rc = hv_domain_unpause(hv, domid);
    if (rc)
        return failed("unpause", rc);
    while (now_ns() < end && !(info.flags & XEN_DOMINF_shutdown)) {
        struct timespec pause = {.tv_nsec = 20000000};

        nanosleep(&pause, NULL);
        show_console(ring);
        rc = hv_domain_info(hv, domid, &info);
        if (rc)
            return failed("the domain is gone", rc);
    }
    show_console(ring);
    hv_unmap(hv, ring, 1);
    printf("\nflags %#x, %lu pages, %lu ms of CPU time\n", info.flags, info.tot_pages, info.cpu_time / 1000000);
    return 0;
}

static int build_and_run(struct hv *hv, struct kernel_cache *cache)
{
    struct hv_domain_new want = {.max_vcpus = o.rq.vcpus};
    struct xen_domctl_getdomaininfo info;
    struct build_result built;
    struct report r = {0};
    uint64_t start = now_ns(), before = hv_free_kib(hv);
    int rc = hv_domain_create(hv, &want, &o.rq.domid);

    if (rc)
        return failed("create", rc);
    rc = hv_evtchn_alloc_unbound(hv, o.rq.domid, 0, &o.rq.store_port);
    if (!rc)
        rc = hv_evtchn_alloc_unbound(hv, o.rq.domid, 0, &o.rq.console_port);
    if (rc) {
        failed("event channels", rc);
    } else if (build_pv(hv, cache, &o.rq, &built, &r)) {
        printf("%s\n", r.text);
        rc = 1;
    } else {
        printf("  %10lu ns in all; domain %u, %s\n", now_ns() - start, o.rq.domid,
               built.from_cache ? "cached" : "unpacked");
        if (o.seconds)
            rc = run(hv, o.rq.domid, built.console_mfn);
    }
    if (hv_domain_destroy(hv, o.rq.domid))
        printf("it cannot be destroyed\n");
    for (unsigned i = 0; i < 50 && !hv_domain_info(hv, o.rq.domid, &info); i++)
        usleep(20000);
    printf("%s; free before %lu KiB, after %lu KiB\n", hv_domain_info(hv, o.rq.domid, &info) ? "gone" : "STILL THERE",
           before, hv_free_kib(hv));
    return rc;
}

static void read_options(int argc, char **argv)
{
    int c;

    while ((c = getopt(argc, argv, "r:m:v:c:s:n:d:")) != -1)
        switch (c) {
        case 'r':
            o.rq.ramdisk = optarg;
            break;
        case 'm':
            o.rq.memory_kib = strtoul(optarg, NULL, 10) * 1024;
            break;
        case 'v':
            o.rq.vcpus = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'c':
            o.rq.cmdline = optarg;
            break;
        case 's':
            o.seconds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            o.times = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'd':
            o.directory = optarg;
            break;
        default:
            exit(2);
        }
    o.rq.kernel = argv[optind];
}

int main(int argc, char **argv)
{
    struct kernel_cache *cache;
    struct report r = {0};
    struct hv *hv;
    int rc = 0;

    read_options(argc, argv);
    if (!o.rq.kernel) {
        printf("which kernel?\n");
        return 2;
    }
    if (hv_open(&hv, &r) || kernel_cache_open(o.directory, &cache, &r)) {
        printf("%s\n", r.text);
        return 1;
    }
    while (!rc && o.times--)
        rc = build_and_run(hv, cache);
    kernel_cache_close(cache);
    hv_close(hv);
    return rc;
}

/* SPDX-License-Identifier: MIT */
/*
 * The ground that Debian's decompression libraries stand on. They are ordinary user-space code: they use SSE registers, look
 * for the stack protector's value at fs:0x28 and name functions of libc. So around their run the FPU is made usable and FS
 * points to a page of ours (boot CPU, no guest yet: nobody's state is lost), and what they name of libc is here. Their
 * memory comes from the arena, given to each as its allocator; the libc allocator that they also name gives nothing.
 */
#include "core/lib/fail.h"
#include "core/lib/string.h"
#include "x86/boot/decompress/arena.h"
#include "x86/cpu/cpu.h"

#define CR0_MP         (1UL << 1)
#define CR0_EM         (1UL << 2)
#define CR0_TS         (1UL << 3)
#define CR4_OSFXSR     (1UL << 9)
#define CR4_OSXMMEXCPT (1UL << 10)
#define MXCSR_DEFAULT  0x1f80u
#define TLS_CANARY     0x28

static uint8_t tls_page[PAGE_SIZE] __aligned_to(PAGE_SIZE);

struct processor_state {
    uint64_t cr0, cr4, fs_base;
};

static void libraries_enter(struct processor_state *saved)
{
    uint32_t mxcsr = MXCSR_DEFAULT;
    uint64_t canary = rdtsc() << 8; /* a zero byte ends strings */

    *saved = (struct processor_state){read_cr(0), read_cr(4), rdmsr(MSR_FS_BASE)};
    write_cr(0, (saved->cr0 & ~(CR0_EM | CR0_TS)) | CR0_MP);
    write_cr(4, saved->cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT);
    memcpy(tls_page + TLS_CANARY, &canary, sizeof(canary));
    wrmsr(MSR_FS_BASE, (uint64_t)tls_page);
    __asm__ volatile("fninit; ldmxcsr %0" ::"m"(mxcsr) : "memory");
}

static void libraries_leave(const struct processor_state *saved)
{
    wrmsr(MSR_FS_BASE, saved->fs_base);
    write_cr(4, saved->cr4);
    write_cr(0, saved->cr0);
}

int decompress(const struct image_payload *payload, uint8_t *out, const char **why)
{
    struct processor_state saved;
    int rc;

    libraries_enter(&saved);
    switch (payload->format) {
    case IMAGE_XZ:
        rc = xz_decode(payload, out, why);
        break;
    case IMAGE_GZIP:
        rc = gzip_decode(payload, out, why);
        break;
    case IMAGE_ZSTD:
        rc = zstd_decode(payload, out, why);
        break;
    case IMAGE_LZ4:
        rc = lz4_decode(payload, out, why);
        break;
    default:
        *why = "is packed in a way that is not supported (XZ, gzip, zstd, LZ4 are)";
        rc = fail(-EOPNOTSUPP);
        break;
    }
    arena_release_all();
    libraries_leave(&saved);
    return rc;
}

/* ---- What the libraries name of libc ---- */
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void free(void *p);
void __noreturn abort(void);

void *malloc(size_t size)
{
    return NULL;
}

void *calloc(size_t count, size_t size)
{
    return NULL;
}

void free(void *p)
{
}

void __noreturn abort(void)
{
    panic("a decompression library has given up");
}

/* libzstd's tracing hooks: weak there, but a call to nothing does not reach address 0 from where we are linked. */
unsigned long long ZSTD_trace_decompress_begin(const void *context);
void ZSTD_trace_decompress_end(unsigned long long trace, const void *what);

unsigned long long ZSTD_trace_decompress_begin(const void *context)
{
    return 0; /* no tracing */
}

void ZSTD_trace_decompress_end(unsigned long long trace, const void *what)
{
}

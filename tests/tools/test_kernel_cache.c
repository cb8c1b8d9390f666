/* SPDX-License-Identifier: MIT */
/*
 * Kernels on their way to the domain builder: all packings; the cache: what is kept, what is noticed when it is damaged or out of date, what
 * is given up.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <time.h>
#include <zlib.h>
#include <zstd.h>
#include "build_files.h"
#include "kernel_maker.h"
#include "lib/build/cache.h"

#define VIRT_BASE 0xffffffff80000000ul
#define KEPT      "kernels/below" /* a directory that is made with the one above */
static struct report report;

static void changing_file(void **state)
{
    struct input_file f;
    uint8_t data[100] = {0};

    put_file("file", data, 100);
    assert_int_equal(input_open("ramdisk", path_of("file"), 1000, &f, &report), 0);
    assert_int_equal(input_read(&f, data, &report), 0);
    assert_int_equal(truncate(path_of("file"), 50), 0);
    assert_int_equal(input_read(&f, data, &report), -1);
    assert_non_null(strstr(report.text, "changed while it was being read"));
    assert_int_equal(truncate(path_of("file"), 100), 0);
    assert_int_equal(input_read(&f, data, &report), -1); /* the times tell */
    input_close(&f);
}

/* ---- Packings ---- */

static size_t pack(const char *how, const uint8_t *in, size_t size, uint8_t *out, size_t room)
{
    uint32_t trailer = (uint32_t)size, magic = 0x184c2102u;
    size_t n = 0;

    if (!strcmp(how, "gzip")) {
        z_stream s = {
            .next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)room};
        assert_int_equal(deflateInit2(&s, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
        n = s.total_out;
        deflateEnd(&s);
        return n; /* its trailer is the size */
    }
    if (!strcmp(how, "xz")) {
        assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, in, size, out, &n, room), LZMA_OK);
    } else if (!strcmp(how, "zstd")) {
        n = ZSTD_compress(out, room, in, size, 3);
        assert_false(ZSTD_isError(n));
    } else {
        uint32_t block = (uint32_t)LZ4_compress_default((const char *)in, (char *)out + 8, (int)size, (int)room - 8);
        memcpy(out, &magic, 4);
        memcpy(out + 4, &block, 4);
        n = 8 + block;
    }
    memcpy(out + n, &trailer, 4);
    return n + 4;
}

static struct cached_kernel *get(struct kernel_cache *c, const char *path)
{
    struct cached_kernel *k = NULL;
    bool from_cache;

    return kernel_cache_get(c, path, &k, &from_cache, &report) ? NULL : k;
}

static void damage(struct kernel_cache *c, uint8_t *packed, size_t size)
{
    for (unsigned i = 0; i < 40; i++) { /* none of it may be read behind its end */
        size_t where = 8 + (size - 8) * i / 40;
        struct cached_kernel *k;

        packed[where] ^= 0x55;
        k = get(c, put_file("damaged", packed, size));
        packed[where] ^= 0x55;
        if (k) /* it may not matter: a name in a header, padding, data without a checksum */
            kernel_cache_put(c, k);
        else
            assert_non_null(strstr(report.text, "/damaged' "));
        assert_null(get(c, put_file("damaged", packed, where)));
        assert_int_equal(report.kind, REPORT_BAD_IMAGE);
    }
}

static void packings(void **state)
{
    static const char *const ways[] = {"gzip", "xz", "zstd", "lz4"};
    struct made_kernel made = make_kernel(VIRT_BASE, 16 * MIB, 300000);
    struct kernel_cache *c = open_cache(NULL);
    struct cached_kernel *plain = get(c, put_file("plain", made.file, made.size)), *k;
    size_t room = 2 * MIB;
    uint8_t *out = malloc(room);

    assert_non_null(plain);
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        size_t n = pack(ways[i], made.file, made.size, out, room);

        k = get(c, put_file(ways[i], out, n));
        assert_non_null(k);
        assert_int_equal(k->image.head->pages, plain->image.head->pages);
        assert_memory_equal(k->image.pages, plain->image.pages, k->image.head->pages * PAGE_SIZE);
        kernel_cache_put(c, k);
        damage(c, out, n);
    }
    kernel_cache_put(c, plain);
    kernel_cache_close(c);
    free(out);
    drop_kernel(&made);
}

/* Nothing of it would be kept, so that there would be no image to map. */
static void kernel_of_zeros(void **state)
{
    struct made_kernel made = make_kernel(VIRT_BASE, 16 * MIB, 30000);
    struct kernel_cache *c = open_cache(NULL);
    struct cached_kernel *k;
    bool from_cache;

    memset(made.file + MADE_DATA_AT, 0, made.size - MADE_DATA_AT);
    assert_int_equal(kernel_cache_get(c, put_file("zeros", made.file, made.size), &k, &from_cache, &report), -1);
    assert_int_equal(report.kind, REPORT_BAD_IMAGE);
    assert_non_null(strstr(report.text, "all that it would load is zero"));
    kernel_cache_close(c);
    drop_kernel(&made);
}

/* ---- The cache ---- */

static bool was_cached(struct kernel_cache *c, const char *path)
{
    struct cached_kernel *k;
    bool from_cache;

    if (kernel_cache_get(c, path, &k, &from_cache, &report))
        fail_msg("%s", report.text);
    assert_true(k->image.head->pages > 0);
    kernel_cache_put(c, k);
    return from_cache;
}

/* As a program that has just been started sees it */
static bool was_kept(const char *path)
{
    struct kernel_cache *c = open_cache(KEPT);
    bool kept = was_cached(c, path);

    kernel_cache_close(c);
    return kept;
}

static const char *put_kernel(const char *name, size_t size)
{
    struct made_kernel k = make_kernel(VIRT_BASE, 16 * MIB, size);
    const char *path = put_file(name, k.file, k.size);

    drop_kernel(&k);
    return path;
}

/* A file that was written a moment ago is not kept. */
static void let_settle(void)
{
    struct timespec wait = {.tv_sec = 2, .tv_nsec = 100000000};
    nanosleep(&wait, NULL);
}

static int files_kept(void)
{
    char command[512], text[64] = "";
    FILE *p;

    snprintf(command, sizeof(command), "ls -A %s | wc -l", path_of(KEPT));
    p = popen(command, "r");
    assert_non_null(fgets(text, sizeof(text), p));
    pclose(p);
    return atoi(text);
}

static void keeping(void **state)
{
    const char *path = put_kernel("kernel", 20000);
    struct kernel_cache *c = open_cache(KEPT);
    struct stat st;

    assert_false(was_cached(c, path));
    assert_false(was_cached(c, path)); /* it was too new, in memory and on the disk */
    assert_int_equal(files_kept(), 0);
    let_settle();
    assert_false(was_cached(c, path));
    assert_true(was_cached(c, path));
    kernel_cache_close(c);
    assert_true(was_kept(path));
    assert_int_equal(stat(path_of(KEPT), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

/* An image damaged in its head, its runs, its size: each is noticed, and made good. */
static void damaged_images(void **state)
{
    static const char *const damages[] = {
        "printf X | dd of=$f bs=1 seek=100 conv=notrunc",
        "printf X | dd of=$f bs=1 seek=$(($(stat -c %s $f) - 4)) conv=notrunc",
        "truncate -s -4096 $f",
        ": > $f",
        "rm $f; mkfifo $f",
    };
    const char *path = path_of("kernel"); /* from keeping() */
    char command[512];

    for (unsigned i = 0; i < ARRAY_SIZE(damages); i++) {
        assert_true(was_kept(path));
        snprintf(command, sizeof(command), "for f in %s/*.image; do %s; done 2>/dev/null", path_of(KEPT), damages[i]);
        assert_int_equal(system(command), 0);
        assert_false(was_kept(path));
    }
    assert_true(was_kept(path));
}

/* The same file with other contents: its old image goes. */
static void changed_kernel(void **state)
{
    const char *path = path_of("kernel");
    int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, "\1", 1, MADE_DATA_AT + 9000), 1);
    close(fd);
    let_settle();
    assert_false(was_kept(path));
    assert_int_equal(files_kept(), 1);
    assert_true(was_kept(path));
}

static void directories(void **state)
{
    struct kernel_cache *c;

    assert_int_equal(chmod(path_of(KEPT), 0777), 0);
    assert_int_equal(kernel_cache_open(path_of(KEPT), &c, &report), -1);
    assert_non_null(strstr(report.text, "can be written by others"));
    assert_int_equal(kernel_cache_open("/dev/null/x", &c, &report), -1);
    assert_non_null(strstr(report.text, "'/dev/null/x' for unpacked kernels cannot be used"));
    c = open_cache(NULL);
    assert_false(was_cached(c, path_of("kernel")));
    assert_true(was_cached(c, path_of("kernel")));
    kernel_cache_close(c);
}

/* More kernels than are kept mapped; a kernel that is in use when it leaves the list stays whole. */
static void many_kernels(void **state)
{
    struct kernel_cache *c = open_cache(NULL);
    struct cached_kernel *first;
    bool from_cache;
    char name[16];

    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "many%u", i);
        put_kernel(name, 20000 + i * 100);
    }
    let_settle();
    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "many%u", i);
        if (!i)
            assert_int_equal(kernel_cache_get(c, path_of(name), &first, &from_cache, &report), 0);
        else
            assert_false(was_cached(c, path_of(name)));
    }
    assert_false(was_cached(c, path_of("many0")));
    assert_int_equal(first->image.head->paddr_first, 16 * MIB);
    kernel_cache_put(c, first);
    kernel_cache_close(c);
}

static int start(void **state)
{
    return mkdtemp(root) ? 0 : -1;
}

static int end(void **state)
{
    return remove_files();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changing_file), cmocka_unit_test(packings),       cmocka_unit_test(kernel_of_zeros),
        cmocka_unit_test(keeping),       cmocka_unit_test(damaged_images), cmocka_unit_test(changed_kernel),
        cmocka_unit_test(directories),   cmocka_unit_test(many_kernels),
    };
    return cmocka_run_group_tests(tests, start, end);
}

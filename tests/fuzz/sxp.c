/* SPDX-License-Identifier: MIT */
/* S-expressions, and xend-config.sxp made of them: what is read is printed and read again as the same. */
#include <stdarg.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fuzz.h"
#include "lib/config/sxp.h"
#include "xend/config.h"
#include "xend/log.h"

void log_write(enum log_level level, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
}

static void print(FILE *out, const struct sxp *s, bool outermost)
{
    if (s->text) {
        sxp_print_atom(out, s->text);
        return;
    }
    if (!outermost)
        putc('(', out);
    for (size_t i = 0; i < s->count; i++) {
        print(out, s->items[i], false);
        putc(' ', out);
    }
    if (!outermost)
        putc(')', out);
}

static bool equal(const struct sxp *a, const struct sxp *b)
{
    if (!a->text != !b->text || a->count != b->count || (a->text && strcmp(a->text, b->text)))
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!equal(a->items[i], b->items[i]))
            return false;
    return true;
}

static void there_and_back(const struct sxp *s)
{
    struct report r = {0};
    struct sxp *back;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    print(out, s, true);
    fclose(out);
    back = sxp_parse("printed", text, size, &r);
    MUST(back, "what was printed is refused: %s: %s", r.text, text);
    MUST(equal(s, back), "another: %s", text);
    sxp_free(back);
    free(text);
}

static void load_settings(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct xend_config c;
    struct report r = {0};
    char path[64];

    if (fd < 0)
        fd = memfd_create("xend-config.sxp", MFD_CLOEXEC);
    MUST(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size, "no file");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (xend_config_load(path, &c, &r))
        MUST(r.kind == REPORT_CONFIG && *r.text, "refused without a reason");
    else
        MUST(c.vif_script && *c.vif_script, "no script for interfaces");
    xend_config_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct report r = {0};
    struct sxp *s = sxp_parse("t", (const char *)data, size, &r);

    if (s) {
        sxp_value(s, "vif-script", "");
        there_and_back(s);
        sxp_free(s);
    } else {
        MUST(r.kind == REPORT_CONFIG && *r.text, "refused without a reason");
    }
    load_settings(data, size);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* What stands against starting a guest: see check.h. Each finding is the very sentence with which a start would fail. */
#include "xend/check.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "xend/device.h"
#include "xend/domain.h"
#include "xend/xend.h"

int check_offered(const struct guest_config *c, struct report *r)
{
    if (c->builder == BUILDER_HVM)
        return report_set(r, REPORT_CONFIG, "builder='hvm' is not offered: guests are paravirtual, with kernel=");
    if (c->bootloader)
        return report_set(r, REPORT_CONFIG,
                          "bootloader= is not offered: name the guest's kernel= and ramdisk=, or kernel= Debian's "
                          "grub-xen, which boots what lies on the guest's disk");
    if (!c->kernel)
        return report_set(r, REPORT_CONFIG, "no kernel: write kernel = \"/path/of/a/kernel\"");
    return 0;
}

static int check_file(const char *what, const char *path, struct report *r)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error = errno;
    struct stat st;
    int rc = 0;

    if (fd < 0)
        return report_set(r, error == ENOENT ? REPORT_NOT_FOUND : REPORT_DENIED, "%s %s: %s", what, path,
                          strerror(error));
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        rc = report_set(r, REPORT_BAD_IMAGE, "%s %s is not a file", what, path);
    close(fd);
    return rc;
}

int check_files(const struct guest_config *c, struct report *r)
{
    if (check_file("kernel", c->kernel, r))
        return -1;
    return c->ramdisk ? check_file("ramdisk", c->ramdisk, r) : 0;
}

/* ---- All at once --------------------------------------------------------------------------------------------- */

static void add(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(json_t *list, const char *fmt, ...)
{
    char text[REPORT_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    json_array_append_new(list, json_string(text));
}

static void plan_machine(const struct guest_config *c, json_t *plan)
{
    char *cmdline = guest_config_cmdline(c);

    add(plan, "make the domain '%s' with %llu MiB of memory and %u of at most %u vCPUs", c->name,
        (unsigned long long)c->memory_mib, c->vcpus, c->maxvcpus);
    if (c->kernel)
        add(plan, "load the kernel %s%s%s", c->kernel, c->ramdisk ? " and the ramdisk " : "",
            c->ramdisk ? c->ramdisk : "");
    if (cmdline && *cmdline)
        add(plan, "give it the command line \"%s\"", cmdline);
    free(cmdline);
}

static void check_disks(const struct guest_config *c, json_t *problems, json_t *plan)
{
    struct vm_disk found;
    struct report r;

    for (unsigned i = 0; i < c->disks_count; i++) {
        const struct guest_disk *d = &c->disks[i];

        if (vbd_claim(NULL, d, &found, &r))
            add(problems, "%s", r.text);
        add(plan, "give it %s as %s %s, %s", d->target, d->cdrom ? "CD drive" : "disk", d->device,
            d->writable ? "to read and write" : "to read");
    }
}

static void check_vifs(const struct guest_config *c, json_t *problems, json_t *plan)
{
    struct report r;

    for (unsigned i = 0; i < c->vifs_count; i++) {
        char *bridge = vif_bridge(&c->vifs[i]);

        if (vif_look(&c->vifs[i], &r))
            add(problems, "%s", r.text);
        add(plan, "give it a network interface%s%s by the script %s", bridge ? " on the bridge " : "",
            bridge ? bridge : "", vif_script(&c->vifs[i]));
        free(bridge);
    }
}

void check_all(const struct guest_config *c, json_t *problems, json_t *plan)
{
    struct report r;
    bool taken;

    vm_lock();
    taken = vm_name_taken(c->name, NULL);
    vm_unlock();
    if (taken)
        add(problems, "a domain named '%s' is there already; give this one another name", c->name);
    if (check_offered(c, &r) || check_files(c, &r) ||
        build_check(xend.kernels, c->kernel, c->ramdisk, c->memory_mib * 1024, &r))
        add(problems, "%s", r.text);
    plan_machine(c, plan);
    check_disks(c, problems, plan);
    check_vifs(c, problems, plan);
    if (domain_check_memory(c, &r))
        add(problems, "%s", r.text);
}

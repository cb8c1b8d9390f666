/* SPDX-License-Identifier: MIT */
/*
 * xenconsoled on the build host: stand-ins for the hypervisor and the wires, linked instead of the real ones. A directory (environment
 * FAKE_HOST) plays the machine: a file named by a domain's id is its ring page, `events` a socket to which a guest sends its id to signal
 * its port, `hypervisor` the hypervisor's console ring. A port's number is its domain's id.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "xenconsoled/wire.h"

#define VIRQ_PORT 100000
struct wires {
    int events;
};

static char *host_path(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", getenv("FAKE_HOST"), name);
    return path;
}

int hv_open(struct hv **out, struct report *r)
{
    *out = NULL;
    return 0;
}

static int compare_infos(const void *a, const void *b)
{
    const struct xen_domctl_getdomaininfo *x = a, *y = b;

    return (int)x->domain - (int)y->domain;
}

int hv_domain_list(struct hv *hv, uint32_t first, unsigned max, struct xen_domctl_getdomaininfo *infos)
{
    static struct xen_domctl_getdomaininfo all[1024];
    DIR *dir = opendir(host_path("."));
    struct dirent *entry;
    unsigned n = 0;
    char *end;

    if (!dir)
        return -EIO;
    while ((entry = readdir(dir)) && n < 1024) {
        unsigned long domid = strtoul(entry->d_name, &end, 10);

        if (domid >= first && !*end)
            all[n++] = (struct xen_domctl_getdomaininfo){.domain = (domid_t)domid};
    }
    closedir(dir);
    qsort(all, n, sizeof(all[0]), compare_infos);
    n = n < max ? n : max;
    memcpy(infos, all, n * sizeof(all[0]));
    return (int)n;
}

int hv_read_console(struct hv *hv, char *buffer, size_t size, bool clear, bool incremental, uint32_t *index)
{
    int fd = open(host_path("hypervisor"), O_RDONLY);
    ssize_t n = fd < 0 ? 0 : pread(fd, buffer, size, *index);

    if (fd >= 0)
        close(fd);
    *index += (uint32_t)n;
    return (int)n;
}

int wires_open(struct wires **out, struct hv *hv, struct report *r)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *out = calloc(1, sizeof(**out));
    (*out)->events = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", host_path("events"));
    unlink(address.sun_path);
    return bind((*out)->events, (struct sockaddr *)&address, sizeof(address)) ? report_set(r, REPORT_FAILED, "bind")
                                                                              : 0;
}

int wires_fd(struct wires *w)
{
    return w->events;
}

int wires_pending(struct wires *w)
{
    char text[16] = "";

    recv(w->events, text, sizeof(text) - 1, 0);
    return atoi(text);
}

int wires_bind_console_virq(struct wires *w)
{
    return VIRQ_PORT;
}

void wires_unmask(struct wires *w, int port)
{
}

int wire_open(struct wires *w, struct wire *wire, uint32_t domid, uint64_t ring_mfn, uint32_t remote_port)
{
    char name[16];
    int fd;

    snprintf(name, sizeof(name), "%u", domid);
    fd = open(host_path(name), O_RDWR);
    if (fd < 0)
        return -errno;
    *wire = (struct wire){.domid = domid, .port = (int)domid};
    wire->ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return 0;
}

void wire_notify(struct wires *w, const struct wire *wire)
{
}

void wire_unmask(struct wires *w, const struct wire *wire)
{
}

void wire_close(struct wires *w, struct wire *wire)
{
    if (wire->ring)
        munmap(wire->ring, 4096);
    wire->ring = NULL;
}

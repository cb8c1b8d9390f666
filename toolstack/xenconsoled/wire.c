/* SPDX-License-Identifier: MIT */
/* Wires to the guests: see wire.h. Grant reference 0 is the console's by convention of the domain builders (xen/grant_table.h). */
#include "xenconsoled/wire.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xentoollog.h>
#include <xen/grant_table.h>

struct wires {
    xenevtchn_handle *evtchn;
    xengnttab_handle *gnttab;
    xenforeignmemory_handle *memory; /* hv's */
};

int wires_open(struct wires **out, struct hv *hv, struct report *r)
{
    struct wires *w = calloc(1, sizeof(*w));

    if (!w)
        return report_set(r, REPORT_FAILED, "no memory");
    w->memory = hv_memory(hv);
    w->evtchn = xenevtchn_open(NULL, 0);
    if (!w->evtchn) {
        report_set(r, REPORT_FAILED, "/dev/xen/evtchn cannot be opened: %s; is the module xen-evtchn loaded?",
                   strerror(errno));
        goto fail;
    }
    w->gnttab = xengnttab_open(NULL, 0);
    if (!w->gnttab) {
        report_set(r, REPORT_FAILED, "/dev/xen/gntdev cannot be opened: %s; is the module xen-gntdev loaded?",
                   strerror(errno));
        goto fail;
    }
    *out = w;
    return 0;
fail:
    if (w->evtchn)
        xenevtchn_close(w->evtchn);
    free(w);
    return -1;
}

int wires_fd(struct wires *w)
{
    return xenevtchn_fd(w->evtchn);
}

int wires_pending(struct wires *w)
{
    return xenevtchn_pending(w->evtchn);
}

int wires_bind_console_virq(struct wires *w)
{
    int port = xenevtchn_bind_virq(w->evtchn, VIRQ_CON_RING);

    return port < 0 ? -errno : port;
}

void wires_unmask(struct wires *w, int port)
{
    xenevtchn_unmask(w->evtchn, (evtchn_port_t)port);
}

static void unmap(struct wires *w, struct wire *wire)
{
    if (wire->granted)
        xengnttab_unmap(w->gnttab, wire->ring, 1);
    else
        xenforeignmemory_unmap(w->memory, wire->ring, 1);
    wire->ring = NULL;
}

static void map(struct wires *w, struct wire *wire, uint64_t ring_mfn)
{
    xen_pfn_t frame = ring_mfn;
    int err = 0;

    wire->ring = xengnttab_map_grant_ref(w->gnttab, wire->domid, GNTTAB_RESERVED_CONSOLE, PROT_READ | PROT_WRITE);
    wire->granted = wire->ring;
    if (!wire->ring)
        wire->ring = xenforeignmemory_map(w->memory, wire->domid, PROT_READ | PROT_WRITE, 1, &frame, &err);
}

int wire_open(struct wires *w, struct wire *wire, uint32_t domid, uint64_t ring_mfn, uint32_t remote_port)
{
    int err;

    memset(wire, 0, sizeof(*wire));
    wire->domid = domid;
    map(w, wire, ring_mfn);
    if (!wire->ring)
        return errno ? -errno : -EIO;
    wire->port = xenevtchn_bind_interdomain(w->evtchn, domid, remote_port);
    if (wire->port >= 0)
        return 0;
    err = -errno;
    unmap(w, wire);
    return err;
}

void wire_notify(struct wires *w, const struct wire *wire)
{
    xenevtchn_notify(w->evtchn, (evtchn_port_t)wire->port);
}

void wire_unmask(struct wires *w, const struct wire *wire)
{
    wires_unmask(w, wire->port);
}

void wire_close(struct wires *w, struct wire *wire)
{
    if (!wire->ring)
        return;
    xenevtchn_unbind(w->evtchn, (evtchn_port_t)wire->port);
    unmap(w, wire);
}

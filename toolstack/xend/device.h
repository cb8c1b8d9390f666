/* SPDX-License-Identifier: MIT */
/*
 * A guest's devices: all of them together here, one kind each in vif.c and vbd.c.
 *
 *   devices_look      what the configuration asks for exists and is free; disks are claimed
 *   devices_attach    loop devices                       (before the nodes)
 *   devices_write     nodes of both ends                 (inside the transaction that makes the domain's nodes)
 *   devices_connect   backends are there, scripts have run
 *   devices_unplug    all of that undone, as far as it was done; may be repeated
 *
 * The two ends meet in xenstore as blkif.h, netif.h and xenbus.h say; the backends are Domain 0's kernel's.
 */
#pragma once
#include "xend/store.h"
#include "xend/vm.h"

#define DEVICE_TIMEOUT_S 60 /* for a backend to come or go */

struct device {
    const char *type; /* "vif", "vbd" */
    unsigned id;      /* the name of its directory */
    uint32_t domid;
};
void device_backend_path(const struct device *d, char path[STORE_PATH_MAX]);
void device_frontend_path(const struct device *d, char path[STORE_PATH_MAX]);
/* The directories of both ends with their access rights and the nodes that all kinds have. */
int device_write_ends(struct store *s, xs_transaction_t t, const struct device *d, char backend[STORE_PATH_MAX],
                      char frontend[STORE_PATH_MAX]);
/* Waits until the backend has seen the device (state InitWait); what it complains about is in the report. */
int device_wait_backend(struct store *s, const struct device *d, const char *what, struct report *r);

int devices_look(struct vm *vm, struct report *r);
int devices_attach(struct vm *vm, struct report *r);
int devices_write(struct store *s, xs_transaction_t t, const struct vm *vm);
int devices_connect(struct store *s, const struct vm *vm, struct report *r);
void devices_unplug(struct store *s, struct vm *vm);
/* Loop devices and claims on disks: after the domain is gone. */
void devices_release(struct vm *vm);

/* ---- vbd.c ---- */
/* Looks the disk over: fills *found. -1: not there, no disk, wrong size. */
int vbd_look(const struct guest_disk *disk, struct vm_disk *found, struct report *r);
/* Looks and, unless another uses it, claims it: vm->disks[i]. `vm` NULL: only looks (and fills *found). */
int vbd_claim(struct vm *vm, const struct guest_disk *disk, struct vm_disk *found, struct report *r);
int vbd_attach(struct vm *vm, unsigned i, struct report *r);
int vbd_write(struct store *s, xs_transaction_t t, const struct vm *vm, unsigned i);
int vbd_connect(struct store *s, const struct vm *vm, unsigned i, struct report *r);
void vbd_release(struct vm *vm, unsigned i);
/* ---- vif.c ---- */
int vif_look(const struct guest_vif *vif, struct report *r);
void vif_make_mac(uint8_t mac[6]);
int vif_write(struct store *s, xs_transaction_t t, const struct vm *vm, unsigned i);
int vif_connect(struct store *s, const struct vm *vm, unsigned i, struct report *r);
/* Before its backend goes: the script's "offline". */
void vif_disconnect(struct store *s, const struct device *d);
/* After it: until the interface is gone from Domain 0. */
void vif_wait_gone(const struct device *d, uint64_t until_ms);
/* The bridge it is joined to: given, or the first there is; NULL: not a matter of bridges, or none. The caller frees. */
char *vif_bridge(const struct guest_vif *vif);
const char *vif_script(const struct guest_vif *vif);

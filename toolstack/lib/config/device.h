/* SPDX-License-Identifier: MIT */
/*
 * Entries of disk and vif lists, as text.
 *
 *   disk: TARGET,DEVICE,MODE[,DOMAIN]     vif: key=value,key=value...
 *
 * Blanks around each part mean nothing. On a fault a phrase that completes "disk entry '...': " is in why.
 */
#pragma once
#include "lib/config/guest.h"
#include "lib/config/text.h"

/* 0, and *out is to be freed; -1 */
int disk_parse(const char *text, struct guest_disk *out, char why[WHY_MAX]);
/* *ignored: a key that is understood but not used here, or NULL */
int vif_parse(const char *text, struct guest_vif *out, const char **ignored, char why[WHY_MAX]);
/* The number of a device's name. -1: not a name that guests know.
 * Source: the published numbering of virtual block devices (hd, sd, xvd); NetBSD's numbers of wd, sd and cd. */
int disk_device_number(const char *name, uint32_t *number);
int mac_parse(const char *text, uint8_t mac[6]);
void disk_free(struct guest_disk *d);
void vif_free(struct guest_vif *v);

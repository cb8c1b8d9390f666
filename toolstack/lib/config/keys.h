/* SPDX-License-Identifier: MIT */
/*
 * The names that a configuration may assign, and what their values become. A reader is filled value by value (key_read) and then
 * finished (reader_finish: what several names decide together). Used by guest.c alone.
 */
#pragma once
#include "lib/config/guest.h"
#include "lib/config/lang.h"

struct reader {
    struct lang_sink *sink;
    struct guest_config *c;
    /* Linux's own network, classic names */
    char *ip, *netmask, *gateway, *hostname, *interface, *nfs_server, *nfs_root;
    bool dhcp;
    unsigned nics;
    int64_t cpu; /* -1: any */
    char *restart;
    bool has_action[3];                                              /* on_poweroff, on_reboot, on_crash are given */
    unsigned disk_entry[GUEST_DISKS_MAX], vif_entry[GUEST_VIFS_MAX]; /* which entry of the list each came from */
};

/* Tells faults to the sink; false when there was one. */
bool key_read(struct reader *r, const struct assignment *a);
/* 0; -1: no memory */
int reader_finish(struct reader *r);
void reader_free(struct reader *r);

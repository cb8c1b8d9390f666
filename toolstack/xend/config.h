/* SPDX-License-Identifier: MIT */
/* xend's own settings: /etc/xen/xend-config.sxp. */
#pragma once
#include "lib/report.h"

#define XEND_CONFIG_PATH "/etc/xen/xend-config.sxp"
#define XEND_SCRIPTS_DIR "/etc/xen/scripts"

struct xend_config {
    char *network_script; /* a command: the script and its arguments; NULL none */
    char *vif_script;     /* the same, for guests' interfaces that name none */
    unsigned dom0_cpus;   /* 0: all */
    unsigned console_limit_kib;
};
/* Defaults, then the file; a missing file is fine. What is not understood is logged with its line. -1: the file is no list of
 * settings, *r says where. */
int xend_config_load(const char *path, struct xend_config *out, struct report *r);
void xend_config_free(struct xend_config *c);

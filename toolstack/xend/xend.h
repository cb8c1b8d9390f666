/* SPDX-License-Identifier: MIT */
/* What all of xend shares: the hypervisor, the kernels unpacked before, the settings. Set up by main before anything runs. */
#pragma once
#include "lib/build/build.h"
#include "lib/hv/hv.h"
#include "xend/config.h"

struct xend {
    struct hv *hv;
    struct kernel_cache *kernels;
    struct xend_config config;
    const char *run_dir;   /* sockets, locks, one file per domain below domains/ */
    const char *cache_dir; /* unpacked kernels */
    const char *log_path;
    bool debug;
};
extern struct xend xend;

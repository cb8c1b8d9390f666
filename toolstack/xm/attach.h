/* SPDX-License-Identifier: MIT */
/* This process's terminal joined to a guest's console: what `xm console` and `xm create -c` share. */
#pragma once

struct attachment; /* knows the guest by its uuid: it stays through restarts */

/* NULL: no memory */
struct attachment *attach_new(const char *uuid, const char *name);
void attach_free(struct attachment *a);
/* Opens the guest's terminal, waiting up to wait_ms for it to appear. Whether it is open. */
int attach_open(struct attachment *a, unsigned wait_ms);
/* Joins the two until Ctrl-], or until the guest is gone (not when it is restarted, nor when xenconsoled or xend is). The terminal
 * is as before afterwards, whatever ends the process. Frees the attachment. The exit code. */
int attach_run(struct attachment *a);

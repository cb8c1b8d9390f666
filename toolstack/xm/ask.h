/* SPDX-License-Identifier: MIT */
/* What `xm shutdown` and `xm reboot` share: guests are asked, and waited for. */
#pragma once

/* [-a] [-w] DOMAIN...; `method` asks one guest. The exit code. */
int xm_ask(int argc, char **argv, const char *method);

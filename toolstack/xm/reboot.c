/* SPDX-License-Identifier: MIT */
/* xm reboot: asks guests to reboot. */
#include "xm/ask.h"
#include "xm/xm.h"

int xm_reboot(int argc, char **argv)
{
    return xm_ask(argc, argv, "VM.clean_reboot");
}

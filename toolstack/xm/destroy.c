/* SPDX-License-Identifier: MIT */
/* xm destroy: ends guests at once; returns when all of each is gone. */
#include "xm/client.h"

int xm_destroy(int argc, char **argv)
{
    return xm_each(argc, argv, "VM.hard_shutdown");
}

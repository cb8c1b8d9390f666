/* SPDX-License-Identifier: MIT */
/* xm pause: stops guests' processors. */
#include "xm/client.h"

int xm_pause(int argc, char **argv)
{
    return xm_each(argc, argv, "VM.pause");
}

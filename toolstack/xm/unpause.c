/* SPDX-License-Identifier: MIT */
/* xm unpause: lets paused guests go on. */
#include "xm/client.h"

int xm_unpause(int argc, char **argv)
{
    return xm_each(argc, argv, "VM.unpause");
}

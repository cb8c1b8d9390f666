/* SPDX-License-Identifier: MIT */
/* xm shutdown: asks guests to shut down. */
#include "xm/ask.h"
#include "xm/xm.h"

int xm_shutdown(int argc, char **argv)
{
    return xm_ask(argc, argv, "VM.clean_shutdown");
}

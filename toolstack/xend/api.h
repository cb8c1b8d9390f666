/* SPDX-License-Identifier: MIT */
/* The methods of the API (docs/api.md). */
#pragma once
#include "xend/server.h"

/* Of the server: sees to it that the request is answered. */
void api_handle(struct request *rq, const char *method);

/* SPDX-License-Identifier: MIT */
/* The socket and its clients: lines in, requests to the API, replies out. All of it belongs to the loop's thread. */
#pragma once
#include <jansson.h>
#include "lib/report.h"
#include "xend/job.h"

#define SERVER_LINE_MAX     (4u << 20)
#define SERVER_CLIENTS_MAX  128
#define SERVER_REQUESTS_MAX 16          /* of one client at a time; it is not read from until one is done */
#define SERVER_OUTPUT_MAX   (32u << 20) /* of one client, not yet read by it; then it is cut off */

struct client;
/* A request. What a method needs while it works is here too. */
struct request {
    struct job job; /* first */
    struct client *client;
    json_t *id, *params; /* params: an object */
    json_t *result;      /* NULL: failed, as the report says */
    struct report report;
    void (*work)(struct request *rq); /* of a job: in a worker */
};
/* Is its client still there? */
bool request_is_wanted(const struct request *rq);
/* Answers and frees it. */
void request_end(struct request *rq);

/* Listens on the socket (0600). handle() gets each request and sees to it that request_end is called once, now or later. */
int server_open(const char *path, void (*handle)(struct request *rq, const char *method), struct report *r);
void server_close(void);

/* SPDX-License-Identifier: MIT */
/*
 * xend's API over its socket, and xm's end of it. An input is, by its first bit, what clients send to xend's server (real server,
 * methods, records and configurations; the machine behind them is played and obeys), or what a xend answers to xm. Each line of a
 * client gets one answer, which is an object with a result or an error.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "fuzz.h"
#include "lib/fault.h"
#include "lib/rpc/rpc.h"
#include "xend/api.h"
#include "xend/check.h"
#include "xend/events.h"
#include "xend/host.h"
#include "xend/life.h"
#include "xend/log.h"
#include "xend/record.h"
#include "xend/xend.h"

#define ROUNDS_MAX 200
#define BURST      64 /* bytes that a client sends at once, at most */

struct xend xend = {.debug = true};
static char directory[64];
static struct job *jobs;
static unsigned answers;

/* ---- What is played ---- */

void job_submit(struct job *j)
{
    j->next = jobs;
    jobs = j;
}

static void run_jobs(void)
{
    while (jobs) {
        struct job *j = jobs;

        jobs = j->next;
        j->run(j);
        j->done(j);
    }
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
}

void events_wait(struct request *rq, const char *uuid, unsigned generation, double timeout_s)
{
    MUST(strlen(uuid) == 36 && timeout_s >= 0 && timeout_s <= 7 * 24 * 3600.0, "%s, %f s", uuid, timeout_s);
    (void)generation;
    rq->result = json_pack("{ss}", "state", "gone");
    request_end(rq);
}

int life_create(struct vm *vm, struct report *r)
{
    static int64_t next = 1;

    if (check_offered(&vm->config, r)) {
        vm_set_state(vm, VM_GONE, THEN_FORGET);
        return -1;
    }
    vm_set_domid(vm, next++);
    vm_set_state(vm, VM_RUNNING, THEN_FORGET);
    return 0;
}

int life_destroy(struct vm *vm, struct report *r)
{
    (void)r;
    vm_set_state(vm, VM_GONE, THEN_FORGET);
    return 0;
}

int life_pause(struct vm *vm, bool pause, struct report *r)
{
    if (vm->paused == pause)
        return report_set(r, REPORT_STATE, "domain '%s' is %s", vm->config.name, pause ? "paused" : "not paused");
    vm->paused = pause;
    return 0;
}

int life_rename(struct vm *vm, const char *name, struct report *r)
{
    if (vm_name_taken(name, vm))
        return report_set(r, REPORT_EXISTS, "a domain named '%s' is there already", name);
    free(vm->config.name);
    vm->config.name = strdup(name);
    return 0;
}

int life_ask(struct vm *vm, const char *what, struct report *r)
{
    (void)what;
    return vm->state == VM_RUNNING ? 0 : report_set(r, REPORT_STATE, "domain '%s' does not run", vm->config.name);
}

json_t *record_of(const char *which, struct report *r)
{
    struct vm *vm = vm_find(which, r);

    return vm ? json_pack("{so}", "config", guest_config_to_json(&vm->config)) : NULL;
}

json_t *record_all(struct report *r)
{
    (void)r;
    return json_pack("{s[]}", "vms");
}

json_t *host_record(struct report *r)
{
    report_set(r, REPORT_FAILED, "bytes that are no UTF-8: \xff\xc3");
    return NULL;
}

json_t *host_dmesg(bool clear, struct report *r)
{
    (void)r;
    return json_pack("{sb}", "text", clear);
}

json_t *host_log(struct report *r)
{
    return host_record(r);
}

int check_offered(const struct guest_config *c, struct report *r)
{
    return c->builder == BUILDER_HVM ? report_set(r, REPORT_CONFIG, "builder='hvm' is not offered") : 0;
}

void check_all(const struct guest_config *c, json_t *problems, json_t *plan)
{
    json_array_append_new(plan, json_string(c->name));
    json_array_append_new(problems, json_string(c->kernel ? c->kernel : ""));
}

/* ---- Clients of xend ---- */

static struct sockaddr_un address_of(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", directory, name);
    return a;
}

static void check_answer(const char *line, size_t size)
{
    json_t *json = json_loadb(line, size, 0, NULL);

    MUST(json && json_object_get(json, "id"), "no answer: %.*s", (int)size, line);
    MUST(!json_object_get(json, "result") != !json_object_get(json, "error"), "not one of result and error: %.*s",
         (int)size, line);
    json_decref(json);
    answers++;
}

/* Takes what has come; `rest` keeps a line that is not whole. */
static void take_answers(int fd)
{
    static char rest[1 << 20];
    static size_t used;
    ssize_t n;
    char *end;

    if (fd < 0) {
        used = 0;
        return;
    }
    while ((n = recv(fd, rest + used, sizeof(rest) - used, MSG_DONTWAIT)) > 0) {
        used += (size_t)n;
        while ((end = memchr(rest, '\n', used)) != NULL) {
            size_t size = (size_t)(end - rest);

            check_answer(rest, size);
            used -= size + 1;
            memmove(rest, end + 1, used);
        }
    }
}

static void serve(int fd)
{
    for (unsigned round = 0; round < 4; round++) {
        uv_run(uv_default_loop(), UV_RUN_NOWAIT);
        run_jobs();
    }
    take_answers(fd);
}

static unsigned lines_in(const uint8_t *data, size_t size)
{
    unsigned lines = 0;

    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n' && i && data[i - 1] != '\n';
    return lines;
}

static void fuzz_server(struct input *in)
{
    struct sockaddr_un address = address_of("xend");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned rounds = 0, wanted;
    size_t size = input_left(in), sent = 0;
    uint8_t burst;

    MUST(fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)), "cannot connect");
    burst = input_u8(in);
    size = input_left(in);
    wanted = lines_in(in->at, size);
    answers = 0;
    while (sent < size) {
        size_t piece = burst & 1 ? 1 + burst % BURST : size;
        ssize_t n = send(fd, in->at + sent, piece < size - sent ? piece : size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        serve(fd);
    }
    while (answers < wanted && ++rounds < ROUNDS_MAX)
        serve(fd);
    MUST(answers == wanted, "%u answers to %u lines", answers, wanted);
    close(fd);
    serve(-1);
    while (vm_list)
        vm_free(vm_list);
    fault_arm(NULL);
}

/* ---- A xend for xm ---- */

static void fuzz_client(struct input *in)
{
    static int listener = -1;
    struct sockaddr_un address = address_of("fake");
    struct report r = {0};
    json_t *result = NULL;
    struct rpc *c;
    int fd;

    if (listener < 0) {
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        MUST(!bind(listener, (struct sockaddr *)&address, sizeof(address)) && !listen(listener, 4), "cannot listen");
    }
    MUST(!rpc_connect(address.sun_path, 0, &c, &r), "%s", r.text);
    fd = accept(listener, NULL, NULL);
    MUST(fd >= 0 && send(fd, in->at, input_left(in), MSG_NOSIGNAL) == (ssize_t)input_left(in), "cannot answer");
    shutdown(fd, SHUT_WR);
    for (unsigned n = 0; n < 3; n++) {
        if (rpc_call(c, "VM.get_record", NULL, &result, &r))
            MUST(r.kind != REPORT_NONE && r.text[0], "failed without a reason");
        else
            json_decref(result);
    }
    rpc_close(c);
    close(fd);
}

static void remove_directory(void)
{
    unlink(address_of("xend").sun_path);
    unlink(address_of("fake").sun_path);
    rmdir(directory);
}

static void setup(void)
{
    struct report r = {0};

    snprintf(directory, sizeof(directory), "/tmp/fuzz-api.XXXXXX");
    MUST(mkdtemp(directory), "no directory");
    atexit(remove_directory);
    json_object_seed(1);
    MUST(!server_open(address_of("xend").sun_path, api_handle, &r), "%s", r.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};

    if (!directory[0])
        setup();
    if (input_u8(&in) & 1)
        fuzz_client(&in);
    else
        fuzz_server(&in);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* Tests of the store's client against a server of our own: answers in pieces, errors, requests that wait, connections that end. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <xen/io/xs_wire.h>
#include "lib/store/client.h"

static char path[64];
static int listener;
static pthread_t server;
static unsigned trips; /* times that the server had to wait for something to read */
static struct store_client *c;

/* ---- The server: a read is answered with its path, a write to /no refused, a removal ends the connection ---- */

static void answer(int fd, uint32_t type, const char *bytes, uint32_t len)
{
    char message[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX + 64];
    struct xsd_sockmsg head = {.type = type, .len = len};
    uint32_t done = 0, size = (uint32_t)sizeof(head) + len;

    memcpy(message, &head, sizeof(head));
    memcpy(message + sizeof(head), bytes, len);
    while (done < size) { /* never whole */
        uint32_t n = size - done < 7 ? size - done : 7;

        assert_int_equal(send(fd, message + done, n, MSG_NOSIGNAL), n);
        done += n;
    }
}

/* False: the connection is to end. */
static bool serve(int fd, const struct xsd_sockmsg *head, const char *payload)
{
    static char large[XENSTORE_PAYLOAD_MAX + 1];

    switch (head->type) {
    case XS_WRITE:
        if (!strcmp(payload, "/no"))
            answer(fd, XS_ERROR, "EACCES", 7);
        else if (!strcmp(payload, "/strange"))
            answer(fd, XS_ERROR, "ESTRANGE", 9);
        else
            answer(fd, XS_WRITE, "OK", 3);
        return true;
    case XS_READ:
        answer(fd, XS_READ, payload, head->len - 1);
        return true;
    case XS_DIRECTORY: /* as much as there can be */
        memset(large, 'x', sizeof(large));
        answer(fd, XS_DIRECTORY, large, XENSTORE_PAYLOAD_MAX);
        return true;
    default:
        return false;
    }
}

static void *serve_one(void *unused)
{
    static char in[65536];
    size_t len = 0;
    int fd = accept(listener, NULL, NULL);
    bool go_on = true;

    while (go_on) {
        struct xsd_sockmsg head;
        ssize_t n = recv(fd, in + len, sizeof(in) - len, 0);

        if (n <= 0)
            break;
        trips++;
        len += (size_t)n;
        while (go_on && len >= sizeof(head)) {
            memcpy(&head, in, sizeof(head));
            if (len < sizeof(head) + head.len)
                break;
            go_on = serve(fd, &head, in + sizeof(head));
            len -= sizeof(head) + head.len;
            memmove(in, in + sizeof(head) + head.len, len);
        }
    }
    close(fd);
    return unused;
}

static int begin(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(path, sizeof(path), "/tmp/test-store.%d", getpid());
    setenv("XENSTORED_PATH", path, 1);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    trips = 0;
    assert_int_equal(pthread_create(&server, NULL, serve_one, NULL), 0);
    c = store_client_open();
    assert_non_null(c);
    return 0;
}

static int end(void **state)
{
    store_client_close(c);
    pthread_join(server, NULL);
    close(listener);
    unlink(path);
    return 0;
}

/* ---- The client ---- */

static char *read_node(const char *node)
{
    return store_client_call(c, XS_READ, 0, &(struct store_piece){node, (unsigned)strlen(node) + 1}, 1, NULL);
}

static int write_node(const char *node)
{
    return store_client_queue(c, XS_WRITE, 1, (struct store_piece[]){{node, (unsigned)strlen(node) + 1}, {"value", 5}},
                              2);
}

static void test_answers_in_pieces(void **state)
{
    for (unsigned i = 0; i < 300; i++) {
        char node[32], *value;

        snprintf(node, sizeof(node), "/a/node/%u", i);
        value = read_node(node);
        assert_string_equal(value, node);
        free(value);
    }
}

static void test_what_waits_goes_in_one_trip(void **state)
{
    char *value;

    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(write_node("/some/node"), 0);
    assert_int_equal(trips, 0);
    assert_int_equal(store_client_settle(c), 0);
    assert_int_equal(trips, 1);
    value = read_node("/x");
    assert_string_equal(value, "/x");
    free(value);
    assert_int_equal(trips, 2);
}

static void test_more_than_may_wait(void **state)
{
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(write_node("/some/node/with/a/long/name"), 0);
    assert_int_equal(store_client_settle(c), 0);
}

static void test_first_error_is_told(void **state)
{
    char *value;

    assert_int_equal(write_node("/yes"), 0);
    assert_int_equal(write_node("/no"), 0);
    assert_int_equal(write_node("/strange"), 0);
    assert_null(read_node("/x"));
    assert_int_equal(errno, EACCES);
    assert_int_equal(write_node("/strange"), 0);
    assert_int_equal(store_client_settle(c), -1);
    assert_int_equal(errno, EIO);
    value = read_node("/x"); /* told once */
    assert_string_equal(value, "/x");
    free(value);
}

static void test_largest_messages(void **state)
{
    static char bytes[XENSTORE_PAYLOAD_MAX + 1];
    unsigned len;
    char *answer = store_client_call(c, XS_DIRECTORY, 0, &(struct store_piece){bytes, XENSTORE_PAYLOAD_MAX}, 1, &len);

    assert_non_null(answer);
    assert_int_equal(len, XENSTORE_PAYLOAD_MAX);
    assert_int_equal(answer[len], 0);
    free(answer);
    assert_null(store_client_call(c, XS_READ, 0, &(struct store_piece){bytes, sizeof(bytes)}, 1, NULL));
    assert_int_equal(errno, E2BIG);
    answer = read_node("/still/there");
    assert_string_equal(answer, "/still/there");
    free(answer);
}

static void test_connection_ends(void **state)
{
    assert_int_equal(write_node("/yes"), 0);
    assert_null(store_client_call(c, XS_RM, 0, &(struct store_piece){"/", 2}, 1, NULL));
    assert_int_equal(errno, EPIPE);
    assert_null(read_node("/x"));
    assert_int_equal(errno, EPIPE);
    assert_int_equal(store_client_settle(c), -1);
}

static void test_nobody_there(void **state)
{
    setenv("XENSTORED_PATH", "/nowhere/socket", 1);
    assert_null(store_client_open());
    assert_int_equal(errno, ENOTCONN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers_in_pieces, begin, end),
        cmocka_unit_test_setup_teardown(test_what_waits_goes_in_one_trip, begin, end),
        cmocka_unit_test_setup_teardown(test_more_than_may_wait, begin, end),
        cmocka_unit_test_setup_teardown(test_first_error_is_told, begin, end),
        cmocka_unit_test_setup_teardown(test_largest_messages, begin, end),
        cmocka_unit_test_setup_teardown(test_connection_ends, begin, end),
        cmocka_unit_test(test_nobody_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

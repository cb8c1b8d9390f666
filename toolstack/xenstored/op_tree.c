/* SPDX-License-Identifier: MIT */
/* Requests that read and change the tree. Inside a transaction they work on its view and are logged there. */
#include "xenstored/persist.h"
#include "xenstored/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct view *view_of(const struct request *request)
{
    return request->tx && !request->tx->doomed ? &request->tx->view : &store;
}

/* Applies and takes over the change: to the transaction, or to the store and then to journal and watches. */
static int apply(struct request *request, struct change *change)
{
    int error;

    if (request->tx)
        return transaction_apply(request->tx, change);
    error = view_apply(&store, change);
    if (error)
        change_free(change);
    else
        STAILQ_INSERT_TAIL(&request->done, change, link);
    return error;
}

/* A change of a path without a value. */
static int apply_path(struct request *request, enum change_kind kind, const struct path *path)
{
    return apply(request, change_new(kind, &request->conn->who, path->text, path->len, NULL, 0));
}

/* The node whose path is the first string of the payload, for reading; a transaction remembers that it was read. */
static int read_node(struct request *request, enum change_kind kind, const char *given, struct node **node)
{
    struct path path;
    int error = path_parse(&path, request->conn->who.domid, given), logged;

    if (error)
        return error;
    error = view_get(view_of(request), &request->conn->who, path.text, ACCESS_READ, node);
    if (request->tx && !request->tx->doomed && error != -EACCES) {
        logged = apply_path(request, kind, &path);
        if (logged)
            return logged;
    }
    return error;
}

int op_read(struct request *request)
{
    const char *path;
    struct node *node;
    int error = request_strings(request, 1, &path);

    if (!error)
        error = read_node(request, CHANGE_READ, path, &node);
    if (error)
        return error;
    return reply_add(node_value(node), node->value_len);
}

int op_directory(struct request *request)
{
    const char *path;
    struct node *node;
    int error = request_strings(request, 1, &path);

    if (!error)
        error = read_node(request, CHANGE_LIST, path, &node);
    for (uint32_t i = 0; !error && i < node->children; i++)
        error = reply_add(node->child[i]->text, node->child[i]->name_len + 1);
    return error;
}

/* The list from offset on, as many whole names as fit; an empty name ends the last part. */
static int list_part(const struct node *node, uint64_t offset)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < node->children; i++) {
        const struct node *child = node->child[i];
        uint32_t len = child->name_len + 1;
        uint32_t skip = at + len <= offset ? len : at < offset ? (uint32_t)(offset - at) : 0;

        at += len;
        if (skip == len)
            continue;
        if (len - skip >= reply_room())
            return 0;
        reply_add(child->text + skip, len - skip);
    }
    return reply_add("", 1);
}

int op_directory_part(struct request *request)
{
    const char *string[2];
    struct node *node;
    char stamp[24];
    uint64_t offset;
    int error = request_strings(request, 2, string);

    if (!error && !parse_number(string[1], UINT32_MAX, &offset))
        error = -EINVAL;
    if (!error)
        error = read_node(request, CHANGE_LIST, string[0], &node);
    if (error)
        return error;
    snprintf(stamp, sizeof(stamp), "%llu", (unsigned long long)node->list_stamp);
    reply_string(stamp);
    return list_part(node, offset);
}

int op_get_perms(struct request *request)
{
    const char *path;
    const struct perms *perms;
    struct node *node;
    char word[PERM_WORD];
    int error = request_strings(request, 1, &path), special;

    if (error)
        return error;
    special = watch_special(path);
    if (special >= 0 && request->conn->who.domid)
        return -EACCES;
    if (special < 0)
        error = read_node(request, CHANGE_READ, path, &node);
    if (error)
        return error;
    perms = special >= 0 ? special_perms((enum special)special) : node->perms;
    for (uint32_t i = 0; !error && i < perms->count; i++)
        if (perm_stands(perms, i) && perm_print(perms, i, word))
            error = reply_string(word);
    return error;
}

int op_write(struct request *request)
{
    const char *end = memchr(request->payload, 0, request->head.len);
    struct path path;
    uint32_t value_len;
    int error;

    if (!end)
        return -EINVAL;
    error = path_parse(&path, request->conn->who.domid, request->payload);
    if (error)
        return error;
    value_len = request->head.len - (uint32_t)(end + 1 - request->payload);
    return apply(request, change_new(CHANGE_WRITE, &request->conn->who, path.text, path.len, end + 1, value_len));
}

static int change_path(struct request *request, enum change_kind kind)
{
    const char *given;
    struct path path;
    int error = request_strings(request, 1, &given);

    if (!error)
        error = path_parse(&path, request->conn->who.domid, given);
    return error ? error : apply_path(request, kind, &path);
}

int op_mkdir(struct request *request)
{
    return change_path(request, CHANGE_MKDIR);
}

int op_rm(struct request *request)
{
    return change_path(request, CHANGE_RM);
}

/* The permissions of SET_PERMS: the strings from word to end. */
static int parse_perms(const struct request *request, const char *word, struct perms **perms)
{
    const char *end = request->payload + request->head.len, *at;
    uint32_t count = 0;
    int error = 0;

    for (at = word; at < end; at += strlen(at) + 1)
        count++;
    if (!count)
        return -EINVAL;
    if (request->conn->who.domid && quota_over(QUOTA_NODE_PERMS, count))
        return -ENOSPC;
    *perms = perms_new(count);
    for (uint32_t i = 0; !error && i < count; i++, word += strlen(word) + 1)
        error = perm_parse(word, &(*perms)->entry[i]);
    if (error)
        perms_unref(*perms);
    return error;
}

static int set_special(const struct request *request, enum special which, struct perms *perms)
{
    int error = request->conn->who.domid ? -EACCES : 0;

    if (!error) {
        special_set_perms(which, perms);
        persist_special(which);
    }
    perms_unref(perms);
    return error;
}

int op_set_perms(struct request *request)
{
    const char *given, *words;
    struct perms *perms;
    struct change *change;
    struct path path;
    int error = request_more_strings(request, 1, &given, &words);
    int special = error ? -1 : watch_special(given);

    if (!error && special < 0)
        error = path_parse(&path, request->conn->who.domid, given);
    if (!error)
        error = parse_perms(request, words, &perms);
    if (error)
        return error;
    if (special >= 0)
        return set_special(request, (enum special)special, perms);
    change = change_new(CHANGE_PERMS, &request->conn->who, path.text, path.len, NULL, 0);
    change->perms = perms;
    return apply(request, change);
}

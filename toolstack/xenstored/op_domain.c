/* SPDX-License-Identifier: MIT */
/* Requests about domains, and CONTROL. */
#include "xenstored/domain.h"
#include "xenstored/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The one string of the payload as a domain id. */
static int parse_one_domid(const struct request *request, unsigned *domid)
{
    const char *word;
    int error = request_strings(request, 1, &word);

    return error ? error : parse_domid(word, domid) ? 0 : -EINVAL;
}

static void tell_after_reply(struct request *request, enum special which, unsigned domid)
{
    request->special = true;
    request->which = which;
    request->domid = domid;
}

int op_introduce(struct request *request)
{
    const char *string[3], *rest;
    uint64_t gfn, port;
    unsigned domid;
    bool fresh;
    int error = request_more_strings(request, 3, string, &rest);

    if (error)
        return error;
    if (!parse_domid(string[0], &domid) || !domid || !parse_number(string[1], INT64_MAX, &gfn) ||
        !parse_number(string[2], UINT32_MAX, &port))
        return -EINVAL;
    error = domain_introduce(domid, gfn, (uint32_t)port, &fresh);
    if (!error && fresh)
        tell_after_reply(request, SPECIAL_INTRODUCE, domid);
    return error;
}

int op_release(struct request *request)
{
    unsigned domid;
    int error = parse_one_domid(request, &domid);

    if (!error)
        error = domid ? domain_release(domid) : -EINVAL;
    if (!error)
        tell_after_reply(request, SPECIAL_RELEASE, domid);
    return error;
}

int op_get_domain_path(struct request *request)
{
    unsigned domid;
    char path[32];
    int error = parse_one_domid(request, &domid);

    if (error)
        return error;
    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    return reply_string(path);
}

int op_is_domain_introduced(struct request *request)
{
    unsigned domid;
    int error = parse_one_domid(request, &domid);
    const struct domain *domain = error ? NULL : domain_find(domid);

    if (error)
        return error;
    return reply_string(domid == 0 || (domain && domain->introduced) ? "T" : "F");
}

int op_resume(struct request *request)
{
    unsigned domid;
    int error = parse_one_domid(request, &domid);

    return error ? error : domain_resume(domid);
}

int op_set_target(struct request *request)
{
    const char *string[2];
    unsigned domid, target;
    int error = request_strings(request, 2, string);

    if (error)
        return error;
    if (!parse_domid(string[0], &domid) || !parse_domid(string[1], &target) || !domid || !target)
        return -EINVAL;
    return domain_set_target(domid, target);
}

static int control_print(const char *text)
{
    say("%s", text);
    return 0;
}

struct census {
    int64_t nodes[DOMAINS_MAX];
};

static void count_node(const struct node *node, const char *path, void *context)
{
    ((struct census *)context)->nodes[perms_owner(node->perms)]++;
}

/* Counts the nodes of every domain again and compares. */
static int control_check(const char *text)
{
    static struct census census;
    struct buffer path = {0};
    int error = 0;

    memset(&census, 0, sizeof(census));
    buffer_add(&path, "/", 1);
    tree_walk(store.root, &path, count_node, &census);
    buffer_clear(&path, 0);
    for (unsigned domid = 0; domid < DOMAINS_MAX; domid++) {
        if (census.nodes[domid] == account_nodes(NULL, domid))
            continue;
        say("check: domain %u owns %lld nodes, its account says %lld", domid, (long long)census.nodes[domid],
            (long long)account_nodes(NULL, domid));
        error = -EIO;
    }
    return error;
}

/* "quota" lists; "quota", name, number sets. */
static int control_quota(const char *text)
{
    char line[160];
    int error = 0;

    if (*text)
        return quota_set(text, text + strlen(text) + 1) ? 0 : -EINVAL;
    for (unsigned i = 0; !error && i < QUOTA_COUNT; i++) {
        int len = snprintf(line, sizeof(line), "%-18s %10u  %s\n", quotas[i].name, quotas[i].limit, quotas[i].meaning);

        error = reply_add(line, (uint32_t)len);
    }
    return error ? error : reply_add("", 1);
}

static int control_help(const char *text)
{
    return reply_string("check\nhelp\nprint <text>\nquota [<name> <number>]\n");
}

static const struct {
    const char *name;
    int (*handler)(const char *text); /* the strings behind the name; two zeroes end them */
} controls[] = {{"check", control_check}, {"help", control_help}, {"print", control_print}, {"quota", control_quota}};

int op_control(struct request *request)
{
    char text[XENSTORE_PAYLOAD_MAX + 2] = {0};
    const char *name, *rest;
    int error = request_more_strings(request, 1, &name, &rest);

    if (error)
        return error;
    memcpy(text, rest, request->head.len - (uint32_t)(rest - request->payload));
    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
        if (!strcmp(name, controls[i].name))
            return controls[i].handler(text);
    return -EINVAL;
}

/* SPDX-License-Identifier: MIT */
/* xend-config.sxp: one table of settings, each with what is done with its value. */
#include "xend/config.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "lib/config/sxp.h"
#include "xend/files.h"
#include "xend/log.h"

#define CONFIG_BYTES_MAX (1u << 20)

static bool set_text(char **field, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return false;
    free(*field);
    *field = copy;
    return true;
}

static bool set_number(unsigned *field, const char *value, unsigned max)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);

    if (end == value || *end || *value == '-' || number > max)
        return false;
    *field = (unsigned)number;
    return true;
}

static bool set_network_script(struct xend_config *c, const char *value)
{
    return set_text(&c->network_script, value);
}

static bool set_vif_script(struct xend_config *c, const char *value)
{
    return *value && set_text(&c->vif_script, value);
}

static bool set_dom0_cpus(struct xend_config *c, const char *value)
{
    return set_number(&c->dom0_cpus, value, 4096);
}

static bool set_console_limit(struct xend_config *c, const char *value)
{
    return set_number(&c->console_limit_kib, value, 1u << 20);
}

/* A name that ends in '-' stands for all that begin so. */
static const struct setting {
    const char *name;
    bool (*set)(struct xend_config *c, const char *value);
    const char *note; /* without a function: why it does nothing */
} settings[] = {
    {"network-script", set_network_script, NULL},
    {"vif-script", set_vif_script, NULL},
    {"dom0-cpus", set_dom0_cpus, NULL},
    {"console-limit", set_console_limit, NULL},
    {"dom0-min-mem", NULL, "Domain 0's memory is not changed for guests; set it with the hypervisor's option dom0_mem"},
    {"enable-dump", NULL, "dumps of crashed guests are not offered"},
    {"enable-dom0-ballooning", NULL, "Domain 0's memory is not changed for guests"},
    {"logfile", NULL, "the log is /var/log/xen/xend.log; xend --log names another"},
    {"loglevel", NULL, "the log has all levels; xend --debug adds more"},
    {"resource-label", NULL, "security labels are not offered"},
    {"device-model", NULL, "guests with a device model are not offered"},
    {"vnc-", NULL, "graphical consoles are not offered"},
    {"vncpasswd", NULL, "graphical consoles are not offered"},
    {"keymap", NULL, "graphical consoles are not offered"},
    {"external-migration-tool", NULL, "migration is not offered"},
    {"xend-domains-path", NULL, "guests are kept in files of their own below /etc/xen"},
    {"xend-", NULL, "not offered: xend serves a local socket for root alone"},
};

static const struct setting *setting_of(const char *name)
{
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const char *known = settings[i].name;
        size_t length = strlen(known);
        bool family = known[length - 1] == '-';

        if (family ? !strncmp(name, known, length) : !strcmp(name, known))
            return &settings[i];
    }
    return NULL;
}

static void apply(const char *path, const struct sxp *item, struct xend_config *c)
{
    const char *name = item->text ? item->text : item->count ? item->items[0]->text : NULL;
    const struct sxp *value = !item->text && item->count == 2 ? item->items[1] : NULL;
    const struct setting *s = name ? setting_of(name) : NULL;

    if (!name || item->text)
        log_warn("%s:%u: '%s' is not a setting of the form (name value)", path, item->line, name ? name : "(...)");
    else if (!s)
        log_warn("%s:%u: unknown setting '%s'", path, item->line, name);
    else if (!s->set)
        log_info("%s:%u: '%s' is not used: %s", path, item->line, name, s->note);
    else if (!value || !value->text || !s->set(c, value->text))
        log_warn("%s:%u: '%s' has a wrong value; it is not used", path, item->line, name);
}

int xend_config_load(const char *path, struct xend_config *out, struct report *r)
{
    size_t size;
    struct sxp *all;
    char *text;

    memset(out, 0, sizeof(*out));
    out->console_limit_kib = 1024;
    if (!set_text(&out->vif_script, "vif-bridge"))
        return report_set(r, REPORT_FAILED, "no memory");
    text = files_read(path, CONFIG_BYTES_MAX, &size);
    if (!text && errno == ENOENT)
        return 0;
    if (!text)
        return report_set(r, REPORT_CONFIG, "%s cannot be read: %s", path, strerror(errno));
    all = sxp_parse(path, text, size, r);
    free(text);
    if (!all)
        return -1;
    for (size_t i = 0; i < all->count; i++)
        apply(path, all->items[i], out);
    sxp_free(all);
    return 0;
}

void xend_config_free(struct xend_config *c)
{
    free(c->network_script);
    free(c->vif_script);
}

/* SPDX-License-Identifier: MIT */
/* Vif entries: key=value pairs; an empty entry is an interface with the defaults. */
#include "lib/config/device.h"
#include "lib/config/text.h"
#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_USED ((size_t)-1)
#define IS_MAC   ((size_t)-2)

static const struct {
    const char *name;
    size_t offset; /* of the text in struct guest_vif */
} vif_keys[] = {
    {"mac", IS_MAC},
    {"bridge", offsetof(struct guest_vif, bridge)},
    {"script", offsetof(struct guest_vif, script)},
    {"ip", offsetof(struct guest_vif, ip)},
    {"vifname", offsetof(struct guest_vif, vifname)},
    {"model", offsetof(struct guest_vif, model)},
    {"type", offsetof(struct guest_vif, type)},
    {"backend", offsetof(struct guest_vif, backend)},
    {"rate", NOT_USED},
    {"accel", NOT_USED},
    {"policy", NOT_USED},
    {"label", NOT_USED},
    {"trusted", NOT_USED},
    {"gatewaydev", NOT_USED},
    {"netdev", NOT_USED},
    {"devid", NOT_USED},
};
#define VIF_KEYS (sizeof(vif_keys) / sizeof(vif_keys[0]))

static const char *vif_key_at(size_t i)
{
    return vif_keys[i].name;
}

int mac_parse(const char *text, uint8_t mac[6])
{
    for (int i = 0; i < 6; i++) {
        char byte[3] = {0};

        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]))
            return -1;
        memcpy(byte, text, 2);
        mac[i] = (uint8_t)strtoul(byte, NULL, 16);
        text += 2;
        if (*text != (i < 5 ? ':' : 0))
            return -1;
        text += i < 5;
    }
    return 0;
}

static int set_key(struct guest_vif *out, size_t i, const char *value, const char **ignored, char why[WHY_MAX])
{
    char **field;

    if (vif_keys[i].offset == NOT_USED) {
        *ignored = vif_keys[i].name;
        return 0;
    }
    if (vif_keys[i].offset == IS_MAC) {
        if (out->has_mac)
            return why_set(why, "mac is given twice");
        if (mac_parse(value, out->mac))
            return why_set(why, "mac must be six pairs of hexadecimal digits, such as 00:16:3e:00:00:01, not '%s'",
                           value);
        out->has_mac = true;
        return 0;
    }
    field = (char **)((char *)out + vif_keys[i].offset);
    if (*field)
        return why_set(why, "%s is given twice", vif_keys[i].name);
    if (!*value)
        return 0; /* "bridge=" asks for the default */
    *field = strdup(value);
    return *field ? 0 : why_set(why, "out of memory");
}

static int parse_pair(char *pair, struct guest_vif *out, const char **ignored, char why[WHY_MAX])
{
    char *value = pair;
    const char *key = text_trim(strsep(&value, "="));
    const char *meant;

    if (!value)
        return why_set(why, "'%s' is not of the form key=value", key);
    for (size_t i = 0; i < VIF_KEYS; i++)
        if (!strcmp(key, vif_keys[i].name))
            return set_key(out, i, text_trim(value), ignored, why);
    meant = text_guess(key, vif_key_at, VIF_KEYS);
    if (meant)
        return why_set(why, "unknown key '%s': did you mean '%s'?", key, meant);
    return why_set(why, "unknown key '%s'", key);
}

int vif_parse(const char *text, struct guest_vif *out, const char **ignored, char why[WHY_MAX])
{
    char *copy = strdup(text), *next = copy, *pair;
    int rc = 0;

    *out = (struct guest_vif){0};
    *ignored = NULL;
    if (!copy)
        return why_set(why, "out of memory");
    while (!rc && (pair = strsep(&next, ","))) {
        pair = text_trim(pair);
        if (*pair)
            rc = parse_pair(pair, out, ignored, why);
    }
    free(copy);
    if (rc)
        vif_free(out);
    return rc;
}

void vif_free(struct guest_vif *v)
{
    free(v->bridge);
    free(v->script);
    free(v->ip);
    free(v->vifname);
    free(v->model);
    free(v->type);
    free(v->backend);
    *v = (struct guest_vif){0};
}

/* SPDX-License-Identifier: MIT */
/* Values of the configuration language: what they own, and their sum. */
#include "lib/config/lang.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void value_free(struct value *v)
{
    for (size_t i = 0; i < v->count; i++)
        value_free(&v->items[i]);
    free(v->items);
    free(v->text);
    *v = (struct value){.type = VALUE_NONE};
}

const char *value_type_name(enum value_type type)
{
    static const char *const names[] = {
        [VALUE_NONE] = "None",       [VALUE_BOOL] = "a truth value", [VALUE_NUMBER] = "a number",
        [VALUE_STRING] = "a string", [VALUE_LIST] = "a list",
    };

    return names[type];
}

static int add_strings(struct value *a, const struct value *b)
{
    size_t left = strlen(a->text), right = strlen(b->text);
    char *text;

    if (left + right >= LANG_TEXT_MAX)
        return -2;
    text = realloc(a->text, left + right + 1);
    if (!text)
        return -2;
    memcpy(text + left, b->text, right + 1);
    a->text = text;
    return 0;
}

static int add_lists(struct value *a, struct value *b)
{
    struct value *items;

    if (!b->count)
        return 0;
    if (a->count + b->count > LANG_VALUES_MAX)
        return -2;
    items = realloc(a->items, (a->count + b->count) * sizeof(*items));
    if (!items)
        return -2;
    memcpy(items + a->count, b->items, b->count * sizeof(*items));
    a->items = items;
    a->count += b->count;
    b->count = 0; /* the items moved */
    return 0;
}

static int add_numbers(struct value *a, const struct value *b)
{
    char *text;

    if (__builtin_add_overflow(a->number, b->number, &a->number) || asprintf(&text, "%lld", (long long)a->number) < 0)
        return -2;
    free(a->text);
    a->text = text;
    return 0;
}

int value_add(struct value *a, struct value *b)
{
    int rc = -1;

    if (a->type == b->type && a->type == VALUE_STRING)
        rc = add_strings(a, b);
    else if (a->type == b->type && a->type == VALUE_LIST)
        rc = add_lists(a, b);
    else if (a->type == b->type && a->type == VALUE_NUMBER)
        rc = add_numbers(a, b);
    value_free(b);
    return rc;
}

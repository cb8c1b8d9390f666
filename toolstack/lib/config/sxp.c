/* SPDX-License-Identifier: MIT */
/* S-expressions: see sxp.h. Atoms are words, or texts in single or double quotes, where a backslash keeps the next character. */
#include "lib/config/sxp.h"
#include <stdlib.h>
#include <string.h>

#define SXP_TEXT_MAX  (1u << 20)
#define SXP_DEPTH_MAX 32

struct reader {
    const char *name, *text;
    size_t size, pos;
    unsigned line, column, depth;
    struct report *report;
};

static struct sxp *fault(struct reader *r, const char *what)
{
    report_set(r->report, REPORT_CONFIG, "%s:%u:%u: %s", r->name, r->line, r->column, what);
    return NULL;
}

static bool at_end(const struct reader *r)
{
    return r->pos >= r->size;
}

static char peek(const struct reader *r)
{
    return at_end(r) ? 0 : r->text[r->pos];
}

static void skip(struct reader *r)
{
    if (r->text[r->pos++] == '\n') {
        r->line++;
        r->column = 1;
    } else {
        r->column++;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void skip_blanks(struct reader *r)
{
    while (!at_end(r)) {
        if (peek(r) == '#') {
            while (!at_end(r) && peek(r) != '\n')
                skip(r);
        } else if (is_blank(peek(r))) {
            skip(r);
        } else {
            return;
        }
    }
}

static struct sxp *new_node(struct reader *r)
{
    struct sxp *s = calloc(1, sizeof(*s));

    if (!s)
        return fault(r, "out of memory");
    s->line = r->line;
    s->column = r->column;
    return s;
}

/* The bytes of an atom in quotes; the closing quote is taken. False: not closed */
static bool read_quoted(struct reader *r, FILE *out)
{
    char quote = peek(r);

    for (skip(r); !at_end(r) && peek(r) != quote; skip(r)) {
        if (peek(r) == '\\')
            skip(r);
        if (at_end(r) || !peek(r))
            return false;
        putc_unlocked(peek(r), out);
    }
    if (at_end(r))
        return false;
    skip(r);
    return true;
}

static bool read_word(struct reader *r, FILE *out)
{
    while (!at_end(r) && !is_blank(peek(r)) && !strchr("()'\"", peek(r))) {
        putc_unlocked(peek(r), out);
        skip(r);
    }
    return at_end(r) || peek(r); /* a NUL byte is no part of a word */
}

static struct sxp *read_atom(struct reader *r)
{
    struct sxp *s = new_node(r);
    struct reader begin = *r;
    size_t size;
    FILE *out = s ? open_memstream(&s->text, &size) : NULL;
    bool quoted = peek(r) == '\'' || peek(r) == '"', good;

    if (!s)
        return NULL;
    good = out && (quoted ? read_quoted(r, out) : read_word(r, out));
    if (!out || fclose(out)) {
        fault(&begin, "out of memory");
        good = false;
    } else if (!good) {
        fault(quoted ? &begin : r, quoted ? "this text is not closed" : "this byte is not text");
    }
    if (good)
        return s;
    sxp_free(s);
    return NULL;
}

static int append(struct reader *r, struct sxp *list, struct sxp *item)
{
    struct sxp **items;

    if (!item)
        return -1;
    if (!(list->count & (list->count - 1))) { /* room doubles */
        items = realloc(list->items, (list->count ? list->count * 2 : 1) * sizeof(struct sxp *));
        if (!items) {
            sxp_free(item);
            fault(r, "out of memory");
            return -1;
        }
        list->items = items;
    }
    list->items[list->count++] = item;
    return 0;
}

static struct sxp *read_list(struct reader *r);

/* Items up to a closing bracket or the end. 0; -1 */
static int read_items(struct reader *r, struct sxp *list)
{
    for (skip_blanks(r); !at_end(r) && peek(r) != ')'; skip_blanks(r))
        if (append(r, list, peek(r) == '(' ? read_list(r) : read_atom(r)))
            return -1;
    return 0;
}

static struct sxp *read_list(struct reader *r)
{
    struct reader begin = *r;
    struct sxp *s;

    if (r->depth == SXP_DEPTH_MAX)
        return fault(r, "too many lists within lists");
    s = new_node(r);
    if (!s)
        return NULL;
    r->depth++;
    skip(r);
    if (read_items(r, s)) {
        sxp_free(s);
        return NULL;
    }
    r->depth--;
    if (at_end(r)) {
        sxp_free(s);
        return fault(&begin, "this list is not closed: a ')' is missing");
    }
    skip(r);
    return s;
}

struct sxp *sxp_parse(const char *name, const char *text, size_t size, struct report *report)
{
    struct reader r = {.name = name, .text = text, .size = size, .line = 1, .column = 1, .report = report};
    struct sxp *s;

    if (size > SXP_TEXT_MAX) {
        report_set(report, REPORT_CONFIG, "%s: larger than %u KiB", name, SXP_TEXT_MAX >> 10);
        return NULL;
    }
    s = new_node(&r);
    if (!s)
        return NULL;
    if (!read_items(&r, s) && at_end(&r))
        return s;
    if (!at_end(&r) && peek(&r) == ')' && !r.depth)
        fault(&r, "a ')' too many");
    sxp_free(s);
    return NULL;
}

void sxp_free(struct sxp *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        sxp_free(s->items[i]);
    free(s->items);
    free(s->text);
    free(s);
}

const struct sxp *sxp_child(const struct sxp *s, const char *key)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct sxp *item = s->items[i];

        if (item->count >= 2 && item->items[0]->text && !strcmp(item->items[0]->text, key))
            return item->items[1];
    }
    return NULL;
}

const char *sxp_value(const struct sxp *s, const char *key, const char *otherwise)
{
    const struct sxp *child = sxp_child(s, key);

    return child && child->text ? child->text : otherwise;
}

void sxp_print_atom(FILE *out, const char *text)
{
    if (*text && !strpbrk(text, " \t\r\n\f()'\"#\\")) {
        fputs(text, out);
        return;
    }
    putc('\'', out);
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putc('\\', out);
        putc(*text, out);
    }
    putc('\'', out);
}

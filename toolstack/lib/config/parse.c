/* SPDX-License-Identifier: MIT */
/*
 * The grammar of the configuration language:
 *
 *   program:    { [assignment] (newline | ';') }
 *   assignment: NAME ('=' | '+=') sum
 *   sum:        primary { '+' primary }
 *   primary:    STRING { STRING } | ['-'] NUMBER | True | False | None | '[' [ sum { ',' sum } [','] ] ']'
 *
 * After a fault the scanner goes to the next line that may begin an assignment, so that all faults of a text are found.
 */
#include "lib/config/lex.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct scanner scanner;
    struct lang_program *program;
    unsigned depth, values_count;
};

void lang_fault(struct lang_sink *s, struct place at, const char *fmt, ...)
{
    char sentence[768], text[1024];
    va_list ap;

    if (s->faults_count++ >= LANG_FAULTS_MAX) {
        if (s->faults_count == LANG_FAULTS_MAX + 1)
            s->fault("there are more faults; they are not listed", s->arg);
        return;
    }
    va_start(ap, fmt);
    vsnprintf(sentence, sizeof(sentence), fmt, ap);
    va_end(ap);
    if (at.line)
        snprintf(text, sizeof(text), "%s:%u:%u: %s", at.name, at.line, at.column, sentence);
    else
        snprintf(text, sizeof(text), "%s: %s", at.name, sentence);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?'; /* nothing that a terminal obeys */
    s->fault(text, s->arg);
}

void lang_free(struct lang_program *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].name);
        value_free(&p->items[i].value);
    }
    free(p->items);
    *p = (struct lang_program){0};
}

static bool parse_sum(struct parser *p, struct value *v);

#define AT(p, kind) ((p)->scanner.token.type == (kind))

/* How the current token is called in a message */
static const char *token_name(const struct parser *p, char *buffer, size_t size)
{
    const struct token *t = &p->scanner.token;
    static const char *const signs[] = {
        [TOKEN_END] = "the end of the text",
        [TOKEN_NEWLINE] = "the end of the line",
        [TOKEN_STRING] = "a string",
        [TOKEN_ASSIGN] = "'='",
        [TOKEN_ADD_ASSIGN] = "'+='",
        [TOKEN_PLUS] = "'+'",
        [TOKEN_MINUS] = "'-'",
        [TOKEN_OPEN] = "'['",
        [TOKEN_CLOSE] = "']'",
        [TOKEN_COMMA] = "','",
    };

    if (t->type != TOKEN_NAME && t->type != TOKEN_NUMBER && t->type != TOKEN_OTHER)
        return signs[t->type];
    snprintf(buffer, size, "'%.60s'", t->text);
    return buffer;
}

/* A fault at the current token, unless the scanner has told of it already. False, for `return`. */
static bool unexpected(struct parser *p, const char *wanted)
{
    char name[80];

    if (!AT(p, TOKEN_BAD))
        lang_fault(p->scanner.sink, p->scanner.token.at, "%s, not %s", wanted, token_name(p, name, sizeof(name)));
    return false;
}

static bool out_of_bounds(struct parser *p, const char *what)
{
    lang_fault(p->scanner.sink, p->scanner.token.at, "%s", what);
    return false;
}

/* Takes over the current token's text */
static bool take_text(struct parser *p, struct value *v, enum value_type type)
{
    v->type = type;
    v->text = p->scanner.token.text;
    v->number = p->scanner.token.number;
    p->scanner.token.text = NULL;
    scanner_next(&p->scanner);
    return true;
}

/* Strings side by side are one */
static bool parse_string(struct parser *p, struct value *v)
{
    take_text(p, v, VALUE_STRING);
    while (AT(p, TOKEN_STRING)) {
        struct value next = {0};

        take_text(p, &next, VALUE_STRING);
        if (value_add(v, &next))
            return out_of_bounds(p, "this string is too long");
    }
    return !AT(p, TOKEN_BAD);
}

static bool parse_negative(struct parser *p, struct value *v)
{
    char *text;

    scanner_next(&p->scanner);
    if (!AT(p, TOKEN_NUMBER))
        return unexpected(p, "a number must follow '-'");
    if (asprintf(&text, "-%s", p->scanner.token.text) < 0)
        return out_of_bounds(p, "out of memory");
    v->type = VALUE_NUMBER;
    v->number = -p->scanner.token.number;
    v->text = text;
    scanner_next(&p->scanner);
    return true;
}

static bool parse_word(struct parser *p, struct value *v)
{
    const char *word = p->scanner.token.text;

    if (!strcmp(word, "None")) {
        v->type = VALUE_NONE;
    } else if (!strcmp(word, "True") || !strcmp(word, "False")) {
        v->type = VALUE_BOOL;
        v->truth = word[0] == 'T';
    } else {
        lang_fault(p->scanner.sink, p->scanner.token.at,
                   "'%.60s' is not a value: a text stands in quotes, and names of other values are not understood",
                   word);
        return false;
    }
    scanner_next(&p->scanner);
    return true;
}

static bool append_value(struct parser *p, struct value *list, struct value *v)
{
    struct value *items;

    if (!(list->count & (list->count - 1))) { /* room doubles */
        items = realloc(list->items, (list->count ? list->count * 2 : 1) * sizeof(*items));
        if (!items) {
            value_free(v);
            return out_of_bounds(p, "out of memory");
        }
        list->items = items;
    }
    list->items[list->count++] = *v;
    return true;
}

static bool parse_list_items(struct parser *p, struct value *v)
{
    char wanted[96] = "',' or ']' must follow in the list";

    if (v->at.line)
        snprintf(wanted, sizeof(wanted), "',' or ']' must follow in the list that begins at line %u, column %u",
                 v->at.line, v->at.column);
    while (!AT(p, TOKEN_CLOSE)) {
        struct value item = {0};

        if (AT(p, TOKEN_END))
            return unexpected(p, wanted);
        if (!parse_sum(p, &item)) {
            value_free(&item);
            return false;
        }
        if (!append_value(p, v, &item))
            return false;
        if (AT(p, TOKEN_COMMA))
            scanner_next(&p->scanner);
        else if (!AT(p, TOKEN_CLOSE))
            return unexpected(p, wanted);
    }
    return true;
}

static bool parse_list(struct parser *p, struct value *v)
{
    bool good;

    if (p->depth == LANG_DEPTH_MAX)
        return out_of_bounds(p, "too many lists within lists");
    v->type = VALUE_LIST;
    p->depth++;
    scanner_next(&p->scanner);
    good = parse_list_items(p, v);
    p->depth--;
    if (good)
        scanner_next(&p->scanner); /* ']' */
    return good;
}

static bool parse_primary(struct parser *p, struct value *v)
{
    v->at = p->scanner.token.at;
    if (++p->values_count > LANG_VALUES_MAX)
        return out_of_bounds(p, "too many values");
    switch (p->scanner.token.type) {
    case TOKEN_STRING:
        return parse_string(p, v);
    case TOKEN_NUMBER:
        return take_text(p, v, VALUE_NUMBER);
    case TOKEN_MINUS:
        return parse_negative(p, v);
    case TOKEN_NAME:
        return parse_word(p, v);
    case TOKEN_OPEN:
        return parse_list(p, v);
    default:
        return unexpected(p, "a string, a number or a list must stand here");
    }
}

static bool parse_sum(struct parser *p, struct value *v)
{
    if (!parse_primary(p, v))
        return false;
    while (AT(p, TOKEN_PLUS)) {
        struct value right = {0};
        enum value_type type;
        int rc;

        scanner_next(&p->scanner);
        if (!parse_primary(p, &right)) {
            value_free(&right);
            return false;
        }
        type = right.type;
        rc = value_add(v, &right);
        if (rc) {
            lang_fault(p->scanner.sink, v->at,
                       rc == -1 ? "%s and %s cannot be added" : "the sum of %s and %s is too large",
                       value_type_name(v->type), value_type_name(type));
            return false;
        }
    }
    return true;
}

/* NAME is the current token */
static bool parse_assignment(struct parser *p, struct assignment *a)
{
    a->at = p->scanner.token.at;
    a->name = p->scanner.token.text;
    p->scanner.token.text = NULL;
    scanner_next(&p->scanner);
    if (!AT(p, TOKEN_ASSIGN) && !AT(p, TOKEN_ADD_ASSIGN)) {
        if (!AT(p, TOKEN_BAD))
            lang_fault(p->scanner.sink, a->at,
                       "only assignments (name = value) are understood; '%.60s' begins something else", a->name);
        return false;
    }
    a->add = AT(p, TOKEN_ADD_ASSIGN);
    scanner_next(&p->scanner);
    if (!parse_sum(p, &a->value))
        return false;
    if (!AT(p, TOKEN_NEWLINE) && !AT(p, TOKEN_END))
        return unexpected(
            p, "the assignment must end here (only assignments of strings, numbers and lists are understood)");
    return true;
}

static bool append_assignment(struct parser *p, struct assignment *a)
{
    struct lang_program *program = p->program;
    struct assignment *items;

    if (program->count >= LANG_VALUES_MAX)
        return out_of_bounds(p, "too many assignments");
    if (!(program->count & (program->count - 1))) {
        items = realloc(program->items, (program->count ? program->count * 2 : 1) * sizeof(*items));
        if (!items)
            return out_of_bounds(p, "out of memory");
        program->items = items;
    }
    program->items[program->count++] = *a;
    return true;
}

static bool parse_statement(struct parser *p)
{
    struct assignment a = {0};
    bool good;

    if (!AT(p, TOKEN_NAME))
        return unexpected(p, "an assignment (name = value) must stand here");
    good = parse_assignment(p, &a) && append_assignment(p, &a);
    if (!good) {
        free(a.name);
        value_free(&a.value);
    }
    return good;
}

static void parse_program(struct parser *p)
{
    scanner_next(&p->scanner);
    while (!AT(p, TOKEN_END)) {
        struct place begin = p->scanner.token.at;

        if (AT(p, TOKEN_NEWLINE))
            scanner_next(&p->scanner);
        else if (!parse_statement(p))
            scanner_resync(&p->scanner, begin);
    }
}

/* NUL bytes, and bytes that are not UTF-8, are nobody's text. Moves *at to the first; false: none */
static bool find_foreign_byte(const unsigned char *text, size_t size, struct place *at)
{
    for (size_t i = 0; i < size;) {
        unsigned char c = text[i];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 9;

        if (!c || more > 3 || more > size - i - 1)
            return true;
        for (size_t k = 1; k <= more; k++)
            if ((text[i + k] & 0xc0) != 0x80)
                return true;
        if ((c == 0xe0 && text[i + 1] < 0xa0) || (c == 0xed && text[i + 1] > 0x9f) ||
            (c == 0xf0 && text[i + 1] < 0x90) || (c == 0xf4 && text[i + 1] > 0x8f))
            return true; /* too long a form, a surrogate, beyond Unicode */
        at->column = c == '\n' ? 1 : at->column + 1;
        at->line += c == '\n' && at->line;
        i += more + 1;
    }
    return false;
}

static bool check_text(struct lang_sink *s, struct place at, const char *text, size_t size)
{
    if (size > LANG_TEXT_MAX) {
        at.line = 0;
        lang_fault(s, at, "larger than %u KiB: this is not a guest's configuration", LANG_TEXT_MAX >> 10);
        return false;
    }
    if (find_foreign_byte((const unsigned char *)text, size, &at)) {
        lang_fault(s, at, "not text: this byte is not UTF-8");
        return false;
    }
    return true;
}

static int parse_text(struct lang_sink *s, struct place begin, const char *text, size_t size, struct lang_program *out)
{
    struct parser p = {.program = out};
    unsigned before = s->faults_count;

    if (!check_text(s, begin, text, size))
        return -1;
    scanner_init(&p.scanner, s, begin, text, size);
    parse_program(&p);
    scanner_free(&p.scanner);
    return s->faults_count == before ? 0 : -1;
}

int lang_parse(struct lang_sink *s, const char *name, const char *text, size_t size, struct lang_program *out)
{
    return parse_text(s, (struct place){name, 1, 1}, text, size, out);
}

static void deaf(const char *text, void *arg)
{
}

/* Whether the argument reads as one assignment of the language; it is the only one of *out then */
static bool reads_as_it_is(const char *name, const char *argument, struct lang_program *out)
{
    struct lang_sink silent = {.fault = deaf};

    if (!parse_text(&silent, (struct place){name, 0, 0}, argument, strlen(argument), out) && out->count == 1)
        return true;
    lang_free(out);
    return false;
}

/* The value's own form, or else a string as it stands */
static bool parse_argument(struct lang_sink *s, const char *name, const char *argument, struct assignment *a)
{
    struct place at = {name, 0, 0};
    const char *equals = strchr(argument, '='), *value = equals ? equals + 1 : "";
    size_t length = equals ? (size_t)(equals - argument) : 0;
    struct lang_program one = {0};

    a->add = length && argument[length - 1] == '+';
    length -= a->add;
    if (!length || strspn(argument, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != length) {
        lang_fault(s, at, "not of the form name=value");
        return false;
    }
    if (reads_as_it_is(name, argument, &one)) {
        *a = one.items[0];
        free(one.items);
        return true;
    }
    if (*value == '\'' || *value == '"' || *value == '[') { /* meant as the language's: say what is wrong with it */
        unsigned before = s->faults_count;

        parse_text(s, at, argument, strlen(argument), &one);
        lang_free(&one);
        if (s->faults_count == before)
            lang_fault(s, at, "more than one assignment");
        return false;
    }
    a->at = at;
    a->name = strndup(argument, length);
    a->value = (struct value){.type = VALUE_STRING, .at = at, .text = strdup(value)};
    if (!a->name || !a->value.text)
        lang_fault(s, at, "out of memory");
    return a->name && a->value.text;
}

int lang_parse_argument(struct lang_sink *s, const char *name, const char *argument, struct lang_program *out)
{
    struct parser p = {.program = out, .scanner = {.sink = s}};
    struct assignment a = {0};

    if (check_text(s, (struct place){name, 0, 0}, argument, strlen(argument)) &&
        parse_argument(s, name, argument, &a) && append_assignment(&p, &a))
        return 0;
    free(a.name);
    value_free(&a.value);
    return -1;
}

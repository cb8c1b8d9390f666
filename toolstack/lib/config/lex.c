/* SPDX-License-Identifier: MIT */
/* The scanner of the configuration language: see lex.h. Never reads beyond text[size). */
#include "lib/config/lex.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void scanner_init(struct scanner *s, struct lang_sink *sink, struct place begin, const char *text, size_t size)
{
    *s = (struct scanner){.sink = sink, .text = text, .size = size, .at = begin};
    if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        s->pos = 3; /* the mark that some editors put in front of UTF-8 */
}

void scanner_free(struct scanner *s)
{
    free(s->token.text);
    s->token.text = NULL;
}

/* The byte `ahead` of the position; 0 at the end (a NUL within the text is refused before) */
static unsigned char peek(const struct scanner *s, size_t ahead)
{
    return s->pos + ahead < s->size ? (unsigned char)s->text[s->pos + ahead] : 0;
}

static void skip(struct scanner *s)
{
    unsigned char c = peek(s, 0);

    s->pos++;
    if (c == '\n')
        s->at = (struct place){s->at.name, s->at.line ? s->at.line + 1 : 0, 1};
    else if ((c & 0xc0) != 0x80) /* columns count characters, not bytes */
        s->at.column++;
}

static bool at_end(const struct scanner *s)
{
    return s->pos >= s->size;
}

static bool at_newline(const struct scanner *s)
{
    return peek(s, 0) == '\n' || (peek(s, 0) == '\r' && peek(s, 1) == '\n');
}

/* Blanks, comments, continued lines, and within brackets the ends of lines */
static void skip_blanks(struct scanner *s)
{
    while (!at_end(s)) {
        unsigned char c = peek(s, 0);

        if (c == ' ' || c == '\t' || c == '\f' || (s->depth && c == '\n') || (c == '\r' && peek(s, 1) == '\n')) {
            skip(s);
        } else if (c == '\\' && peek(s, 1) == '\n') {
            skip(s);
            skip(s);
        } else if (c == '\\' && peek(s, 1) == '\r' && peek(s, 2) == '\n') {
            skip(s);
            skip(s);
            skip(s);
        } else if (c == '#') {
            while (!at_end(s) && peek(s, 0) != '\n')
                skip(s);
        } else {
            return;
        }
    }
}

static bool is_name_start(unsigned char c)
{
    return c == '_' || (c < 0x80 && isalpha(c));
}

static bool is_name(unsigned char c)
{
    return is_name_start(c) || (c < 0x80 && isdigit(c));
}

/* Makes the token out of text[from, pos) */
static void take(struct scanner *s, enum token_type type, size_t from)
{
    s->token.type = type;
    s->token.text = strndup(s->text + from, s->pos - from);
    if (!s->token.text) {
        lang_fault(s->sink, s->token.at, "out of memory");
        s->token.type = TOKEN_BAD;
    }
}

static void scan_number(struct scanner *s)
{
    size_t from = s->pos, digits;
    int base = 10;
    char *end;

    while (is_name(peek(s, 0)) || (peek(s, 0) == '.' && isdigit(peek(s, 1))))
        skip(s);
    take(s, TOKEN_NUMBER, from);
    if (s->token.type == TOKEN_BAD)
        return;
    if (s->token.text[0] == '0' && s->token.text[1])
        base = tolower((unsigned char)s->token.text[1]) == 'x' ? 16 : 8;
    digits = base == 8 && tolower((unsigned char)s->token.text[1]) == 'o' ? 2 : 0; /* both 017 and 0o17 */
    errno = 0;
    s->token.number = strtoll(s->token.text + digits, &end, base);
    if (*end || end == s->token.text + digits) {
        lang_fault(s->sink, s->token.at, "'%s' is not a whole number; a text stands in quotes", s->token.text);
        s->token.type = TOKEN_BAD;
    } else if (errno) {
        lang_fault(s->sink, s->token.at, "the number %s is too large", s->token.text);
        s->token.type = TOKEN_BAD;
    }
}

/* Up to `max` digits of a base, from the position on; -1: none */
static int scan_digits(struct scanner *s, int base, int max)
{
    int value = -1;

    for (int i = 0; i < max; i++) {
        unsigned char c = peek(s, 0);
        int digit = isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : 99;

        if (digit >= base)
            break;
        value = (value < 0 ? 0 : value) * base + digit;
        skip(s);
    }
    return value;
}

/* What follows a backslash goes to out. False after a fault */
static bool scan_escape(struct scanner *s, struct place at, FILE *out)
{
    static const char from[] = "nrtabfv\\'\"", to[] = "\n\r\t\a\b\f\v\\'\"";
    unsigned char c = peek(s, 0);
    const char *known = c ? strchr(from, c) : NULL;
    int value;

    if (known) {
        skip(s);
        putc_unlocked(to[known - from], out);
        return true;
    }
    if (at_newline(s)) {
        if (c == '\r')
            skip(s);
        skip(s);
        return true;
    }
    if (c != 'x' && !(c >= '0' && c <= '7')) {
        putc_unlocked('\\', out); /* an unknown one stands for itself */
        return true;
    }
    if (c == 'x')
        skip(s);
    value = scan_digits(s, c == 'x' ? 16 : 8, c == 'x' ? 2 : 3);
    if (value <= 0 || value > 127) {
        lang_fault(s->sink, at, "this escape does not name a character: only \\x01 to \\x7f and \\1 to \\177 do");
        return false;
    }
    putc_unlocked(value, out);
    return true;
}

/* The inside of a string and its closing quote; false after a fault */
static bool scan_string_body(struct scanner *s, unsigned char quote, bool raw, FILE *out)
{
    for (;;) {
        struct place at = s->at;

        if (at_end(s) || at_newline(s)) {
            lang_fault(s->sink, s->token.at, "this string is not closed on its line: add a %c at its end", quote);
            return false;
        }
        if (peek(s, 0) == quote)
            break;
        if (peek(s, 0) == '\\' && !raw) {
            skip(s);
            if (!scan_escape(s, at, out))
                return false;
            continue;
        }
        putc_unlocked(peek(s, 0), out);
        skip(s);
    }
    skip(s);
    return true;
}

static void scan_string(struct scanner *s, bool raw)
{
    unsigned char quote = peek(s, 0);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    bool good;

    s->token.type = TOKEN_BAD;
    skip(s);
    good = out && scan_string_body(s, quote, raw, out);
    if (!out || fclose(out)) {
        lang_fault(s->sink, s->token.at, "out of memory");
        good = false;
    }
    if (good) {
        s->token.type = TOKEN_STRING;
        s->token.text = text;
    } else {
        free(text);
    }
}

static void scan_name(struct scanner *s)
{
    size_t from = s->pos;
    unsigned char first = peek(s, 0), second = peek(s, 1);

    if ((second == '"' || second == '\'') && first && strchr("rRuU", first)) { /* Python's prefixes */
        skip(s);
        scan_string(s, first == 'r' || first == 'R');
        return;
    }
    while (is_name(peek(s, 0)))
        skip(s);
    take(s, TOKEN_NAME, from);
}

/* A token of one or two characters */
static void scan_sign(struct scanner *s)
{
    static const char signs[] = "=-[],;";
    static const enum token_type types[] = {TOKEN_ASSIGN, TOKEN_MINUS, TOKEN_OPEN,
                                            TOKEN_CLOSE,  TOKEN_COMMA, TOKEN_NEWLINE};
    unsigned char c = peek(s, 0);
    const char *known = strchr(signs, c);
    size_t from = s->pos;

    skip(s);
    if (c == '+') {
        s->token.type = peek(s, 0) == '=' ? TOKEN_ADD_ASSIGN : TOKEN_PLUS;
        if (peek(s, 0) == '=')
            skip(s);
    } else if (known && !(c == '=' && peek(s, 0) == '=')) {
        s->token.type = types[known - signs];
    } else {
        while (s->pos < s->size && (peek(s, 0) & 0xc0) == 0x80)
            skip(s); /* the rest of a character */
        take(s, TOKEN_OTHER, from);
    }
    if (s->token.type == TOKEN_OPEN)
        s->depth++;
    else if (s->token.type == TOKEN_CLOSE && s->depth)
        s->depth--;
}

void scanner_next(struct scanner *s)
{
    unsigned char c;

    scanner_free(s);
    skip_blanks(s);
    s->token = (struct token){.type = TOKEN_END, .at = s->at};
    c = peek(s, 0);
    if (at_end(s))
        return;
    if (c == '\n') {
        skip(s);
        s->token.type = TOKEN_NEWLINE;
    } else if (c == '"' || c == '\'') {
        scan_string(s, false);
    } else if (isdigit(c)) {
        scan_number(s);
    } else if (is_name_start(c)) {
        scan_name(s);
    } else {
        scan_sign(s);
    }
}

void scanner_resync(struct scanner *s, struct place statement)
{
    bool here = s->token.type == TOKEN_NAME && s->token.at.column == 1 && s->token.at.line != statement.line;

    s->depth = 0;
    if (here)
        return;
    while (!at_end(s) && !(s->at.column == 1 && s->at.line > statement.line && is_name_start(peek(s, 0))))
        skip(s);
    scanner_next(s);
}

/* SPDX-License-Identifier: MIT */
/*
 * Tokens of the configuration language. The scanner owns nothing but the text of the current token; a bracket's inside
 * knows no ends of lines. Used by parse.c alone.
 */
#pragma once
#include "lib/config/lang.h"

enum token_type {
    TOKEN_END,
    TOKEN_NEWLINE, /* or ';' */
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_NUMBER,
    TOKEN_ASSIGN,
    TOKEN_ADD_ASSIGN,
    TOKEN_PLUS,
    TOKEN_MINUS,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_OTHER, /* a character without a meaning here: text holds it */
    TOKEN_BAD,   /* a fault that has been told */
};
struct token {
    enum token_type type;
    struct place at;
    char *text; /* names, strings, numbers, others */
    int64_t number;
};
struct scanner {
    struct lang_sink *sink;
    const char *text;
    size_t size, pos;
    struct place at;
    unsigned depth; /* of open brackets */
    struct token token;
};

/* `begin`: the place of the first character */
void scanner_init(struct scanner *s, struct lang_sink *sink, struct place begin, const char *text, size_t size);
void scanner_free(struct scanner *s);
/* The next token into s->token. */
void scanner_next(struct scanner *s);
/* After a fault: goes on at the next line that begins, without blanks, with a letter. When the current token is at the
 * beginning of such a line, and not at `statement`, it stays. */
void scanner_resync(struct scanner *s, struct place statement);

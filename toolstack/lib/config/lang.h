/* SPDX-License-Identifier: MIT */
/*
 * The language of configuration files: assignments of strings, numbers, truth values and lists.
 *
 *   text --lang_parse--> assignments, in the order of the text; a fault function hears of each error, with its place
 *
 * Nothing is evaluated but the sum of literals ('a' + 'b', [1] + [2], 64 + 64). Everything is bounded: the text by
 * LANG_TEXT_MAX, lists within lists by LANG_DEPTH_MAX, assignments and values by LANG_VALUES_MAX.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LANG_TEXT_MAX   (1u << 20)
#define LANG_DEPTH_MAX  8
#define LANG_VALUES_MAX 4096
#define LANG_FAULTS_MAX 20 /* more are counted, not told */

struct place {
    const char *name;      /* of the text, in front of a message; must outlive the place */
    unsigned line, column; /* from 1; line 0: the text as a whole (an argument of xm is too short for more) */
};

enum value_type { VALUE_NONE, VALUE_BOOL, VALUE_NUMBER, VALUE_STRING, VALUE_LIST };
struct value {
    enum value_type type;
    struct place at;
    bool truth;
    int64_t number;
    char *text; /* a string's bytes, UTF-8 without NUL; a number as it was written */
    struct value *items;
    size_t count;
};

struct assignment {
    char *name;
    bool add; /* += */
    struct place at;
    struct value value;
};

/* Where faults go. */
struct lang_sink {
    void (*fault)(const char *text, void *arg);
    void *arg;
    unsigned faults_count;
};
/* Tells "NAME:LINE:COLUMN: sentence" to s->fault. */
void lang_fault(struct lang_sink *s, struct place at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

struct lang_program {
    struct assignment *items;
    size_t count;
};
/* Appends the assignments of `text` to *out. Faults are told to s; what can be understood beside them is there too.
 * `name` must outlive *out. 0; -1: there were faults. */
int lang_parse(struct lang_sink *s, const char *name, const char *text, size_t size, struct lang_program *out);
/* One of xm's arguments, key=value or key+=value: the value may lack its quotes. */
int lang_parse_argument(struct lang_sink *s, const char *name, const char *argument, struct lang_program *out);
void lang_free(struct lang_program *p);

void value_free(struct value *v);
/* *a + *b into *a; *b is left empty. 0; -1: types that do not add; -2: no memory or too large */
int value_add(struct value *a, struct value *b);
/* "a string", "a list"... for messages */
const char *value_type_name(enum value_type type);

/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share: taking values from an input, and saying what is wrong. A fuzzer is one file with the function that
 * libFuzzer calls for each input; with main.c instead of libFuzzer it is a program that reads files (AFL++, reproducing).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at, *end;
};

static inline size_t input_left(const struct input *in)
{
    return (size_t)(in->end - in->at);
}

/* The next bytes; behind the end of the input there are zeros. */
static inline void input_bytes(struct input *in, void *to, size_t size)
{
    size_t n = size < input_left(in) ? size : input_left(in);

    memset(to, 0, size);
    memcpy(to, in->at, n);
    in->at += n;
}

static inline uint8_t input_u8(struct input *in)
{
    uint8_t v;

    input_bytes(in, &v, sizeof(v));
    return v;
}

static inline uint16_t input_u16(struct input *in)
{
    uint16_t v;

    input_bytes(in, &v, sizeof(v));
    return v;
}

static inline uint64_t input_u64(struct input *in)
{
    uint64_t v;

    input_bytes(in, &v, sizeof(v));
    return v;
}

/* A violated invariant: the engine keeps the input. */
#define MUST(condition, ...)                                                                                           \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #condition);                                    \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

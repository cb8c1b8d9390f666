/* SPDX-License-Identifier: MIT */
/* Memory and string functions: libc's in the host build, x86/cpu/string.c on the machine. */
#pragma once
#include "core/lib/types.h"

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t n);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
/* Ours in both builds (core/lib/text.c). */
size_t text_copy(char *dst, const char *src, size_t size); /* always terminates; returns strlen(src) */
/* Reads a number in decimal, 0x hex or 0 octal; *end is the first character not read. */
uint64_t text_to_u64(const char *s, const char **end);

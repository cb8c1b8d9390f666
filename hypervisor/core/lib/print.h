/* SPDX-License-Identifier: MIT */
/*
 * Formatted text and the log.
 *
 * hv_vsnprintf knows %d %i %u %x %X %o %p %s %c %% with flags "0-+ #", width, precision (also *),
 * and the lengths hh h l ll z. Bounded; always terminates when size > 0; returns the length it
 * wanted.
 *
 * log_*() writes one message to the console ring (core/trace/conring.h); what is below loglvl is
 * not written. guest_log() is the same for messages that a guest can cause: it is rate limited, so
 * that no guest can drown the console.
 */
#pragma once
#include <stdarg.h>
#include "core/lib/types.h"

int hv_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int hv_snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);

enum log_level { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
extern enum log_level log_threshold, log_guest_threshold; /* options loglvl, guest_loglvl */

void log_print(enum log_level level, const char *fmt, ...) __printf(2, 3);
void guest_log_print(enum log_level level, const char *fmt, ...) __printf(2, 3);
void print_raw(const char *fmt, ...) __printf(1, 2); /* without prefix or level: key handlers, boot banner */

#define log_err(...)     log_print(LOG_ERR, __VA_ARGS__)
#define log_warn(...)    log_print(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_print(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_print(LOG_DEBUG, __VA_ARGS__)
#define guest_warn(...)  guest_log_print(LOG_WARNING, __VA_ARGS__)
#define guest_debug(...) guest_log_print(LOG_DEBUG, __VA_ARGS__)

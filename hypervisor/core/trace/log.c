/* SPDX-License-Identifier: MIT */
/*
 * The log: levels and the rate limit of messages that guests can cause. Options loglvl= and
 * guest_loglvl= name the least important level that is still printed: error, warning, info, debug
 * (or none, all).
 */
#include "core/lib/print.h"
#include "core/lib/errno.h"
#include "core/lib/options.h"
#include "core/lib/string.h"
#include "core/trace/conring.h"
#include "core/domain/domain.h"

enum log_level log_threshold = LOG_INFO, log_guest_threshold = LOG_WARNING;

static const char *const level_tags[] = {"<E>", "<W>", "<I>", "<D>"};

/* "level" or the older "level/limit"; only the first part counts. */
static int parse_level(const char *value, enum log_level *level)
{
    static const struct {
        const char *name;
        int level;
    } names[] = {{"none", -1},       {"error", LOG_ERR},   {"warning", LOG_WARNING},
                 {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {"all", LOG_DEBUG}};
    const char *slash = strchr(value, '/');
    size_t n = slash ? (size_t)(slash - value) : strlen(value);

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (strlen(names[i].name) == n && !strncmp(value, names[i].name, n)) {
            *level = (enum log_level)names[i].level;
            return 0;
        }
    return -EINVAL;
}
static int parse_loglvl(const char *value)
{
    return parse_level(value, &log_threshold);
}
static int parse_guest_loglvl(const char *value)
{
    return parse_level(value, &log_guest_threshold);
}
OPTION_FUNC(loglvl, parse_loglvl, "none, error, warning, info, debug or all");
OPTION_FUNC(guest_loglvl, parse_guest_loglvl, "none, error, warning, info, debug or all");

static void print_line(const char *prefix, const char *fmt, va_list ap)
{
    char line[256];
    size_t n = (size_t)hv_snprintf(line, sizeof(line), "%s", prefix);
    n += (size_t)hv_vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
    n = MIN(n, sizeof(line) - 2);
    line[n++] = '\n';
    conring_write(line, n);
}

void log_print(enum log_level level, const char *fmt, ...)
{
    char prefix[24];
    va_list ap;

    if ((int)level > (int)log_threshold)
        return;
    hv_snprintf(prefix, sizeof(prefix), "(HV) %s ", level_tags[level]);
    va_start(ap, fmt);
    print_line(prefix, fmt, ap);
    va_end(ap);
}

/* Ten messages of guests at once, then one each 500 ms; what is dropped is counted and said. */
#define GUEST_LOG_BURST     10
#define GUEST_LOG_PERIOD_NS (500 * MSEC)
static uint64_t guest_log_refill_ns;
static uint32_t guest_log_tokens = GUEST_LOG_BURST, guest_log_dropped;

static bool guest_log_allowed(uint32_t *dropped)
{
    uint64_t now = hw_now_ns(), last = guest_log_refill_ns;
    if (now - last >= GUEST_LOG_PERIOD_NS) {
        uint64_t periods = (now - last) / GUEST_LOG_PERIOD_NS;
        guest_log_refill_ns = now;
        guest_log_tokens = (uint32_t)MIN(guest_log_tokens + periods, (uint64_t)GUEST_LOG_BURST);
    }
    if (!guest_log_tokens) {
        guest_log_dropped++;
        return false;
    }
    guest_log_tokens--;
    *dropped = guest_log_dropped;
    guest_log_dropped = 0;
    return true;
}

/* The counters are not locked: two CPUs at once may let one message more or less through. */
void guest_log_print(enum log_level level, const char *fmt, ...)
{
    struct vcpu *v = current_vcpu();
    uint32_t dropped = 0;
    char prefix[64];
    va_list ap;

    if ((int)level > (int)log_guest_threshold || !guest_log_allowed(&dropped))
        return;
    if (dropped)
        log_print(LOG_WARNING, "%u messages about guests were dropped", dropped);
    if (v && v->domain)
        hv_snprintf(prefix, sizeof(prefix), "(HV) %s d%uv%u ", level_tags[level], v->domain->id, v->id);
    else
        hv_snprintf(prefix, sizeof(prefix), "(HV) %s ", level_tags[level]);
    va_start(ap, fmt);
    print_line(prefix, fmt, ap);
    va_end(ap);
}

void print_raw(const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    int n = hv_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    conring_write(text, MIN((size_t)n, sizeof(text) - 1));
}

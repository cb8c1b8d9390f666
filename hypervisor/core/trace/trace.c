/* SPDX-License-Identifier: MIT */
/* Trace bits by name, and the lines they print. Owns trace_mask (option trace=, key T). */
#include "core/trace/trace.h"
#include "core/lib/options.h"
#include "core/lib/errno.h"
#include "core/lib/string.h"
#include "core/domain/domain.h"

uint32_t trace_mask;

static const char *const trace_names[] = {"fail", "hypercall", "mmu", "event", "grant",  "sched",  "time",
                                          "trap", "emul",      "irq", "pci",   "domain", "memory", "boot"};

/* "mmu,fail,all" */
static int parse_trace(const char *value)
{
    uint32_t mask = 0;
    while (*value) {
        size_t n = 0;
        unsigned bit;
        while (value[n] && value[n] != ',')
            n++;
        for (bit = 0; bit < ARRAY_SIZE(trace_names); bit++)
            if (strlen(trace_names[bit]) == n && !strncmp(value, trace_names[bit], n))
                break;
        if (n == 3 && !strncmp(value, "all", 3))
            mask = ~0u;
        else if (bit == ARRAY_SIZE(trace_names))
            return -EINVAL;
        else
            mask |= 1u << bit;
        value += value[n] ? n + 1 : n;
    }
    trace_mask = mask;
    return 0;
}
OPTION_FUNC(trace, parse_trace,
            "fail,hypercall,mmu,event,grant,sched,time,trap,emul,irq,pci,domain,memory,boot or all");

void trace_print(uint32_t bit, const char *fmt, ...)
{
    char text[160];
    unsigned which = (unsigned)__builtin_ctz(bit);
    struct vcpu *v = current_vcpu();
    va_list ap;

    va_start(ap, fmt);
    hv_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (v && v->domain)
        print_raw("[%s d%uv%u] %s\n", which < ARRAY_SIZE(trace_names) ? trace_names[which] : "?", v->domain->id, v->id,
                  text);
    else
        print_raw("[%s] %s\n", which < ARRAY_SIZE(trace_names) ? trace_names[which] : "?", text);
}

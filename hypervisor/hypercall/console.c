/* SPDX-License-Identifier: MIT */
/*
 * console_io: a domain's text to the machine's console, and Domain 0's input from it.
 *
 * Text is taken in pieces, each a preemption point. Other domains' text is dropped unless
 * guest_loglvl is debug, and then goes out rate limited and with its control characters made
 * harmless.
 */
#include "hypercall/hypercall.h"
#include "core/trace/conring.h"

#define PIECE 128

static void guest_line(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = ' ';
    text[n] = 0;
    guest_debug("%s", text);
}

static int64_t console_write(struct domain *d, uint64_t count, uint64_t buf)
{
    bool machine = policy_check(d, MAY_CONSOLE_WRITE, NULL) == 0;
    char text[PIECE + 1];

    while (count) {
        size_t n = MIN(count, (uint64_t)PIECE);
        if (hw_copy_from_guest(text, buf, n))
            return fail(-EFAULT);
        if (machine)
            conring_write(text, n);
        else
            guest_line(text, n);
        count -= n;
        buf += n;
        if (count && hw_preempt_check())
            return hw_hypercall_continue(__HYPERVISOR_console_io, 3, (uint64_t[]){CONSOLEIO_write, count, buf});
    }
    return 0;
}

static int64_t console_input_read(struct domain *d, uint64_t count, uint64_t buf)
{
    char text[PIECE];
    size_t n;

    if (policy_check(d, MAY_CONSOLE_READ, NULL))
        return fail(-EPERM);
    n = console_read(text, MIN(count, (uint64_t)PIECE));
    return hw_copy_to_guest(buf, text, n) ? fail(-EFAULT) : (int64_t)n;
}

HYPERCALL_HANDLER(console_io)
{
    struct domain *d = current_vcpu()->domain;

    if (args[1] > INT32_MAX)
        return fail(-EINVAL);
    if (args[0] == CONSOLEIO_write)
        return console_write(d, args[1], args[2]);
    if (args[0] == CONSOLEIO_read)
        return console_input_read(d, args[1], args[2]);
    return fail(-ENOSYS);
}

/* SPDX-License-Identifier: MIT */
/*
 * Raw mode: see terminal.h. The signal handlers only call what POSIX allows there (tcsetattr, sigaction, raise). Order: the
 * state is saved before a handler is set, a handler is set before the mode changes.
 */
#include "xm/terminal.h"
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios before, raw;
static volatile sig_atomic_t is_raw;

static const int fatal_signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE, SIGALRM,
                                    SIGABRT, SIGSEGV, SIGBUS,  SIGFPE,  SIGILL};

void terminal_restore(void)
{
    if (!is_raw)
        return;
    is_raw = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

/* The terminal first, then the signal's usual effect */
static void die(int signal_number)
{
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void stop(int signal_number)
{
    bool was_raw = is_raw;

    if (was_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    raise(SIGSTOP);
    if (was_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void terminal_raw(void)
{
    struct sigaction fatal = {.sa_handler = die}, pausing = {.sa_handler = stop, .sa_flags = SA_RESTART};

    if (is_raw || tcgetattr(STDIN_FILENO, &before))
        return;
    raw = before;
    cfmakeraw(&raw);
    for (size_t i = 0; i < sizeof(fatal_signals) / sizeof(fatal_signals[0]); i++)
        sigaction(fatal_signals[i], &fatal, NULL);
    sigaction(SIGTSTP, &pausing, NULL);
    atexit(terminal_restore);
    is_raw = 1;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

/* SPDX-License-Identifier: MIT */
/*
 * The serial console: a 16550 or one like it. Options com1= and com2=: "115200,8n1,0x3f8,4" (baud, format, port, irq; what
 * is left out keeps its default; baud "auto" keeps the firmware's). Output is polled, input comes by interrupt.
 * Output is under the console lock; the interrupt handler only reads.
 */
#include "core/lib/options.h"
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "core/trace/conring.h"
#include "x86/acpi/acpi.h"
#include "x86/console/console.h"
#include "x86/console/devices.h"
#include "x86/cpu/cpu.h"
#include "x86/irq/irq.h"

enum {
    DATA = 0,
    IER = 1,
    FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    SCRATCH = 7
}; /* registers; DATA, IER are the divisor with DLAB */
#define IER_RECEIVE  0x01
#define FCR_ENABLE   0x07 /* on, both FIFOs cleared */
#define LCR_DLAB     0x80
#define MCR_READY    0x0b /* DTR, RTS, OUT2: the interrupt's gate */
#define LSR_RECEIVED 0x01
#define LSR_TX_EMPTY 0x20
#define LSR_TX_IDLE  0x40 /* the last bit is out as well */
#define FIFO_DEPTH   16
#define CLOCK        115200u
#define SPINS_MAX    200000 /* polls for room: more than a FIFO takes at 300 baud */

struct uart {
    uint16_t port;
    unsigned irq, baud; /* baud 0: leave it */
    uint8_t format;     /* LCR */
};
static struct uart uarts[2] = {{0x3f8, 4, 115200, 3}, {0x2f8, 3, 115200, 3}};
static struct uart *active; /* NULL: none */

static bool parse_format(const char *s, uint8_t *lcr)
{
    uint8_t v;

    if (s[0] < '5' || s[0] > '8')
        return false;
    v = (uint8_t)(s[0] - '5');
    if (!s[1] || !strchr("noems", s[1])) /* none, odd, even, mark, space */
        return false;
    v |= s[1] == 'o' ? 0x08 : s[1] == 'e' ? 0x18 : s[1] == 'm' ? 0x28 : s[1] == 's' ? 0x38 : 0;
    if (s[2] != '1' && s[2] != '2')
        return false;
    *lcr = v | (s[2] == '2' ? 4 : 0);
    return true;
}

static int parse_uart(struct uart *result, const char *s)
{
    struct uart u = *result;

    if (strncmp(s, "auto", 4) == 0) {
        u.baud = 0;
        s += 4;
    } else if (*s >= '0' && *s <= '9') {
        uint64_t baud = text_to_u64(s, &s);
        if (baud == 0 || baud > CLOCK)
            return -EINVAL;
        u.baud = (unsigned)baud;
    }
    if (*s == ',' && *++s != ',' && *s) {
        if (!parse_format(s, &u.format))
            return -EINVAL;
        s += 3;
    }
    if (*s == ',' && *++s != ',' && *s) {
        uint64_t port = text_to_u64(s, &s);
        if (port == 0 || port > 0xfff8)
            return -EINVAL;
        u.port = (uint16_t)port;
    }
    if (*s == ',' && *++s) {
        uint64_t irq = text_to_u64(s, &s);
        if (irq > 255)
            return -EINVAL;
        u.irq = (unsigned)irq;
    }
    if (*s)
        return -EINVAL;
    *result = u;
    return 0;
}

static int option_com1(const char *value)
{
    return parse_uart(&uarts[0], value);
}
static int option_com2(const char *value)
{
    return parse_uart(&uarts[1], value);
}
OPTION_FUNC(com1, option_com1, "baud[,format[,port[,irq]]] of the first serial port; default 115200,8n1,0x3f8,4");
OPTION_FUNC(com2, option_com2, "the same for the second; default 115200,8n1,0x2f8,3");

static uint8_t get(unsigned reg)
{
    return inb((uint16_t)(active->port + reg));
}

static void put(unsigned reg, uint8_t v)
{
    outb((uint16_t)(active->port + reg), v);
}

/* False when the port does not take anything for long: then text is lost rather than the machine. */
static bool wait_until(uint8_t state)
{
    for (unsigned i = 0; i < SPINS_MAX; i++) {
        if (get(LSR) & state)
            return true;
        __builtin_ia32_pause();
    }
    return false;
}

void uart_configure(unsigned n)
{
    active = &uarts[n];
    put(SCRATCH, 0x5a);
    if (get(SCRATCH) != 0x5a) {
        active = NULL; /* nothing is there */
        return;
    }
    wait_until(LSR_TX_IDLE); /* what we, or the loader, have just written is not to be lost */
    put(IER, 0);
    put(LCR, active->format | LCR_DLAB);
    if (active->baud) {
        unsigned divisor = CLOCK / active->baud;
        put(DATA, divisor & 0xff);
        put(IER, (uint8_t)(divisor >> 8));
    }
    put(LCR, active->format);
    put(FCR, FCR_ENABLE);
    put(MCR, MCR_READY);
}

void uart_write(const char *s, size_t n)
{
    unsigned room = 0;

    for (size_t i = 0; active && i < n; i++) {
        for (unsigned cr = s[i] == '\n' ? 2 : 1; cr; cr--) {
            if (!room) {
                if (!wait_until(LSR_TX_EMPTY))
                    return;
                room = FIFO_DEPTH;
            }
            put(DATA, cr == 2 ? '\r' : (uint8_t)s[i]);
            room--;
        }
    }
}

/* Set while Domain 0 is behind: what is typed waits in the device, whose interrupt is off. Whoever clears it has the device. */
static bool stalled;

static void receive(void *arg)
{
    for (unsigned i = 0; i < 64 && (get(LSR) & LSR_RECEIVED); i++) {
        if (!console_input_room()) {
            put(IER, 0);
            __atomic_store_n(&stalled, true, __ATOMIC_SEQ_CST);
            /* Domain 0 may have read everything just before it could see that. */
            if (!console_input_room() || !__atomic_exchange_n(&stalled, false, __ATOMIC_ACQUIRE))
                return;
        }
        console_input((char)get(DATA));
    }
    /* The line may have stayed up all the time: the next edge is made here. */
    put(IER, 0);
    put(IER, IER_RECEIVE);
}

void hw_console_input_resume(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* either receive() sees the room that was made, or this sees it stalled */
    if (__atomic_load_n(&stalled, __ATOMIC_RELAXED) && __atomic_exchange_n(&stalled, false, __ATOMIC_ACQUIRE))
        receive(NULL);
}

static unsigned irq_to_gsi(unsigned irq)
{
    for (unsigned i = 0; i < acpi_info.overrides_count; i++)
        if (acpi_info.overrides[i].irq == irq)
            return acpi_info.overrides[i].gsi;
    return irq;
}

void uart_take_irq(void)
{
    if (!active)
        return;
    if (irq_request_gsi(irq_to_gsi(active->irq), receive, NULL) != 0) {
        log_warn("serial console: interrupt %u cannot be had: no input", active->irq);
        return;
    }
    receive(NULL);
    put(IER, IER_RECEIVE);
}

bool uart_owns_port(uint16_t port)
{
    return active && port >= active->port && port < active->port + 8;
}

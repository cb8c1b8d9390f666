/* SPDX-License-Identifier: MIT */
/* Formatted text: a bounded vsnprintf for the hypervisor. Owns nothing; takes no lock. */
#include "core/lib/print.h"
#include "core/lib/string.h"

struct out {
    char *buf;
    size_t size, len;
};

struct spec {
    bool minus, zero, plus, space, alt;
    int width, precision; /* precision -1: none given */
    unsigned length;      /* bytes of the argument: 1, 2, 4, 8 */
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void put_padding(struct out *o, int count, char c)
{
    while (count-- > 0)
        put(o, c);
}

static void put_text(struct out *o, const struct spec *sp, const char *s)
{
    if (!s)
        s = "(null)";
    size_t n = sp->precision >= 0 ? strnlen(s, (size_t)sp->precision) : strlen(s);
    int pad = sp->width - (int)n;

    if (!sp->minus)
        put_padding(o, pad, ' ');
    for (size_t i = 0; i < n; i++)
        put(o, s[i]);
    if (sp->minus)
        put_padding(o, pad, ' ');
}

/* Digits of value, least first; returns their number (at least one unless precision is 0). */
static int digits_of(char *buf, uint64_t value, unsigned base, bool upper)
{
    const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    int n = 0;
    do {
        buf[n++] = set[value % base];
        value /= base;
    } while (value);
    return n;
}

static void put_number(struct out *o, const struct spec *sp, uint64_t value, bool negative, unsigned base, bool upper)
{
    char digits[24], sign = negative ? '-' : sp->plus ? '+' : sp->space ? ' ' : 0;
    const char *prefix = sp->alt && base == 16 && value ? (upper ? "0X" : "0x") : "";
    int n = digits_of(digits, value, base, upper);
    int zeros = MAX(sp->precision - n, 0);
    int used = n + zeros + (sign != 0) + (int)strlen(prefix);
    int pad = sp->width - used;

    if (sp->zero && !sp->minus && sp->precision < 0 && pad > 0) {
        zeros += pad;
        pad = 0;
    }
    if (!sp->minus)
        put_padding(o, pad, ' ');
    if (sign)
        put(o, sign);
    for (; *prefix; prefix++)
        put(o, *prefix);
    put_padding(o, zeros, '0');
    while (n)
        put(o, digits[--n]);
    if (sp->minus)
        put_padding(o, pad, ' ');
}

static int parse_count(const char **fmt, va_list *ap)
{
    int n = 0;
    if (**fmt == '*') {
        (*fmt)++;
        return va_arg(*ap, int);
    }
    while (**fmt >= '0' && **fmt <= '9')
        n = n * 10 + (*(*fmt)++ - '0');
    return n;
}

static const char *parse_spec(const char *fmt, struct spec *sp, va_list *ap)
{
    *sp = (struct spec){.precision = -1, .length = 4};
    for (;; fmt++) {
        if (*fmt == '-')
            sp->minus = true;
        else if (*fmt == '0')
            sp->zero = true;
        else if (*fmt == '+')
            sp->plus = true;
        else if (*fmt == ' ')
            sp->space = true;
        else if (*fmt == '#')
            sp->alt = true;
        else
            break;
    }
    sp->width = parse_count(&fmt, ap);
    if (sp->width < 0) {
        sp->minus = true;
        sp->width = -sp->width;
    }
    if (*fmt == '.') {
        fmt++;
        sp->precision = parse_count(&fmt, ap);
    }
    for (;; fmt++) {
        if (*fmt == 'l' || *fmt == 'z')
            sp->length = 8;
        else if (*fmt == 'h')
            sp->length = sp->length == 4 ? 2 : 1;
        else
            return fmt;
    }
}

static void put_signed(struct out *o, const struct spec *sp, va_list *ap)
{
    int64_t v = sp->length == 8 ? va_arg(*ap, int64_t) : va_arg(*ap, int);
    if (sp->length == 2)
        v = (int16_t)v;
    if (sp->length == 1)
        v = (int8_t)v;
    put_number(o, sp, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0, 10, false);
}

static void put_unsigned(struct out *o, const struct spec *sp, va_list *ap, char conversion)
{
    uint64_t v = sp->length == 8 ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned);
    unsigned base = conversion == 'u' ? 10 : conversion == 'o' ? 8 : 16;
    if (sp->length < 4)
        v &= (1UL << (8 * sp->length)) - 1;
    put_number(o, sp, v, false, base, conversion == 'X');
}

static void put_conversion(struct out *o, struct spec *sp, char conversion, va_list *ap)
{
    switch (conversion) {
    case 'd':
    case 'i':
        put_signed(o, sp, ap);
        break;
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        put_unsigned(o, sp, ap, conversion);
        break;
    case 'p':
        sp->precision = 16;
        put_number(o, sp, (uint64_t)va_arg(*ap, void *), false, 16, false);
        break;
    case 's':
        put_text(o, sp, va_arg(*ap, const char *));
        break;
    case 'c':
        put(o, (char)va_arg(*ap, int));
        break;
    default:
        put(o, conversion);
        break;
    }
}

int hv_vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
    struct out o = {buf, size, 0};
    struct spec sp;
    va_list ap;

    va_copy(ap, args);
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(&o, *fmt);
            continue;
        }
        fmt = parse_spec(fmt + 1, &sp, &ap);
        if (!*fmt)
            break;
        put_conversion(&o, &sp, *fmt, &ap);
    }
    va_end(ap);
    if (size)
        buf[MIN(o.len, size - 1)] = 0;
    return (int)o.len;
}

int hv_snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = hv_vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}

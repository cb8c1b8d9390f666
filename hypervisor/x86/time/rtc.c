/* SPDX-License-Identifier: MIT */
/*
 * The battery-backed clock, read once at boot. Afterwards it is Domain 0's, whose accesses to ports 70 and 71 are made one
 * under rtc_lock. Lock: LOCK_IO.
 */
#include "core/lib/lock.h"
#include "core/lib/print.h"
#include "core/lib/string.h"
#include "x86/cpu/cpu.h"
#include "x86/time/time.h"

enum { RTC_SECONDS = 0, RTC_MINUTES = 2, RTC_HOURS = 4, RTC_DAY = 7, RTC_MONTH = 8, RTC_YEAR = 9 };
#define RTC_STATUS_A   0x0a
#define RTC_UPDATING   0x80
#define RTC_STATUS_B   0x0b
#define RTC_BINARY     0x04
#define RTC_24_HOURS   0x02
#define RTC_PM         0x80
#define RTC_WAIT_LOOPS 100000u /* an update takes 2 ms, a port access about 1 us */
#define RTC_TRIES      4

static struct spinlock lock = SPINLOCK_INIT(LOCK_IO);

void rtc_lock(void)
{
    spin_lock(&lock);
}

void rtc_unlock(void)
{
    spin_unlock(&lock);
}

static uint8_t cmos_read(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

struct rtc_time {
    uint8_t second, minute, hour, day, month, year, status_b;
};

static void read_raw(struct rtc_time *t)
{
    for (unsigned n = 0; n < RTC_WAIT_LOOPS && (cmos_read(RTC_STATUS_A) & RTC_UPDATING); n++)
        __builtin_ia32_pause();
    t->second = cmos_read(RTC_SECONDS);
    t->minute = cmos_read(RTC_MINUTES);
    t->hour = cmos_read(RTC_HOURS);
    t->day = cmos_read(RTC_DAY);
    t->month = cmos_read(RTC_MONTH);
    t->year = cmos_read(RTC_YEAR);
    t->status_b = cmos_read(RTC_STATUS_B);
}

static unsigned from_bcd(const struct rtc_time *t, uint8_t v)
{
    return t->status_b & RTC_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static bool leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t days = day - 1;

    for (unsigned y = 1970; y < year; y++)
        days += leap(y) ? 366 : 365;
    for (unsigned m = 1; m < month; m++)
        days += lengths[m - 1] + (m == 2 && leap(year));
    return days;
}

/* UTC in seconds since 1970; the century is taken for the 21st. 0, with a warning: it shows no time. */
uint64_t rtc_read_utc_s(void)
{
    struct rtc_time t, again;
    unsigned hour, month, day, minute, second;
    bool pm;

    rtc_lock();
    read_raw(&t);
    for (unsigned n = 0; n < RTC_TRIES; n++) { /* twice the same: no update came between */
        read_raw(&again);
        if (!memcmp(&t, &again, sizeof(t)))
            break;
        t = again;
    }
    rtc_unlock();

    pm = !(t.status_b & RTC_24_HOURS) && (t.hour & RTC_PM);
    hour = from_bcd(&t, t.status_b & RTC_24_HOURS ? t.hour : t.hour & (uint8_t)~RTC_PM);
    if (!(t.status_b & RTC_24_HOURS))
        hour = hour % 12 + (pm ? 12 : 0);
    month = from_bcd(&t, t.month);
    day = from_bcd(&t, t.day);
    minute = from_bcd(&t, t.minute);
    second = from_bcd(&t, t.second);
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) {
        log_warn("time: the real-time clock shows no time");
        return 0;
    }
    return ((days_since_1970(2000 + from_bcd(&t, t.year), month, day) * 24 + hour) * 60 + minute) * 60 + second;
}

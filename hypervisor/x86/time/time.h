/* SPDX-License-Identifier: MIT */
/* Time of the machine: TSC calibrated and disciplined by a platform timer (HPET, PM timer, PIT), RTC. hw_now_ns() and
 * hw_timer_set() are implemented here. */
#pragma once
#include "core/lib/types.h"
void time_boot_init(void); /* boot CPU: finds the platform timer, calibrates TSC and LAPIC timer, reads the RTC */
void time_cpu_init(void);  /* on each CPU */
void time_discipline_start(void); /* periodic comparison with the platform timer; after timers work */
void time_sync_cpu(unsigned cpu); /* boot CPU and AP together: measures the AP's TSC offset; both call it */
uint64_t tsc_khz(void);
void udelay(unsigned us); /* busy wait */
uint64_t rtc_read_utc_s(void);
void rtc_lock(void); /* Domain 0's CMOS accesses are serialised with ours */
void rtc_unlock(void);

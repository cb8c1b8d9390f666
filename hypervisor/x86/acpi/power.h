/* SPDX-License-Identifier: MIT */
/* Stopping and restarting the machine. */
#pragma once
void power_init(void); /* maps the reset register when it is in memory */

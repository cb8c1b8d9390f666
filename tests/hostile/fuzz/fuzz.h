/* SPDX-License-Identifier: MIT */
/* The live fuzzer: random hypercalls, plausible ones and then mutated, on all vCPUs of the domain at once. */
#pragma once
#include "board.h"

/* In a guest: until it is stopped or dies. */
void __attribute__((noreturn)) fuzz_guest(void);

/* SPDX-License-Identifier: MIT */
/*
 * Single words of guest memory, read and written in line: for small frames of known layout, in the page tables that are
 * loaded. The caller has checked the whole range (guest_range_ok). A word that faults sets `failed` and execution goes on,
 * so that one test behind the last word tells about all of them; a word that could not be read is 0.
 */
#pragma once
#include "x86/trap/trap.h"

#define GUEST_WORD_FIXUP(clear)                                                                                        \
    EXTABLE("1b", "3f") ".pushsection .text.fixup, \"ax\"\n3: movl $1, %0\n" clear "jmp 2b\n.popsection"

#define GUEST_LOAD(failed, value, from)                                                                                \
    __asm__ volatile("1: movq %2, %1\n2:" GUEST_WORD_FIXUP("xorl %k1, %k1\n")                                          \
                     : "+r"(failed), "=r"(value)                                                                       \
                     : "m"(*(from)))

#define GUEST_STORE(failed, to, value)                                                                                 \
    __asm__ volatile("1: movq %2, %1\n2:" GUEST_WORD_FIXUP("") : "+r"(failed), "=m"(*(to)) : "er"((uint64_t)(value)))

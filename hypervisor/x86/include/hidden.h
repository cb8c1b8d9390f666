/* SPDX-License-Identifier: MIT */
/* Included before everything (Makefile): all symbols are in this one image, so their addresses need no table. */
#pragma GCC visibility push(hidden)

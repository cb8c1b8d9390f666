/* SPDX-License-Identifier: MIT */
/*
 * The exception table: instructions of ring 0 that may fault, and where each goes on then. Entries are made by EXTABLE()
 * and lie in link order; the table is small and faults in it are rare, so it is searched from end to end.
 */
#include "x86/trap/trap.h"

struct extable_entry {
    uint64_t fault, fixup;
};
extern const struct extable_entry __start_extable[], __stop_extable[]; /* by the linker */

bool extable_fixup(struct regs *r)
{
    for (const struct extable_entry *e = __start_extable; e < __stop_extable; e++)
        if (e->fault == r->rip) {
            r->rip = e->fixup;
            return true;
        }
    return false;
}

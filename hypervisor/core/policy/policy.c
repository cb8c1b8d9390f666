/* SPDX-License-Identifier: MIT */
/* The default rules: Domain 0 may do all; any domain may act on its own memory and console as its
 * verbs say. */
#include "core/policy/policy.h"
#include "core/domain/domain.h"

int policy_check(struct domain *subject, enum policy_verb verb, struct domain *object)
{
    if (subject->is_privileged)
        return 0;
    switch (verb) {
    case MAY_MAP_FOREIGN:
        return subject == object ? 0 : fail(-EPERM);
    default:
        return fail(-EPERM);
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * Kinds of values: how the value of a name becomes part of the configuration. Each function tells its faults to the reader's
 * sink and returns false then. Used by keys.c alone.
 */
#pragma once
#include "lib/config/keys.h"

struct key {
    const char *name;
    bool (*read)(struct reader *r, const struct key *k, const struct value *v);
    size_t offset;   /* of what is set: in struct guest_config, unless it says otherwise below */
    const char *why; /* of an ignored name */
};

bool read_text(struct reader *r, const struct key *k, const struct value *v);
bool read_word(struct reader *r, const struct key *k, const struct value *v); /* in struct reader */
bool read_unsigned(struct reader *r, const struct key *k, const struct value *v);
bool read_mib(struct reader *r, const struct key *k, const struct value *v);
bool read_nics(struct reader *r, const struct key *k, const struct value *v);
bool read_cpu(struct reader *r, const struct key *k, const struct value *v);
bool read_cpus(struct reader *r, const struct key *k, const struct value *v);
bool read_uuid(struct reader *r, const struct key *k, const struct value *v);
bool read_builder(struct reader *r, const struct key *k, const struct value *v);
bool read_action(struct reader *r, const struct key *k,
                 const struct value *v); /* 0 on_poweroff, 1 on_reboot, 2 on_crash */
bool read_switch(struct reader *r, const struct key *k, const struct value *v); /* in struct reader */
bool read_restart(struct reader *r, const struct key *k, const struct value *v);
bool read_disks(struct reader *r, const struct key *k, const struct value *v);
bool read_vifs(struct reader *r, const struct key *k, const struct value *v);
bool read_ignored(struct reader *r, const struct key *k, const struct value *v);

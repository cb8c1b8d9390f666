/* SPDX-License-Identifier: MIT */
/* The records of domains: see vm.h. */
#include "xend/vm.h"
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

struct vm *vm_list;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void vm_lock(void)
{
    pthread_mutex_lock(&lock);
}

void vm_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* ---- Names --------------------------------------------------------------------------------------------------- */

bool uuid_parse(const char *text, uint8_t uuid[16])
{
    unsigned digit = 0;

    if (strlen(text) != 36)
        return false;
    for (unsigned i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        char c = (char)tolower((unsigned char)text[i]);

        if (dash != (c == '-') || (!dash && !isxdigit((unsigned char)c)))
            return false;
        if (dash)
            continue;
        uuid[digit / 2] = (uint8_t)(uuid[digit / 2] << 4 | (c <= '9' ? c - '0' : c - 'a' + 10));
        digit++;
    }
    return true;
}

void uuid_format(const uint8_t uuid[16], char text[37])
{
    char *p = text;

    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        p += sprintf(p, "%02x", uuid[i]);
    }
}

void uuid_make(char text[37])
{
    uint8_t uuid[16];

    if (getrandom(uuid, sizeof(uuid), 0) != sizeof(uuid))
        abort(); /* cannot fail for so few bytes */
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    uuid_format(uuid, text);
}

bool vm_name_taken(const char *name, const struct vm *but)
{
    if (!strcmp(name, "Domain-0"))
        return true;
    for (const struct vm *vm = vm_list; vm; vm = vm->next)
        if (vm != but && vm->state != VM_GONE && !strcmp(vm->config.name, name))
            return true;
    return false;
}

struct vm *vm_find_uuid(const char *uuid)
{
    for (struct vm *vm = vm_list; vm; vm = vm->next)
        if (vm->state != VM_GONE && !strcasecmp(vm->uuid, uuid))
            return vm;
    return NULL;
}

static struct vm *find(const char *which)
{
    char *end;
    long number = strtol(which, &end, 10);
    bool is_number = isdigit((unsigned char)which[0]) && !*end;

    for (struct vm *vm = vm_list; vm; vm = vm->next)
        if (vm->state != VM_GONE && (is_number ? vm->domid == number : !strcmp(vm->config.name, which)))
            return vm;
    return is_number ? NULL : vm_find_uuid(which);
}

struct vm *vm_find(const char *which, struct report *r)
{
    struct vm *vm = find(which);

    if (!vm && r)
        report_set(r, REPORT_NOT_FOUND, "there is no domain '%.80s'", which);
    return vm;
}

/* ---- Records --------------------------------------------------------------------------------------------------- */

static int check_free(const struct guest_config *config, struct report *r)
{
    const struct vm *other = config->uuid[0] ? vm_find_uuid(config->uuid) : NULL;

    if (vm_name_taken(config->name, NULL))
        return report_set(r, REPORT_EXISTS, "a domain named '%s' is there already; give this one another name",
                          config->name);
    if (other)
        return report_set(r, REPORT_EXISTS, "the uuid %s belongs to the domain '%s' already", config->uuid,
                          other->config.name);
    return 0;
}

struct vm *vm_new(struct guest_config *config, struct report *r)
{
    struct vm *vm;
    int rc;

    vm_lock();
    rc = check_free(config, r);
    vm_unlock();
    if (rc)
        return NULL;
    vm = calloc(1, sizeof(*vm));
    if (vm)
        vm->disks = calloc(config->disks_count + 1, sizeof(*vm->disks));
    if (!vm || !vm->disks) {
        free(vm);
        report_set(r, REPORT_FAILED, "xend has no memory left for another domain");
        return NULL;
    }
    vm->config = *config;
    memset(config, 0, sizeof(*config));
    if (!vm->config.uuid[0])
        uuid_make(vm->config.uuid);
    memcpy(vm->uuid, vm->config.uuid, sizeof(vm->uuid));
    for (unsigned i = 0; i < vm->config.disks_count; i++)
        vm->disks[i].loop = -1;
    vm->state = VM_CREATING;
    vm->domid = VM_NO_DOMID;
    vm_lock();
    vm->next = vm_list;
    vm_list = vm;
    vm_unlock();
    return vm;
}

void vm_free(struct vm *vm)
{
    struct vm **p = &vm_list;

    while (*p != vm)
        p = &(*p)->next;
    vm_lock();
    *p = vm->next;
    vm_unlock();
    guest_config_free(&vm->config);
    free(vm->disks);
    free(vm);
}

void vm_set_state(struct vm *vm, enum vm_state state, enum vm_then then)
{
    vm_lock();
    vm->state = state;
    vm->then = then;
    vm_unlock();
}

void vm_set_domid(struct vm *vm, int64_t domid)
{
    vm_lock();
    vm->domid = domid;
    vm_unlock();
}

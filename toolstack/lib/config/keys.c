/* SPDX-License-Identifier: MIT */
/* The names that a configuration may assign: one table. And what several names decide together. */
#include "lib/config/kinds.h"
#include "lib/config/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG(field) offsetof(struct guest_config, field)
#define READER(field) offsetof(struct reader, field)

static const char hvm_only[] = "it concerns fully virtualised guests only";
static const char screen[] = "a paravirtual guest has no screen here; its console is a terminal";
static const char devices[] = "devices are not passed to guests";
static const char own_way[] = "there is no such switch here";

static const struct key keys[] = {
    {"name", read_text, CONFIG(name), NULL},
    {"uuid", read_uuid, 0, NULL},
    {"builder", read_builder, 0, NULL},
    {"type", read_builder, 0, NULL},
    {"kernel", read_text, CONFIG(kernel), NULL},
    {"ramdisk", read_text, CONFIG(ramdisk), NULL},
    {"root", read_text, CONFIG(root), NULL},
    {"extra", read_text, CONFIG(extra), NULL},
    {"bootloader", read_text, CONFIG(bootloader), NULL},
    {"bootargs", read_text, CONFIG(bootargs), NULL},
    {"memory", read_mib, CONFIG(memory_mib), NULL},
    {"maxmem", read_mib, CONFIG(maxmem_mib), NULL},
    {"vcpus", read_unsigned, CONFIG(vcpus), NULL},
    {"maxvcpus", read_unsigned, CONFIG(maxvcpus), NULL},
    {"cpu", read_cpu, 0, NULL},
    {"cpus", read_cpus, CONFIG(cpus), NULL},
    {"cpu_weight", read_unsigned, CONFIG(cpu_weight), NULL},
    {"cpu_cap", read_unsigned, CONFIG(cpu_cap), NULL},
    {"on_poweroff", read_action, 0, NULL},
    {"on_shutdown", read_action, 0, NULL},
    {"on_reboot", read_action, 1, NULL},
    {"on_crash", read_action, 2, NULL},
    {"restart", read_restart, 0, NULL},
    {"autorestart", read_restart, 0, NULL},
    {"disk", read_disks, 0, NULL},
    {"vif", read_vifs, 0, NULL},
    {"nics", read_nics, 0, NULL},
    {"dhcp", read_switch, READER(dhcp), NULL},
    {"ip", read_word, READER(ip), NULL},
    {"netmask", read_word, READER(netmask), NULL},
    {"gateway", read_word, READER(gateway), NULL},
    {"hostname", read_word, READER(hostname), NULL},
    {"interface", read_word, READER(interface), NULL},
    {"nfs_server", read_word, READER(nfs_server), NULL},
    {"nfs_root", read_word, READER(nfs_root), NULL},
    {"device_model", read_ignored, 0, hvm_only},
    {"boot", read_ignored, 0, hvm_only},
    {"acpi", read_ignored, 0, hvm_only},
    {"apic", read_ignored, 0, hvm_only},
    {"pae", read_ignored, 0, hvm_only},
    {"nx", read_ignored, 0, hvm_only},
    {"hap", read_ignored, 0, hvm_only},
    {"hpet", read_ignored, 0, hvm_only},
    {"viridian", read_ignored, 0, hvm_only},
    {"shadow_memory", read_ignored, 0, hvm_only},
    {"timer_mode", read_ignored, 0, hvm_only},
    {"rtc_timeoffset", read_ignored, 0, hvm_only},
    {"localtime", read_ignored, 0, "the clock runs in UTC"},
    {"serial", read_ignored, 0, hvm_only},
    {"parallel", read_ignored, 0, hvm_only},
    {"monitor", read_ignored, 0, hvm_only},
    {"soundhw", read_ignored, 0, hvm_only},
    {"isa", read_ignored, 0, hvm_only},
    {"usb", read_ignored, 0, hvm_only},
    {"usbdevice", read_ignored, 0, hvm_only},
    {"guest_os_type", read_ignored, 0, hvm_only},
    {"xen_platform_pci", read_ignored, 0, hvm_only},
    {"firmware", read_ignored, 0, hvm_only},
    {"cpuid", read_ignored, 0, own_way},
    {"cpuid_check", read_ignored, 0, own_way},
    {"vfb", read_ignored, 0, screen},
    {"sdl", read_ignored, 0, screen},
    {"vnc", read_ignored, 0, screen},
    {"vncdisplay", read_ignored, 0, screen},
    {"vnclisten", read_ignored, 0, screen},
    {"vncpasswd", read_ignored, 0, screen},
    {"vncunused", read_ignored, 0, screen},
    {"vncconsole", read_ignored, 0, screen},
    {"vncviewer", read_ignored, 0, screen},
    {"stdvga", read_ignored, 0, screen},
    {"videoram", read_ignored, 0, screen},
    {"opengl", read_ignored, 0, screen},
    {"keymap", read_ignored, 0, screen},
    {"display", read_ignored, 0, screen},
    {"xauthority", read_ignored, 0, screen},
    {"pci", read_ignored, 0, devices},
    {"irq", read_ignored, 0, devices},
    {"ioports", read_ignored, 0, devices},
    {"vscsi", read_ignored, 0, devices},
    {"vtpm", read_ignored, 0, devices},
    {"blkif", read_ignored, 0, "Domain 0 serves all disks and interfaces"},
    {"netif", read_ignored, 0, "Domain 0 serves all disks and interfaces"},
    {"tpmif", read_ignored, 0, "Domain 0 serves all disks and interfaces"},
    {"features", read_ignored, 0, own_way},
    {"tsc_mode", read_ignored, 0, "guests read the processor's own clock"},
    {"vcpu_avail", read_ignored, 0, own_way},
    {"suppress_spurious_page_faults", read_ignored, 0, own_way},
    {"superpages", read_ignored, 0, own_way},
    {"pool", read_ignored, 0, own_way},
    {"access_control", read_ignored, 0, own_way},
    {"console", read_ignored, 0, "the console is always there: xm console"},
    {"on_xend_start", read_ignored, 0, own_way},
    {"on_xend_stop", read_ignored, 0, own_way},
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

static const char *key_at(size_t i)
{
    return keys[i].name;
}

bool key_read(struct reader *r, const struct assignment *a)
{
    const char *meant;

    for (size_t i = 0; i < KEYS; i++)
        if (!strcmp(keys[i].name, a->name))
            return keys[i].read(r, &keys[i], &a->value);
    meant = text_guess(a->name, key_at, KEYS);
    if (meant)
        lang_fault(r->sink, a->at, "unknown name '%.60s': did you mean '%s'?", a->name, meant);
    else
        lang_fault(r->sink, a->at, "unknown name '%.60s'; xmdomain.cfg(5) lists the names", a->name);
    return false;
}

static void apply_restart(struct reader *r)
{
    bool always, never;

    if (!r->restart)
        return;
    always = !strcmp(r->restart, "always");
    never = !strcmp(r->restart, "never");
    if (!r->has_action[0])
        r->c->on_poweroff = always ? ACTION_RESTART : ACTION_DESTROY;
    if (!r->has_action[1])
        r->c->on_reboot = never ? ACTION_DESTROY : ACTION_RESTART;
    if (!r->has_action[2])
        r->c->on_crash = always ? ACTION_RESTART : ACTION_DESTROY;
}

/* Linux's ip= and nfsroot=. Source: its documents on mounting the root by NFS */
static int network_parameters(struct reader *r)
{
    bool static_ip = r->ip || r->netmask || r->gateway;
    char *ip = NULL, *nfs = NULL;

#define OR_EMPTY(s) ((s) ? (s) : "")
    if ((static_ip || r->dhcp) && asprintf(&ip, "ip=%s:%s:%s:%s:%s:%s:%s", OR_EMPTY(r->ip), OR_EMPTY(r->nfs_server),
                                           OR_EMPTY(r->gateway), OR_EMPTY(r->netmask), OR_EMPTY(r->hostname),
                                           r->interface ? r->interface : "eth0", r->dhcp ? "dhcp" : "off") < 0)
        return -1;
    if (r->nfs_root &&
        asprintf(&nfs, "nfsroot=%s%s%s", OR_EMPTY(r->nfs_server), r->nfs_server ? ":" : "", r->nfs_root) < 0) {
        free(ip);
        return -1;
    }
    if (ip && nfs && asprintf(&r->c->network, "%s %s", ip, nfs) < 0)
        r->c->network = NULL;
    else if (!ip || !nfs)
        r->c->network = ip ? strdup(ip) : nfs ? strdup(nfs) : NULL;
    free(ip);
    free(nfs);
    return 0;
}

int reader_finish(struct reader *r)
{
    apply_restart(r);
    while (r->c->vifs_count < r->nics)
        r->c->vifs[r->c->vifs_count++] = (struct guest_vif){0};
    if (!r->c->maxvcpus)
        r->c->maxvcpus = r->c->vcpus;
    if (!r->c->cpus && r->cpu >= 0 && asprintf(&r->c->cpus, "%lld", (long long)r->cpu) < 0) {
        r->c->cpus = NULL;
        return -1;
    }
    return network_parameters(r);
}

void reader_free(struct reader *r)
{
    free(r->ip);
    free(r->netmask);
    free(r->gateway);
    free(r->hostname);
    free(r->interface);
    free(r->nfs_server);
    free(r->nfs_root);
    free(r->restart);
}

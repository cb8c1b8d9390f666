/* SPDX-License-Identifier: MIT */
/* What the tools may know of the processors: frequency, feature words, and how they share cores and sockets, which the widths of
 * the fields of an APIC id tell. All CPUs are taken to be alike. */
#include "x86/cpu/cpu.h"
#include "x86/cpu/topology.h"
#include "x86/time/time.h"

struct widths {
    unsigned thread, core; /* low bits of an APIC id: thread in its core; thread and core in their socket */
};

static unsigned bits_for(unsigned n)
{
    return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

static struct widths apic_id_widths(void)
{
    struct widths w = {0, 0};
    uint32_t r[4];

    cpuid_count(0, 0, r);
    if (r[0] >= 0xb) {
        cpuid_count(0xb, 0, r);
        w.thread = r[0] & 31;
        cpuid_count(0xb, 1, r);
        w.core = MAX(r[0] & 31, w.thread);
        if (r[1])
            return w;
    }
    cpuid_count(1, 0, r);
    w.thread = 0;
    w.core = (r[3] >> 28) & 1 ? bits_for((r[1] >> 16) & 0xff) : 0;
    return w;
}

void cpu_place(uint32_t apic_id, uint32_t *core, uint32_t *socket)
{
    struct widths w = apic_id_widths();

    *core = (apic_id >> w.thread) & ((1u << (w.core - w.thread)) - 1);
    *socket = apic_id >> w.core;
}

/* How many CPUs have the APIC id of the boot CPU but for so many low bits. */
static unsigned cpus_sharing(unsigned width)
{
    uint32_t first = x86_cpu_of(pcpus[0])->apic_id >> width;
    unsigned n = 0;

    for (unsigned i = 0; i < MAX_CPUS && pcpus[i]; i++)
        n += x86_cpu_of(pcpus[i])->apic_id >> width == first;
    return n;
}

void hw_machine_info(struct hw_machine_info *info)
{
    static const struct {
        uint32_t leaf, sub;
        uint8_t reg;
    } words[] = {{1, 0, 3},   {1, 0, 2}, {0x80000001, 0, 3}, {0x80000001, 0, 2},
                 {0xd, 1, 0}, {7, 0, 1}, {7, 0, 2},          {0x80000007, 0, 3}};
    struct widths w = apic_id_widths();
    uint32_t basic[4], extended[4];

    cpuid_count(0, 0, basic);
    cpuid_count(0x80000000, 0, extended);
    info->cpu_khz = (uint32_t)tsc_khz();
    info->threads_per_core = cpus_sharing(w.thread);
    info->cores_per_socket = MAX(cpus_sharing(w.core) / info->threads_per_core, 1u);
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        uint32_t r[4];

        cpuid_count(words[i].leaf, words[i].sub, r);
        info->features[i] = words[i].leaf <= (words[i].leaf >> 31 ? extended[0] : basic[0]) ? r[words[i].reg] : 0;
    }
}

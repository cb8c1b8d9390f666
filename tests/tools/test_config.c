/* SPDX-License-Identifier: MIT */
/* Guest configurations: published files and forms, the language, the exact texts of errors, JSON, random damage. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/config/device.h"
#include "lib/config/guest.h"
#include "lib/config/sxp.h"

#define CONFIGS "tests/tools/configs/"

static char faults[8192]; /* one a line */

static void note_fault(const char *text, void *arg)
{
    size_t length = strlen(faults);

    assert_null(strchr(text, '\n'));
    snprintf(faults + length, sizeof(faults) - length, "%s\n", text);
}

static int parse(const char *text, struct guest_config *c)
{
    struct report r;
    int rc;

    faults[0] = 0;
    rc = guest_config_parse("t", text, strlen(text), NULL, 0, c, note_fault, NULL, &r);
    assert_int_equal(rc, *faults ? -1 : 0);
    if (rc) {
        assert_int_equal(r.kind, REPORT_CONFIG);
        assert_memory_equal(r.text, faults, strlen(r.text)); /* the first one */
        assert_null(c->name);
    }
    return rc;
}

/* With what every guest needs in front */
#define NEEDED "kernel='/k'\n"
static void good(const char *text, struct guest_config *c)
{
    char whole[8192];

    snprintf(whole, sizeof(whole), NEEDED "%s", text);
    parse(whole, c);
    assert_string_equal(faults, "");
}

/* `wanted`: each fault on its line, without "t:" */
static void bad(const char *text, const char *wanted)
{
    struct guest_config c;
    char whole[8192], expected[8192] = "";

    snprintf(whole, sizeof(whole), NEEDED "%s", text);
    parse(whole, &c);
    for (const char *line = wanted, *next; line; line = next ? next + 1 : NULL) {
        size_t length = strlen(expected);

        next = strchr(line, '\n');
        snprintf(expected + length, sizeof(expected) - length, "t:%.*s\n", (int)strcspn(line, "\n"), line);
    }
    assert_string_equal(faults, expected);
}

static void load(const char *name, struct guest_config *c)
{
    char path[256];
    struct report r = {0};

    snprintf(path, sizeof(path), CONFIGS "%s", name);
    faults[0] = 0;
    if (guest_config_load(path, NULL, 0, c, note_fault, NULL, &r))
        fail_msg("%s", faults);
}

static void is_cmdline(const struct guest_config *c, const char *wanted)
{
    char *line = guest_config_cmdline(c);

    assert_string_equal(line, wanted);
    free(line);
}

static void is_disk(const struct guest_disk *d, enum guest_disk_type type, const char *target, const char *device,
                    uint32_t number, bool writable, bool cdrom)
{
    assert_int_equal(d->type, type);
    assert_string_equal(d->target, target);
    assert_string_equal(d->device, device);
    assert_int_equal(d->device_number, number);
    assert_int_equal(d->writable, writable);
    assert_int_equal(d->cdrom, cdrom);
    assert_null(d->backend);
}

static void published_freebsd(void **state)
{
    struct guest_config c;

    load("freebsd-2006.cfg", &c);
    assert_string_equal(c.name, "freebsd-xen-INSTALL");
    assert_string_equal(c.kernel, "/boot/xendomU/freebsd-XENU_INSTALL");
    assert_int_equal(c.memory_mib, 256);
    assert_int_equal(c.vifs_count, 1);
    assert_false(c.vifs[0].has_mac);
    assert_null(c.vifs[0].bridge);
    assert_int_equal(c.disks_count, 1);
    is_disk(&c.disks[0], DISK_FILE, "/mnt/freebsd/freebsd-root.img", "hda1", 769, true, false);
    is_cmdline(&c, "boot_verbose,boot_single,vfs.root.mountfrom=ufs:/dev/md0,kern.hz=100");
    guest_config_free(&c);
}

static void published_hvm(void **state)
{
    struct guest_config c;

    load("hvm-2008.cfg", &c);
    assert_string_equal(c.name, "hvm-2008.cfg");
    assert_int_equal(c.builder, BUILDER_HVM);
    assert_string_equal(c.kernel, "/usr/lib64/xen/boot/hvmloader");
    assert_int_equal(c.memory_mib, 512);
    assert_int_equal(c.disks_count, 2);
    is_disk(&c.disks[0], DISK_PHY, "/xen/images/hvm.disk", "hda", 768, true, false);
    is_disk(&c.disks[1], DISK_PHY, "/dev/cdrom", "hdc", 22 << 8, false, true);
    assert_string_equal(c.vifs[0].type, "ioemu");
    assert_string_equal(c.vifs[0].bridge, "eth0");
    assert_int_equal(json_array_size(c.ignored), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(c.ignored, 2), "name")), "boot");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(c.ignored, 2), "line")), 7);
    guest_config_free(&c);
}

static void published_linux(void **state)
{
    struct guest_config c;

    load("linux-2006.cfg", &c);
    assert_string_equal(c.name, "debian1");
    assert_string_equal(c.kernel, "/boot/xendomU/vmlinuz-2.6.16.29-xenU");
    assert_null(c.ramdisk);
    assert_int_equal(c.disks_count, 3);
    is_disk(&c.disks[0], DISK_FILE, "/mnt/xensys2-root.img", "hda1", 769, true, false);
    is_disk(&c.disks[1], DISK_FILE, "/mnt/xensys2-swap.img", "hda2", 770, true, false);
    is_disk(&c.disks[2], DISK_PHY, "/dev/hdc", "hdb", 832, false, false);
    is_cmdline(&c, "root=/dev/hda1 ro 4");
    assert_int_equal(c.vcpus, 1);
    assert_int_equal(c.maxvcpus, 1);
    assert_int_equal(c.on_poweroff, ACTION_DESTROY);
    assert_int_equal(c.on_reboot, ACTION_RESTART);
    assert_int_equal(c.on_crash, ACTION_RESTART);
    guest_config_free(&c);
}

static void published_netbsd(void **state)
{
    static const uint8_t first[6] = {0xaa, 0, 0, 0x50, 2, 0xf0}, second[6] = {0, 0x11, 0x85, 0x13, 0x37, 0xdd};
    struct guest_config c;

    load("netbsd-2.0.cfg", &c);
    assert_string_equal(c.name, "NetBSD");
    assert_int_equal(c.memory_mib, 128);
    assert_int_equal(c.vifs_count, 1);
    assert_memory_equal(c.vifs[0].mac, first, 6);
    assert_string_equal(c.vifs[0].bridge, "bridge0");
    is_disk(&c.disks[0], DISK_PHY, "/dev/wd0e", "wd0d", 3, true, false);
    assert_null(c.cpus);
    is_cmdline(&c, "root=/dev/wd0d");
    guest_config_free(&c);

    load("netbsd-2006.cfg", &c);
    assert_memory_equal(c.vifs[0].mac, second, 6);
    assert_int_equal(c.disks_count, 2);
    is_disk(&c.disks[0], DISK_FILE, "/mnt/netbsd-root.img", "0x3", 3, true, false);
    is_disk(&c.disks[1], DISK_PHY, "/dev/hdc", "cd0a", 6 << 8, false, false);
    guest_config_free(&c);
}

static void published_pv(void **state)
{
    struct guest_config c;

    load("pv-2008.cfg", &c);
    assert_string_equal(c.name, "pv-2008.cfg");
    assert_string_equal(c.ramdisk, "/boot/initrd.img-2.6.24-16-xen");
    is_disk(&c.disks[0], DISK_FILE, "/xen/para.partition", "xvda1", 51713, true, false);
    assert_int_equal(c.vifs_count, 1);
    assert_false(c.vifs[0].has_mac);
    is_cmdline(&c, "root=/dev/xvda1");
    guest_config_free(&c);
}

/* The line-th line (from 1) of forms.txt */
static void form(unsigned number, char line[256])
{
    FILE *f = fopen(CONFIGS "forms.txt", "re");

    assert_non_null(f);
    while (number--)
        assert_non_null(fgets(line, 256, f));
    line[strcspn(line, "\n")] = 0;
    fclose(f);
}

static void published_disk_forms(void **state)
{
    static const struct {
        enum guest_disk_type type;
        const char *target, *device;
        uint32_t number;
        bool writable, cdrom;
    } wanted[] = {
        {DISK_PHY, "sda", "sda", 8 << 8, true, false},
        {DISK_PHY, "/dev/cdrom", "hdc", 22 << 8, false, true},
        {DISK_PHY, "/dev/cdrom", "hdc", 22 << 8, false, true},
        {DISK_PHY, "hdb1", "hdb1", 833, true, false},
        {DISK_PHY, "/dev/LV/disk1", "sda1", 2049, true, false},
        {DISK_PHY, "sda", "xvda", 51712, true, false},
        {DISK_PHY, "hdb1", "xvdb1", 51729, true, false},
        {DISK_FILE, "/mnt/netbsd-root.img", "0x3", 3, true, false},
        {DISK_PHY, "/dev/wd0e", "wd0d", 3, true, false},
        {DISK_PHY, "/dev/hdc", "cd0a", 6 << 8, false, false},
    };
    struct guest_disk d;
    char line[256], why[WHY_MAX];

    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        form(i + 2, line);
        if (disk_parse(line, &d, why))
            fail_msg("%s: %s", line, why);
        is_disk(&d, wanted[i].type, wanted[i].target, wanted[i].device, wanted[i].number, wanted[i].writable,
                wanted[i].cdrom);
        disk_free(&d);
    }
    form(12, line);
    assert_string_equal(line, "");
}

static void published_vif_forms(void **state)
{
    static const char *const bridges[] = {NULL, "eth0", "eth0", "eth0"};
    struct guest_vif v;
    const char *ignored;
    char line[256], why[WHY_MAX];

    for (unsigned i = 0; i < 4; i++) {
        form(i + 13, line);
        if (vif_parse(line, &v, &ignored, why))
            fail_msg("%s: %s", line, why);
        assert_int_equal(v.has_mac, i < 2);
        if (bridges[i])
            assert_string_equal(v.bridge, bridges[i]);
        else
            assert_null(v.bridge);
        assert_int_equal(v.type != NULL, i == 3);
        vif_free(&v);
    }
}

static void published_sxp_forms(void **state)
{
    static const char *const wanted[] = {
        "network-bridge", "network-bridge antispoof=yes", "vif-bridge", "network-route", "vif-route", "network-nat",
        "vif-nat",
    };
    struct report r;
    char line[256];

    for (unsigned i = 0; i < 7; i++) {
        struct sxp *s;

        form(i + 18, line);
        s = sxp_parse("t", line, strlen(line), &r);
        assert_non_null(s);
        assert_string_equal(sxp_value(s, i == 2 || i == 4 || i == 6 ? "vif-script" : "network-script", ""), wanted[i]);
        sxp_free(s);
    }
}

/* What `make install` puts into /etc/xen */
static void installed_examples(void **state)
{
    static const char *const names[] = {"toolstack/etc/xen/demo", "toolstack/etc/xen/tiny",
                                        "toolstack/etc/xen/xmexample1"};
    struct guest_config c;
    struct report r;

    for (unsigned i = 0; i < 3; i++) {
        if (guest_config_load(names[i], NULL, 0, &c, NULL, NULL, &r))
            fail_msg("%s", r.text);
        assert_null(c.ignored);
        guest_config_free(&c);
    }
}

static void language(void **state)
{
    struct guest_config c;

    good(
        "name='a' 'b' \"c\"; memory = 0x40 # comment\n\n  vcpus=02\r\nextra = \"it's \\\"q\\\" \\x41\\102 \\\\ \\d\"\n",
        &c);
    assert_string_equal(c.name, "abc");
    assert_int_equal(c.memory_mib, 64);
    assert_int_equal(c.vcpus, 2);
    assert_string_equal(c.extra, "it's \"q\" AB \\ \\d");
    guest_config_free(&c);

    good("vif = [ 'bridge=a',   # one\n  'bridge=' # two\n  'b',\n]\nmemory = 64 + 64\nname = 'a' + \\\n  "
         "'b'\nroot=None\n",
         &c);
    assert_int_equal(c.vifs_count, 2);
    assert_string_equal(c.vifs[1].bridge, "b");
    assert_int_equal(c.memory_mib, 128);
    assert_string_equal(c.name, "ab");
    assert_null(c.root);
    guest_config_free(&c);

    good(
        "disk = ['phy:a,xvda,w'] + ['phy:b,xvdb,r']\ndisk += ['phy:c,xvdc,r']\nextra=r'a\\b'\nmemory='96'\nmemory=97\n",
        &c);
    assert_int_equal(c.disks_count, 3);
    assert_string_equal(c.extra, "a\\b");
    assert_int_equal(c.memory_mib, 97);
    guest_config_free(&c);
}

static void byte_order_mark(void **state)
{
    struct guest_config c;

    parse("\xef\xbb\xbfkernel='/k'", &c);
    assert_string_equal(faults, "");
    guest_config_free(&c);
}

static void keys_of_old(void **state)
{
    struct guest_config c;

    good("restart='never'\non_crash='preserve'\nnics=3\ncpu=2\nnfs_server='10.0.0.1'\nnfs_root='/srv/"
         "root'\nip='10.0.0.2'\n"
         "netmask='255.0.0.0'\ngateway='10.0.0.1'\nhostname='h'\nroot='/dev/nfs'\nextra=4\n",
         &c);
    assert_int_equal(c.on_reboot, ACTION_DESTROY);
    assert_int_equal(c.on_crash, ACTION_PRESERVE);
    assert_int_equal(c.vifs_count, 3);
    assert_string_equal(c.cpus, "2");
    is_cmdline(&c, "root=/dev/nfs ip=10.0.0.2:10.0.0.1:10.0.0.1:255.0.0.0:h:eth0:off nfsroot=10.0.0.1:/srv/root 4");
    guest_config_free(&c);

    good("autorestart=True\ndhcp='dhcp'\ncpus=['0','1-2']\nuuid='0DB1A3F4-0000-4000-8000-00000000000a'\non_poweroff='"
         "rename-restart'",
         &c);
    assert_int_equal(c.on_poweroff, ACTION_RENAME_RESTART);
    assert_string_equal(c.cpus, "0,1-2");
    assert_string_equal(c.uuid, "0db1a3f4-0000-4000-8000-00000000000a");
    is_cmdline(&c, "ip=:::::eth0:dhcp");
    guest_config_free(&c);
}

static void arguments(void **state)
{
    static const char *const overrides[] = {"memory=512",         "extra+= single",    "name=web1", "vif=bridge=x",
                                            "disk+=phy:b,xvdb,r", "root=/dev/sda1 ro", "vcpus='2'"};
    static const char *const wrong[] = {"memroy=1", "=3", "memory=x", "disk=['phy:a", "name='a';memory=4"};
    static const char text[] = NEEDED "memory=64\nextra='quiet'\ndisk=['phy:a,xvda,w']\n";
    struct guest_config c;
    struct report r;

    faults[0] = 0;
    assert_int_equal(guest_config_parse("t", text, strlen(text), overrides, 7, &c, note_fault, NULL, &r), 0);
    assert_int_equal(c.memory_mib, 512);
    assert_string_equal(c.extra, "quiet single");
    assert_string_equal(c.name, "web1");
    assert_string_equal(c.vifs[0].bridge, "x");
    assert_int_equal(c.disks_count, 2);
    assert_string_equal(c.root, "/dev/sda1 ro");
    assert_int_equal(c.vcpus, 2);
    guest_config_free(&c);

    assert_int_equal(guest_config_parse("t", text, strlen(text), wrong, 5, &c, note_fault, NULL, &r), -1);
    assert_string_equal(faults, "argument '=3': not of the form name=value\n"
                                "argument 'disk=['phy:a': this string is not closed on its line: add a ' at its end\n"
                                "argument 'name='a';memory=4': more than one assignment\n"
                                "argument 'memory=x': memory must be a whole number, not 'x'\n"
                                "argument 'memroy=1': unknown name 'memroy': did you mean 'memory'?\n");
}

static void errors_of_language(void **state)
{
    bad("import os\n", "2:1: only assignments (name = value) are understood; 'import' begins something else");
    bad("def f():\n  return 1\nif x: y\nname='a'\n",
        "2:1: only assignments (name = value) are understood; 'def' begins something else\n"
        "4:1: only assignments (name = value) are understood; 'if' begins something else");
    bad("memory = 3 * 4\n",
        "2:12: the assignment must end here (only assignments of strings, numbers and lists are understood), not '*'");
    bad("extra = 'a%s' % 'b'\n",
        "2:15: the assignment must end here (only assignments of strings, numbers and lists are understood), not '%'");
    bad("root = /dev/sda1\n", "2:8: a string, a number or a list must stand here, not '/'");
    bad("root = demo\n",
        "2:8: 'demo' is not a value: a text stands in quotes, and names of other values are not understood");
    bad("root = 'abc\nmemory = 12x\n", "2:8: this string is not closed on its line: add a ' at its end\n"
                                       "3:10: '12x' is not a whole number; a text stands in quotes");
    bad("vif = [ ''\nroot = '/dev/a'\ndisk = ]\n",
        "3:1: ',' or ']' must follow in the list that begins at line 2, column 7, not 'root'\n"
        "4:8: a string, a number or a list must stand here, not ']'");
    bad("vif = [ '',\n",
        "3:1: ',' or ']' must follow in the list that begins at line 2, column 7, not the end of the text");
    bad("extra = 'a' + 1\n", "2:9: a string and a number cannot be added");
    bad("memory = 64\nmemory += 'a'\n", "3:1: += cannot add a string to a number");
    bad("memory = 99999999999999999999\n", "2:10: the number 99999999999999999999 is too large");
    bad("memory = - 'a'\n", "2:12: a number must follow '-', not a string");
    bad("vif=[[[[[[[[[1]]]]]]]]]\n", "2:13: too many lists within lists");
    bad("extra = '\\xff'\n", "2:10: this escape does not name a character: only \\x01 to \\x7f and \\1 to \\177 do");
    bad("extra = 'a\xff'\n", "2:11: not text: this byte is not UTF-8");
    bad("extra = '\x8d\x8d\x8d\x8d\x8d\x8d\x8d\x8d\x8d\x8d\x8d\x8d'\n", "2:10: not text: this byte is not UTF-8");
    bad("= 4\n", "2:1: an assignment (name = value) must stand here, not '='");
    bad("memory\n", "2:1: only assignments (name = value) are understood; 'memory' begins something else");
    bad("extra = '\xc3\xa4' x\n",
        "2:13: the assignment must end here (only assignments of strings, numbers and lists are understood), not 'x'");
}

static void errors_of_values(void **state)
{
    bad("memroy = 64\nVCPUS = 1\nzzzzzzzzz = 1\n", "2:1: unknown name 'memroy': did you mean 'memory'?\n"
                                                   "3:1: unknown name 'VCPUS': did you mean 'vcpus'?\n"
                                                   "4:1: unknown name 'zzzzzzzzz'; xmdomain.cfg(5) lists the names");
    bad("memory = 2\n", "2:10: memory is 2 MiB; it must be 4 to 16777216 MiB");
    bad("memory = '1G'\n", "2:10: memory is a number of MiB, without a unit, not '1G'");
    bad("memory = ['a']\n", "2:10: memory must be a number, not a list");
    bad("memory = -5\n", "2:10: memory is -5; it must be 0 to 9223372036854775807");
    bad("memory = 64\nmaxmem = 32\n", "3:10: maxmem (32 MiB) is less than memory (64 MiB)");
    bad("vcpus = 0\n", "2:9: vcpus is 0; it must be 1 to 128");
    bad("vcpus = 129\n", "2:9: vcpus is 129; it must be 1 to 128");
    bad("vcpus=4\nmaxvcpus=2\n", "3:10: maxvcpus (2) is less than vcpus (4)");
    bad("cpus='0-x'\n", "2:6: cpus must list processors such as \"0-3,^2\", not '0-x'");
    bad("cpu_weight=0\ncpu_cap=99999\n", "2:12: cpu_weight is 0; it must be 1 to 65535\n"
                                         "3:9: cpu_cap is 99999; it must be at most 12800 (percent of one processor)");
    bad("name='a b'\n", "2:6: the name 'a b' may only consist of letters, digits and . _ + - :");
    bad("name='12'\n", "2:6: the name '12' would be taken for a domain id: add a letter");
    bad("name='Domain-0'\n", "2:6: the name Domain-0 is taken");
    bad("uuid='1234'\n", "2:6: the uuid must have the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx of hexadecimal digits");
    bad("on_crash='restrat'\n", "2:10: the action 'restrat' is not known: did you mean 'restart'?");
    bad("on_reboot='zzz'\n", "2:11: the action 'zzz' must be destroy, restart, preserve or rename-restart");
    bad("builder='hvn'\n", "2:9: the builder 'hvn' is not known: did you mean 'hvm'?");
    bad("kernel='k'\nramdisk='r'\n", "2:8: the path of the kernel 'k' must begin with /\n"
                                     "3:9: the path of the ramdisk 'r' must begin with /");
    bad("extra='a\\nb'\n", "2:7: extra contains a control character");
    bad("restart='x'\n", "2:9: restart is 'x'; it must be always, onreboot or never");
    bad("ip='a b'\n", "2:4: ip must be one word without a colon, not 'a b'");
}

static void no_kernel(void **state)
{
    struct guest_config c;

    parse("memory=64\n", &c);
    assert_string_equal(faults, "t: the guest needs a kernel: kernel = \"/path/to/vmlinuz\"\n");
    parse("kernel=[1]\n", &c); /* one fault, not two */
    assert_string_equal(faults, "t:1:8: kernel must be a string, not a list\n");
}

static void errors_of_devices(void **state)
{
    bad("disk=['phy:/dev/a,xvda']\n",
        "2:7: disk 'phy:/dev/a,xvda': it must have the form TARGET,DEVICE,MODE, such as phy:/dev/vg/disk,xvda,w");
    bad("disk=['/dev/a,xvda,w']\n",
        "2:7: disk '/dev/a,xvda,w': '/dev/a' must begin with phy: (a device) or file: (an image)");
    bad("disk=['phy:a,xvda,x']\n", "2:7: disk 'phy:a,xvda,x': the mode 'x' must be r, w or w!");
    bad("disk=['phy:a,foo,w']\n", "2:7: disk 'phy:a,foo,w': 'foo' is not a device of a guest: use xvda, hda (to hdd), "
                                  "sda (to sdp), with a partition or without");
    bad("disk=['tap:qcow:/a,xvda,w']\n",
        "2:7: disk 'tap:qcow:/a,xvda,w': of the forms of tap only tap:aio: is understood; convert the image "
        "to a raw one (qemu-img convert -O raw)");
    bad("disk=[',xvda,w']\n", "2:7: disk ',xvda,w': only a cdrom drive may be empty: what is behind 'xvda' is missing");
    bad("disk=['file:a.img,xvda,w',\n  'phy:a,xvdb,w', 'phy:b,0xca10,w']\n",
        "2:7: the path of the image 'a.img' must begin with /\n3:19: the device 0xca10 is given twice");
    bad("disk=4\n", "2:6: disk must be a list of strings, not a number");
    bad("disk=[4]\n", "2:7: disk must be a list of strings, not a number");
    bad("vif=['brigde=a']\n", "2:6: vif 'brigde=a': unknown key 'brigde': did you mean 'bridge'?");
    bad("vif=['a']\n", "2:6: vif 'a': 'a' is not of the form key=value");
    bad("vif=['mac=00:16:3e:00:00']\n", "2:6: vif 'mac=00:16:3e:00:00': mac must be six pairs of hexadecimal digits, "
                                        "such as 00:16:3e:00:00:01, not '00:16:3e:00:00'");
    bad("vif=['mac=01:16:3e:00:00:01']\n", "2:6: the mac is a group's address: its first byte must be even");
    bad("vif=['mac=00:16:3e:00:00:0a',\n'', 'mac=00:16:3E:00:00:0A']\n",
        "3:5: the mac 00:16:3e:00:00:0a is given twice");
    bad("vif=['bridge=averylongbridgename']\n", "2:6: 'averylongbridgename' cannot be the name of a bridge");
    bad("vif=['bridge=a;b']\n", "2:6: 'a;b' cannot be the name of a bridge");
}

static void device_numbers(void **state)
{
    static const struct {
        const char *name;
        long number; /* -1: none */
    } wanted[] = {
        {"xvda", 51712},
        {"xvda15", 51727},
        {"xvdp", 51952},
        {"xvdp15", 51967},
        {"xvda16", 1 << 28 | 16},
        {"xvdq", 1 << 28 | 16 << 8},
        {"xvdz", 1 << 28 | 25 << 8},
        {"xvdaa", 1 << 28 | 26 << 8},
        {"xvdq255", 1 << 28 | 16 << 8 | 255},
        {"xvda256", -1},
        {"xvd", -1},
        {"xvda0", -1},
        {"xvda01", -1},
        {"xvdA", -1},
        {"xvdzzzzz", -1},
        {"hda", 768},
        {"hda63", 831},
        {"hdb", 832},
        {"hdc", 5632},
        {"hdd2", 5698},
        {"hde", -1},
        {"hda64", -1},
        {"sda", 2048},
        {"sdp15", 2303},
        {"sdq", -1},
        {"sda16", -1},
        {"wd0a", 0},
        {"wd1d", 11},
        {"sd0a", 1024},
        {"cd0a", 1536},
        {"wd0i", -1},
        {"wd0", -1},
        {"wd0dd", -1},
        {"51712", 51712},
        {"0xca00", 51712},
        {"0x20000000", -1},
        {"12x", -1},
        {"", -1},
        {"-1", -1},
    };
    uint32_t number;

    for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        long got = disk_device_number(wanted[i].name, &number) ? -1 : (long)number;

        if (got != wanted[i].number)
            fail_msg("%s: %ld, not %ld", wanted[i].name, got, wanted[i].number);
    }
}

static void disk_details(void **state)
{
    struct guest_disk d;
    char why[WHY_MAX];

    assert_int_equal(disk_parse("phy:vg/a , ioemu:hda , w! , driver", &d, why), 0);
    assert_true(d.writable && d.force);
    assert_string_equal(d.device, "hda");
    assert_string_equal(d.backend, "driver");
    disk_free(&d);
    assert_int_equal(disk_parse(",hdc:cdrom,r", &d, why), 0);
    assert_string_equal(d.target, "");
    assert_true(d.cdrom && !d.writable);
    disk_free(&d);
}

static void limits(void **state)
{
    struct guest_config c;
    struct report r;
    size_t size = (1u << 20) + 1;
    char *text = malloc(size);

    memset(text, '#', size);
    assert_int_equal(guest_config_parse("t", text, size, NULL, 0, &c, NULL, NULL, &r), -1);
    assert_string_equal(r.text, "t: larger than 1024 KiB: this is not a guest's configuration");
    for (size_t i = 0; i + 4 < size; i += 4)
        memcpy(text + i, "x=1\n", 4);
    assert_int_equal(guest_config_parse("t", text, size - 1, NULL, 0, &c, NULL, NULL, &r), -1);
    for (size_t i = 0; i + 2 < size; i += 2)
        memcpy(text + i, "a\n", 2);
    faults[0] = 0;
    assert_int_equal(guest_config_parse("t", text, size - 1, NULL, 0, &c, note_fault, NULL, &r), -1);
    assert_non_null(strstr(faults, "\nthere are more faults; they are not listed\n"));
    memset(text, '[', size);
    memcpy(text, "a=", 2);
    assert_int_equal(guest_config_parse("t", text, size - 1, NULL, 0, &c, NULL, NULL, &r), -1);
    free(text);
}

static void files(void **state)
{
    struct guest_config c;
    struct report r;

    faults[0] = 0;
    assert_int_equal(guest_config_load("/nowhere/x", NULL, 0, &c, note_fault, NULL, &r), -1);
    assert_int_equal(r.kind, REPORT_NOT_FOUND);
    assert_string_equal(faults, "/nowhere/x: cannot be read: No such file or directory\n");
    assert_int_equal(guest_config_load("/tmp", NULL, 0, &c, NULL, NULL, &r), -1);
    assert_string_equal(r.text, "/tmp: not a file");
    assert_int_equal(guest_config_load("/dev/zero", NULL, 0, &c, NULL, NULL, &r), -1);
}

static void json_there_and_back(void **state)
{
    static const char *const names[] = {"freebsd-2006.cfg", "hvm-2008.cfg",    "linux-2006.cfg",
                                        "netbsd-2.0.cfg",   "netbsd-2006.cfg", "pv-2008.cfg"};
    struct guest_config c, back;
    struct report r;

    for (unsigned i = 0; i < 6; i++) {
        json_t *first, *second;

        load(names[i], &c);
        first = guest_config_to_json(&c);
        assert_non_null(first);
        if (guest_config_from_json(first, &back, &r))
            fail_msg("%s: %s", names[i], r.text);
        second = guest_config_to_json(&back);
        assert_true(json_equal(first, second));
        for (unsigned d = 0; d < c.disks_count; d++)
            assert_int_equal(c.disks[d].device_number, back.disks[d].device_number);
        json_decref(first);
        json_decref(second);
        guest_config_free(&c);
        guest_config_free(&back);
    }
}

static void json_refused(void **state)
{
    static const struct {
        const char *json, *text;
    } wrong[] = {
        {"[]", "configuration: not an object"},
        {"{}", "configuration: the guest needs a name: name = \"...\""},
        {"{'name':'a','kernel':'/k','memory_mib':'x'}",
         "configuration: 'memory_mib' must be a whole number in its range"},
        {"{'name':'a','kernel':'/k','memory_mib':-1}",
         "configuration: 'memory_mib' must be a whole number in its range"},
        {"{'name':'a','kernel':'/k','memory_mib':1}", "configuration: memory is 1 MiB; it must be 4 to 16777216 MiB"},
        {"{'name':7}", "configuration: 'name' must be a string"},
        {"{'name':'a/b','kernel':'/k','memory_mib':64}",
         "configuration: the name 'a/b' may only consist of letters, digits and . _ + - :"},
        {"{'nam':7}", "configuration: unknown field 'nam'"},
        {"{'on_crash':'x'}", "configuration: 'on_crash' must be one of the words for it"},
        {"{'disks':7}", "configuration: 'disks' must be a list, and not too long"},
        {"{'disks':[7]}", "configuration: 'disks' must be a list of objects"},
        {"{'disks':[{'type':'phy','target':'a'}]}", "configuration: a disk needs a target and a device"},
        {"{'disks':[{'type':'phy','target':'a','device':'foo'}]}", "configuration: 'foo' is not a device of a guest"},
        {"{'disks':[{'bus':1}]}", "configuration: unknown field 'bus' of a disk"},
        {"{'vifs':[{'mac':'x'}]}", "configuration: 'mac' must be six pairs of hexadecimal digits"},
        {"{'uuid':'0000000000000000000000000000000000000000000000'}", "configuration: 'uuid' must be a uuid"},
        {"{'name':'a','kernel':'/k\\u001b','memory_mib':64}", "configuration: kernel contains a control character"},
        {"{'name':'a','kernel':'/k','memory_mib':64,'vifs':[{'mac':'00:00:00:00:00:00'}]}",
         "configuration: the mac of zeros is nobody's address"},
        {"{'name':'a','kernel':'/"
         "k','memory_mib':64,'disks':[{'target':'a','device':'xvda'},{'target':'b','device':'0xca00'}]}",
         "configuration: the device 0xca00 is given twice"},
    };
    struct guest_config c;
    struct report r;

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char *text = strdup(wrong[i].json);
        json_t *json;

        for (char *quote = text; *quote; quote++)
            *quote = *quote == '\'' ? '"' : *quote;
        json = json_loads(text, 0, NULL);
        assert_non_null(json);
        assert_int_equal(guest_config_from_json(json, &c, &r), -1);
        assert_int_equal(r.kind, REPORT_CONFIG);
        assert_string_equal(r.text, wrong[i].text);
        assert_null(c.name);
        json_decref(json);
        free(text);
    }
}

static uint32_t random_state = 1;
static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

static const char seed[] =
    "name = 'a' + \"b\"\nkernel='/k'; memory = 0x40\nvif = [ 'mac=00:16:3e:00:00:01, bridge=x', '' ,\n ]\n"
    "disk = ['phy:/dev/a,xvda1,w', 'file:/b , hdc:cdrom, r']\nextra += 'q\\x41'\non_crash='restart'\n"
    "ip='1.2.3.4'\ncpus=['0-3,^2']\nrestart='never'\nvcpus=2 # c\n(a 'b' (c d))\n";

/* Changes a few bytes, removes and doubles pieces */
static size_t damage(char *text, size_t size, size_t room)
{
    static const char signs[] = "\"'[](),=+-#\\;\n\r\t 0x9a:^%\xff\xc3\x01";

    for (uint32_t n = random_below(6) + 1; n; n--) {
        size_t at = random_below((uint32_t)size), length = random_below(12);

        if (at + length >= size)
            length = size - at - 1;
        switch (random_below(3)) {
        case 0:
            text[at] = signs[random_below(sizeof(signs))];
            break;
        case 1:
            memmove(text + at, text + at + length, size - at - length);
            size -= length;
            break;
        default:
            if (size + length > room)
                break;
            memmove(text + at + length, text + at, size - at);
            size += length;
        }
    }
    return size;
}

/* Whatever comes: no crash, no leak (the sanitizers look), a fault for each refusal; what is accepted survives JSON */
static void random_damage(void **state)
{
    char text[1024], *exact;
    struct guest_config c, back;
    struct report r;

    for (int round = 0; round < 30000; round++) {
        size_t size = sizeof(seed) - 1;
        struct sxp *s;

        memcpy(text, seed, size);
        size = damage(text, size, sizeof(text));
        exact = malloc(size ? size : 1); /* so that a read beyond the end is seen */
        memcpy(exact, text, size);
        s = sxp_parse("t", exact, size, &r);
        sxp_free(s);
        faults[0] = 0;
        /* without the last line the text is sound: about a third is accepted */
        if (round % 2 && size > 14)
            size -= 14;
        if (guest_config_parse("t", exact, size, NULL, 0, &c, note_fault, NULL, &r)) {
            assert_true(*faults);
        } else {
            json_t *json = guest_config_to_json(&c);

            if (guest_config_from_json(json, &back, &r))
                fail_msg("%.*s: %s", (int)size, exact, r.text);
            json_decref(json);
            guest_config_free(&back);
            guest_config_free(&c);
        }
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_freebsd),
        cmocka_unit_test(published_hvm),
        cmocka_unit_test(published_linux),
        cmocka_unit_test(published_netbsd),
        cmocka_unit_test(published_pv),
        cmocka_unit_test(published_disk_forms),
        cmocka_unit_test(published_vif_forms),
        cmocka_unit_test(published_sxp_forms),
        cmocka_unit_test(installed_examples),
        cmocka_unit_test(language),
        cmocka_unit_test(byte_order_mark),
        cmocka_unit_test(keys_of_old),
        cmocka_unit_test(arguments),
        cmocka_unit_test(errors_of_language),
        cmocka_unit_test(errors_of_values),
        cmocka_unit_test(no_kernel),
        cmocka_unit_test(errors_of_devices),
        cmocka_unit_test(device_numbers),
        cmocka_unit_test(disk_details),
        cmocka_unit_test(limits),
        cmocka_unit_test(files),
        cmocka_unit_test(json_there_and_back),
        cmocka_unit_test(json_refused),
        cmocka_unit_test(random_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

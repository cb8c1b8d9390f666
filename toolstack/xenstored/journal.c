/* SPDX-License-Identifier: MIT */
/*
 * The journal's file: format, mapping, growth, replacement by a snapshot. What the items mean is persist.c's
 * affair.
 */
#include "xenstored/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC        "xenstored1"
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
/* The file gets memory in pieces of this size, and at least MIN_PIECES of them are written between two snapshots. */
#define PIECE      (256U << 10)
#define MIN_PIECES 4

/* At the start of the file; 48 bytes so that records are aligned. */
struct file_head {
    char magic[11];
    char boot_id[37];
};

_Static_assert(sizeof(struct file_head) == 48, "records begin at a multiple of eight");

/* At the start of a record, written in one store. len is that of the items. */
union record_head {
    struct {
        uint32_t len;
        uint32_t sum;
    } part;
    uint64_t whole;
};

static struct {
    char dir[PATH_MAX - 16];
    void (*snapshot)(void);
    char *map;
    uint32_t used;  /* bytes of records and the head */
    uint32_t ready; /* bytes that have memory behind them */
    uint32_t size;  /* bytes mapped */
    int fd;
    time_t retry; /* there is no file: when to try again */
    struct buffer record;
} journal = {.fd = -1};

/* Tells a whole record from a torn one; eight bytes at a time, so len is rounded up and the rest is zero. */
static uint32_t checksum(const char *bytes, uint32_t len)
{
    uint64_t sum = len, word;

    for (uint32_t i = 0; i < len; i += 8) {
        memcpy(&word, bytes + i, 8);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15ULL;
        sum ^= sum >> 29;
    }
    return (uint32_t)(sum >> 32) | 1;
}

static void file_name(char *name, const char *dir, const char *leaf)
{
    if (snprintf(name, PATH_MAX, "%s/%s", dir, leaf) >= PATH_MAX)
        die("the path of the state directory, %s, is too long", dir);
}

static void head_fill(struct file_head *head)
{
    int fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
    char boot_id[37] = "";

    memset(head, 0, sizeof(*head));
    memcpy(head->magic, MAGIC, sizeof(MAGIC));
    if (fd >= 0 && read(fd, boot_id, 36) == 36)
        memcpy(head->boot_id, boot_id, 36);
    if (fd >= 0)
        close(fd);
}

/* Plays the items of a record. False: it is not what this daemon writes. */
static bool play_record(const char *bytes, uint32_t len, void (*play)(const struct journal_item *, const char *))
{
    struct journal_item item;
    uint32_t at = 0;

    while (len - at >= sizeof(item)) {
        memcpy(&item, bytes + at, sizeof(item));
        at += (uint32_t)sizeof(item);
        if (item.len > len - at)
            return false;
        play(&item, bytes + at);
        at += (item.len + 7) & ~7U;
        if (at > len)
            return false;
    }
    return at == len;
}

/* False: not even the first record is whole, the snapshot that every file begins with. */
static bool play_all(const char *map, uint32_t size, void (*play)(const struct journal_item *, const char *))
{
    uint32_t at = sizeof(struct file_head);
    union record_head head;
    bool any = false;

    while (size - at >= sizeof(head)) {
        memcpy(&head, map + at, sizeof(head));
        at += (uint32_t)sizeof(head);
        if (!head.part.len || head.part.len % 8 || head.part.len > size - at ||
            head.part.sum != checksum(map + at, head.part.len))
            break;
        if (!play_record(map + at, head.part.len, play))
            die("the journal was written by another version of xenstored; remove it to start with an empty store");
        at += head.part.len;
        any = true;
    }
    return any;
}

bool journal_replay(const char *dir, void (*play)(const struct journal_item *, const char *))
{
    struct file_head head;
    char name[PATH_MAX];
    struct stat st;
    bool current;
    char *map;
    int fd;

    file_name(name, dir, "journal");
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return false;
    if (fd < 0 || fstat(fd, &st))
        die("cannot read %s: %s", name, strerror(errno));
    if (st.st_size < (off_t)sizeof(head) || st.st_size > INT32_MAX) {
        close(fd);
        return false;
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        die("cannot map %s: %s", name, strerror(errno));
    close(fd);
    head_fill(&head);
    current = !memcmp(map, &head, sizeof(head));
    if (current && !play_all(map, (uint32_t)st.st_size, play)) {
        say("%s is damaged from its beginning: starting with an empty store", name);
        current = false;
    }
    munmap(map, (size_t)st.st_size);
    return current;
}

/* Gives the file memory up to end bytes. */
static bool prepare(uint32_t end)
{
    uint32_t wanted = (end + PIECE - 1) / PIECE * PIECE;
    int error;

    if (end <= journal.ready)
        return true;
    if (wanted > journal.size)
        wanted = journal.size;
    error = posix_fallocate(journal.fd, journal.ready, (off_t)(wanted - journal.ready));
    if (error) {
        errno = error;
        return false;
    }
    journal.ready = wanted;
    return true;
}

/* Puts the prepared record behind the last one, its head last. */
static bool append(void)
{
    struct buffer *record = &journal.record;
    union record_head head = {.part = {.len = buffer_size(record)}};
    uint32_t end;

    if (head.part.len > journal.size - journal.used - sizeof(head))
        return false;
    end = journal.used + (uint32_t)sizeof(head) + head.part.len;
    if (!prepare(end))
        return false;
    memcpy(journal.map + journal.used + sizeof(head), record->data + record->start, head.part.len);
    head.part.sum = checksum(record->data + record->start, head.part.len);
    __atomic_store_n((uint64_t *)(void *)(journal.map + journal.used), head.whole, __ATOMIC_RELEASE);
    journal.used = end;
    buffer_clear(record, PIECE);
    return true;
}

static void forget_file(void)
{
    if (journal.map)
        munmap(journal.map, journal.size);
    if (journal.fd >= 0)
        close(journal.fd);
    journal.map = NULL;
    journal.fd = -1;
    journal.size = journal.ready = journal.used = 0;
}

/* A new file, "journal.new", large enough for the prepared record and as much again, mapped. */
static bool create_file(const char *name)
{
    uint32_t size = buffer_size(&journal.record);
    struct file_head head;

    if (size > INT32_MAX / 8)
        return false;
    journal.fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (journal.fd < 0)
        return false;
    journal.size = (size * 3 / PIECE + MIN_PIECES) * PIECE;
    if (ftruncate(journal.fd, journal.size) || !prepare(sizeof(head)))
        return false;
    journal.map = mmap(NULL, journal.size, PROT_READ | PROT_WRITE, MAP_SHARED, journal.fd, 0);
    if (journal.map == MAP_FAILED) {
        journal.map = NULL;
        return false;
    }
    head_fill(&head);
    memcpy(journal.map, &head, sizeof(head));
    journal.used = sizeof(head);
    return true;
}

static time_t seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Replaces the file by one with a single record, the present state. That includes what was in preparation. */
static bool rewrite(void)
{
    char name[PATH_MAX], new_name[PATH_MAX];

    file_name(name, journal.dir, "journal");
    file_name(new_name, journal.dir, "journal.new");
    forget_file();
    buffer_clear(&journal.record, UINT32_MAX);
    journal.snapshot();
    if (create_file(new_name) && append() && !rename(new_name, name))
        return true;
    say("cannot write %s: %s; what changes now is lost if xenstored ends", new_name, strerror(errno));
    unlink(new_name);
    forget_file();
    buffer_clear(&journal.record, PIECE);
    journal.retry = seconds() + 1;
    return false;
}

void journal_start(const char *dir, void (*snapshot)(void))
{
    snprintf(journal.dir, sizeof(journal.dir), "%s", dir);
    journal.snapshot = snapshot;
    if (!rewrite())
        die("no journal, no service: give --state-dir a directory with space for it");
}

void journal_none(void)
{
    journal.snapshot = NULL;
}

void journal_add(uint16_t type, unsigned domid, const void *first, uint32_t first_len, const void *second,
                 uint32_t second_len)
{
    struct journal_item item = {.type = type, .domid = (uint16_t)domid, .len = first_len + second_len};
    uint32_t padded = (item.len + 7) & ~7U;
    char *to;

    if (!journal.snapshot)
        return;
    to = buffer_grow(&journal.record, (uint32_t)sizeof(item) + padded);
    memcpy(to, &item, sizeof(item));
    to += sizeof(item);
    memset(to + padded - 8, 0, padded ? 8 : 0);
    if (first_len)
        memcpy(to, first, first_len);
    if (second_len)
        memcpy(to + first_len, second, second_len);
    journal.record.end += (uint32_t)sizeof(item) + padded;
}

void journal_commit(void)
{
    if (!buffer_size(&journal.record))
        return;
    if (journal.fd < 0 && seconds() < journal.retry)
        buffer_clear(&journal.record, PIECE);
    else if (journal.fd < 0 || !append())
        rewrite();
    step();
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * flip ARCHIVE WORK SAMPLES SEED SHARD SHARDS: damage a copy of a small closed archive in one place
 * at a time, and demand that verifying it reports each damage.
 *
 * Samples: one bit pattern of one byte in any file, spread so that every file is struck and every
 * byte is equally likely otherwise. After them each file in turn is removed, cut in half, emptied,
 * extended by a byte, or exchanged with the next one of equal kind. Files without information are
 * left alone: the empty files that are only locked (lock, LevelDB's LOCK), and for removal the list
 * of checksums beside a catalogue, which only says the catalogue was closed in order.
 *
 * The undamaged copy must verify clean, before and after. The work is done in a child per sample,
 * so a crash on damaged bytes is a finding of its own. Prints one line per finding; exit 1 with
 * any.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emlfs/archive.h"
#include "emlfs/base/os.h"
#include "emlfs/verify.h"

#define FILES_MAX 512u
#define FILE_MAX_BYTES (4u << 20)
#define SAMPLE_SECONDS 60u
#define STRIKES_PER_FILE 12u

struct file {
    char *name; /* below the archive */
    bool directory;
    mode_t mode;
    struct emlfs_buf data;
};

/* nftw has no argument for its callback. */
static struct tree {
    struct file files[FILES_MAX];
    unsigned n;
    size_t total;
    const char *root;
} tree;

static int tree_add(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)ftw;
    if (tree.n == FILES_MAX || (kind != FTW_F && kind != FTW_D))
        return kind == FTW_F || kind == FTW_D ? -1 : 0;
    if (kind == FTW_F && !S_ISREG(st->st_mode))
        return 0;
    struct file *file = &tree.files[tree.n++];
    file->name = strdup(path + strlen(tree.root));
    file->directory = kind == FTW_D;
    file->mode = st->st_mode & 07777;
    file->data.max_bytes = FILE_MAX_BYTES;
    if (!file->name || (kind == FTW_F && emlfs_os_read_file(path, &file->data) < 0))
        return -1;
    tree.total += file->data.len;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static int file_restore(const char *work, const struct file *file)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s%s", work, file->name);
    if (file->directory)
        return mkdir(path, file->mode);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, file->mode);
    if (fd < 0)
        return -1;
    int rc = emlfs_os_write_all(fd, file->data.data, file->data.len);
    close(fd);
    return rc;
}

static int tree_restore(const char *work)
{
    if (nftw(work, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        return -1;
    for (unsigned i = 0; i < tree.n; i++) {
        if (file_restore(work, &tree.files[i]) < 0)
            return -1;
    }
    return 0;
}

static void finding_ignore(void *arg, const struct emlfs_err *finding)
{
    (void)arg;
    (void)finding;
}

/* In the child: 0 clean, 1 damage was reported. */
static int child_verify(const char *work)
{
    struct emlfs_err err = {0};
    struct emlfs_check_totals totals = {0};
    struct emlfs_archive_options options = {
        .path = work, .workers = 1, .clock = emlfs_clock_system()};
    alarm(SAMPLE_SECONDS);
    int rc = emlfs_archive_verify_files(&options, NULL, finding_ignore, NULL, &totals, &err);
    return rc < 0 || totals.errors > 0 ? 1 : 0;
}

/* 0 clean, 1 reported, 2 crashed, hung or could not be run. */
static int verify(const char *work)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_verify(work));
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 2;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static bool name_ends(const struct file *file, const char *end)
{
    size_t len = strlen(file->name), end_len = strlen(end);
    return len >= end_len && strcmp(file->name + len - end_len, end) == 0;
}

/* ---- kinds of damage; each returns false when it does not apply to the file */

struct damage {
    const struct file *file;
    const struct file *other;
    size_t offset;
    uint8_t mask;
};

static bool write_file(const char *work, const struct file *file, const void *data, size_t len)
{
    struct file changed = *file;
    changed.data.data = (uint8_t *)data;
    changed.data.len = len;
    return file_restore(work, &changed) == 0;
}

static bool damage_flip(const char *work, const struct damage *damage)
{
    struct emlfs_span bytes = emlfs_buf_view(&damage->file->data);
    uint8_t *copy = malloc(bytes.len ? bytes.len : 1);
    if (!copy)
        return false;
    memcpy(copy, bytes.data, bytes.len);
    copy[damage->offset] ^= damage->mask;
    bool done = write_file(work, damage->file, copy, bytes.len);
    free(copy);
    return done;
}

static bool damage_remove(const char *work, const struct damage *damage)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s%s", work, damage->file->name);
    return !name_ends(damage->file, ".sum") && unlink(path) == 0;
}

static bool damage_halve(const char *work, const struct damage *damage)
{
    size_t len = damage->file->data.len;
    return len > 0 && write_file(work, damage->file, damage->file->data.data, len / 2);
}

static bool damage_empty(const char *work, const struct damage *damage)
{
    return damage->file->data.len > 0 && write_file(work, damage->file, "", 0);
}

static bool damage_extend(const char *work, const struct damage *damage)
{
    size_t len = damage->file->data.len;
    uint8_t *copy = malloc(len + 1);
    if (!copy)
        return false;
    if (len > 0)
        memcpy(copy, damage->file->data.data, len);
    copy[len] = 'x';
    bool done = len > 0 && write_file(work, damage->file, copy, len + 1);
    free(copy);
    return done;
}

/* Another file's bytes in place of these: an old or foreign copy of the same kind. */
static bool damage_replace(const char *work, const struct damage *damage)
{
    const struct emlfs_buf *a = &damage->file->data;
    const struct emlfs_buf *b = &damage->other->data;
    const char *dot = strrchr(damage->file->name, '.');
    if (!dot || !name_ends(damage->other, dot) || b->len == 0 ||
        emlfs_span_equal(emlfs_buf_view(a), emlfs_buf_view(b)))
        return false;
    return write_file(work, damage->file, b->data, b->len);
}

static const struct {
    const char *name;
    bool (*run)(const char *work, const struct damage *damage);
} damages[] = {
    {"flip", damage_flip},   {"remove", damage_remove}, {"halve", damage_halve},
    {"empty", damage_empty}, {"extend", damage_extend}, {"replace", damage_replace},
};

struct run {
    const char *work;
    unsigned shard, shards;
    unsigned number, tried, missed;
};

static void run_one(struct run *run, unsigned kind, const struct damage *damage)
{
    if (run->number++ % run->shards != run->shard)
        return;
    if (tree_restore(run->work) < 0) {
        printf("cannot restore the copy: %s\n", strerror(errno));
        run->missed++;
        return;
    }
    if (!damages[kind].run(run->work, damage))
        return;
    run->tried++;
    int result = verify(run->work);
    if (result == 1)
        return;
    printf("%s: %s of %s at %zu (mask %02x)\n", result == 0 ? "not detected" : "crashed",
           damages[kind].name, damage->file->name, damage->offset, damage->mask);
    run->missed++;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 20;
}

static struct damage pick(uint64_t *state, unsigned number, unsigned samples)
{
    struct damage damage = {.mask = (uint8_t)(1u << (next_random(state) % 8))};
    if (next_random(state) % 4 == 0)
        damage.mask = (uint8_t)(1 + next_random(state) % 255);
    if (number < STRIKES_PER_FILE * tree.n && number < samples / 2) {
        damage.file = &tree.files[number % tree.n];
        if (damage.file->data.len > 0) {
            damage.offset = next_random(state) % damage.file->data.len;
            return damage;
        }
    }
    size_t at = next_random(state) % tree.total;
    damage.file = tree.files;
    while (at >= damage.file->data.len)
        at -= damage.file++->data.len;
    damage.offset = at;
    return damage;
}

static void run_all(struct run *run, unsigned samples, uint64_t seed)
{
    for (unsigned i = 0; i < samples; i++) {
        struct damage damage = pick(&seed, i, samples);
        run_one(run, 0, &damage);
    }
    for (unsigned i = 0; i < tree.n; i++) {
        struct damage damage = {.file = &tree.files[i], .other = &tree.files[(i + 1) % tree.n]};
        if (damage.file->directory || name_ends(damage.file, "/LOCK") ||
            name_ends(damage.file, "/lock"))
            continue;
        for (unsigned kind = 1; kind < sizeof(damages) / sizeof(damages[0]); kind++)
            run_one(run, kind, &damage);
    }
}

static bool clean(const char *work, const char *when)
{
    if (tree_restore(work) == 0 && verify(work) == 0)
        return true;
    printf("the undamaged copy is not clean %s\n", when);
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fputs("usage: flip ARCHIVE WORK SAMPLES SEED SHARD SHARDS\n", stderr);
        return 2;
    }
    struct run run = {.work = argv[2],
                      .shard = (unsigned)strtoul(argv[5], NULL, 10),
                      .shards = (unsigned)strtoul(argv[6], NULL, 10)};
    tree.root = argv[1];
    if (nftw(argv[1], tree_add, 16, FTW_PHYS) < 0 || tree.total == 0 || run.shards == 0) {
        printf("cannot read %s\n", argv[1]);
        return 2;
    }
    if (!clean(run.work, "at the start"))
        return 1;
    run_all(&run, (unsigned)strtoul(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    if (!clean(run.work, "at the end"))
        run.missed++;
    printf("%u damages in %zu bytes of %u files, %u not detected\n", run.tried, tree.total, tree.n,
           run.missed);
    return run.missed ? 1 : 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * benchread: the readers of the bench, without an interpreter between the clock and the system
 * call.
 *
 *   benchread list DIR      read every directory below DIR
 *   benchread stat DIR      the same, and lstat every entry
 *   benchread cat DIR       the first, and read every regular file in directory order
 *   benchread random FILE   open, read and close each path of FILE (ended by NUL, in that order);
 *                           prints the nanoseconds of each, one a line
 *
 * The first three print one JSON object: files, directories, bytes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (128u << 10)

enum task { TASK_LIST, TASK_STAT, TASK_CAT };

struct walk {
    enum task task;
    uint64_t files, directories, bytes;
    char *buffer;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "benchread: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Read fd to its end and close it; returns the bytes. */
static uint64_t drain(int fd, char *buffer, const char *name)
{
    uint64_t bytes = 0;
    ssize_t n;
    while ((n = read(fd, buffer, READ_BYTES)) > 0)
        bytes += (uint64_t)n;
    if (n < 0)
        fail(name);
    close(fd);
    return bytes;
}

static void entry_visit(struct walk *walk, int at, const struct dirent *entry)
{
    struct stat st;
    if (walk->task == TASK_STAT && fstatat(at, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        fail(entry->d_name);
    if (walk->task != TASK_CAT || entry->d_type != DT_REG)
        return;
    int fd = openat(at, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        fail(entry->d_name);
    walk->bytes += drain(fd, walk->buffer, entry->d_name);
}

static void directory_walk(struct walk *walk, int fd, const char *name)
{
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        fail(name);
    walk->directories++;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        entry_visit(walk, fd, entry);
        if (entry->d_type == DT_DIR)
            directory_walk(
                walk, openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW),
                entry->d_name);
        else
            walk->files++;
    }
    if (errno)
        fail(name);
    closedir(dir);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int random_read(const char *list, char *buffer)
{
    FILE *file = fopen(list, "rb");
    char *path = NULL;
    size_t size = 0;
    if (!file)
        fail(list);
    while (getdelim(&path, &size, 0, file) > 0) {
        int64_t begin = now_ns();
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            fail(path);
        drain(fd, buffer, path);
        printf("%lld\n", (long long)(now_ns() - begin));
    }
    free(path);
    fclose(file);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const tasks[] = {"list", "stat", "cat"};
    char *buffer = malloc(READ_BYTES);
    if (!buffer)
        fail("memory");
    if (argc == 3 && strcmp(argv[1], "random") == 0) {
        int rc = random_read(argv[2], buffer);
        free(buffer);
        return rc;
    }
    struct walk walk = {.buffer = buffer};
    while (argc == 3 && walk.task <= TASK_CAT && strcmp(argv[1], tasks[walk.task]) != 0)
        walk.task++;
    if (argc != 3 || walk.task > TASK_CAT) {
        fputs("Usage: benchread list|stat|cat DIR | random FILE\n", stderr);
        free(buffer);
        return 2;
    }
    directory_walk(&walk, open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC), argv[2]);
    printf("{\"files\": %llu, \"directories\": %llu, \"bytes\": %llu}\n",
           (unsigned long long)walk.files, (unsigned long long)walk.directories,
           (unsigned long long)walk.bytes);
    free(buffer);
    return 0;
}

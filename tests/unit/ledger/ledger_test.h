/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_LEDGER_TEST_H
#define EMLFS_TESTS_UNIT_LEDGER_TEST_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../store/ledger/internal.h"
#include "scratch.h"

/* What the ledger tests share: a ledger in a directory of its own, records, programs run. */

#define SECRET_WORD "Kirschbaum"

struct scene {
    char root[64];
    char dir[96];
    struct emlfs_ledger_config config;
    struct emlfs_ledger *ledger;
};

static inline int64_t test_clock(void *arg)
{
    (void)arg;
    static atomic_int_least64_t now = 1700000000000000000;
    return atomic_fetch_add(&now, 1000000);
}

static inline int scene_prepare(struct scene *scene)
{
    snprintf(scene->root, sizeof(scene->root), "%s/emlfs-test-ledger-XXXXXX", scratch_dir());
    if (!mkdtemp(scene->root))
        return -1;
    snprintf(scene->dir, sizeof(scene->dir), "%s/ledger", scene->root);
    scene->config = (struct emlfs_ledger_config){
        .dir = scene->dir,
        .master = {.v = {1, 2, 3}},
        .origin = "emlfs/315bed56-888e-45c2-aa69-0b2e730f0759",
        .clock = {test_clock, NULL},
    };
    return emlfs_ledger_create(&scene->config, NULL);
}

static inline int scene_make(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    if (!scene || scene_prepare(scene) < 0 ||
        emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL) < 0)
        return -1;
    *state = scene;
    return 0;
}

static inline void tree_remove(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        char inner[1024];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof(inner), "%.700s/%s", path, entry->d_name);
        if (unlink(inner) < 0)
            tree_remove(inner);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

static inline int scene_remove(void **state)
{
    struct scene *scene = *state;
    (void)emlfs_ledger_close(scene->ledger, NULL);
    tree_remove(scene->root);
    free(scene);
    return 0;
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_make, scene_remove)

static inline void scene_close(struct scene *scene)
{
    assert_int_equal(emlfs_ledger_close(scene->ledger, NULL), 0);
    scene->ledger = NULL;
}

static inline void scene_reopen(struct scene *scene)
{
    struct emlfs_err err = {0};
    if (scene->ledger)
        scene_close(scene);
    int r = emlfs_ledger_open(&scene->config, &scene->ledger, NULL, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
}

/* Record number n, as every test knows it. */
static inline struct emlfs_ledger_record record_make(uint64_t n)
{
    static const uint16_t kinds[] = {EMLFS_LEDGER_MESSAGE_ARCHIVED, EMLFS_LEDGER_MESSAGE_MOVED,
                                     EMLFS_LEDGER_MESSAGE_DELETED, EMLFS_LEDGER_LOGIN};
    struct emlfs_ledger_record record = {
        .kind = kinds[n % 4],
        .source = (uint8_t)(n % 6),
        .outcome = n % 10 == 9 ? EACCES : 0,
        .user = {(uint16_t)(1 + n % 5)},
        .owner = {(uint16_t)(1 + n % 3)},
        .uid = (int64_t)(1000 + n % 7),
        .message = {n + 1},
        .folder = {(uint32_t)(1 + n % 11)},
        .object = n * 3,
        .has_digest = n % 2,
        .name = emlfs_span_str(n % 3 ? "" : SECRET_WORD " policy"),
        .detail = emlfs_span_str(n % 5 ? "" : "reason: " SECRET_WORD),
    };
    if (record.has_digest)
        memcpy(record.digest.v, &n, sizeof(n));
    return record;
}

static inline int records_append(struct emlfs_ledger *ledger, uint64_t first, size_t count)
{
    struct emlfs_ledger_record *records = calloc(count, sizeof(*records));
    assert_non_null(records);
    for (size_t i = 0; i < count; i++)
        records[i] = record_make(first + i);
    uint64_t got = UINT64_MAX;
    int r = emlfs_ledger_append(ledger, records, count, &got, NULL);
    if (r == 0)
        assert_int_equal(got, first);
    free(records);
    return r;
}

static inline int record_compare(void *arg, const struct emlfs_ledger_record *record)
{
    uint64_t *next = arg;
    struct emlfs_ledger_record expected = record_make(*next);
    assert_int_equal(record->sequence, *next);
    assert_int_equal(record->kind, expected.kind);
    assert_int_equal(record->outcome, expected.outcome);
    assert_int_equal(record->message.v, expected.message.v);
    assert_true(emlfs_span_equal(record->name, expected.name));
    assert_true(emlfs_span_equal(record->detail, expected.detail));
    assert_memory_equal(&record->digest, &expected.digest, sizeof(expected.digest));
    (*next)++;
    return 0;
}

/* The ledger holds the records 0 ... size - 1 of record_make. */
static inline void assert_records(struct emlfs_ledger *ledger, uint64_t size)
{
    struct emlfs_ledger_filter all = {0};
    uint64_t next = 0;
    assert_int_equal(emlfs_ledger_each(ledger, &all, record_compare, &next, NULL), 0);
    assert_int_equal(next, size);
}

static inline void finding_print(void *arg, const char *where, const char *text)
{
    if (arg)
        print_message("%s: %s\n", where, text);
}

static inline uint64_t findings_count(const struct scene *scene, bool loud)
{
    struct emlfs_ledger_findings findings = {.finding = finding_print,
                                             .arg = loud ? &findings : NULL};
    int r = emlfs_ledger_verify(&scene->config, &findings, NULL, NULL);
    assert_true(r == 0);
    return findings.count;
}

static inline void file_write(const char *path, struct emlfs_span content)
{
    assert_int_equal(emlfs_os_replace_file(path, content, 0600), 0);
}

/* Run a program without a shell; its exit status. */
static inline int program_run(char *const argv[])
{
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(...) program_run((char *[]){__VA_ARGS__, NULL})

#endif

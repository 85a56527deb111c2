/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_ARCHIVE_LIFE_TEST_H
#define EMLFS_TESTS_UNIT_ARCHIVE_LIFE_TEST_H

#include "archive_test.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/archive.h"
#include "emlfs/base/os.h"
#include "emlfs/ingest.h"
#include "emlfs/verify.h"
#include "scratch.h"

/* An archive in a directory of its own, mail made by number, and what became of each message. */

#define RESULTS_MAX 4000u
#define USER ((struct emlfs_user_id){1})
#define OTHER ((struct emlfs_user_id){2})

struct result {
    enum emlfs_ingest_verdict verdict;
    bool new_entry;
    struct emlfs_msg_id id;
    int code;
};

struct life {
    char dir[64], path[96], recovery[EMLFS_RECOVERY_KEY_TEXT_MAX];
    struct emlfs_archive_settings settings;
    struct emlfs_archive *archive;
    struct emlfs_ingest *ingest;
    unsigned workers;
    int64_t now_ns;
    unsigned put_n, results_n; /* put and reported in this run, in order */
    struct result results[RESULTS_MAX];
    struct emlfs_ingest_totals totals;
};

static inline int64_t life_now(void *arg)
{
    struct life *life = arg;
    return __atomic_add_fetch(&life->now_ns, 1000, __ATOMIC_RELAXED);
}

static inline int life_make(void **state)
{
    struct life *life = calloc(1, sizeof(*life));
    snprintf(life->dir, sizeof(life->dir), "%s/emlfs-test-archive-XXXXXX", scratch_dir());
    life->now_ns = INT64_C(1790000000000000000);
    life->workers = 2;
    life->settings = (struct emlfs_archive_settings){.commit_ms = 20, .timezone = "UTC"};
    if (!mkdtemp(life->dir))
        return -1;
    snprintf(life->path, sizeof(life->path), "%s/archive", life->dir);
    *state = life;
    return 0;
}

static inline int path_unlink(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void tree_remove(const char *path)
{
    (void)nftw(path, path_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void life_init(struct life *life)
{
    const struct emlfs_init_options options = {.settings = &life->settings};
    must(emlfs_archive_init(life->path, &options, life->recovery, NULL));
}

static inline int life_try_open(struct life *life, const char *path, struct emlfs_err *err)
{
    const struct emlfs_archive_options options = {
        .path = path, .workers = life->workers, .clock = {.now_ns = life_now, .arg = life}};
    return emlfs_archive_open(&options, &life->archive, err);
}

static inline void life_open(struct life *life)
{
    struct emlfs_err err = {0};
    if (life_try_open(life, life->path, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void life_close(struct life *life)
{
    struct emlfs_err err = {0};
    if (emlfs_archive_close(life->archive, &err) < 0)
        fail_msg("%s", err.text);
    life->archive = NULL;
}

static inline int life_free(void **state)
{
    struct life *life = *state;
    emlfs_archive_close(life->archive, NULL);
    tree_remove(life->dir);
    free(life);
    return 0;
}

/* Message n is always the same; every 7th carries a part, every 5th shares its part's bytes. */
static inline void mail_make(unsigned n, struct emlfs_buf *out)
{
    struct dice dice = {.state = n * 2654435761u + 1};
    char head[200];
    snprintf(head, sizeof(head),
             "From: someone%u@example.org\r\nSubject: message %u\r\n"
             "Message-ID: <%u@example.org>\r\n\r\n",
             n % 10, n, n);
    buf_text(out, head);
    for (unsigned lines = dice_roll(&dice, 40); lines > 0; lines--) {
        for (unsigned words = 1 + dice_roll(&dice, 12); words > 0; words--) {
            static const char *const list[] = {"archive ", "mail ", "budget ", "Tuesday ", "the "};
            buf_text(out, list[dice_roll(&dice, 5)]);
        }
        buf_text(out, n & 1 ? "\r\n" : "\n");
    }
    if (n % 7 == 0 || n % 5 == 0) {
        const struct part part = {.line = 76, .crlf = true};
        struct dice shared = {.state = n % 5 ? n + 1 : 5};
        part_append(out, &shared, 500 + (n % 70) * 300, &part);
    }
}

static inline int life_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                               struct emlfs_err *err)
{
    struct life *life = arg;
    assert_true(worker < life->workers);
    (void)err;
    snprintf(item->stem, sizeof(item->stem), "stem of %s", item->position);
    item->mtime_ns = item->file_time_sec * 1000000000;
    return emlfs_buf_append(&item->facts, item->position, strlen(item->position));
}

static inline void life_done(void *arg, struct emlfs_ingest_item *item)
{
    struct life *life = arg;
    struct result *result = &life->results[life->results_n];
    assert_int_equal(strtoul(item->position, NULL, 10), life->results_n);
    *result = (struct result){.verdict = item->verdict,
                              .new_entry = item->new_entry,
                              .id = item->id,
                              .code = item->err.code};
    __atomic_store_n(&life->results_n, life->results_n + 1, __ATOMIC_RELEASE);
    emlfs_ingest_item_free(item);
}

static inline void life_begin(struct life *life, const char *source)
{
    const struct emlfs_ingest_options options = {
        .prepare = life_prepare, .done = life_done, .arg = life, .source = source};
    struct emlfs_err err = {0};
    life->put_n = 0;
    __atomic_store_n(&life->results_n, 0, __ATOMIC_RELEASE);
    if (emlfs_ingest_begin(life->archive, &options, &life->ingest, &err) < 0)
        fail_msg("%s", err.text);
}

/* Returns the message's index in results. */
static inline unsigned life_put(struct life *life, struct emlfs_folder_id folder,
                                struct emlfs_user_id user, struct emlfs_span raw)
{
    struct emlfs_ingest_item *item = emlfs_ingest_item_new();
    unsigned n = life->put_n++;
    must(emlfs_buf_append(&item->raw, raw.data, raw.len));
    item->folder = folder;
    item->user = user;
    item->flags = n % 4;
    item->file_time_sec = 1700000000 + n;
    assert_true(asprintf(&item->position, "%u", n) > 0);
    (void)emlfs_ingest_put(life->ingest, item, NULL);
    return n;
}

static inline unsigned life_put_mail(struct life *life, struct emlfs_folder_id folder,
                                     struct emlfs_user_id user, unsigned number)
{
    struct emlfs_buf raw EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1u << 20);
    mail_make(number, &raw);
    return life_put(life, folder, user, emlfs_buf_view(&raw));
}

static inline void life_end(struct life *life, bool complete)
{
    struct emlfs_err err = {0};
    if (emlfs_ingest_end(life->ingest, complete, &life->totals, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(life->results_n, life->put_n);
}

static inline struct emlfs_folder_id life_folder(struct life *life, struct emlfs_folder_id parent,
                                                 struct emlfs_user_id user, const char *name)
{
    struct emlfs_folder_id id;
    must(emlfs_archive_folder_make(life->archive, NULL,
                                   &(struct emlfs_folder_wanted){parent, user, name}, &id, NULL));
    return id;
}

static inline struct emlfs_folder_id life_top(struct life *life, struct emlfs_user_id user)
{
    return life_folder(life, (struct emlfs_folder_id){0}, user, user.v == 1 ? "alice" : "bob");
}

static inline void finding_print(void *arg, const struct emlfs_err *finding)
{
    (void)arg;
    print_message("finding: %s\n", finding->text);
}

static inline void life_verify_clean(struct life *life)
{
    struct emlfs_check_totals totals;
    must(emlfs_archive_verify(life->archive, NULL, finding_print, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 0);
}

#endif

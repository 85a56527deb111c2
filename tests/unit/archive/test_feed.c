/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot_test.h"

#include <pthread.h>

#include "emlfs/feed.h"

/* The change feed, on mail in several stores, before and after crashes and recovery. */

#define CHANGES_MAX 2000u
#define STORE_MESSAGES 20u

struct feed {
    struct emlfs_change v[CHANGES_MAX];
    unsigned n;
};

static unsigned changes(struct life *life, uint16_t no, uint64_t after, struct emlfs_change *ret,
                        unsigned max)
{
    int n = emlfs_archive_changes(life->archive, no, after, ret, max, NULL);

    assert_true(n >= 0 && (unsigned)n <= max);
    return (unsigned)n;
}

/* All changes of a store, asked for max at a time; equal to the last sequence number at the end. */
static void feed_read(struct life *life, uint16_t no, unsigned max, struct feed *ret)
{
    uint64_t after = 0, last;
    unsigned n = 1;

    ret->n = 0;
    while (n > 0) {
        assert_true(ret->n + max <= CHANGES_MAX);
        n = changes(life, no, after, ret->v + ret->n, max);
        for (unsigned i = 0; i < n; i++) {
            const struct emlfs_change *change = &ret->v[ret->n + i];
            assert_true(change->seq > after);
            assert_int_equal(emlfs_msg_id_store(change->first), no);
            after = change->seq;
        }
        ret->n += n;
    }
    must(emlfs_archive_last_change(life->archive, no, &last, NULL));
    assert_int_equal(last, after);
}

static void feeds_text(struct life *life, struct emlfs_buf *out)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    struct emlfs_store_place store = {0};

    emlfs_buf_clear(out);
    while (emlfs_archive_store_next(life->archive, store.no, &store, NULL) == 0) {
        feed_read(life, store.no, 64, feed);
        for (unsigned i = 0; i < feed->n; i++)
            line(out, "store %u change %llu kind %u first %llx n %u folder %u\n", store.no,
                 (unsigned long long)feed->v[i].seq, feed->v[i].kind,
                 (unsigned long long)feed->v[i].first.v, feed->v[i].n, feed->v[i].folder.v);
    }
    free(feed);
}

static void feeds_equal(const struct emlfs_buf *a, const struct emlfs_buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

struct folders {
    struct emlfs_folder_id top, inbox, old, bob;
};

static struct folders folders_make(struct life *life)
{
    struct folders f;

    f.top = life_top(life, USER);
    f.inbox = life_folder(life, f.top, USER, "Inbox");
    f.old = life_folder(life, f.top, USER, "Old");
    f.bob = life_top(life, OTHER);
    return f;
}

/* Fifty messages in three stores. */
static struct folders three_stores(struct life *life)
{
    struct folders f;

    life->settings.store_messages = STORE_MESSAGES;
    life_init(life);
    life_open(life);
    f = folders_make(life);
    life_begin(life, "test:feed");
    for (unsigned n = 0; n < 50; n++)
        life_put_mail(life, f.inbox, USER, n);
    life_end(life, false);
    return f;
}

static void test_messages(void **state)
{
    struct life *life = *state;
    struct feed *whole = calloc(1, sizeof(*whole)), *single = calloc(1, sizeof(*single));
    struct emlfs_store_place store = {0};
    struct emlfs_change none;
    uint64_t last;
    unsigned total = 0;

    life_init(life);
    life_open(life);
    must(emlfs_archive_last_change(life->archive, 1, &last, NULL));
    assert_int_equal(last, 0);
    assert_int_equal(changes(life, 1, 0, &none, 1), 0);
    life_close(life);
    tree_remove(life->path);
    three_stores(life);
    while (emlfs_archive_store_next(life->archive, store.no, &store, NULL) == 0) {
        uint32_t next = 1;
        feed_read(life, store.no, 100, whole);
        feed_read(life, store.no, 1, single);
        assert_int_equal(whole->n, single->n);
        for (unsigned i = 0; i < whole->n; i++) {
            const struct emlfs_change *change = &whole->v[i];
            assert_int_equal(change->seq, single->v[i].seq);
            assert_int_equal(change->kind, EMLFS_CHANGE_MESSAGES);
            assert_int_equal(emlfs_msg_id_number(change->first), next);
            assert_int_equal(change->folder.v, 0);
            next += change->n;
        }
        assert_int_equal(next - 1, store.messages);
        total += store.messages;
        assert_int_equal(changes(life, store.no, UINT64_MAX, &none, 1), 0);
    }
    assert_int_equal(store.no, 3);
    assert_int_equal(total, 50);
    assert_int_equal(emlfs_archive_changes(life->archive, 4, 0, &none, 1, NULL), -ENOENT);
    assert_int_equal(emlfs_archive_changes(life->archive, 0, 0, &none, 1, NULL), -ENOENT);
    assert_int_equal(emlfs_archive_last_change(life->archive, 4, &last, NULL), -ENOENT);
    free(whole);
    free(single);
}

/* Message 3 is of store 1, message 25 of store 2; the writer is in store 3. */
static void file_old_ones(struct life *life, const struct folders *f)
{
    life_begin(life, "test:feed");
    life_put_mail(life, f->old, USER, 3);
    life_put_mail(life, f->bob, OTHER, 25);
    life_put_mail(life, f->bob, OTHER, 3);
    life_put_mail(life, f->inbox, USER, 60);
    life_end(life, true);
}

static void expect_change(const struct emlfs_change *change, enum emlfs_change_kind kind,
                          struct emlfs_msg_id id, struct emlfs_folder_id folder)
{
    assert_int_equal(change->kind, kind);
    assert_int_equal(change->first.v, id.v);
    assert_int_equal(change->n, 1);
    assert_int_equal(change->folder.v, folder.v);
}

static void test_older_stores(void **state)
{
    struct life *life = *state;
    struct folders f = three_stores(life);
    struct feed *feed = calloc(1, sizeof(*feed));
    struct emlfs_msg_id third = emlfs_msg_id_make(1, 4), other = emlfs_msg_id_make(2, 6);
    struct emlfs_filing filings[4];
    uint64_t before[4] = {0};
    unsigned n;

    for (uint16_t no = 1; no <= 3; no++)
        must(emlfs_archive_last_change(life->archive, no, &before[no], NULL));
    file_old_ones(life, &f);
    assert_int_equal(changes(life, 1, before[1], feed->v, 10), 3);
    expect_change(&feed->v[0], EMLFS_CHANGE_FILED, third, f.old);
    expect_change(&feed->v[1], EMLFS_CHANGE_FILED, third, f.bob);
    expect_change(&feed->v[2], EMLFS_CHANGE_UNFILED, third, f.inbox); /* it moved to Old */
    assert_int_equal(changes(life, 2, before[2], feed->v, 10), 1);
    expect_change(&feed->v[0], EMLFS_CHANGE_FILED, other, f.bob);
    assert_int_equal(changes(life, 3, before[3], feed->v, 10), 1);
    assert_int_equal(feed->v[0].kind, EMLFS_CHANGE_MESSAGES);

    must(emlfs_archive_filings(life->archive, third, filings, 4, &n, NULL));
    assert_int_equal(n, 2);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(filings[i].folder.v, filings[i].user.v == 1 ? f.old.v : f.bob.v);
    assert_int_equal(emlfs_archive_filings(life->archive, third, filings, 1, &n, NULL), -E2BIG);
    assert_int_equal(
        emlfs_archive_filings(life->archive, emlfs_msg_id_make(1, 99), filings, 4, &n, NULL),
        -ENOENT);
    assert_int_equal(
        emlfs_archive_filings(life->archive, emlfs_msg_id_make(9, 1), filings, 4, &n, NULL),
        -ENOENT);
    for (uint16_t no = 1; no <= 3; no++)
        feed_read(life, no, 64, feed);
    life_verify_clean(life);
    free(feed);
}

static void path_of_store(struct life *life, uint16_t no, char *ret, size_t size)
{
    struct emlfs_store_place store;

    must(emlfs_archive_store_next(life->archive, (uint16_t)(no - 1), &store, NULL));
    snprintf(ret, size, "stores/%s", store.name);
}

/*
 * A crash between the commit of older stores' rows and the mark of the current one: the records are
 * applied again, the feed is the same.
 */
static void test_applied_again(void **state)
{
    struct life *life = *state;
    struct folders f = three_stores(life);
    struct emlfs_buf right = EMLFS_BUF_INIT(1u << 20), got = EMLFS_BUF_INIT(1u << 20);
    char copy[120], live[200], saved[200], store[64];

    path_of_store(life, 3, store, sizeof(store));
    life_close(life);
    snprintf(copy, sizeof(copy), "%s/copy", life->dir);
    snprintf(saved, sizeof(saved), "%s/%s/catalog", copy, store);
    snprintf(live, sizeof(live), "%s/%s/catalog", life->path, store);
    tree_copy(life->path, copy);
    life_open(life);
    file_old_ones(life, &f);
    feeds_text(life, &right);
    life_close(life);
    tree_remove(live);
    tree_copy(saved, live);
    life_open(life);
    feeds_text(life, &got);
    feeds_equal(&right, &got);
    life_verify_clean(life);
    emlfs_buf_free(&right);
    emlfs_buf_free(&got);
}

static void test_recovered(void **state)
{
    struct life *life = *state;
    struct folders f = three_stores(life);
    struct emlfs_buf right = EMLFS_BUF_INIT(1u << 20), got = EMLFS_BUF_INIT(1u << 20);
    struct emlfs_archive_options options = {.path = life->path};
    struct emlfs_check_totals totals;
    struct emlfs_store_place place;
    struct emlfs_key key;

    file_old_ones(life, &f);
    feeds_text(life, &right);
    must(emlfs_archive_store_next(life->archive, 0, &place, NULL));
    key = place.index_key;
    must(emlfs_archive_store_next(life->archive, 1, &place, NULL));
    assert_memory_not_equal(key.v, place.index_key.v, sizeof(key.v));
    assert_int_equal(emlfs_archive_store_next(life->archive, 3, &place, NULL), -ENOENT);
    assert_int_equal(emlfs_archive_store_next(life->archive, UINT16_MAX, &place, NULL), -ENOENT);
    life_close(life);
    must(emlfs_archive_recover(&options, NULL, finding_print, NULL, &totals, NULL));
    life_open(life);
    feeds_text(life, &got);
    feeds_equal(&right, &got);
    must(emlfs_archive_store_next(life->archive, 0, &place, NULL));
    assert_memory_equal(key.v, place.index_key.v, sizeof(key.v));
    emlfs_buf_free(&right);
    emlfs_buf_free(&got);
}

static void same_entry(const struct emlfs_entry *a, const struct emlfs_entry *b)
{
    assert_int_equal(a->id.v, b->id.v);
    assert_int_equal(a->folder.v, b->folder.v);
    assert_int_equal(a->user.v, b->user.v);
    assert_int_equal(a->nlink, b->nlink);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->size_bytes, b->size_bytes);
    assert_int_equal(a->mtime_ns, b->mtime_ns);
    assert_int_equal(a->ctime_ns, b->ctime_ns);
    assert_string_equal(a->name, b->name);
}

/* A batch says of each message what entry_of says of it alone. */
static void check_batch(struct life *life, struct emlfs_user_id user,
                        const struct emlfs_msg_id *ids, unsigned n)
{
    struct emlfs_entry *entries = calloc(n + 1, sizeof(*entries)), alone;

    must(emlfs_archive_entries_of(life->archive, user, ids, n, entries, NULL));
    for (unsigned i = 0; i < n; i++) {
        int rc = emlfs_archive_entry_of(life->archive, user, ids[i], &alone, NULL);
        if (rc == -ENOENT) {
            assert_int_equal(entries[i].id.v, 0);
            continue;
        }
        must(rc);
        same_entry(&entries[i], &alone);
    }
    free(entries);
}

static void test_entries_of(void **state)
{
    struct life *life = *state;
    struct folders f;
    struct dice dice = {.state = 77};
    struct emlfs_msg_id ids[1025];
    struct emlfs_entry entry;

    life->settings.store_messages = 700;
    life_init(life);
    life_open(life);
    f = folders_make(life);
    life_begin(life, NULL);
    for (unsigned n = 0; n < 1200; n++) {
        life_put_mail(life, n % 3 ? f.inbox : f.old, USER, n);
        if (n % 11 == 0)
            life_put_mail(life, f.top, USER, n);
        if (n % 13 == 0)
            life_put_mail(life, f.bob, OTHER, n);
    }
    life_end(life, false);
    for (unsigned round = 0; round < 8; round++) {
        unsigned n = round == 7 ? 1024 : dice_roll(&dice, 400);
        for (unsigned i = 0; i < n; i++) /* also numbers and stores that are not there */
            ids[i] =
                emlfs_msg_id_make((uint16_t)(1 + dice_roll(&dice, 3)), 1 + dice_roll(&dice, 720));
        check_batch(life, USER, ids, n);
        check_batch(life, OTHER, ids, n);
    }
    for (unsigned i = 0; i < 1025; i++)
        ids[i] = emlfs_msg_id_make(1, 700 - i % 700);
    check_batch(life, USER, ids, 1024);
    assert_int_equal(emlfs_archive_entries_of(life->archive, USER, ids, 1025, &entry, NULL),
                     -EINVAL);
}

struct watch_test {
    struct emlfs_archive *archive;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    unsigned calls;
    bool hold, inside, left;
};

static void watch_count(void *arg)
{
    struct watch_test *test = arg;

    pthread_mutex_lock(&test->lock);
    test->calls++;
    test->inside = true;
    pthread_cond_broadcast(&test->cond);
    while (test->hold)
        pthread_cond_wait(&test->cond, &test->lock);
    test->inside = false;
    pthread_mutex_unlock(&test->lock);
}

static void *watch_leave(void *arg)
{
    struct watch_test *test = arg;

    emlfs_archive_unwatch(test->archive, watch_count, test);
    pthread_mutex_lock(&test->lock);
    assert_false(test->inside);
    test->left = true;
    pthread_mutex_unlock(&test->lock);
    return NULL;
}

static void *folder_thread(void *arg)
{
    struct watch_test *test = arg;
    struct emlfs_folder_id id;

    must(emlfs_archive_folder_make(test->archive, NULL,
                                   &(struct emlfs_folder_wanted){.user = USER, .name = "held"}, &id,
                                   NULL));
    return NULL;
}

static void test_watch(void **state)
{
    struct life *life = *state;
    struct watch_test test = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    struct watch_test others[EMLFS_WATCHERS_MAX] = {0};
    const struct timespec moment = {.tv_nsec = 50000000};
    pthread_t writer, leaver;
    unsigned calls;

    life_init(life);
    life_open(life);
    test.archive = life->archive;
    must(emlfs_archive_watch(life->archive, watch_count, &test));
    const unsigned last = EMLFS_WATCHERS_MAX - 1;
    for (unsigned i = 0; i < last; i++)
        must(emlfs_archive_watch(life->archive, watch_count, &others[i]));
    assert_int_equal(emlfs_archive_watch(life->archive, watch_count, &others[last]), -ENOSPC);
    for (unsigned i = 0; i < last; i++)
        emlfs_archive_unwatch(life->archive, watch_count, &others[i]);
    life_top(life, USER);
    calls = test.calls;
    assert_true(calls > 0);
    life_begin(life, NULL);
    life_put_mail(life, life_top(life, USER), USER, 1);
    must(emlfs_ingest_flush(life->ingest, NULL));
    assert_true(test.calls > calls); /* woken at the latest when the verdict is there */
    life_end(life, false);
    assert_int_equal(others[0].calls, 0);

    test.hold = true;
    must(pthread_create(&writer, NULL, folder_thread, &test));
    pthread_mutex_lock(&test.lock);
    while (!test.inside)
        pthread_cond_wait(&test.cond, &test.lock);
    pthread_mutex_unlock(&test.lock);
    must(pthread_create(&leaver, NULL, watch_leave, &test));
    nanosleep(&moment, NULL);
    pthread_mutex_lock(&test.lock);
    assert_false(test.left);
    test.hold = false;
    pthread_cond_broadcast(&test.cond);
    pthread_mutex_unlock(&test.lock);
    must(pthread_join(writer, NULL));
    must(pthread_join(leaver, NULL));
    calls = test.calls;
    life_folder(life, (struct emlfs_folder_id){0}, USER, "after");
    assert_int_equal(test.calls, calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_messages, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_older_stores, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_applied_again, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_recovered, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_entries_of, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_watch, life_make, life_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

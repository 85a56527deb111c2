/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "govern_test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "../../../store/archive/ingest.h"

/* Ingests beside each other: each gets its turn, and none disturbs what another has decided. */

struct stream {
    struct life *life;
    struct emlfs_folder_id folder;
    const char *source;
    unsigned first, limit; /* numbers of mail, over and over */
    unsigned pause_us;
    atomic_bool *stop;
    atomic_uint done, put;
    unsigned odd; /* verdicts out of order */
    atomic_uint rejected;
    struct emlfs_ingest_totals totals;
};

static int stream_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                          struct emlfs_err *err)
{
    (void)arg, (void)worker, (void)err;
    snprintf(item->stem, sizeof(item->stem), "stem of %s", item->position);
    item->mtime_ns = 1700000000 * INT64_C(1000000000);
    return emlfs_buf_append(&item->facts, item->position, strlen(item->position));
}

static void stream_done(void *arg, struct emlfs_ingest_item *item)
{
    struct stream *stream = arg;

    stream->odd += strtoul(item->position, NULL, 10) != atomic_load(&stream->done);
    if (item->verdict == EMLFS_INGEST_REJECTED && item->err.code != EAGAIN)
        atomic_fetch_add(&stream->rejected, 1);
    atomic_fetch_add(&stream->done, 1);
    emlfs_ingest_item_free(item);
}

static void stream_put(struct stream *stream, struct emlfs_ingest *ingest, unsigned number)
{
    struct emlfs_ingest_item *item = emlfs_ingest_item_new();

    mail_make(number, &item->raw);
    item->folder = stream->folder;
    item->user = USER;
    assert_true(asprintf(&item->position, "%u", atomic_fetch_add(&stream->put, 1)) > 0);
    must(emlfs_ingest_put(ingest, item, NULL));
}

static struct emlfs_ingest *stream_begin(struct stream *stream)
{
    const struct emlfs_ingest_options options = {
        .prepare = stream_prepare, .done = stream_done, .arg = stream, .source = stream->source};
    struct emlfs_ingest *ingest;

    must(emlfs_ingest_begin(stream->life->archive, &options, &ingest, NULL));
    return ingest;
}

static void *stream_main(void *arg)
{
    struct stream *stream = arg;
    struct emlfs_ingest *ingest = stream_begin(stream);

    for (unsigned n = 0; !atomic_load(stream->stop); n++) {
        stream_put(stream, ingest, stream->first + n % stream->limit);
        if (n % 97 == 0)
            must(emlfs_ingest_flush(ingest, NULL));
        if (stream->pause_us)
            usleep(stream->pause_us);
    }
    must(emlfs_ingest_end(ingest, true, &stream->totals, NULL));
    return NULL;
}

static void stream_check(const struct stream *stream)
{
    assert_int_equal(stream->odd, 0);
    assert_int_equal(atomic_load(&stream->rejected), 0);
    assert_int_equal(atomic_load(&stream->done), atomic_load(&stream->put));
    assert_int_equal(stream->totals.archived + stream->totals.duplicates + stream->totals.rejected,
                     atomic_load(&stream->put));
}

/* Three messages while others write: one's own, one that they bring, one for a second folder. */
static struct emlfs_msg_id short_run(struct life *life, struct emlfs_folder_id a,
                                     struct emlfs_folder_id b, unsigned round)
{
    life_begin(life, NULL);
    life_put_mail(life, a, USER, 100000 + round);
    life_put_mail(life, a, USER, round * 3);
    life_put_mail(life, b, USER, 100000 + round);
    life_end(life, false);
    for (unsigned i = 0; i < 3; i++)
        assert_int_not_equal(life->results[i].verdict, EMLFS_INGEST_REJECTED);
    assert_int_equal(life->results[2].id.v, life->results[0].id.v);
    return life->results[0].id;
}

static void entry_delete_beside(struct life *life, struct emlfs_entry_at at)
{
    int rc;

    while ((rc = entry_delete(life, at)) == -EAGAIN || rc == -ESTALE)
        usleep(1000);
    must(rc);
}

static void test_beside_long(void **state)
{
    enum { ROUNDS = 12 };
    struct life *life = *state;
    atomic_bool stop = false;
    pthread_t threads[2];
    struct emlfs_msg_id ids[ROUNDS];
    uint64_t kept, counted;

    life->settings.store_messages = 700;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER), a = life_folder(life, top, USER, "a"),
                           b = life_folder(life, top, USER, "b"),
                           inbox = life_folder(life, top, USER, "Inbox");
    struct stream streams[2] = {
        {.life = life, .folder = inbox, .source = "test:long", .limit = 3000, .stop = &stop},
        {.life = life,
         .folder = inbox,
         .source = "test:long",
         .first = 1500,
         .limit = 100,
         .pause_us = 2000,
         .stop = &stop},
    };

    for (unsigned i = 0; i < 2; i++)
        must(pthread_create(&threads[i], NULL, stream_main, &streams[i]));
    while (atomic_load(&streams[0].done) < 100)
        usleep(1000);
    must(emlfs_archive_usage(life->archive, USER, &kept, NULL));
    for (unsigned round = 0; round < ROUNDS; round++) {
        ids[round] = short_run(life, a, b, round);
        if (round % 3 == 1)
            entry_delete_beside(life, (struct emlfs_entry_at){USER, a, ids[round]});
        if (round == 5) {
            uint16_t no;
            must(emlfs_archive_store_create(life->archive, NULL, NULL, &no, NULL));
        }
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 2; i++) {
        must(pthread_join(threads[i], NULL));
        stream_check(&streams[i]);
    }
    life_verify_clean(life);
    must(emlfs_archive_usage(life->archive, USER, &kept, NULL));
    life_close(life);
    life_open(life);
    must(emlfs_archive_usage(life->archive, USER, &counted, NULL));
    assert_int_equal(kept, counted);
    life_verify_clean(life);
    for (unsigned round = 0; round < ROUNDS; round++)
        must(mail_matches(life->archive, ids[round], 100000 + round));
    assert_int_equal(folder_count(life, b), ROUNDS);
    assert_int_equal(folder_count(life, a), 2 * ROUNDS - 4);
}

/* One that has begun and brings nothing keeps nobody waiting. */
static void test_beside_idle(void **state)
{
    struct life *life = *state;
    atomic_bool stop = false;

    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER), a = life_folder(life, top, USER, "a"),
                           b = life_folder(life, top, USER, "b");
    struct stream idle = {.life = life, .folder = a, .source = "test:idle", .stop = &stop};
    struct emlfs_ingest *ingest = stream_begin(&idle);

    short_run(life, a, b, 1);
    stream_put(&idle, ingest, 3); /* which the other archived */
    stream_put(&idle, ingest, 4);
    must(emlfs_ingest_flush(ingest, NULL));
    assert_int_equal(atomic_load(&idle.done), 2);
    short_run(life, a, b, 2);
    short_run(life, a, b, 3);
    must(emlfs_ingest_end(ingest, true, &idle.totals, NULL));
    stream_check(&idle);
    assert_int_equal(idle.totals.duplicates, 1);
    assert_int_equal(idle.totals.archived, 1);
    life_verify_clean(life);
}

/* One whose blocks are closed, and not compressed yet, when it fails: on the committing thread. */
struct failing {
    struct emlfs_ingest *_Atomic ingest;
    atomic_uint taken, rejected, reached; /* reached: number of the last message in prepare, + 1 */
    atomic_uint gate;                     /* messages from this number on wait in prepare */
};
enum { FAILING_N = 18, FAILING_AT = FAILING_N - 1 };

static int failing_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                           struct emlfs_err *err)
{
    struct failing *failing = arg;
    unsigned number = (unsigned)strtoul(item->position, NULL, 10);

    atomic_store(&failing->reached, number + 1);
    while (number >= atomic_load(&failing->gate))
        usleep(1000);
    return stream_prepare(NULL, worker, item, err);
}

static int failing_quota(void *arg, struct emlfs_user_id user, uint64_t *ret_bytes,
                         struct emlfs_err *err)
{
    struct failing *failing = arg;
    struct emlfs_err why;

    (void)user;
    (void)err;
    *ret_bytes = 0;
    if (atomic_fetch_add(&failing->taken, 1) + 1 == FAILING_AT)
        ingest_fail(atomic_load(&failing->ingest),
                    emlfs_err_set(&why, ENOMEM, "test", "out of memory"), &why);
    return 0;
}

/* A quota that cannot be read lets nothing in. */
static int unreadable_quota(void *arg, struct emlfs_user_id user, uint64_t *ret_bytes,
                            struct emlfs_err *err)
{
    (void)user;
    *ret_bytes = 0;
    return atomic_load((atomic_bool *)arg) ? emlfs_err_set(err, EIO, "test", "unreadable") : 0;
}

static void unreadable_done(void *arg, struct emlfs_ingest_item *item)
{
    bool unreadable = atomic_load((atomic_bool *)arg);

    assert_int_equal(item->verdict, unreadable ? EMLFS_INGEST_REJECTED : EMLFS_INGEST_ARCHIVED);
    assert_int_equal(item->err.code, unreadable ? EIO : 0);
    emlfs_ingest_item_free(item);
}

static int plain_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                         struct emlfs_err *err)
{
    (void)arg;
    return stream_prepare(NULL, worker, item, err);
}

static void test_unreadable_quota(void **state)
{
    struct life *life = *state;
    atomic_bool unreadable = true;
    const struct emlfs_ingest_options options = {.prepare = plain_prepare,
                                                 .done = unreadable_done,
                                                 .quota = unreadable_quota,
                                                 .arg = &unreadable};
    struct emlfs_ingest_totals totals;

    life_init(life);
    life_open(life);
    struct stream stream = {.life = life, .folder = life_top(life, USER)};
    for (unsigned i = 0; i < 2; i++) {
        struct emlfs_ingest *ingest;
        must(emlfs_ingest_begin(life->archive, &options, &ingest, NULL));
        stream_put(&stream, ingest, 7);
        must(emlfs_ingest_end(ingest, false, &totals, NULL));
        assert_int_equal(totals.rejected, i == 0);
        assert_int_equal(totals.archived, i == 1);
        atomic_store(&unreadable, false);
    }
    life_verify_clean(life);
}

static void failing_done(void *arg, struct emlfs_ingest_item *item)
{
    struct failing *failing = arg;

    atomic_fetch_add(&failing->rejected, item->verdict == EMLFS_INGEST_REJECTED);
    emlfs_ingest_item_free(item);
}

static void failing_begin(struct life *life, struct failing *failing, struct emlfs_folder_id folder)
{
    const struct emlfs_ingest_options options = {
        .prepare = failing_prepare, .done = failing_done, .quota = failing_quota, .arg = failing};
    struct stream stream = {.life = life, .folder = folder};
    struct emlfs_ingest *ingest;

    must(emlfs_ingest_begin(life->archive, &options, &ingest, NULL));
    atomic_store(&failing->ingest, ingest);
    for (unsigned i = 0; i < FAILING_N; i++) {
        stream_put(&stream, ingest, 1 + i);
        while (atomic_load(&failing->reached) == 0)
            usleep(1000);
    }
    /* The worker has taken the first alone, takes those up to the last together, then the last. */
    atomic_store(&failing->gate, FAILING_AT);
    while (atomic_load(&failing->reached) < FAILING_N || atomic_load(&failing->taken) < FAILING_AT)
        usleep(1000);
}

static void test_beside_failed(void **state)
{
    enum { OTHERS = 40 };
    struct life *life = *state;
    struct failing failing = {.gate = 0};
    struct emlfs_msg_id ids[OTHERS];

    life->workers = 1;
    life->settings.block_bytes = 4096;
    life->settings.commit_ms = 10000;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER), a = life_folder(life, top, USER, "a"),
                           b = life_folder(life, top, USER, "b");

    life_begin(life, NULL);
    life_put_mail(life, b, USER, 1);
    life_end(life, false);
    const struct emlfs_entry_at known = {USER, b, life->results[0].id};
    failing_begin(life, &failing, a);
    life_begin(life, NULL);
    must(entry_delete(life, known)); /* it was to be filed once more, and will not be */
    for (unsigned i = 0; i < OTHERS; i++)
        life_put_mail(life, a, USER, 1000 + i);
    life_end(life, false);
    for (unsigned i = 0; i < OTHERS; i++)
        ids[i] = life->results[i].id;
    atomic_store(&failing.gate, FAILING_N);
    while (atomic_load(&failing.rejected) < FAILING_N)
        usleep(1000);
    usleep(100000); /* its blocks are compressed now, after all */
    assert_int_equal(emlfs_ingest_end(atomic_load(&failing.ingest), false, NULL, NULL), -ENOMEM);
    assert_int_equal(atomic_load(&failing.rejected), FAILING_N);
    life_begin(life, NULL);
    life_put_mail(life, a, USER, 2000);
    life_end(life, false);
    life_verify_clean(life);
    for (unsigned i = 0; i < OTHERS; i++)
        must(mail_matches(life->archive, ids[i], 1000 + i));
    assert_int_equal(folder_count(life, a), OTHERS + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_beside_long, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_beside_idle, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_beside_failed, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_unreadable_quota, life_make, life_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

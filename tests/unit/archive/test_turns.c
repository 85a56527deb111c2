/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "govern_test.h"

#include <pthread.h>
#include <stdatomic.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_beside_long, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_beside_idle, life_make, life_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

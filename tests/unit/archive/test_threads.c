/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot_test.h"

#include <pthread.h>
#include <stdatomic.h>

/* Readers, listers and folder makers beside an ingest: meant to run under ThreadSanitizer too. */

#define MAILS 400u
#define READERS 6u

struct crowd {
    struct life *life;
    struct emlfs_folder_id top, inbox;
    atomic_bool stop;
    atomic_uint reads, listings, failures;
};

static void *reader_main(void *arg)
{
    struct crowd *crowd = arg;
    struct emlfs_archive *archive = crowd->life->archive;
    struct emlfs_buf got = EMLFS_BUF_INIT(8u << 20);
    struct dice dice = {.state = (uint64_t)(uintptr_t)&dice | 1};
    while (!atomic_load(&crowd->stop)) {
        unsigned n = __atomic_load_n(&crowd->life->results_n, __ATOMIC_ACQUIRE);
        if (n == 0)
            continue;
        const struct result *result = &crowd->life->results[dice_roll(&dice, n)];
        struct emlfs_msg_reader *reader;
        uint8_t bytes[3000];
        if (emlfs_archive_msg_open(archive, result->id, &reader, NULL) < 0) {
            atomic_fetch_add(&crowd->failures, 1);
            continue;
        }
        uint64_t size = emlfs_msg_reader_size(reader);
        uint64_t offset = dice_roll(&dice, (uint32_t)size);
        if (emlfs_msg_reader_pread(reader, bytes, sizeof(bytes), offset, NULL) <= 0)
            atomic_fetch_add(&crowd->failures, 1);
        emlfs_msg_reader_free(reader);
        atomic_fetch_add(&crowd->reads, 1);
    }
    emlfs_buf_free(&got);
    return NULL;
}

static void *lister_main(void *arg)
{
    struct crowd *crowd = arg;
    struct emlfs_archive *archive = crowd->life->archive;
    struct emlfs_entry *entries = calloc(50, sizeof(*entries));
    struct emlfs_archive_status status;
    struct emlfs_folder folder;
    uint64_t before = 0;
    while (!atomic_load(&crowd->stop)) {
        struct emlfs_entry_page page = {.folder = crowd->inbox, .v = entries, .max = 50, .n = 1};
        uint64_t n = 0;
        while (page.n > 0) {
            if (emlfs_archive_entries(archive, &page, NULL) < 0)
                atomic_fetch_add(&crowd->failures, 1);
            n += page.n;
            if (page.n > 0)
                page.after = entries[page.n - 1].id;
        }
        if (n < before || emlfs_archive_folder_get(archive, crowd->inbox, &folder, NULL) < 0 ||
            folder.entries < n || emlfs_archive_get_status(archive, &status, NULL) < 0)
            atomic_fetch_add(&crowd->failures, 1);
        before = n;
        atomic_fetch_add(&crowd->listings, 1);
    }
    free(entries);
    return NULL;
}

static void *maker_main(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; !atomic_load(&crowd->stop); i++) {
        char name[40];
        struct emlfs_folder_id id;
        snprintf(name, sizeof(name), "made meanwhile %u", i % 100);
        if (emlfs_archive_folder_make(crowd->life->archive, NULL,
                                      &(struct emlfs_folder_wanted){crowd->top, USER, name}, &id,
                                      NULL) < 0)
            atomic_fetch_add(&crowd->failures, 1);
    }
    return NULL;
}

static void on_change(void *arg, struct emlfs_folder_id folder)
{
    struct crowd *crowd = arg;
    (void)folder;
    (void)crowd;
}

static void crowd_start(struct crowd *crowd, pthread_t threads[READERS + 2])
{
    for (unsigned i = 0; i < READERS; i++)
        must(pthread_create(&threads[i], NULL, reader_main, crowd));
    must(pthread_create(&threads[READERS], NULL, lister_main, crowd));
    must(pthread_create(&threads[READERS + 1], NULL, maker_main, crowd));
}

static void crowd_stop(struct crowd *crowd, pthread_t threads[READERS + 2])
{
    while (atomic_load(&crowd->reads) < 20 || atomic_load(&crowd->listings) < 2)
        usleep(1000);
    atomic_store(&crowd->stop, true);
    for (unsigned i = 0; i < READERS + 2; i++)
        must(pthread_join(threads[i], NULL));
    assert_int_equal(atomic_load(&crowd->failures), 0);
}

static void test_beside_ingest(void **state)
{
    struct life *life = *state;
    struct crowd crowd = {.life = life};
    pthread_t threads[READERS + 2];
    life->workers = 3;
    life->settings.block_bytes = 16384;
    life->settings.store_messages = 150;
    life_init(life);
    life_open(life);
    crowd.top = life_top(life, USER);
    crowd.inbox = life_folder(life, crowd.top, USER, "Inbox");
    emlfs_archive_subscribe(life->archive, on_change, &crowd);
    crowd_start(&crowd, threads);
    life_begin(life, "test:threads");
    for (unsigned n = 0; n < MAILS; n++) {
        life_put_mail(life, crowd.inbox, USER, n);
        if (n % 9 == 0)
            life_put_mail(life, crowd.top, USER, n / 2);
    }
    life_end(life, true);
    life_verify_clean(life);
    crowd_stop(&crowd, threads);
    for (unsigned n = 0, at = 0; n < MAILS; n++) {
        must(mail_matches(life->archive, life->results[at].id, n));
        at += n % 9 == 0 ? 2 : 1;
    }
}

static void *cold_main(void *arg)
{
    struct crowd *crowd = arg;
    struct emlfs_msg_reader *reader;
    if (emlfs_archive_msg_open(crowd->life->archive, crowd->life->results[0].id, &reader, NULL) < 0)
        atomic_fetch_add(&crowd->failures, 1);
    else
        emlfs_msg_reader_free(reader);
    return NULL;
}

/* More readers than a store keeps dictionaries, all of which want the same one first. */
static void test_cold_dictionary(void **state)
{
    struct life *life = *state;
    struct crowd crowd = {.life = life};
    pthread_t threads[32];
    life->settings.zstd_level = 1;
    life->settings.block_bytes = 65536;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER);
    life_begin(life, NULL);
    for (unsigned n = 0; n < 3600; n++)
        life_put_mail(life, top, USER, n);
    life_end(life, true);
    life->results[0] = life->results[3599];
    life_close(life);
    for (unsigned round = 0; round < 5; round++) {
        life_open(life);
        for (unsigned i = 0; i < 32; i++)
            must(pthread_create(&threads[i], NULL, cold_main, &crowd));
        for (unsigned i = 0; i < 32; i++)
            must(pthread_join(threads[i], NULL));
        assert_int_equal(atomic_load(&crowd.failures), 0);
        life_close(life);
    }
}

int main(void)
{
#define LIFE_TEST(test) cmocka_unit_test_setup_teardown(test, life_make, life_free)
    const struct CMUnitTest tests[] = {
        LIFE_TEST(test_beside_ingest),
        LIFE_TEST(test_cold_dictionary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

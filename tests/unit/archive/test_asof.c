/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "govern_test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "emlfs/asof.h"

/*
 * A random history, with what was listed kept at random times of it; then the archive as of each of
 * these times lists the same.
 */

#define STEPS 460u
#define SNAPSHOTS 140u
#define MAILS 200u
#define BACK_NS 5000000

struct snapshot {
    int64_t time_ns;
    struct emlfs_buf text;
};

struct history {
    struct life *life;
    struct dice dice;
    unsigned crash, crashes;
    bool standing;     /* the clock does not move */
    int64_t latest_ns; /* what the clock has shown at most */
    struct snapshot v[SNAPSHOTS];
    unsigned n, done[10];
};

static int64_t history_now(void *arg)
{
    struct history *history = arg;
    return history->standing ? history->life->now_ns : life_now(history->life);
}

static void history_open(struct history *history)
{
    const struct emlfs_archive_options options = {.path = history->life->path,
                                                  .workers = history->life->workers,
                                                  .clock = {.now_ns = history_now, .arg = history}};
    struct emlfs_err err;
    if (emlfs_archive_open(&options, &history->life->archive, &err) < 0)
        fail_msg("%s", err.text);
}

/* ---- what is listed */

static void entries_list(struct emlfs_archive *archive, struct emlfs_folder_id folder,
                         struct emlfs_buf *out)
{
    struct emlfs_entry entries[7], found;
    struct emlfs_entry_page page = {.folder = folder, .v = entries, .max = 7, .n = 1};
    while (page.n > 0) {
        must(emlfs_archive_entries(archive, &page, NULL));
        for (unsigned i = 0; i < page.n; i++) {
            const struct emlfs_entry *e = &entries[i];
            must(emlfs_archive_entry_lookup(archive, folder, e->name, &found, NULL));
            assert_true(found.id.v == e->id.v && found.nlink == e->nlink);
            must(emlfs_archive_entry_of(archive, e->user, e->id, &found, NULL));
            line(out, "  %llx user %u links %u flags %u size %llu m %lld c %lld %s\n",
                 (unsigned long long)e->id.v, e->user.v, e->nlink, e->flags,
                 (unsigned long long)e->size_bytes, (long long)e->mtime_ns, (long long)e->ctime_ns,
                 e->name);
            page.after = e->id;
        }
    }
}

static void tree_list(struct emlfs_archive *archive, struct emlfs_folder_id parent,
                      struct emlfs_buf *out)
{
    struct emlfs_folder folder = {.id = {0}}, found;
    while (emlfs_archive_folder_next(archive, parent, folder.id, &folder, NULL) == 0) {
        must(emlfs_archive_folder_lookup(archive, parent, folder.name, &found, NULL));
        assert_int_equal(found.id.v, folder.id.v);
        line(out, "folder %u in %u user %u made %lld changed %lld holds %llu %s\n", folder.id.v,
             parent.v, folder.user.v, (long long)folder.created_ns, (long long)folder.mtime_ns,
             (unsigned long long)folder.entries, folder.name);
        entries_list(archive, folder.id, out);
        tree_list(archive, folder.id, out);
    }
}

static void listing(struct emlfs_archive *archive, struct emlfs_buf *out)
{
    emlfs_buf_clear(out);
    tree_list(archive, (struct emlfs_folder_id){0}, out);
}

static struct emlfs_archive *past_open(struct life *life, int64_t time_ns)
{
    const struct emlfs_asof_options options = {
        .live = life->archive, .time_ns = time_ns, .finding = finding_print};
    struct emlfs_archive *past = NULL;
    struct emlfs_check_totals totals;
    struct emlfs_err err;
    if (emlfs_asof_open(&options, &past, &err) < 0)
        fail_msg("as of %lld: %s", (long long)time_ns, err.text);
    emlfs_archive_opening(past, &totals);
    assert_int_equal(totals.errors, 0);
    assert_true(emlfs_asof_is(past, &time_ns) && !emlfs_asof_is(life->archive, NULL));
    return past;
}

static void past_equals(struct life *life, const struct snapshot *snapshot)
{
    struct emlfs_buf found = EMLFS_BUF_INIT(8u << 20);
    struct emlfs_archive *past = past_open(life, snapshot->time_ns);
    listing(past, &found);
    if (!emlfs_span_equal(emlfs_buf_view(&snapshot->text), emlfs_buf_view(&found)))
        fail_msg("at %lld was:\n%.*s\nas of then is:\n%.*s", (long long)snapshot->time_ns,
                 (int)snapshot->text.len, (const char *)snapshot->text.data, (int)found.len,
                 (const char *)found.data);
    must(emlfs_archive_close(past, NULL));
    emlfs_buf_free(&found);
}

/* ---- what happens */

/* A folder by dice, or none; max_depth 0: a top folder. */
static bool folder_pick(struct history *history, unsigned max_depth, struct emlfs_folder *ret)
{
    struct emlfs_folder_id parent = {0};
    bool found = false;
    for (unsigned depth = 0; depth <= max_depth; depth++) {
        struct emlfs_folder folder = {.id = {0}}, chosen;
        unsigned n = 0;
        while (emlfs_archive_folder_next(history->life->archive, parent, folder.id, &folder,
                                         NULL) == 0) {
            if (dice_roll(&history->dice, ++n) == 0)
                chosen = folder;
        }
        if (n == 0 || (depth > 0 && dice_roll(&history->dice, 3) == 0))
            break;
        *ret = chosen;
        parent = chosen.id;
        found = true;
    }
    return found;
}

static bool entry_pick(struct history *history, struct emlfs_entry *ret)
{
    struct emlfs_entry entries[60];
    struct emlfs_folder folder;
    for (unsigned i = 0; i < 10; i++) {
        if (!folder_pick(history, 4, &folder))
            continue;
        struct emlfs_entry_page page = {.folder = folder.id, .v = entries, .max = 60};
        must(emlfs_archive_entries(history->life->archive, &page, NULL));
        if (page.n == 0)
            continue;
        *ret = entries[dice_roll(&history->dice, page.n)];
        return true;
    }
    return false;
}

static int do_add(struct history *history)
{
    struct emlfs_folder folder;
    life_begin(history->life, "test:history");
    for (unsigned n = 1 + dice_roll(&history->dice, 6); n > 0; n--) {
        if (folder_pick(history, 4, &folder))
            life_put_mail(history->life, folder.id, folder.user, dice_roll(&history->dice, MAILS));
    }
    life_end(history->life, false);
    return 0;
}

static int do_move(struct history *history)
{
    struct emlfs_folder to;
    struct emlfs_entry entry;
    if (!entry_pick(history, &entry) || !folder_pick(history, 4, &to))
        return -ENOENT;
    return entry_move(history->life, (struct emlfs_entry_at){entry.user, entry.folder, entry.id},
                      to.id);
}

static int do_delete(struct history *history)
{
    struct emlfs_entry entry;
    if (!entry_pick(history, &entry))
        return -ENOENT;
    return entry_delete(history->life, (struct emlfs_entry_at){entry.user, entry.folder, entry.id});
}

static void name_make(struct history *history, char ret[16])
{
    snprintf(ret, 16, "f%u", dice_roll(&history->dice, 12));
}

static int do_mkdir(struct history *history)
{
    struct emlfs_folder_id id;
    struct emlfs_folder folder;
    char name[16];
    name_make(history, name);
    if (!folder_pick(history, 3, &folder))
        return -ENOENT;
    return emlfs_archive_folder_add(history->life->archive, &actor, folder.id, name, &id, NULL);
}

static int do_rename(struct history *history)
{
    struct emlfs_folder folder;
    char name[16];
    name_make(history, name);
    if (!folder_pick(history, 4, &folder) || folder.parent.v == 0)
        return -ENOENT;
    return emlfs_archive_folder_rename(history->life->archive, folder.id, name, NULL);
}

static int do_folder_move(struct history *history)
{
    struct emlfs_folder folder, to;
    char name[16];
    name_make(history, name);
    if (!folder_pick(history, 4, &folder) || !folder_pick(history, 3, &to))
        return -ENOENT;
    const struct emlfs_folder_place place = {.parent = to.id, .name = name};
    return emlfs_archive_folder_move(history->life->archive, &actor, folder.id, &place, NULL);
}

static int do_rmdir(struct history *history)
{
    struct emlfs_folder folder;
    if (!folder_pick(history, 4, &folder))
        return -ENOENT;
    return emlfs_archive_folder_remove(history->life->archive, &actor, folder.id, NULL);
}

static int do_user(struct history *history)
{
    static const char *const names[] = {"alice", "bob", "carol", "dave"};
    unsigned user = history->done[7];
    struct emlfs_folder_id id;
    if (user >= 4)
        return -EEXIST;
    return emlfs_archive_folder_make(
        history->life->archive, NULL,
        &(struct emlfs_folder_wanted){{0}, {(uint16_t)(user + 1)}, names[user]}, &id, NULL);
}

/* Every other time as after a crash. */
static int do_reopen(struct history *history)
{
    struct life *life = history->life;
    char crashed[sizeof(life->path)];
    if (history->crash++ % 2) {
        snprintf(crashed, sizeof(crashed), "%.60s/after%u", life->dir, ++history->crashes);
        tree_copy(life->path, crashed);
        life_close(life);
        snprintf(life->path, sizeof(life->path), "%s", crashed);
    } else {
        life_close(life);
    }
    history_open(history);
    return 0;
}

/*
 * What the clock shows for a while it had shown already. Of such a time nobody can tell which of
 * the two is meant.
 */
static int do_clock_back(struct history *history)
{
    if (history->life->now_ns > history->latest_ns)
        history->latest_ns = history->life->now_ns;
    history->life->now_ns -= BACK_NS;
    while (history->n > 0 && history->v[history->n - 1].time_ns >= history->life->now_ns)
        emlfs_buf_free(&history->v[--history->n].text);
    return 0;
}

static void step(struct history *history)
{
    static int (*const acts[])(struct history *) = {do_add,    do_move,        do_delete, do_mkdir,
                                                    do_rename, do_folder_move, do_rmdir,  do_user,
                                                    do_reopen, do_clock_back};
    static const uint8_t odds[] = {28, 46, 58, 68, 74, 80, 90, 93, 95, 97};
    unsigned roll = dice_roll(&history->dice, 97), which = 0;
    while (roll >= odds[which])
        which++;
    history->standing = dice_roll(&history->dice, 3) == 0;
    history->done[which] += acts[which](history) == 0;
    if (history->standing && which != 8) /* several changes at one time */
        history->done[3] += do_mkdir(history) == 0;
    history->standing = false;
}

static void snapshot_take(struct history *history)
{
    struct snapshot *snapshot = &history->v[history->n];
    if (history->life->now_ns <= history->latest_ns || history->n == SNAPSHOTS)
        return; /* that time was there before */
    snapshot->time_ns = history->life->now_ns;
    snapshot->text = EMLFS_BUF_INIT(8u << 20);
    listing(history->life->archive, &snapshot->text);
    history->n++;
    history->life->now_ns++;
}

static void history_make(struct history *history)
{
    history_open(history);
    do_user(history);
    history->done[7]++;
    for (unsigned i = 0; i < STEPS; i++) {
        step(history);
        history->life->now_ns += dice_roll(&history->dice, 2) ? 1000000 : 0;
        if (dice_roll(&history->dice, 2))
            snapshot_take(history);
    }
    history->life->now_ns += 2ll * BACK_NS;
    snapshot_take(history);
    for (unsigned i = 0; i < 10; i++)
        if (history->done[i] < 3)
            fail_msg("act %u was done %u times only", i, history->done[i]);
    assert_true(history->n > 100);
}

/* Content is given exactly of what is still in that user archive, and never another's. */
static void content_check(struct history *history, const struct snapshot *snapshot)
{
    struct emlfs_archive *live = history->life->archive, *past;
    struct emlfs_buf then = EMLFS_BUF_INIT(1u << 20), now = EMLFS_BUF_INIT(1u << 20);
    unsigned given = 0, refused = 0;
    past = past_open(history->life, snapshot->time_ns);
    for (uint32_t id = 1; id < 400; id++) {
        struct emlfs_folder folder;
        struct emlfs_entry entries[60], found;
        if (emlfs_archive_folder_get(past, (struct emlfs_folder_id){id}, &folder, NULL) < 0)
            continue;
        struct emlfs_entry_page page = {.folder = folder.id, .v = entries, .max = 60};
        must(emlfs_archive_entries(past, &page, NULL));
        for (unsigned i = 0; i < page.n; i++) {
            const struct emlfs_entry *e = &entries[i];
            int rc = emlfs_asof_given(past, e->user, e->id, NULL);
            bool there = emlfs_archive_entry_of(live, e->user, e->id, &found, NULL) == 0;
            assert_int_equal(rc, there ? 0 : -EIDRM);
            given += there;
            refused += !there;
            rc = message_read(past, e->id, &then, NULL);
            assert_int_equal(message_read(live, e->id, &now, NULL), rc == -EIDRM ? -ENOENT : rc);
            assert_true(rc == -EIDRM ||
                        emlfs_span_equal(emlfs_buf_view(&then), emlfs_buf_view(&now)));
            assert_true(rc == -EIDRM || then.len == e->size_bytes);
        }
    }
    assert_true(given > 5 && refused > 5);
    must(emlfs_archive_close(past, NULL));
    emlfs_buf_free(&then);
    emlfs_buf_free(&now);
}

static void scratch_is(struct life *life, int there)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/asof", life->path);
    assert_int_equal(access(path, F_OK), there ? 0 : -1);
}

static void test_history(void **state)
{
    struct life *life = *state;
    struct history *history = calloc(1, sizeof(*history));
    struct emlfs_buf before = EMLFS_BUF_INIT(8u << 20), after = EMLFS_BUF_INIT(8u << 20);
    *history = (struct history){.life = life, .dice = {.state = 20261130}};
    life->settings.store_messages = 60;
    life_init(life);
    history_make(history);
    listing(life->archive, &before);
    for (unsigned i = 0; i < history->n; i++)
        past_equals(life, &history->v[i]);
    scratch_is(life, 0);
    content_check(history, &history->v[history->n / 2]);
    life_close(life);
    history_open(history);
    for (unsigned i = 0; i < history->n; i += 7)
        past_equals(life, &history->v[i]);
    life_close(life);
    life_recover(life);
    history_open(history);
    for (unsigned i = 3; i < history->n; i += 7)
        past_equals(life, &history->v[i]);
    listing(life->archive, &after);
    snapshots_equal(&before, &after);
    life_verify_clean(life);
    print_message("%u snapshots; adds %u moves %u deletions %u mkdirs %u renames %u folder moves "
                  "%u rmdirs %u users %u reopenings %u clock steps %u\n",
                  history->n, history->done[0], history->done[1], history->done[2],
                  history->done[3], history->done[4], history->done[5], history->done[6],
                  history->done[7], history->done[8], history->done[9]);
    for (unsigned i = 0; i < history->n; i++)
        emlfs_buf_free(&history->v[i].text);
    emlfs_buf_free(&before);
    emlfs_buf_free(&after);
    free(history);
}

/* ---- single cases */

static int asof_try(struct life *life, int64_t time_ns, struct emlfs_err *err)
{
    const struct emlfs_asof_options options = {.live = life->archive, .time_ns = time_ns};
    struct emlfs_archive *past;
    int rc = emlfs_asof_open(&options, &past, err);
    if (rc == 0)
        must(emlfs_archive_close(past, NULL));
    return rc;
}

static void test_times(void **state)
{
    struct life *life = *state;
    struct emlfs_err err;
    char path[160];
    life_init(life);
    life_open(life);
    int64_t start_ns = life->now_ns;
    assert_int_equal(asof_try(life, start_ns, &err),
                     -EINVAL); /* the ledger says when it was made */
    struct emlfs_folder_id top = life_top(life, USER),
                           inbox = life_folder(life, top, USER, "Inbox");
    int64_t made_ns = life->now_ns;
    mail_file(life, inbox, USER, 1);
    assert_int_equal(asof_try(life, start_ns - 1, &err), -EINVAL);
    assert_non_null(strstr(err.text, "made later"));
    assert_int_equal(asof_try(life, life->now_ns + 1000000000, &err), -EINVAL);
    assert_non_null(strstr(err.text, "not come"));
    must(asof_try(life, made_ns, &err));
    scratch_is(life, 0);

    struct emlfs_archive *past = past_open(life, made_ns), *second = past_open(life, made_ns);
    struct emlfs_archive *third;
    const struct emlfs_asof_options twice = {.live = past, .time_ns = made_ns};
    struct emlfs_folder_id id;
    struct emlfs_folder folder;
    assert_int_equal(emlfs_asof_open(&twice, &third, &err), -EINVAL);
    assert_int_equal(emlfs_archive_folder_make(
                         past, NULL, &(struct emlfs_folder_wanted){top, USER, "x"}, &id, NULL),
                     -EROFS);
    must(emlfs_archive_folder_get(past, inbox, &folder, NULL));
    assert_int_equal(folder.entries, 0);
    must(emlfs_archive_folder_get(life->archive, inbox, &folder, NULL));
    assert_int_equal(folder.entries, 1);
    assert_false(emlfs_archive_is_writable(past));
    scratch_is(life, 1);
    must(emlfs_archive_close(past, NULL));
    scratch_is(life, 1);
    must(emlfs_archive_close(second, NULL));
    scratch_is(life, 0);

    life_close(life); /* what a crash leaves */
    snprintf(path, sizeof(path), "%s/asof", life->path);
    must(emlfs_os_mkdir(path, 0700));
    snprintf(path, sizeof(path), "%s/asof/1", life->path);
    must(emlfs_os_mkdir(path, 0700));
    const struct emlfs_archive_options reading = {.path = life->path, .read_only = true};
    must(emlfs_archive_open(&reading, &life->archive, NULL));
    scratch_is(life, 1);
    life_close(life);
    life_open(life);
    scratch_is(life, 0);
    life_verify_clean(life);
}

/* Stores are shown as they are now; one that is not there at all is missed. */
static void test_stores(void **state)
{
    struct life *life = *state;
    struct emlfs_buf whole = EMLFS_BUF_INIT(1u << 20), found = EMLFS_BUF_INIT(1u << 20);
    struct emlfs_store_change change = {.no = 1, .state = EMLFS_STORE_DISABLED};
    struct emlfs_folder folder;
    struct emlfs_err err;
    life->settings.store_messages = 3;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id inbox = life_top(life, USER);
    for (unsigned i = 0; i < 8; i++)
        mail_file(life, inbox, USER, i);
    struct emlfs_msg_id id = emlfs_msg_id_make(1, 2);
    int64_t then_ns = life->now_ns;
    listing(life->archive, &whole);
    struct emlfs_archive *past = past_open(life, then_ns);
    must(emlfs_archive_folder_get(past, inbox, &folder, NULL));
    assert_int_equal(folder.entries, 8);
    must(emlfs_archive_store_set_state(life->archive, &actor, &change, NULL));
    must(emlfs_archive_folder_get(past, inbox, &folder, NULL));
    assert_int_equal(folder.entries, 5);
    assert_int_equal(emlfs_asof_given(past, USER, id, NULL), -ENOENT);
    assert_int_equal(message_read(past, id, &found, NULL), -ENOENT);
    change.state = EMLFS_STORE_NORMAL;
    must(emlfs_archive_store_set_state(life->archive, &actor, &change, NULL));
    listing(past, &found);
    snapshots_equal(&whole, &found);
    must(mail_matches(past, id, 1));
    must(emlfs_archive_close(past, NULL));

    must(emlfs_archive_store_detach(life->archive, &actor, 1, NULL));
    past = past_open(life, then_ns); /* its directory is there: folders are known from it */
    must(emlfs_archive_folder_get(past, inbox, &folder, NULL));
    assert_int_equal(folder.entries, 5);
    must(emlfs_archive_close(past, NULL));
    struct emlfs_store_info info;
    char from[200], to[200];
    must(emlfs_archive_store_info(life->archive, 0, &info, NULL));
    life_close(life);
    snprintf(from, sizeof(from), "%s/stores/%s", life->path, info.directory);
    snprintf(to, sizeof(to), "%s/elsewhere", life->dir);
    must(rename(from, to));
    life_open(life);
    assert_int_equal(asof_try(life, then_ns, &err), -ENOENT);
    assert_non_null(strstr(err.text, "detached"));
    scratch_is(life, 0);
    emlfs_buf_free(&whole);
    emlfs_buf_free(&found);
}

/* ---- beside an ingest */

struct beside {
    struct life *life;
    struct snapshot snapshot;
    atomic_bool stop;
    atomic_uint opened;
};

static void *opener_main(void *arg)
{
    struct beside *beside = arg;
    while (!atomic_load(&beside->stop)) {
        past_equals(beside->life, &beside->snapshot);
        atomic_fetch_add(&beside->opened, 1);
    }
    return NULL;
}

static void test_beside_ingest(void **state)
{
    struct life *life = *state;
    struct beside beside = {.life = life, .snapshot = {.text = EMLFS_BUF_INIT(1u << 20)}};
    pthread_t threads[2];
    life->settings.store_messages = 150;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER),
                           inbox = life_folder(life, top, USER, "Inbox");
    for (unsigned i = 0; i < 5; i++)
        mail_file(life, inbox, USER, i);
    beside.snapshot.time_ns = life->now_ns;
    listing(life->archive, &beside.snapshot.text);
    for (unsigned i = 0; i < 2; i++)
        must(pthread_create(&threads[i], NULL, opener_main, &beside));
    life_begin(life, "test:beside");
    for (unsigned n = 10; n < 400 || atomic_load(&beside.opened) < 4; n++)
        life_put_mail(life, n % 2 ? inbox : top, USER, n);
    life_end(life, false);
    atomic_store(&beside.stop, true);
    for (unsigned i = 0; i < 2; i++)
        must(pthread_join(threads[i], NULL));
    scratch_is(life, 0);
    life_verify_clean(life);
    emlfs_buf_free(&beside.snapshot.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_history, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_times, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_stores, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_beside_ingest, life_make, life_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

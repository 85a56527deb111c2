/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What keeps an index up to date, under strain: everything at the same time, and messages, stores
 * and segments that cannot be had. Nothing of it keeps the rest waiting, or is tried for ever.
 */
#include <pthread.h>

#include "engine_ask.h"

/* ---- an extractor with moods */

struct moody {
    struct engine *engine;
    const char *hungry; /* messages with this word cost more memory than there is */
    const char *absent; /* there is no worker for those with this word */
    atomic_bool slow;   /* until it is stopped */
    atomic_uint begun, stopped;
};

static int moody_extract(void *arg, struct emlfs_span raw, unsigned kinds, struct emlfs_buf *ret,
                         struct emlfs_err *err)
{
    struct moody *moody = arg;

    atomic_fetch_add(&moody->begun, 1);
    for (unsigned i = 0; atomic_load(&moody->slow) && i < 2000; i++) {
        const struct timespec pause = {.tv_nsec = 10000000};
        if (atomic_load(&moody->stopped) > 0)
            return emlfs_err_set(err, ECANCELED, "test", "cancelled");
        nanosleep(&pause, NULL);
    }
    if (moody->hungry && memmem(raw.data, raw.len, moody->hungry, strlen(moody->hungry)))
        return emlfs_err_set(err, ENOMEM, "test", "out of memory");
    if (moody->absent && memmem(raw.data, raw.len, moody->absent, strlen(moody->absent)))
        return emlfs_err_set(err, EAGAIN, "test", "no worker");
    return stand_in_extract(moody->engine, raw, kinds, ret, err);
}

static void moody_stop(void *arg)
{
    struct moody *moody = arg;
    atomic_fetch_add(&moody->stopped, 1);
}

static int moody_make(void *arg, struct emlfs_extractor *ret, struct emlfs_err *err)
{
    (void)err;
    *ret = (struct emlfs_extractor){
        .arg = arg, .extract = moody_extract, .free = stand_in_free, .stop = moody_stop};
    return 0;
}

static void moody_open(struct moody *moody)
{
    struct emlfs_index_options options = engine_options(moody->engine);
    options.extractor = moody_make;
    options.arg = moody;
    options.notice = NULL;
    must(emlfs_index_open(&options, &moody->engine->index, NULL));
}

static void wait_for(const atomic_uint *counter, unsigned n)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    int64_t begin = now_ms();
    while (atomic_load(counter) < n && now_ms() - begin < 20000)
        nanosleep(&pause, NULL);
    assert_true(atomic_load(counter) >= n);
}

static void plain_doc(struct engine *engine, const char *text, unsigned folder)
{
    struct test_doc *doc = &engine->docs[engine->docs_n];
    snprintf(doc->raw, TEXT_MAX, "Number: %u\nSubject: %s\n", engine->docs_n, text);
    engine_put(engine, engine->docs_n++, folder);
}

static void test_stop(void **state)
{
    struct engine *engine = *state;
    struct moody moody = {.engine = engine};
    static struct answer answer;
    int64_t begin;

    engine_archive(engine, 1000);
    engine_begin(engine, NULL);
    plain_doc(engine, "wombat", 0);
    engine_end(engine, false);
    atomic_store(&moody.slow, true);
    moody_open(&moody);
    must(emlfs_index_follow(engine->index, NULL));
    wait_for(&moody.begun, 1);
    begin = now_ms();
    engine_index_close(engine);
    assert_true(now_ms() - begin < 5000); /* it would be 20 s */
    assert_true(atomic_load(&moody.stopped) > 0);
    engine_index_open(engine);
    engine_catch_up(engine);
    must(engine_ask(engine, "wombat", USER, &answer));
    assert_int_equal(answer.n, 1);
}

static void test_no_memory(void **state)
{
    struct engine *engine = *state;
    struct moody moody = {.engine = engine, .hungry = "wombat"};
    struct emlfs_index_store_status status;
    static struct answer answer;
    unsigned tries = 1;

    engine_archive(engine, 1000);
    engine_begin(engine, NULL);
    plain_doc(engine, "before", 0);
    plain_doc(engine, "wombat", 0);
    plain_doc(engine, "behind", 0);
    engine_end(engine, false);
    moody_open(&moody);
    while (emlfs_index_catch_up(engine->index, NULL, NULL) == -ENOMEM && tries < 100)
        tries++;
    assert_true(tries > 3); /* not at once */
    assert_true(tries < 100);
    must(engine_ask(engine, "behind", USER, &answer));
    assert_int_equal(answer.n, 1);
    must(engine_ask(engine, "wombat", USER, &answer));
    assert_int_equal(answer.n, 0);
    must(emlfs_index_status(engine->index, 0, &status, NULL));
    assert_int_equal(status.indexed, 3);
    assert_int_equal(status.problems, 1);
    assert_string_equal(status.reasons[0].reason, "no memory");
}

/* The newest store waits for a worker; the one before it does not. */
static void test_store_waits(void **state)
{
    struct engine *engine = *state;
    struct moody moody = {.engine = engine, .absent = "wombat"};
    struct emlfs_index_store_status status;

    engine_archive(engine, 10);
    for (unsigned i = 0; i < 14; i++) {
        engine_begin(engine, NULL);
        plain_doc(engine, i == 13 ? "wombat" : "other", 0);
        engine_end(engine, false);
    }
    moody_open(&moody);
    assert_int_equal(emlfs_index_catch_up(engine->index, NULL, NULL), -EAGAIN);
    must(emlfs_index_status(engine->index, 1, &status, NULL));
    assert_true(status.waiting > 0);
    must(emlfs_index_status(engine->index, 0, &status, NULL));
    assert_int_equal(status.waiting, 0);
}

/* ---- damage that only searches meet */

/* A byte of the first block of every segment of store 1; how many there are. */
static unsigned segments_flip(struct engine *engine)
{
    char dir[4200], path[4300];
    unsigned n = 0;
    index_dir(engine, 1, dir, sizeof(dir));
    for (unsigned no = 1; no < 200; no++) {
        snprintf(path, sizeof(path), "%s/%08x.seg", dir, no);
        if (access(path, F_OK) < 0)
            continue;
        file_flip(path, 70);
        n++;
    }
    return n;
}

/* Some question finds it. */
static bool damage_met(struct engine *engine)
{
    static struct answer answer;
    for (unsigned q = 0; q < QUESTIONS_N; q++) {
        int rc = engine_ask(engine, questions[q], USER, &answer);
        if (rc == -EBADMSG || rc == -EUCLEAN)
            return true;
        assert_int_equal(rc, 0);
    }
    return false;
}

static void test_damage_kept(void **state)
{
    struct engine *engine = *state;
    struct emlfs_index_store_status status;

    fill(engine, 160);
    engine_index_open(engine);
    engine_catch_up(engine);
    engine_index_close(engine);
    assert_true(segments_flip(engine) > 0);
    engine_index_open(engine);
    assert_int_equal(engine->notices, 0);
    assert_true(damage_met(engine));
    assert_int_equal(engine->notices, 1);
    engine_index_close(engine); /* nobody followed */
    engine_index_open(engine);
    must(emlfs_index_status(engine->index, 0, &status, NULL));
    assert_int_equal(status.indexed, 0);
    engine_catch_up(engine);
    ask_all(engine);
    assert_int_equal(engine->notices, 1);
}

/* A disk that keeps nothing as it was written. */
static void test_damage_again(void **state)
{
    struct engine *engine = *state;
    unsigned times = 0;

    fill(engine, 160);
    engine_index_open(engine);
    for (; times < 20; times++) {
        if (emlfs_index_catch_up(engine->index, NULL, NULL) < 0)
            break;
        segments_flip(engine);
        assert_true(damage_met(engine));
    }
    assert_in_range(times, 2, 10);
    assert_int_equal(emlfs_index_catch_up(engine->index, NULL, NULL), -EIO);
    must(emlfs_index_reset(engine->index, 0, NULL));
    engine_catch_up(engine);
    ask_all(engine);
}

/* ---- everything at the same time: a segment for every message, merges, searches, resets */

struct crowd {
    struct engine *engine;
    atomic_bool stop;
    atomic_uint searches, looks;
};

static int id_pass(void *arg, struct emlfs_msg_id id)
{
    (void)arg;
    (void)id;
    return 0;
}

static void *crowd_search(void *arg)
{
    struct crowd *crowd = arg;
    while (!atomic_load(&crowd->stop)) {
        struct emlfs_query *query;
        const char *text = questions[atomic_fetch_add(&crowd->searches, 1) % QUESTIONS_N];
        must(emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, &query, NULL));
        const struct emlfs_search search = {.query = query, .user = USER};
        must(emlfs_index_search(crowd->engine->index, &search, id_pass, NULL, NULL));
        emlfs_query_free(query);
    }
    return NULL;
}

static void *crowd_look(void *arg)
{
    struct crowd *crowd = arg;
    while (!atomic_load(&crowd->stop)) {
        struct emlfs_index_store_status status = {0};
        while (emlfs_index_status(crowd->engine->index, status.store_no, &status, NULL) == 0)
            atomic_fetch_add(&crowd->looks, 1);
    }
    return NULL;
}

static void test_crowd(void **state)
{
    struct engine *engine = *state;
    struct crowd crowd = {.engine = engine};
    struct dice dice = {.state = 33};
    pthread_t threads[3];

    engine_archive(engine, 150);
    engine->memory_bytes = 1;
    engine_index_open(engine);
    must(emlfs_index_follow(engine->index, NULL));
    for (unsigned i = 0; i < 3; i++)
        must(pthread_create(&threads[i], NULL, i < 2 ? crowd_search : crowd_look, &crowd));
    for (unsigned round = 0; round < 6; round++) {
        engine_add(engine, 40, &dice, NULL);
        engine_catch_up(engine);
        if (round % 2)
            must(emlfs_index_reset(engine->index, round % 4 == 1 ? 0 : 1, NULL));
    }
    engine_catch_up(engine);
    atomic_store(&crowd.stop, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ask_all(engine);
    assert_true(atomic_load(&crowd.searches) > 10);
    assert_true(atomic_load(&crowd.looks) > 10);
    engine_index_close(engine);
    if (engine->notices > 0)
        fail_msg("%s", engine->notice);
    engine_index_open(engine);
    ask_all(engine);
}

/* ---- an extractor that is told what comes next */

struct told {
    struct engine *engine;
    atomic_uint longest, wrong; /* row that was told; messages that were not the next of theirs */
};
struct told_one {
    struct told *told;
    struct emlfs_span row[64];
    unsigned n;
};

static int told_extract(void *arg, struct emlfs_span raw, unsigned kinds, struct emlfs_buf *ret,
                        struct emlfs_err *err)
{
    struct told_one *one = arg;

    if (one->n == 0 || one->row[0].data != raw.data || one->row[0].len != raw.len)
        atomic_fetch_add(&one->told->wrong, 1);
    if (one->n > atomic_load(&one->told->longest))
        atomic_store(&one->told->longest, one->n);
    if (one->n > 0)
        memmove(one->row, one->row + 1, --one->n * sizeof(one->row[0]));
    return stand_in_extract(one->told->engine, raw, kinds, ret, err);
}

static void told_ahead(void *arg, struct emlfs_span raw, unsigned kinds)
{
    struct told_one *one = arg;
    (void)kinds;
    if (one->n < sizeof(one->row) / sizeof(one->row[0]))
        one->row[one->n++] = raw;
}

static int told_make(void *arg, struct emlfs_extractor *ret, struct emlfs_err *err)
{
    struct told_one *one = calloc(1, sizeof(*one));
    if (!one)
        return emlfs_err_set(err, ENOMEM, "test", "out of memory");
    one->told = arg;
    *ret = (struct emlfs_extractor){
        .arg = one, .extract = told_extract, .ahead = told_ahead, .free = free};
    return 0;
}

/* Many messages go in rows, each is asked about in its turn; a single one does not wait for more.
 */
static void test_rows(void **state)
{
    struct engine *engine = *state;
    struct told told = {.engine = engine};
    struct emlfs_index_options options;
    static struct answer answer;
    int64_t begin;

    engine_archive(engine, 1000);
    engine_begin(engine, NULL);
    for (unsigned i = 0; i < 700; i++)
        plain_doc(engine, "wombat", i % 2);
    engine_end(engine, false);
    options = engine_options(engine);
    options.extractor = told_make;
    options.arg = &told;
    options.notice = NULL;
    must(emlfs_index_open(&options, &engine->index, NULL));
    must(emlfs_index_follow(engine->index, NULL));
    must(emlfs_index_catch_up(engine->index, NULL, NULL));
    must(engine_ask(engine, "wombat", USER, &answer));
    assert_int_equal(answer.n, 700);
    assert_true(atomic_load(&told.longest) > 1);
    engine_begin(engine, NULL);
    plain_doc(engine, "platypus", 0);
    engine_end(engine, false);
    begin = now_ms();
    do
        must(engine_ask(engine, "platypus", USER, &answer));
    while (answer.n == 0 && now_ms() - begin < 20000);
    assert_true(now_ms() - begin < 1000);
    assert_int_equal(atomic_load(&told.wrong), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stop, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_no_memory, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_store_waits, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_damage_kept, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_damage_again, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_rows, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_crowd, engine_make, engine_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

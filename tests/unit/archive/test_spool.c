/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the spool keeps, against a model; crashes at every byte; damage. */
#include "spool_test.h"

static void what_was_synced_is_there_again(void **state)
{
    struct life *life = *state;
    struct emlfs_spool *spool = spool_open(life);
    struct emlfs_spool_file *a, *b;
    struct model model = model_new(), other = model_new();
    char path[256];
    struct stat st;

    memcpy(model.meta, "to Inbox", model.meta_len = 8);
    must(emlfs_spool_create(spool, emlfs_span_str("to Inbox"), &a, NULL));
    must(emlfs_spool_create(spool, emlfs_span_of(NULL, 0), &b, NULL));
    assert_true(emlfs_spool_file_number(a) != emlfs_spool_file_number(b));
    emlfs_spool_close(spool); /* files outlive it */
    put(a, &model, emlfs_span_str("Subject: one\r\n\r\n"), 0);
    put(b, &other, emlfs_span_str("Subject: another\r\n\r\n"), 3 * CHUNK - 7);
    must(emlfs_spool_file_sync(a, NULL));
    must(emlfs_spool_file_sync(b, NULL));
    must(emlfs_spool_file_sync(b, NULL));
    assert_true(file_equals(a, &model) && file_equals(b, &other));
    file_path(life, emlfs_spool_file_number(a), path);
    must(stat(path, &st));
    assert_int_equal(st.st_mode & 07777, 0600);
    *strrchr(path, '/') = '\0';
    must(stat(path, &st));
    assert_int_equal(st.st_mode & 07777, 0700);
    emlfs_spool_file_close(a);
    emlfs_spool_file_close(b);
    life_close(life);
    life_open(life);

    uint64_t lost = 0;
    spool = spool_open(life);
    must(emlfs_spool_left(spool, 0, &a, NULL, NULL));
    assert_int_equal(emlfs_spool_file_number(a), 1);
    must(emlfs_spool_left(spool, 1, &b, NULL, NULL));
    assert_true(file_equals(a, &model) && file_equals(b, &other));
    struct emlfs_spool_file *c;
    must(emlfs_spool_create(spool, emlfs_span_of(NULL, 0), &c, NULL));
    assert_int_equal(emlfs_spool_file_number(c), 3);
    assert_int_equal(emlfs_spool_left(spool, 2, &c, NULL, NULL), -ENOENT);
    must(emlfs_spool_file_remove(a, NULL));
    must(emlfs_spool_file_remove(b, NULL));
    must(emlfs_spool_file_sync(c, NULL)); /* an empty file is one, too */
    emlfs_spool_file_close(c);
    emlfs_spool_close(spool);
    c = file_left(life, &lost);
    assert_non_null(c);
    assert_int_equal(emlfs_spool_file_number(c), 3);
    assert_int_equal(emlfs_spool_file_size(c), 0);
    assert_int_equal(lost, 0);
    must(emlfs_spool_file_remove(c, NULL));
    assert_null(file_left(life, &lost));
    free(model.data);
    free(other.data);
}

static size_t random_offset(struct dice *dice)
{
    if (dice_roll(dice, 40) == 0)
        return dice_roll(dice, MODEL_MAX - 300 * KIB);
    if (dice_roll(dice, 3) == 0)
        return dice_roll(dice, 5) * CHUNK;
    return dice_roll(dice, 300 * KIB);
}

static void random_write(struct emlfs_spool_file *file, struct model *model, struct dice *dice)
{
    static uint8_t bytes[300 * KIB];
    size_t len = dice_roll(dice, 4) ? dice_roll(dice, 5000) : dice_roll(dice, sizeof(bytes));

    if (dice_roll(dice, 8) == 0)
        len = dice_roll(dice, 4) * CHUNK;
    for (size_t i = 0; i < len; i += 1 + i / 16)
        bytes[i] = (uint8_t)dice_roll(dice, 256);
    put(file, model, emlfs_span_of(bytes, len), random_offset(dice));
}

static void random_read(struct emlfs_spool_file *file, const struct model *model, struct dice *dice)
{
    static uint8_t bytes[300 * KIB];
    size_t len = dice_roll(dice, sizeof(bytes)), offset = random_offset(dice);
    size_t want = offset >= model->size ? 0 : model->size - offset;

    want = want < len ? want : len;
    assert_int_equal(emlfs_spool_file_pread(file, bytes, len, offset, NULL), want);
    assert_memory_equal(bytes, model->data + offset, want);
}

static void random_meta(struct emlfs_spool_file *file, struct model *model, struct dice *dice)
{
    model->meta_len = dice_roll(dice, EMLFS_SPOOL_META_MAX_BYTES + 1);
    for (size_t i = 0; i < model->meta_len; i++)
        model->meta[i] = (uint8_t)dice_roll(dice, 256);
    must(emlfs_spool_file_set_meta(file, emlfs_span_of(model->meta, model->meta_len), NULL));
}

static void random_op(struct emlfs_spool_file *file, struct model *model, struct dice *dice)
{
    switch (dice_roll(dice, 12)) {
    case 0:
        cut(file, model, dice_roll(dice, 2) ? dice_roll(dice, 8) * CHUNK : random_offset(dice));
        break;
    case 1:
        cut(file, model, model->size - dice_roll(dice, (uint32_t)model->size + 1) / 2);
        break;
    case 2:
        random_meta(file, model, dice);
        break;
    case 3:
    case 4:
    case 5:
        random_read(file, model, dice);
        break;
    default:
        random_write(file, model, dice);
    }
}

static void random_life(struct life *life, uint64_t seed)
{
    struct dice dice = {.state = seed};
    struct model now = model_new(), synced = {0};
    struct emlfs_spool_file *file = file_new(life);
    uint64_t lost = 0;

    must(emlfs_spool_file_sync(file, NULL));
    model_copy(&synced, &now);
    for (unsigned op = 1; op <= 2500; op++) {
        random_op(file, &now, &dice);
        if (dice_roll(&dice, 15) == 0) {
            must(emlfs_spool_file_sync(file, NULL));
            model_copy(&synced, &now);
        }
        if (op % 50 == 0) { /* without a sync, what came behind the last one is not there */
            emlfs_spool_file_close(file);
            file = file_left(life, &lost);
            assert_non_null(file);
            assert_true(file_equals(file, &synced));
            model_copy(&now, &synced);
        }
    }
    assert_int_equal(lost, 0);
    must(emlfs_spool_file_remove(file, NULL));
    free(now.data);
    free(synced.data);
}

static void any_order_of_operations_equals_the_model(void **state)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        random_life(*state, seed * 7919);
}

/* Two states and the log of both. */
struct two {
    struct model a, b;
    char path[256];
    size_t a_end; /* of the log, its DONE record included */
    struct emlfs_buf raw;
};

static struct two two_make(struct life *life, size_t base)
{
    struct emlfs_spool_file *file = file_new(life);
    struct two two = {.a = model_new()};

    file_path(life, emlfs_spool_file_number(file), two.path);
    put(file, &two.a, emlfs_span_str("the first state, one hundred bytes or so"), base);
    memcpy(two.a.meta, "A", two.a.meta_len = 1);
    must(emlfs_spool_file_set_meta(file, emlfs_span_str("A"), NULL));
    must(emlfs_spool_file_sync(file, NULL));
    two.a_end = raw_size(two.path);
    model_copy(&two.b, &two.a);
    put(file, &two.b, emlfs_span_str("SECOND"), base + 4);
    put(file, &two.b, emlfs_span_str("beyond"), base + CHUNK);
    cut(file, &two.b, base + 15);
    put(file, &two.b, emlfs_span_str("behind the cut"), base + 20);
    put(file, &two.b, emlfs_span_str("and more"), base + 2 * CHUNK);
    cut(file, &two.b, base + 30);
    memcpy(two.b.meta, "B!", two.b.meta_len = 2);
    must(emlfs_spool_file_set_meta(file, emlfs_span_str("B!"), NULL));
    must(emlfs_spool_file_sync(file, NULL));
    emlfs_spool_file_close(file);
    two.raw = raw_read(two.path);
    return two;
}

static void two_free(struct two *two)
{
    free(two->a.data);
    free(two->b.data);
    emlfs_buf_free(&two->raw);
}

static void aside_path(const struct two *two, char ret[300])
{
    snprintf(ret, 300, "%s.damaged", two->path);
}

/* What was given up is there to the last byte; taken away for the next one. */
static void expect_aside(const struct two *two)
{
    char path[300];

    aside_path(two, path);
    assert_int_equal(raw_size(path), two->raw.len);
    must(unlink(path));
}

/* NULL: nothing is given, and the file is gone, or put aside if it was lost. */
static void expect_state(struct life *life, const struct two *two, const struct model *want,
                         uint64_t want_lost)
{
    uint64_t lost = 0;
    struct emlfs_spool_file *file = file_left(life, &lost);

    assert_int_equal(lost, want_lost);
    if (!want) {
        assert_null(file);
        assert_int_equal(access(two->path, F_OK), -1);
        if (want_lost)
            expect_aside(two);
        return;
    }
    assert_non_null(file);
    assert_true(file_equals(file, want));
    emlfs_spool_file_close(file);
}

static void a_log_cut_anywhere_is_its_last_mark(void **state)
{
    struct two two = two_make(*state, 3 * CHUNK);
    size_t b_mark = two.raw.len - DONE_RECORD, a_mark = two.a_end - DONE_RECORD;

    assert_true(b_mark > two.a_end);
    for (size_t len = 0; len <= two.raw.len; len += len < a_mark - 20 ? 7 : 1) {
        raw_write(two.path, emlfs_span_of(two.raw.data, len));
        expect_state(*state, &two, len >= b_mark ? &two.b : len >= a_mark ? &two.a : NULL, 0);
    }
    /* As much of the log, and zeros where it did not reach the disk. */
    for (size_t len = two.a_end; len < b_mark; len += 3) {
        struct emlfs_buf holed = EMLFS_BUF_INIT(64u << 20);
        must(emlfs_buf_append(&holed, two.raw.data, b_mark));
        memset(holed.data + len, 0, b_mark - len < 50 ? b_mark - len : 50);
        raw_write(two.path, emlfs_buf_view(&holed));
        expect_state(*state, &two, &two.a, 0);
        emlfs_buf_free(&holed);
    }
    two_free(&two);
}

static void a_flipped_byte_is_found(void **state)
{
    struct two two = two_make(*state, 0);

    for (size_t i = 0; i < two.raw.len; i++) {
        bool done = i >= two.raw.len - DONE_RECORD; /* which tells nothing that is needed */
        two.raw.data[i] ^= (uint8_t)(1u << i % 8);
        raw_write(two.path, emlfs_buf_view(&two.raw));
        two.raw.data[i] ^= (uint8_t)(1u << i % 8);
        expect_state(*state, &two, done ? &two.b : NULL, done ? 0 : 1);
    }
    two_free(&two);
}

struct said {
    unsigned n;
    char text[512];
};

static void say(void *arg, const char *text)
{
    struct said *said = arg;

    said->n++;
    snprintf(said->text, sizeof(said->text), "%s", text);
}

static void found(void *arg, const struct emlfs_err *finding)
{
    say(arg, finding->text);
}

static uint64_t left_lost(struct life *life, struct said *said)
{
    struct emlfs_spool_lost lost = {.told = say, .arg = said};
    struct emlfs_spool *spool = spool_open(life);
    struct emlfs_spool_file *file = NULL;

    assert_int_equal(emlfs_spool_left(spool, 0, &file, &lost, NULL), -ENOENT);
    emlfs_spool_close(spool);
    return lost.n;
}

/* It may be the only copy of somebody's mail. */
static void a_damaged_file_is_kept(void **state)
{
    struct life *life = *state;
    struct two two = two_make(life, 0);
    struct said said = {0}, verified = {0};
    struct emlfs_check_totals totals = {0};
    uint64_t lost = 0;
    char aside[300];

    aside_path(&two, aside);
    two.raw.data[300] ^= 1;
    raw_write(two.path, emlfs_buf_view(&two.raw));
    assert_int_equal(left_lost(life, &said), 1);
    assert_int_equal(said.n, 1);
    assert_non_null(strstr(said.text, "spool/0000000000000001.spool.damaged"));
    assert_non_null(strstr(said.text, "backup as 0000000000000001.spool"));
    struct emlfs_buf kept = raw_read(aside);
    assert_true(emlfs_span_equal(emlfs_buf_view(&kept), emlfs_buf_view(&two.raw)));
    assert_int_equal(left_lost(life, &said), 0); /* told once */
    must(emlfs_archive_verify(life->archive, NULL, found, &verified, &totals, NULL));
    assert_int_equal(totals.errors, 1);
    assert_non_null(strstr(verified.text, "0000000000000001.spool.damaged"));

    struct emlfs_spool_file *file = file_new(life);
    assert_int_equal(emlfs_spool_file_number(file), 2); /* no other takes its name */
    must(emlfs_spool_file_remove(file, NULL));

    raw_write(two.path, emlfs_buf_view(&two.raw)); /* again: the first is not written over */
    kept.data[0] ^= 1;
    raw_write(aside, emlfs_buf_view(&kept));
    assert_int_equal(left_lost(life, &said), 1);
    assert_int_equal(access(two.path, F_OK), 0);
    struct emlfs_buf still = raw_read(aside);
    assert_true(emlfs_span_equal(emlfs_buf_view(&kept), emlfs_buf_view(&still)));

    two.raw.data[300] ^= 1; /* from a backup */
    raw_write(two.path, emlfs_buf_view(&two.raw));
    must(unlink(aside));
    expect_state(life, &two, &two.b, lost);
    must(emlfs_archive_verify(life->archive, NULL, NULL, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 0);
    emlfs_buf_free(&kept);
    emlfs_buf_free(&still);
    two_free(&two);
}

/* Neither is what opens and makes no sense to its owner thrown away. */
static void what_is_not_understood_is_kept(void **state)
{
    struct life *life = *state;
    struct emlfs_spool_file *file = file_new(life);
    struct said said = {0};
    struct emlfs_spool_lost lost = {.told = say, .arg = &said};
    char path[256], aside[300];

    must(emlfs_spool_file_sync(file, NULL));
    file_path(life, 1, path);
    snprintf(aside, sizeof(aside), "%s.damaged", path);
    emlfs_spool_file_set_aside(file, &lost);
    assert_int_equal(lost.n, 1);
    assert_non_null(strstr(said.text, ".spool.damaged"));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(aside, F_OK), 0);
}

static void a_flipped_byte_is_never_served(void **state)
{
    struct emlfs_spool_file *file = file_new(*state);
    struct model model = model_new();
    uint8_t bytes[100];
    char path[256];

    file_path(*state, 1, path);
    put(file, &model, emlfs_span_str("in the first chunk"), 0);
    cut(file, &model, CHUNK);
    put(file, &model, emlfs_span_str("in the second"), CHUNK); /* the first goes to the log */
    must(emlfs_spool_file_sync(file, NULL));
    struct emlfs_buf raw = raw_read(path);
    for (size_t i = 72 - 16; i<72 + 28 + CHUNK + 16; i += i> 120 && i < CHUNK ? 5000 : 1) {
        raw.data[i] ^= 4;
        raw_write(path, emlfs_buf_view(&raw));
        if (i < 72 + 28 + CHUNK) /* the tag binds the next record, too */
            assert_int_equal(emlfs_spool_file_pread(file, bytes, 100, CHUNK, NULL), 13);
        assert_int_equal(emlfs_spool_file_pread(file, bytes, 100, 5, NULL), -EBADMSG);
        raw.data[i] ^= 4;
        raw_write(path, emlfs_buf_view(&raw));
    }
    assert_true(file_equals(file, &model));
    emlfs_buf_free(&raw);
    free(model.data);
    emlfs_spool_file_close(file);
}

/* Records that a crash left are not joined to those written in their place. */
static void an_old_tail_never_joins_new_records(void **state)
{
    struct two two = two_make(*state, 0);
    size_t b_mark = two.raw.len - DONE_RECORD;
    uint64_t lost = 0;

    raw_write(two.path, emlfs_span_of(two.raw.data, b_mark - 1));
    struct emlfs_spool_file *file = file_left(*state, &lost);
    struct model now = model_new();
    model_copy(&now, &two.a);
    put(file, &now, emlfs_span_str("second"), 4);
    put(file, &now, emlfs_span_str("BEYOND"), CHUNK); /* the first record is written, as long */
    struct emlfs_buf raw = raw_read(two.path);
    size_t first_end = raw.len;
    assert_true(first_end < b_mark);
    assert_memory_not_equal(raw.data + two.a_end, two.raw.data + two.a_end, first_end - two.a_end);
    must(emlfs_buf_append(&raw, two.raw.data + first_end, b_mark - first_end));
    emlfs_spool_file_close(file);
    raw_write(two.path, emlfs_buf_view(&raw));
    expect_state(*state, &two, &two.a, 0);
    emlfs_buf_free(&raw);
    free(now.data);
    two_free(&two);
}

static void overwriting_keeps_the_log_short(void **state)
{
    struct life *life = *state;
    static uint8_t bytes[3 * CHUNK];
    char path[256];

    for (unsigned sync_every = 7; sync_every <= 7000; sync_every *= 1000) {
        struct emlfs_spool_file *file = file_new(life);
        struct model model = model_new();
        uint64_t lost = 0;
        size_t longest = 0;
        file_path(life, emlfs_spool_file_number(file), path);
        for (unsigned i = 1; i <= 400; i++) {
            memset(bytes, (int)i, sizeof(bytes));
            put(file, &model, emlfs_span_of(bytes, sizeof(bytes) - i), i);
            if (i % sync_every == 0)
                must(emlfs_spool_file_sync(file, NULL));
            longest = raw_size(path) > longest ? raw_size(path) : longest;
        }
        assert_true(longest > 4 * sizeof(bytes));
        assert_true(longest < 4 * sizeof(bytes) + (7u << 20));
        assert_true(file_equals(file, &model));
        must(emlfs_spool_file_sync(file, NULL));
        emlfs_spool_file_close(file);
        file = file_left(life, &lost);
        assert_true(file_equals(file, &model));
        must(emlfs_spool_file_remove(file, NULL));
        free(model.data);
    }
}

/* Rewritten between two syncs, a log still says what was synced. */
static void overwriting_without_a_sync_keeps_what_was_synced(void **state)
{
    struct life *life = *state;
    static uint8_t bytes[3 * CHUNK];

    for (unsigned times = 10; times <= 250; times += 40) {
        struct emlfs_spool_file *file = file_new(life);
        struct model now = model_new(), synced = {0};
        uint64_t lost = 0;
        char path[256];
        file_path(life, emlfs_spool_file_number(file), path);
        memcpy(now.meta, "kept", now.meta_len = 4);
        must(emlfs_spool_file_set_meta(file, emlfs_span_str("kept"), NULL));
        memset(bytes, 's', sizeof(bytes));
        put(file, &now, emlfs_span_of(bytes, sizeof(bytes)), 5 * CHUNK + 3);
        must(emlfs_spool_file_sync(file, NULL));
        model_copy(&synced, &now);
        cut(file, &now, 2 * CHUNK);
        for (unsigned i = 0; i < times; i++) {
            memset(bytes, (int)i, sizeof(bytes));
            put(file, &now, emlfs_span_of(bytes, sizeof(bytes)), 9);
        }
        assert_true(raw_size(path) < 8 * sizeof(bytes) + (10u << 20));
        assert_true(file_equals(file, &now));
        if (times % 80 == 10) {
            must(emlfs_spool_file_sync(file, NULL));
            model_copy(&synced, &now);
        }
        emlfs_spool_file_close(file);
        file = file_left(life, &lost);
        assert_non_null(file);
        assert_int_equal(lost, 0);
        assert_true(file_equals(file, &synced));
        must(emlfs_spool_file_remove(file, NULL));
        free(now.data);
        free(synced.data);
    }
}

static void verify_and_recover_leave_it_alone(void **state)
{
    struct life *life = *state;
    struct two two = two_make(life, 10);
    const struct emlfs_archive_options options = {.path = life->path,
                                                  .clock = {.now_ns = life_now, .arg = life}};
    struct emlfs_check_totals totals = {0};

    must(emlfs_archive_verify(life->archive, NULL, NULL, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 0);
    life_close(life);
    must(emlfs_archive_verify_files(&options, NULL, NULL, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 0);
    must(emlfs_archive_recover(&options, NULL, NULL, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 0);
    life_open(life);
    expect_state(life, &two, &two.b, 0);
    two_free(&two);
}

static void a_file_never_synced_is_removed(void **state)
{
    struct life *life = *state;
    struct emlfs_spool_file *file = file_new(life);
    struct model model = model_new();
    uint64_t lost = 0;
    char path[256];

    file_path(life, 1, path);
    for (unsigned i = 0; i < 20; i++)
        put(file, &model, emlfs_span_str("unsynced"), i * CHUNK);
    emlfs_spool_file_close(file);
    assert_int_equal(access(path, F_OK), 0);
    assert_null(file_left(life, &lost));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(lost, 0);
    free(model.data);
}

static void nothing_lies_on_disk_in_clear(void **state)
{
    struct life *life = *state;
    struct emlfs_spool_file *file = file_new(life);
    struct model model = model_new();
    char path[256];

    file_path(life, 1, path);
    for (size_t at = 0; at < 3 * CHUNK; at += 32)
        put(file, &model, emlfs_span_str("PLAINTEXT-OF-SOMEBODYS-LETTER..."), at);
    must(emlfs_spool_file_set_meta(file, emlfs_span_str("folder SECRET-FOLDER"), NULL));
    must(emlfs_spool_file_sync(file, NULL));
    emlfs_spool_file_close(file);
    struct emlfs_buf raw = raw_read(path);
    assert_true(raw.len > 3 * CHUNK);
    assert_null(memmem(raw.data, raw.len, "PLAINTEXT", 9));
    assert_null(memmem(raw.data, raw.len, "SECRET", 6));
    emlfs_buf_free(&raw);
    free(model.data);
}

static void limits_are_kept(void **state)
{
    static uint8_t meta[EMLFS_SPOOL_META_MAX_BYTES + 1];
    struct emlfs_spool_file *file = file_new(*state);
    uint64_t lost = 0;
    char byte;

    memset(meta, 'm', sizeof(meta));
    assert_int_equal(emlfs_spool_file_set_meta(file, emlfs_span_of(meta, sizeof(meta)), NULL),
                     -E2BIG);
    must(emlfs_spool_file_set_meta(file, emlfs_span_of(meta, sizeof(meta) - 1), NULL));
    assert_int_equal(
        emlfs_spool_file_pwrite(file, emlfs_span_str("xy"), EMLFS_SPOOL_MAX_BYTES - 1, NULL),
        -EFBIG);
    assert_int_equal(emlfs_spool_file_pwrite(file, emlfs_span_str("xy"), UINT64_MAX, NULL), -EFBIG);
    assert_int_equal(emlfs_spool_file_truncate(file, EMLFS_SPOOL_MAX_BYTES + 1, NULL), -EFBIG);
    must(emlfs_spool_file_pwrite(file, emlfs_span_str("z"), EMLFS_SPOOL_MAX_BYTES - 1, NULL));
    must(emlfs_spool_file_sync(file, NULL));
    emlfs_spool_file_close(file);
    file = file_left(*state, &lost);
    assert_non_null(file);
    assert_int_equal(emlfs_spool_file_size(file), EMLFS_SPOOL_MAX_BYTES);
    assert_int_equal(emlfs_spool_file_meta(file).len, sizeof(meta) - 1);
    assert_memory_equal(emlfs_spool_file_meta(file).data, meta, sizeof(meta) - 1);
    assert_int_equal(emlfs_spool_file_pread(file, &byte, 1, EMLFS_SPOOL_MAX_BYTES - 1, NULL), 1);
    assert_int_equal(byte, 'z');
    assert_int_equal(emlfs_spool_file_pread(file, &byte, 1, EMLFS_SPOOL_MAX_BYTES / 2, NULL), 1);
    assert_int_equal(byte, 0);
    must(emlfs_spool_file_remove(file, NULL));
}

static void a_file_is_bound_to_its_number(void **state)
{
    struct life *life = *state;
    struct two two = two_make(life, 0);
    uint64_t lost = 0;
    char path[256];

    file_path(life, 77, path);
    assert_int_equal(rename(two.path, path), 0);
    assert_null(file_left(life, &lost));
    assert_int_equal(lost, 1);
    two_free(&two);
}

static void other_files_are_left_alone(void **state)
{
    static const char *const names[] = {"note", "1.spool", "0000000000000000.spool",
                                        "0000000000000009.spool.old", "00000000000000x1.spool"};
    struct life *life = *state;
    uint64_t lost = 0;
    char path[256];

    emlfs_spool_file_close(file_new(life));
    for (unsigned i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s/spool/%s", life->path, names[i]);
        raw_write(path, emlfs_span_str("of somebody"));
    }
    snprintf(path, sizeof(path), "%s/spool/0000000000000041.spool.tmp", life->path);
    raw_write(path, emlfs_span_str("was being made"));
    assert_null(file_left(life, &lost));
    assert_int_equal(lost, 0);
    assert_int_equal(access(path, F_OK), -1);
    raw_write(path, emlfs_span_str("was being made"));
    struct emlfs_spool_file *file = file_new(life);
    assert_int_equal(emlfs_spool_file_number(file), 42);
    must(emlfs_spool_file_sync(file, NULL));
    emlfs_spool_file_close(file);
    for (unsigned i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s/spool/%s", life->path, names[i]);
        assert_int_equal(access(path, F_OK), 0);
    }
}

static void a_read_only_archive_has_no_spool(void **state)
{
    struct life *life = *state;
    const struct emlfs_archive_options options = {
        .path = life->path, .read_only = true, .clock = {.now_ns = life_now, .arg = life}};
    struct emlfs_spool *spool = NULL;
    char path[256];

    life_close(life);
    must(emlfs_archive_open(&options, &life->archive, NULL));
    assert_int_equal(emlfs_spool_open(life->archive, &spool, NULL), -EROFS);
    assert_null(spool);
    snprintf(path, sizeof(path), "%s/spool", life->path);
    assert_int_equal(access(path, F_OK), -1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, spool_life_make, life_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(overwriting_without_a_sync_keeps_what_was_synced),
        TEST(verify_and_recover_leave_it_alone),
        TEST(what_was_synced_is_there_again),
        TEST(any_order_of_operations_equals_the_model),
        TEST(a_log_cut_anywhere_is_its_last_mark),
        TEST(a_flipped_byte_is_found),
        TEST(a_damaged_file_is_kept),
        TEST(what_is_not_understood_is_kept),
        TEST(a_flipped_byte_is_never_served),
        TEST(an_old_tail_never_joins_new_records),
        TEST(overwriting_keeps_the_log_short),
        TEST(a_file_never_synced_is_removed),
        TEST(nothing_lies_on_disk_in_clear),
        TEST(limits_are_kept),
        TEST(a_file_is_bound_to_its_number),
        TEST(other_files_are_left_alone),
        TEST(a_read_only_archive_has_no_spool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

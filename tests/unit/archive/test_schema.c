/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive_test.h"

#include "../../../store/archive/content.h"
#include "../../../store/archive/schema.h"

/* Values and records: what was encoded decodes to the same, and nothing shorter or longer does. */

static uint32_t any32(struct dice *dice)
{
    return (uint32_t)(dice_next(dice) >> (32 + dice_roll(dice, 32)));
}

static uint64_t any64(struct dice *dice)
{
    return dice_next(dice) >> dice_roll(dice, 64);
}

static struct emlfs_pack_loc any_loc(struct dice *dice)
{
    return (struct emlfs_pack_loc){
        .pack_no = any32(dice), .number = any32(dice), .offset = any64(dice)};
}

static void loc_equal(struct emlfs_pack_loc a, struct emlfs_pack_loc b)
{
    assert_int_equal(a.pack_no, b.pack_no);
    assert_int_equal(a.number, b.number);
    assert_int_equal(a.offset, b.offset);
}

static void test_rows(void **state)
{
    (void)state;
    struct dice dice = {.state = 21};
    struct emlfs_buf out = EMLFS_BUF_INIT(64), longer = EMLFS_BUF_INIT(65);
    for (unsigned i = 0; i < 2000; i++) {
        struct block_row block = {.last = any32(&dice), .loc = any_loc(&dice)}, block2;
        struct blob_row blob = {.loc = any_loc(&dice), .plain_len = any32(&dice) >> 8}, blob2;
        block.first = block.last - dice_roll(&dice, block.last < 4096 ? block.last + 1 : 4096);
        emlfs_buf_clear(&out);
        must(block_row_encode(&block, &out));
        must(block_row_decode(block.last, emlfs_buf_view(&out), &block2));
        assert_int_equal(block.first, block2.first);
        assert_int_equal(block.last, block2.last);
        loc_equal(block.loc, block2.loc);
        for (size_t cut = 0; cut < out.len; cut++)
            assert_int_equal(block_row_decode(block.last, emlfs_span_of(out.data, cut), &block2),
                             -EUCLEAN);
        emlfs_buf_clear(&out);
        must(blob_row_encode(&blob, &out));
        must(blob_row_decode(emlfs_buf_view(&out), &blob2));
        loc_equal(blob.loc, blob2.loc);
        assert_int_equal(blob.plain_len, blob2.plain_len);
        emlfs_buf_clear(&longer);
        must(emlfs_buf_append(&longer, out.data, out.len));
        must(emlfs_buf_append_u8(&longer, 0));
        assert_int_equal(blob_row_decode(emlfs_buf_view(&longer), &blob2), -EUCLEAN);
    }
    emlfs_buf_free(&out);
    emlfs_buf_free(&longer);
}

static void test_marks_and_stats(void **state)
{
    (void)state;
    struct dice dice = {.state = 22};
    struct emlfs_buf out = EMLFS_BUF_INIT(256);
    struct emlfs_buf twice EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4096);
    for (unsigned i = 0; i < 2000; i++) {
        struct mark_row mark = {.next_number = any32(&dice),
                                .next_seq = any64(&dice),
                                .messages = any64(&dice),
                                .bytes = any64(&dice),
                                .blobs = any64(&dice),
                                .dict_id = any32(&dice)},
                        again;
        struct folder_stat stat = {.entries = any64(&dice), .mtime_ns = (int64_t)dice_next(&dice)},
                           stat2;
        mark.end = (struct emlfs_pack_end){.pack_no = any32(&dice),
                                           .count = any32(&dice),
                                           .offset = any64(&dice),
                                           .sealed = i & 1};
        mark.end.file_bytes = mark.end.offset;
        memset(mark.end.chain.v, (int)(i & 0xff), EMLFS_HASH_BYTES);
        emlfs_buf_clear(&out);
        must(mark_encode(&mark, &out));
        must(mark_decode(emlfs_buf_view(&out), &again));
        /* By what is written, not by memory: the structure has padding. */
        must(mark_encode(&again, &twice));
        assert_true(emlfs_span_equal(emlfs_buf_view(&out), emlfs_buf_view(&twice)));
        emlfs_buf_clear(&twice);
        assert_int_equal(mark_decode(emlfs_span_of(out.data, out.len - 1), &again), -EUCLEAN);
        emlfs_buf_clear(&out);
        must(folder_stat_encode(&stat, &out));
        must(folder_stat_decode(emlfs_buf_view(&out), &stat2));
        assert_int_equal(stat.entries, stat2.entries);
        assert_int_equal(stat.mtime_ns, stat2.mtime_ns);
    }
    emlfs_buf_free(&out);
}

static void test_filed(void **state)
{
    (void)state;
    struct dice dice = {.state = 23};
    struct filed_list list = {0}, again;
    struct emlfs_buf out = EMLFS_BUF_INIT(1u << 20);
    for (unsigned i = 0; i < FILED_MAX; i++) {
        const struct filed filed = {.user = (uint16_t)(i % 3 + 1),
                                    .folder = i + 1,
                                    .source = any32(&dice),
                                    .run = any32(&dice)};
        must(filed_add(&list, &filed));
    }
    assert_int_equal(filed_add(&list, &list.v[0]), -E2BIG);
    must(filed_encode(&list, &out));
    must(filed_decode(emlfs_buf_view(&out), &again));
    assert_int_equal(again.n, list.n);
    for (unsigned i = 0; i < list.n; i++) {
        assert_int_equal(again.v[i].user, list.v[i].user);
        assert_int_equal(again.v[i].folder, list.v[i].folder);
        assert_int_equal(again.v[i].source, list.v[i].source);
        assert_int_equal(again.v[i].run, list.v[i].run);
    }
    assert_int_equal(filed_find(&again, 2, 2), 1);
    assert_int_equal(filed_find(&again, 1, 2), -1);
    assert_int_equal(filed_count_user(&again, 1), (FILED_MAX + 2) / 3);
    filed_list_free(&again);
    assert_int_equal(filed_decode(emlfs_span_of(out.data, out.len - 1), &again), -EUCLEAN);
    assert_null(again.v);
    must(filed_decode((struct emlfs_span){0}, &again));
    assert_int_equal(again.n, 0);
    filed_list_free(&list);
    emlfs_buf_free(&out);
}

static void test_folder_row(void **state)
{
    (void)state;
    struct folder_row row = {.user = 7, .parent = 99, .created_ns = -5}, again;
    struct emlfs_buf out = EMLFS_BUF_INIT(512);
    for (size_t len = 1; len <= EMLFS_NAME_MAX_BYTES; len++) {
        row.name[len - 1] = (char)('a' + len % 26);
        emlfs_buf_clear(&out);
        must(folder_row_encode(&row, &out));
        must(folder_row_decode(emlfs_buf_view(&out), &again));
        assert_memory_equal(&row, &again, sizeof(row));
    }
    out.data[out.len - 3] = 0;
    assert_int_equal(folder_row_decode(emlfs_buf_view(&out), &again), -EUCLEAN);
    out.data[0] = 3;
    assert_int_equal(folder_row_decode(emlfs_buf_view(&out), &again), -EPROTONOSUPPORT);
    for (row.flags = 1; row.flags <= (FOLDER_MOVED | FOLDER_REMOVED); row.flags++) {
        emlfs_buf_clear(&out);
        must(folder_row_encode(&row, &out));
        assert_int_equal(out.data[0], 2);
        must(folder_row_decode(emlfs_buf_view(&out), &again));
        assert_memory_equal(&row, &again, sizeof(row));
    }
    for (unsigned flags = 0; flags < 128; flags++) { /* none, and unknown ones, are no version 2 */
        out.data[1] = (uint8_t)flags;
        assert_int_equal(folder_row_decode(emlfs_buf_view(&out), &again),
                         flags && flags <= 3 ? 0 : -EUCLEAN);
    }
    emlfs_buf_free(&out);
}

static void test_store_row(void **state)
{
    (void)state;
    struct store_row row = {.made_ns = -7, .changed_ns = INT64_MAX, .next_folder = UINT32_MAX},
                     again;
    struct emlfs_buf out = EMLFS_BUF_INIT(512);
    snprintf(row.directory, sizeof(row.directory), "00002-2026-01");
    for (size_t len = 1; len <= STORE_NAME_MAX_BYTES; len++) {
        row.name[len - 1] = 'n';
        row.state = (uint8_t)(len % 6);
        emlfs_buf_clear(&out);
        must(store_row_encode(&row, &out));
        must(store_row_decode(emlfs_buf_view(&out), &again));
        assert_memory_equal(&row, &again, sizeof(row));
        for (size_t cut = 1; cut < out.len; cut++)
            assert_int_equal(store_row_decode(emlfs_span_of(out.data, cut), &again), -EUCLEAN);
    }
    out.data[1] = 6; /* no such state */
    assert_int_equal(store_row_decode(emlfs_buf_view(&out), &again), -EUCLEAN);
    out.data[0] = 2;
    assert_int_equal(store_row_decode(emlfs_buf_view(&out), &again), -EPROTONOSUPPORT);
    emlfs_buf_free(&out);
}

static void test_keys_sort(void **state)
{
    (void)state;
    struct dice dice = {.state = 24};
    for (unsigned i = 0; i < 5000; i++) {
        uint64_t a = any64(&dice), b = any64(&dice);
        struct row_key x = key_u64('L', a), y = key_u64('L', b);
        int order = memcmp(x.v, y.v, x.len);
        assert_int_equal(x.len, 9);
        assert_int_equal(order < 0, a < b);
        assert_int_equal(order == 0, a == b);
    }
}

static void block_make(struct emlfs_buf *out, struct emlfs_buf *entries, unsigned n)
{
    struct block block = {.first = 10, .n = n, .seq = 1u << 20};
    struct block_entry entry = {.user = 1, .folder = 2, .source = 3, .flags = 4, .mtime_sec = -5};
    block.v = calloc(n ? n : 1, sizeof(*block.v));
    entry.stem = emlfs_span_str("2026-03-01 0913 Somebody - Something");
    for (unsigned i = 0; i < n; i++) {
        block.v[i].size_bytes = block.v[i].text_len = i;
        block.v[i].archived_ns = 1000000 - (int64_t)i;
        memset(block.v[i].sha256, (int)i, EMLFS_HASH_BYTES);
    }
    for (unsigned i = 0; i < 3; i++, entry.folder++)
        must(block_entry_append(entries, &entry));
    if (n > 0) {
        block.v[0].entries = emlfs_buf_view(entries);
        block.v[0].entries_n = 3;
        block.v[0].facts = emlfs_span_str("facts");
    }
    must(block_encode_meta(&block, out));
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < i; k++)
            must(emlfs_buf_append_u8(out, (uint8_t)i));
    free(block.v);
}

static void test_block(void **state)
{
    (void)state;
    struct emlfs_buf plain = EMLFS_BUF_INIT(1u << 20), entries = EMLFS_BUF_INIT(4096);
    struct block_entry entry;
    struct block block;
    block_make(&plain, &entries, 50);
    must(block_decode(emlfs_buf_view(&plain), plain.len, &block));
    assert_int_equal(block.n, 50);
    assert_int_equal(block.v[49].text_offset, 48 * 49 / 2);
    assert_int_equal(block.v[49].archived_ns, 1000000 - 49);
    struct emlfs_span rest = block.v[0].entries;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(block_entry_next(&rest, &entry));
        assert_int_equal(entry.folder, 2 + i);
        assert_int_equal(entry.mtime_sec, -5);
    }
    assert_false(block_entry_next(&rest, &entry));
    size_t meta_len = block.meta_len;
    block_free(&block);
    /* A first part is enough from the meta part on, and asks for more before it. */
    for (size_t cut = 0; cut < plain.len; cut++) {
        int rc = block_decode(emlfs_span_of(plain.data, cut), plain.len, &block);
        assert_int_equal(rc, cut < meta_len ? -EAGAIN : 0);
        block_free(&block);
        assert_true(block_decode(emlfs_span_of(plain.data, cut), cut, &block) < 0);
    }
    emlfs_buf_clear(&plain);
    emlfs_buf_clear(&entries);
    block_make(&plain, &entries, 0);
    assert_int_equal(block_decode(emlfs_buf_view(&plain), plain.len, &block), -EUCLEAN);
    emlfs_buf_free(&plain);
    emlfs_buf_free(&entries);
}

static void test_events(void **state)
{
    (void)state;
    const struct events_head head = {.seq = 77, .time_ns = -1, .n = 3};
    struct event event = {.id = {0x1234567890}, .from = 9, .size_bytes = 5, .archived_ns = 6};
    struct emlfs_buf out = EMLFS_BUF_INIT(4096);
    struct events_head again;
    struct emlfs_span rest;
    bool bad;
    event.entry = (struct block_entry){.user = 1, .folder = 2, .stem = emlfs_span_str("x")};
    must(events_begin(&out, &head));
    for (event.kind = EVENT_FILED; event.kind <= EVENT_MOVED; event.kind++)
        must(event_append(&out, &event));
    must(events_decode(emlfs_buf_view(&out), &again, &rest));
    assert_int_equal(again.seq, 77);
    assert_int_equal(again.time_ns, -1);
    for (uint8_t kind = EVENT_FILED; kind <= EVENT_MOVED; kind++) {
        assert_true(event_next(&rest, &event, &bad));
        assert_int_equal(event.kind, kind);
        assert_int_equal(event.id.v, 0x1234567890);
        assert_int_equal(event.entry.folder, 2);
    }
    assert_false(event_next(&rest, &event, &bad));
    assert_false(bad);
    must(events_decode(emlfs_span_of(out.data, out.len - 1), &again, &rest));
    assert_true(event_next(&rest, &event, &bad));
    assert_true(event_next(&rest, &event, &bad));
    assert_false(event_next(&rest, &event, &bad));
    assert_true(bad);
    emlfs_buf_free(&out);
}

static void test_event_deleted(void **state)
{
    (void)state;
    static const int64_t uids[] = {-1, 0, 1000, UINT32_MAX - 1};
    const struct events_head head = {.version = EVENTS_VERSION_DELETED, .seq = 1, .n = 1};
    struct emlfs_buf out = EMLFS_BUF_INIT(4096);
    struct events_head again;
    struct event found;
    struct emlfs_span rest;
    bool bad;
    for (unsigned i = 0; i < sizeof(uids) / sizeof(uids[0]); i++) {
        const struct event event = {.kind = EVENT_DELETED,
                                    .id = {5},
                                    .by_uid = uids[i],
                                    .by_user = UINT16_MAX,
                                    .policy = i,
                                    .entry = {.user = 1, .folder = 2}};
        emlfs_buf_clear(&out);
        must(events_begin(&out, &head));
        must(event_append(&out, &event));
        must(events_decode(emlfs_buf_view(&out), &again, &rest));
        assert_int_equal(again.version, EVENTS_VERSION_DELETED);
        assert_true(event_next(&rest, &found, &bad));
        assert_int_equal(found.kind, EVENT_DELETED);
        assert_int_equal(found.by_uid, uids[i]);
        assert_int_equal(found.by_user, UINT16_MAX);
        assert_int_equal(found.policy, i);
        assert_int_equal(found.entry.folder, 2);
        assert_int_equal(rest.len, 0);
    }
    out.data[0] = EVENTS_VERSION_DELETED + 1;
    assert_int_equal(events_decode(emlfs_buf_view(&out), &again, &rest), -EPROTONOSUPPORT);
    emlfs_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),      cmocka_unit_test(test_marks_and_stats),
        cmocka_unit_test(test_filed),     cmocka_unit_test(test_folder_row),
        cmocka_unit_test(test_keys_sort), cmocka_unit_test(test_block),
        cmocka_unit_test(test_events),    cmocka_unit_test(test_event_deleted),
        cmocka_unit_test(test_store_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

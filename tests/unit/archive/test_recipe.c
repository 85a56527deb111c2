/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive_test.h"

#include "../../../store/archive/content.h"
#include "emlfs/base/crypto.h"

/* Splitting and rebuilding: whatever goes in comes out, through the encoded form too. */

static void limits_check(const struct recipe *recipe)
{
    assert_true(recipe_text_len(recipe) <= 1u << 20);
    assert_true(recipe->n <= RECIPE_SEGMENTS_MAX);
    for (unsigned i = 0; i < recipe->n; i++) {
        const struct segment *segment = &recipe->v[i];
        assert_true(segment->plain_len > 0 && segment->plain_len == segment->content.len);
        if (segment->kind >= SEGMENT_BLOB)
            assert_true(segment->plain_len <= BLOB_CHUNK_BYTES);
        if (segment->kind == SEGMENT_TEXT)
            assert_true(segment->plain_len <= LITERAL_MAX_BYTES);
        if (segment->kind == SEGMENT_BASE64 || segment->kind == SEGMENT_BLOB_BASE64)
            assert_int_equal(segment->shape.line % 4, 0);
    }
}

/* Raw bytes of recipe's shapes and lengths with the contents of split. */
static void rebuild(const struct recipe *split, const struct recipe *recipe, struct emlfs_buf *out)
{
    assert_int_equal(split->n, recipe->n);
    for (unsigned i = 0; i < recipe->n; i++) {
        const struct segment *segment = &recipe->v[i];
        struct emlfs_span content = split->v[i].content;
        assert_int_equal(segment->kind, split->v[i].kind);
        assert_int_equal(segment->plain_len, content.len);
        assert_memory_equal(segment->blob, split->v[i].blob, BLOB_ID_BYTES);
        if (segment->kind == SEGMENT_TEXT || segment->kind == SEGMENT_BLOB) {
            must(emlfs_buf_append(out, content.data, content.len));
            continue;
        }
        assert_int_equal(segment->raw_len, base64_raw_len(content.len, &segment->shape));
        must(emlfs_buf_reserve(out, (size_t)segment->raw_len));
        base64_encode(content, &segment->shape, out->data + out->len);
        out->len += (size_t)segment->raw_len;
    }
}

static unsigned round_trip(struct emlfs_span raw)
{
    struct recipe split, again;
    struct emlfs_buf bytes = EMLFS_BUF_INIT(4u << 20), out = EMLFS_BUF_INIT(64u << 20);
    must(recipe_split(raw, &split));
    limits_check(&split);
    for (unsigned i = 0; i < split.n; i++) {
        if (split.v[i].kind >= SEGMENT_BLOB)
            memset(split.v[i].blob, (int)i & 0xff, BLOB_ID_BYTES);
    }
    must(recipe_encode(&split, &bytes));
    must(recipe_decode(emlfs_buf_view(&bytes), recipe_text_len(&split), raw.len, &again));
    rebuild(&split, &again, &out);
    assert_int_equal(out.len, raw.len);
    assert_true(raw.len == 0 || memcmp(out.data, raw.data, raw.len) == 0);
    unsigned n = split.n;
    recipe_free(&split);
    recipe_free(&again);
    emlfs_buf_free(&bytes);
    emlfs_buf_free(&out);
    return n;
}

static unsigned kinds(struct emlfs_span raw, uint8_t kind)
{
    struct recipe split;
    unsigned n = 0;
    must(recipe_split(raw, &split));
    for (unsigned i = 0; i < split.n; i++)
        n += split.v[i].kind == kind;
    recipe_free(&split);
    return n;
}

static void test_small(void **state)
{
    (void)state;
    static const uint8_t nul[64] = {0};
    assert_int_equal(round_trip((struct emlfs_span){0}), 0);
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t one = (uint8_t)byte;
        assert_int_equal(round_trip(emlfs_span_of(&one, 1)), 1);
    }
    for (size_t n = 1; n <= sizeof(nul); n++)
        round_trip(emlfs_span_of(nul, n));
    round_trip(emlfs_span_str("\n"));
    round_trip(emlfs_span_str("\r\n\r\n"));
}

static void test_every_shape(void **state)
{
    (void)state;
    struct dice dice = {.state = 11};
    for (unsigned line = 4; line <= 1008; line += 4) {
        for (unsigned form = 0; form < 4; form++) {
            const struct part part = {.line = line, .crlf = form & 1, .open_end = (form & 2) != 0};
            struct emlfs_buf raw = EMLFS_BUF_INIT(1u << 20);
            buf_text(&raw, "Content-Transfer-Encoding: base64\r\n\r\n");
            part_append(&raw, &dice, line / 4 * 3 * 6, &part);
            if (!part.open_end)
                buf_text(&raw, "--end\r\n");
            round_trip(emlfs_buf_view(&raw));
            assert_int_equal(kinds(emlfs_buf_view(&raw), SEGMENT_BASE64),
                             line >= 40 && line <= 996 ? 1 : 0);
            emlfs_buf_free(&raw);
        }
    }
}

static void test_near_misses(void **state)
{
    (void)state;
    struct dice dice = {.state = 12};
    for (unsigned round = 0; round < 1500; round++) {
        struct emlfs_buf raw = EMLFS_BUF_INIT(4u << 20);
        for (unsigned parts = 1 + dice_roll(&dice, 4); parts > 0; parts--) {
            const struct part part = {.line = 4 * (1 + dice_roll(&dice, 260)),
                                      .crlf = dice_roll(&dice, 2),
                                      .open_end = dice_roll(&dice, 4) == 0,
                                      .fault = dice_roll(&dice, 5)};
            buf_noise(&raw, &dice, dice_roll(&dice, 90));
            buf_text(&raw, dice_roll(&dice, 2) ? "\n" : "\r\n");
            part_append(&raw, &dice, dice_roll(&dice, 9000), &part);
        }
        round_trip(emlfs_buf_view(&raw));
        /* One byte anywhere turned into another is still given back. */
        raw.data[dice_roll(&dice, (uint32_t)raw.len)] = (uint8_t)dice_roll(&dice, 256);
        round_trip(emlfs_buf_view(&raw));
        raw.len = dice_roll(&dice, (uint32_t)raw.len + 1);
        round_trip(emlfs_buf_view(&raw));
        emlfs_buf_free(&raw);
    }
}

static void test_noise(void **state)
{
    (void)state;
    static const char chars[] = "AAAABCz09+/==\r\n\n\n -";
    struct dice dice = {.state = 13};
    for (unsigned round = 0; round < 3000; round++) {
        struct emlfs_buf raw = EMLFS_BUF_INIT(1u << 20);
        size_t n = dice_roll(&dice, 3000);
        for (size_t i = 0; i < n; i++)
            must(emlfs_buf_append_u8(&raw, (uint8_t)chars[dice_roll(&dice, sizeof(chars) - 1)]));
        round_trip(emlfs_buf_view(&raw));
        emlfs_buf_free(&raw);
    }
}

static void test_large(void **state)
{
    (void)state;
    struct dice dice = {.state = 14};
    struct emlfs_buf raw = EMLFS_BUF_INIT(64u << 20);
    const struct part part = {.line = 76, .crlf = true};
    /* A part of several chunks, then a literal run of several, then NULs in one line. */
    buf_text(&raw, "Subject: large\r\n\r\n");
    part_append(&raw, &dice, 5u << 20, &part);
    assert_true(kinds(emlfs_buf_view(&raw), SEGMENT_BLOB_BASE64) >= 5);
    while (raw.len < 10u << 20)
        buf_text(&raw, "some line of text that is no base64 at all, often\r\n");
    must(emlfs_buf_reserve(&raw, 3u << 20));
    memset(raw.data + raw.len, 0, 3u << 20);
    raw.len += 3u << 20;
    round_trip(emlfs_buf_view(&raw));
    /* More text than a block takes, in runs each of which would be text. */
    emlfs_buf_clear(&raw);
    while (raw.len < 4u << 20) {
        const struct part small = {.line = 60 + 4 * dice_roll(&dice, 20)};
        buf_text(&raw, "- boundary -\n");
        part_append(&raw, &dice, 2000, &small);
    }
    round_trip(emlfs_buf_view(&raw));
    assert_int_equal(kinds(emlfs_buf_view(&raw), SEGMENT_TEXT), 0);
    emlfs_buf_free(&raw);
}

static void test_lengths_around_limits(void **state)
{
    (void)state;
    struct dice dice = {.state = 15};
    static const size_t at[] = {BLOB_MIN_BYTES, LITERAL_MAX_BYTES, BLOB_CHUNK_BYTES,
                                2 * BLOB_CHUNK_BYTES};
    for (unsigned i = 0; i < 4; i++) {
        for (int off = -58; off <= 58; off += i < 2 ? 1 : 29) {
            size_t n = at[i] + (size_t)off;
            const struct part part = {.line = 76, .open_end = off & 1};
            struct emlfs_buf raw = EMLFS_BUF_INIT(8u << 20);
            part_append(&raw, &dice, n, &part);
            round_trip(emlfs_buf_view(&raw));
            emlfs_buf_clear(&raw);
            must(emlfs_buf_reserve(&raw, n));
            memset(raw.data, ' ', n);
            raw.len = n;
            round_trip(emlfs_buf_view(&raw));
            emlfs_buf_free(&raw);
        }
    }
}

static void test_decode_refuses(void **state)
{
    (void)state;
    struct recipe recipe;
    static const uint8_t text5[] = {SEGMENT_TEXT, 5};
    static const uint8_t none[] = {SEGMENT_TEXT, 0};
    static const uint8_t line0[] = {SEGMENT_BASE64, 5, 0};
    static const uint8_t flags[] = {SEGMENT_TEXT | 4, 5};
    static const uint8_t high[] = {16, 5};
    static const uint8_t short_blob[] = {SEGMENT_BLOB, 5, 1, 2, 3};
    must(recipe_decode(emlfs_span_of(text5, 2), 5, 5, &recipe));
    recipe_free(&recipe);
    assert_int_equal(recipe_decode(emlfs_span_of(text5, 2), 5, 6, &recipe), -EUCLEAN);
    assert_int_equal(recipe_decode(emlfs_span_of(text5, 2), 4, 5, &recipe), -EUCLEAN);
    assert_int_equal(recipe_decode(emlfs_span_of(text5, 1), 5, 5, &recipe), -EUCLEAN);
    assert_int_equal(recipe_decode(emlfs_span_of(none, 2), 0, 0, &recipe), -EUCLEAN);
    assert_int_equal(recipe_decode(emlfs_span_of(line0, 3), 5, 8, &recipe), -EUCLEAN);
    assert_int_equal(recipe_decode(emlfs_span_of(flags, 2), 5, 5, &recipe), -EUCLEAN);
    assert_int_equal(recipe_decode(emlfs_span_of(high, 2), 5, 5, &recipe), -EUCLEAN);
    assert_int_equal(recipe_decode(emlfs_span_of(short_blob, 5), 0, 5, &recipe), -EUCLEAN);
    assert_int_equal(recipe_decode((struct emlfs_span){0}, 3, 4, &recipe), -EUCLEAN);
    must(recipe_decode((struct emlfs_span){0}, 0, 0, &recipe));
    recipe_free(&recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),          cmocka_unit_test(test_every_shape),
        cmocka_unit_test(test_near_misses),    cmocka_unit_test(test_noise),
        cmocka_unit_test(test_large),          cmocka_unit_test(test_lengths_around_limits),
        cmocka_unit_test(test_decode_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What Snappy's own library made comes out again, and what nobody made is refused. */
#include "catalog_test.h"

#include "../../../store/catalog/snappy.h"
#include "emlfs/base/library.h"

#define LEN_MAX 20000u

int snappy_compress(const char *from, size_t len, char *to, size_t *to_len);
int snappy_uncompress(const char *from, size_t len, char *to, size_t *to_len);

#define SNAPPY_CALLS(call) call(snappy_compress) call(snappy_uncompress)

struct snappy_calls {
    SNAPPY_CALLS(EMLFS_LIBRARY_MEMBER)
};

/* LevelDB's own compression, so it is here wherever LevelDB is. */
static const struct snappy_calls *snappy(void)
{
    static const char *const names[] = {SNAPPY_CALLS(EMLFS_LIBRARY_NAME)};
    static struct snappy_calls calls;
    static struct emlfs_library library = EMLFS_LIBRARY_INIT("libsnappy.so.1", names, calls);
    struct emlfs_err err = {0};

    if (emlfs_library_load(&library, &err) < 0)
        fail_msg("%s", err.text);
    return &calls;
}

static int expand(const void *packed, size_t len, struct emlfs_buf *out)
{
    int r = catalog_snappy_expand(emlfs_span_of(packed, len), LEN_MAX, out);

    assert_true(r == 0 || out->len == 0);
    return r;
}

/* Bytes that repeat at many distances: literals and copies of all kinds come of them. */
static size_t sample(uint64_t *random, char *bytes)
{
    size_t len =
        random_below(random, 8) ? random_below(random, 5000) : random_below(random, LEN_MAX);
    unsigned kinds = 1 + random_below(random, random_below(random, 2) ? 4 : 256);

    for (size_t at = 0; at < len;) {
        size_t run = 1 + random_below(random, 90), back = 1 + random_below(random, 9000);
        bool copy = random_below(random, 3) > 0 && back <= at;
        for (; run > 0 && at < len; run--, at++)
            bytes[at] = copy ? bytes[at - back] : (char)random_below(random, kinds);
    }
    return len;
}

static void what_the_library_packs_comes_out(void **state)
{
    static char bytes[LEN_MAX], packed[2 * LEN_MAX];
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(LEN_MAX);
    uint64_t random = 1;

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        size_t len = sample(&random, bytes), packed_len = sizeof(packed);
        assert_int_equal(snappy()->snappy_compress(bytes, len, packed, &packed_len), 0);
        assert_int_equal(expand(packed, packed_len, &out), 0);
        assert_true(emlfs_span_equal(emlfs_buf_view(&out), emlfs_span_of(bytes, len)));
        assert_int_equal(expand(packed, packed_len - 1, &out), -EUCLEAN);
    }
}

/* With damage anywhere, both give the same bytes or both refuse. */
static void damage_is_seen_as_the_library_sees_it(void **state)
{
    static char bytes[LEN_MAX], packed[2 * LEN_MAX], theirs[1 << 20];
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(LEN_MAX);
    uint64_t random = 2;
    unsigned same = 0, refused = 0;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        size_t len = sample(&random, bytes) % 600, packed_len = sizeof(packed);
        assert_int_equal(snappy()->snappy_compress(bytes, len, packed, &packed_len), 0);
        /* Not how long it says it is, which both bound, but differently. */
        for (unsigned n = random_below(&random, 3); n < 3 && packed_len > 2; n++)
            packed[2 + random_below(&random, (unsigned)packed_len - 2)] ^=
                (char)(1u << random_below(&random, 8));
        size_t their_len = sizeof(theirs);
        bool good = snappy()->snappy_uncompress(packed, packed_len, theirs, &their_len) == 0;
        assert_int_equal(expand(packed, packed_len, &out), good ? 0 : -EUCLEAN);
        if (good)
            assert_true(emlfs_span_equal(emlfs_buf_view(&out), emlfs_span_of(theirs, their_len)));
        same += good;
        refused += !good;
    }
    assert_true(same > 500 && refused > 500);
}

static void expect(const char *packed, size_t len, const char *text)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(LEN_MAX);
    char *exact = malloc(len ? len : 1); /* so that sanitizers see a read behind it */

    assert_non_null(exact);
    memcpy(exact, packed, len);
    assert_int_equal(expand(exact, len, &out), text ? 0 : -EUCLEAN);
    if (text)
        assert_true(emlfs_span_equal(emlfs_buf_view(&out), emlfs_span_str(text)));
    free(exact);
}

static void pieces_are_read_as_the_format_says(void **state)
{
    (void)state;
    expect("\x00", 1, "");
    expect("\x03\x08xyz", 5, "xyz");
    expect("\x03\xf0\x02xyz", 6, "xyz");           /* its length in one byte behind */
    expect("\x03\xfc\x02\0\0\0xyz", 9, "xyz");     /* in four */
    expect("\x06\x04xy\x01\x02", 6, "xyxyxy");     /* a near copy that makes what it copies */
    expect("\x05\x04xy\x0a\x02\0", 7, "xyxyx");    /* a copy */
    expect("\x04\x04xy\x07\x02\0\0\0", 9, "xyxy"); /* a far one */
    expect("\x05\x00x\x01\x01", 5, "xxxxx");
}

static void what_is_no_snappy_is_refused(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(8);

    (void)state;
    expect("", 0, NULL);
    expect("\x80", 1, NULL);                        /* half a length */
    expect("\x80\x00", 2, NULL);                    /* a length not in its shortest form */
    expect("\x03", 1, NULL);                        /* nothing of what it says */
    expect("\x03\x08xy", 4, NULL);                  /* a piece that ends too early */
    expect("\x02\x08xyz", 5, NULL);                 /* more than it says */
    expect("\x04\x08xyz", 5, NULL);                 /* less */
    expect("\x03\x08xyz\x00", 6, NULL);             /* a piece behind the end */
    expect("\x03\xf4\x02", 3, NULL);                /* half a length of a piece */
    expect("\x03\xfc\xff\xff\xff\xffxyz", 9, NULL); /* a length near all that there is */
    expect("\x06\x04xy\x01\x00", 6, NULL);          /* from nowhere */
    expect("\x06\x04xy\x01\x03", 6, NULL);          /* from before the beginning */
    expect("\x06\x04xy\x01", 5, NULL);              /* half a copy */
    expect("\x06\x04xy\x0e\x02", 6, NULL);
    expect("\x06\x04xy\x0f\x02\0\0", 8, NULL);
    expect("\x05\x04xy\x01\x02", 6, NULL); /* a copy over the end */
    assert_int_equal(catalog_snappy_expand(emlfs_span_of("\x03\x08xyz", 5), 2, &out), -EUCLEAN);
    assert_int_equal(catalog_snappy_expand(emlfs_span_of("\x09\x20xyzxyzxyz", 11), 9, &out),
                     -E2BIG);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_library_packs_comes_out),
        cmocka_unit_test(damage_is_seen_as_the_library_sees_it),
        cmocka_unit_test(pieces_are_read_as_the_format_says),
        cmocka_unit_test(what_is_no_snappy_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

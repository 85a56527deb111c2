/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "emlfs/message.h"

static struct emlfs_facts sample(void)
{
    return (struct emlfs_facts){
        .date_sec = -12345678901,
        .date_source = EMLFS_DATE_RECEIVED,
        .flags = EMLFS_FACT_ATTACHMENT | EMLFS_FACT_PARTIAL,
        .from = emlfs_span_str("Bob Smith <bob@example.com>"),
        .to = emlfs_span_str("\"Smith, Ann\" <ann@example.com>, <c@d>"),
        .subject = emlfs_span_str("Zahlen f\xc3\xbcr M\xc3\xa4rz"),
        .message_id = emlfs_span_str("1@example.com"),
        .reason = emlfs_span_str("MIME depth over 64"),
    };
}

static void test_round_trip(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf parts = EMLFS_BUF_INIT(4096);
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf again = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    const struct emlfs_fact_part first = {0, emlfs_span_str("multipart/mixed"), {0}, 5000, false};
    const struct emlfs_fact_part second = {1, emlfs_span_str("application/pdf"),
                                           emlfs_span_str("a b.pdf"), UINT64_MAX, true};
    assert_int_equal(emlfs_facts_part_append(&parts, &first), 0);
    assert_int_equal(emlfs_facts_part_append(&parts, &second), 0);
    struct emlfs_facts facts = sample();
    facts.parts = emlfs_buf_view(&parts);
    assert_int_equal(emlfs_facts_encode(&facts, &bytes), 0);
    struct emlfs_facts back;
    assert_int_equal(emlfs_facts_decode(emlfs_buf_view(&bytes), &back, NULL), 0);
    assert_int_equal(back.date_sec, facts.date_sec);
    assert_int_equal(back.date_source, facts.date_source);
    assert_int_equal(back.flags, facts.flags);
    assert_true(emlfs_span_equal(back.to, facts.to));
    assert_true(emlfs_span_equal(back.subject, facts.subject));
    assert_int_equal(back.cc.len, 0);
    assert_int_equal(emlfs_facts_encode(&back, &again), 0);
    assert_true(emlfs_span_equal(emlfs_buf_view(&bytes), emlfs_buf_view(&again)));
    struct emlfs_fact_part part;
    assert_true(emlfs_facts_part_next(&back.parts, &part));
    assert_int_equal(part.size_bytes, 5000);
    assert_true(emlfs_facts_part_next(&back.parts, &part));
    assert_true(part.attachment && part.depth == 1 && part.size_bytes == UINT64_MAX);
    assert_true(emlfs_span_equal(part.name, emlfs_span_str("a b.pdf")));
    assert_false(emlfs_facts_part_next(&back.parts, &part));
}

static void test_text_is_cleaned_and_cut(void **state)
{
    (void)state;
    static char text[EMLFS_FACTS_TEXT_MAX_BYTES + 100];
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_facts facts = {.subject = emlfs_span_of("a\0b\r\n\x1b\x7f\xff\xc2\x85z", 11)};
    struct emlfs_facts back;
    for (size_t i = 0; i + 1 < sizeof text; i += 2) {
        text[i] = '\xc3';
        text[i + 1] = '\xa4';
    }
    facts.to = emlfs_span_of(text, sizeof text);
    facts.cc = emlfs_span_of(text + 1, sizeof text - 1);
    assert_int_equal(emlfs_facts_encode(&facts, &bytes), 0);
    assert_int_equal(emlfs_facts_decode(emlfs_buf_view(&bytes), &back, NULL), 0);
    assert_true(emlfs_span_equal(back.subject, emlfs_span_str("a b    \xef\xbf\xbd z")));
    assert_int_equal(back.to.len, EMLFS_FACTS_TEXT_MAX_BYTES);
    assert_int_equal(back.cc.len, EMLFS_FACTS_TEXT_MAX_BYTES - 1);
}

static void test_too_much_is_refused(void **state)
{
    (void)state;
    static char text[EMLFS_FACTS_TEXT_MAX_BYTES];
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(1u << 20);
    memset(text, 'x', sizeof text);
    struct emlfs_span most = emlfs_span_of(text, sizeof text);
    const struct emlfs_facts facts = {.from = most,
                                      .sender = most,
                                      .to = most,
                                      .cc = most,
                                      .bcc = most,
                                      .subject = most,
                                      .message_id = most,
                                      .reason = most};
    assert_int_equal(emlfs_facts_encode(&facts, &bytes), -E2BIG);
    assert_int_equal(bytes.len, 0);
}

/* Every truncation is refused; every single change is refused or decodes to something clean. */
static void check_altered(struct emlfs_facts facts)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf again = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_facts back;
    assert_int_equal(emlfs_facts_encode(&facts, &bytes), 0);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(emlfs_facts_decode(emlfs_span_of(bytes.data, len), &back, NULL), -EUCLEAN);
    for (size_t i = 0; i < bytes.len; i++) {
        for (unsigned change = 1; change < 256; change++) {
            bytes.data[i] ^= (uint8_t)change;
            if (emlfs_facts_decode(emlfs_buf_view(&bytes), &back, NULL) == 0) {
                emlfs_buf_clear(&again);
                assert_int_equal(emlfs_facts_encode(&back, &again), 0);
                assert_true(emlfs_span_equal(emlfs_buf_view(&bytes), emlfs_buf_view(&again)));
            }
            bytes.data[i] ^= (uint8_t)change;
        }
    }
    bytes.data[0] = 3;
    assert_int_equal(emlfs_facts_decode(emlfs_buf_view(&bytes), &back, NULL), -EPROTONOSUPPORT);
}

static void test_altered(void **state)
{
    struct emlfs_facts facts = sample();

    (void)state;
    check_altered(facts);
    facts.has_sent = true;
    facts.sent_sec = -77;
    check_altered(facts);
    facts.has_received = true;
    facts.received_sec = INT64_MAX;
    check_altered(facts);
}

/* Without its claims a message's facts are those of one that nobody vouched for, to the byte. */
static void test_claims_are_dropped(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf plain = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_facts facts = sample();
    struct emlfs_facts back;

    (void)state;
    assert_int_equal(emlfs_facts_encode(&facts, &plain), 0);
    facts.has_sent = facts.has_received = true;
    facts.sent_sec = 5;
    facts.received_sec = -6;
    assert_int_equal(emlfs_facts_encode(&facts, &bytes), 0);
    assert_int_equal(emlfs_facts_decode(emlfs_buf_view(&bytes), &back, NULL), 0);
    assert_true(back.has_sent && back.has_received);
    assert_int_equal(back.sent_sec, 5);
    assert_int_equal(back.received_sec, -6);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(emlfs_facts_drop_claims(&bytes), 0);
        assert_true(emlfs_span_equal(emlfs_buf_view(&bytes), emlfs_buf_view(&plain)));
    }
    bytes.len--;
    assert_int_equal(emlfs_facts_drop_claims(&bytes), -EUCLEAN);
}

static void check_envelope(const struct emlfs_facts *facts, const char *from, const char *to)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_facts back;
    assert_int_equal(emlfs_buf_append(&bytes, "before", 6), 0);
    assert_int_equal(emlfs_facts_encode_envelope(facts, &bytes), 0);
    struct emlfs_span encoded = emlfs_span_of(bytes.data + 6, bytes.len - 6);
    assert_int_equal(emlfs_facts_decode(encoded, &back, NULL), 0);
    assert_true(emlfs_span_equal(back.from, emlfs_span_str(from)));
    assert_true(emlfs_span_equal(back.to, emlfs_span_str(to)));
    assert_true(emlfs_span_equal(back.subject, facts->subject));
    assert_int_equal(back.sender.len + back.message_id.len + back.reason.len, 0);
    assert_int_equal(back.flags, 0);
    assert_int_equal(back.date_source, EMLFS_DATE_NONE);
}

static void test_envelope(void **state)
{
    (void)state;
    char text[EMLFS_ENVELOPE_MAX_BYTES + 1];
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_facts facts = sample();
    check_envelope(&facts, "Bob Smith <bob@example.com>", "\"Smith, Ann\" <ann@example.com>");
    facts.from = emlfs_span_of(NULL, 0);
    facts.sender = emlfs_span_str("\"a \\\", b\" <s@d>, <t@d>");
    check_envelope(&facts, "\"a \\\", b\" <s@d>", "\"Smith, Ann\" <ann@example.com>");
    memset(text, 'x', sizeof(text));
    facts.subject = emlfs_span_of(text, sizeof(text));
    assert_int_equal(emlfs_buf_append(&bytes, "before", 6), 0);
    assert_int_equal(emlfs_facts_encode_envelope(&facts, &bytes), -E2BIG);
    assert_int_equal(bytes.len, 6);
}

static void test_parts_are_counted(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf parts = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    const struct emlfs_fact_part part = {0, emlfs_span_str("text/plain"), {0}, 1, false};
    struct emlfs_facts facts = {0};
    struct emlfs_facts back;
    for (unsigned i = 0; i <= EMLFS_FACTS_PARTS_MAX; i++) {
        facts.parts = emlfs_buf_view(&parts);
        emlfs_buf_clear(&bytes);
        assert_int_equal(emlfs_facts_encode(&facts, &bytes), 0);
        assert_int_equal(emlfs_facts_decode(emlfs_buf_view(&bytes), &back, NULL), 0);
        assert_int_equal(emlfs_facts_part_append(&parts, &part), 0);
    }
    facts.parts = emlfs_buf_view(&parts);
    emlfs_buf_clear(&bytes);
    assert_int_equal(emlfs_facts_encode(&facts, &bytes), 0);
    assert_int_equal(emlfs_facts_decode(emlfs_buf_view(&bytes), &back, NULL), -EUCLEAN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_text_is_cleaned_and_cut),
        cmocka_unit_test(test_too_much_is_refused),
        cmocka_unit_test(test_altered),
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_parts_are_counted),
        cmocka_unit_test(test_claims_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

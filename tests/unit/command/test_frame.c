/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "emlfs/wire.h"

static void test_frame_round_trip(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(4096);
    struct emlfs_frame frame;

    (void)state;
    assert_int_equal(emlfs_frame_append(&out, EMLFS_FRAME_DATA, emlfs_span_of("abc", 3)), 0);
    assert_int_equal(emlfs_frame_append(&out, EMLFS_FRAME_CANCEL, emlfs_span_of(NULL, 0)), 0);
    /* Every prefix is "more needed", never an error or a frame too early. */
    for (size_t len = 0; len < 8; len++) {
        struct emlfs_span part = emlfs_span_of(out.data, len);

        assert_int_equal(emlfs_frame_next(&part, &frame), 0);
        assert_int_equal(part.len, len);
    }

    struct emlfs_span bytes = emlfs_buf_view(&out);

    assert_int_equal(emlfs_frame_next(&bytes, &frame), 1);
    assert_int_equal(frame.type, EMLFS_FRAME_DATA);
    assert_true(emlfs_span_equal(frame.payload, emlfs_span_of("abc", 3)));
    assert_int_equal(emlfs_frame_next(&bytes, &frame), 1);
    assert_int_equal(frame.type, EMLFS_FRAME_CANCEL);
    assert_int_equal(frame.payload.len, 0);
    assert_int_equal(emlfs_frame_next(&bytes, &frame), 0);
}

static void test_frame_too_long(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(4u << 20);
    static uint8_t big[EMLFS_FRAME_MAX_BYTES + 1];
    uint8_t head[5] = {1, 0, 16, 0, EMLFS_FRAME_DATA}; /* 1 MiB + 1 */
    struct emlfs_span bytes = emlfs_span_of(head, sizeof(head));
    struct emlfs_frame frame;

    (void)state;
    assert_int_equal(emlfs_frame_next(&bytes, &frame), -EUCLEAN);
    assert_int_equal(emlfs_frame_append(&out, EMLFS_FRAME_DATA, emlfs_span_of(big, sizeof(big))),
                     -E2BIG);
    assert_int_equal(out.len, 0);
}

static void test_message(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(4096);
    struct emlfs_wire_message in = {.flags = 5,
                                    .file_time_sec = -7,
                                    .size_bytes = 1ull << 40,
                                    .folder = emlfs_span_str("a/b"),
                                    .position = emlfs_span_str("x:12")};
    struct emlfs_wire_message back;

    (void)state;
    assert_int_equal(emlfs_wire_message_encode(&in, &out), 0);
    assert_int_equal(emlfs_wire_message_decode(emlfs_buf_view(&out), &back), 0);
    assert_int_equal(back.flags, 5);
    assert_true(back.file_time_sec == -7 && back.size_bytes == 1ull << 40);
    assert_true(emlfs_span_equal(back.folder, in.folder));
    assert_true(emlfs_span_equal(back.position, in.position));
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(emlfs_wire_message_decode(emlfs_span_of(out.data, len), &back), -EUCLEAN);
    assert_int_equal(emlfs_buf_append_u8(&out, 0), 0);
    assert_int_equal(emlfs_wire_message_decode(emlfs_buf_view(&out), &back), -EUCLEAN);
    emlfs_buf_clear(&out);
    in.folder = emlfs_span_of("a\0b", 3);
    assert_int_equal(emlfs_wire_message_encode(&in, &out), 0);
    assert_int_equal(emlfs_wire_message_decode(emlfs_buf_view(&out), &back), -EUCLEAN);
}

static void test_verdict_and_progress(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(4096);
    struct emlfs_wire_verdict in = {
        .verdict = 3, .id = {77}, .position = emlfs_span_str("p"), .reason = emlfs_span_str("r")};
    struct emlfs_wire_verdict back;
    struct emlfs_wire_progress step = {1, 2, emlfs_span_str("packs")}, step_back;

    (void)state;
    assert_int_equal(emlfs_wire_verdict_encode(&in, &out), 0);
    assert_int_equal(emlfs_wire_verdict_decode(emlfs_buf_view(&out), &back), 0);
    assert_true(back.id.v == 77 && back.verdict == 3);
    out.data[0] = 4;
    assert_int_equal(emlfs_wire_verdict_decode(emlfs_buf_view(&out), &back), -EUCLEAN);
    out.data[0] = 0;
    assert_int_equal(emlfs_wire_verdict_decode(emlfs_buf_view(&out), &back), -EUCLEAN);
    emlfs_buf_clear(&out);
    assert_int_equal(emlfs_wire_progress_encode(&step, &out), 0);
    assert_int_equal(emlfs_wire_progress_decode(emlfs_buf_view(&out), &step_back), 0);
    assert_true(step_back.done == 1 && step_back.total == 2);
}

static void test_result(void **state)
{
    struct emlfs_err in = {0}, back = {0};

    (void)state;
    emlfs_err_set(&in, ENOENT, "user", "no archive user %s", "bob");
    struct json_object *result = emlfs_wire_result(ENOENT, &in);

    assert_int_equal(emlfs_wire_result_read(result, &back), -ENOENT);
    assert_string_equal(back.text, in.text);
    assert_string_equal(back.module, "user");
    json_object_put(result);
    result = emlfs_wire_result(0, NULL);
    assert_int_equal(emlfs_wire_result_read(result, &back), 0);
    json_object_put(result);
    result = json_object_new_object();
    assert_int_equal(emlfs_wire_result_read(result, &back), -EUCLEAN);
    json_object_object_add(result, "errno", json_object_new_int(-5));
    assert_int_equal(emlfs_wire_result_read(result, &back), -EIO);
    json_object_put(result);
}

static void test_socket(void **state)
{
    struct emlfs_wire_reader reader;
    struct emlfs_frame frame;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    emlfs_wire_reader_init(&reader, fds[1]);
    for (uint8_t i = 0; i < 100; i++)
        assert_int_equal(emlfs_wire_send(fds[0], EMLFS_FRAME_DATA, emlfs_span_of(&i, 1)), 0);
    for (uint8_t i = 0; i < 100; i++) {
        assert_int_equal(emlfs_wire_recv(&reader, &frame), 0);
        assert_int_equal(frame.payload.data[0], i);
    }
    /* An end in the middle of a frame is not an orderly one. */
    assert_int_equal(write(fds[0], "\4\0\0\0\5ab", 7), 7);
    close(fds[0]);
    assert_int_equal(emlfs_wire_recv(&reader, &frame), -ECONNRESET);
    emlfs_wire_reader_free(&reader);
    close(fds[1]);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    emlfs_wire_reader_init(&reader, fds[1]);
    close(fds[0]);
    assert_int_equal(emlfs_wire_recv(&reader, &frame), -ENODATA);
    assert_int_equal(emlfs_wire_send(fds[1], EMLFS_FRAME_DATA, emlfs_span_of("x", 1)), -EPIPE);
    emlfs_wire_reader_free(&reader);
    close(fds[1]);
}

static void test_descriptors(void **state)
{
    int fds[2], come[2] = {-1, -7};

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(emlfs_wire_send_fds(fds[0], fds, 2), 0);
    assert_int_equal(emlfs_wire_recv_fds(fds[1], come, 2), 0);
    assert_true(come[0] >= 0 && come[1] >= 0);
    close(come[0]);
    close(come[1]);
    come[1] = -7;
    assert_int_equal(emlfs_wire_send_fds(fds[0], fds, 2), 0);
    assert_int_equal(emlfs_wire_recv_fds(fds[1], come, 1), -EUCLEAN);
    assert_int_equal(come[0], -1);
    assert_int_equal(come[1], -7); /* not the callee's */
    assert_int_equal(emlfs_wire_send_fds(fds[0], fds, 1), 0);
    assert_int_equal(emlfs_wire_recv_fds(fds[1], come, 1), 0);
    close(come[0]);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_round_trip), cmocka_unit_test(test_frame_too_long),
        cmocka_unit_test(test_message),          cmocka_unit_test(test_verdict_and_progress),
        cmocka_unit_test(test_result),           cmocka_unit_test(test_socket),
        cmocka_unit_test(test_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

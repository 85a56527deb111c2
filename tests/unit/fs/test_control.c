/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control socket with both ends: a real archive, the server, and clients of every kind. */
#include "command/archive_test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "emlfs/text.h"
#include "emlfs/wire.h"

struct control_test {
    struct archive_test *archive;
    struct emlfs_control *control;
    unsigned unmounts;
};

static int test_unmount(void *arg, const struct emlfs_subject *subject, struct json_object *args,
                        struct emlfs_err *err)
{
    struct control_test *c = arg;

    (void)args;

    assert_int_equal(subject->uid, getuid());
    if (c->unmounts++ > 0)
        return emlfs_err_set(err, EALREADY, "mount", "already going");
    return 0;
}

static int test_mount_status(void *arg, struct json_object *ret)
{
    (void)arg;
    json_object_object_add(ret, "mounts", json_object_new_string("/somewhere"));
    return 0;
}

static int control_setup(void **state)
{
    struct control_test *c = calloc(1, sizeof(*c));
    void *inner = NULL;

    assert_non_null(c);
    assert_int_equal(archive_setup(&inner), 0);
    c->archive = inner;

    struct emlfs_control_options options = {.archive = c->archive->archive,
                                            .bindings = c->archive->bindings,
                                            .rules = c->archive->rules,
                                            .unmount = test_unmount,
                                            .mount_status = test_mount_status,
                                            .arg = c};

    OK(emlfs_control_start(&options, &c->control, NULL));
    *state = c;
    return 0;
}

static int control_teardown(void **state)
{
    struct control_test *c = *state;
    void *inner = c->archive;
    int fd;

    emlfs_control_stop(c->control);
    assert_int_equal(emlfs_remote_connect(c->archive->path, &fd, NULL), -ENOENT);
    archive_teardown(&inner);
    free(c);
    return 0;
}

/* ---- a client that collects */

struct seen {
    struct json_object *rows;
    struct emlfs_buf bytes;
};

static int seen_row(void *arg, struct json_object *row)
{
    struct seen *seen = arg;

    json_object_array_add(seen->rows, json_object_get(row));
    return 0;
}

static int seen_bytes(void *arg, struct emlfs_span bytes)
{
    struct seen *seen = arg;

    return emlfs_buf_append(&seen->bytes, bytes.data, bytes.len);
}

static struct seen seen_new(void)
{
    return (struct seen){.rows = json_object_new_array(), .bytes = EMLFS_BUF_INIT(64u << 20)};
}

static void seen_free(struct seen *seen)
{
    json_object_put(seen->rows);
    emlfs_buf_free(&seen->bytes);
}

/* args: JSON text. */
static int run(struct control_test *c, const char *command, const char *args, struct seen *seen,
               struct emlfs_err *err)
{
    struct emlfs_call call = {.row = seen_row, .bytes = seen_bytes, .arg = seen};
    int fd;

    OK(emlfs_text_json_parse(emlfs_span_str(args), &call.args, NULL));
    OK(emlfs_remote_connect(c->archive->path, &fd, NULL));
    int r = emlfs_remote_run(fd, command, &call, err);

    close(fd);
    json_object_put(call.args);
    return r;
}

static const char *row_text(struct seen *seen, size_t i, const char *name)
{
    return json_object_get_string(
        json_object_object_get(json_object_array_get_idx(seen->rows, i), name));
}

static void test_commands(void **state)
{
    struct control_test *c = *state;
    struct seen seen = seen_new();
    struct emlfs_err err = {0};

    OK(run(c, "user add", "{\"NAME\":\"bob\"}", &seen, &err));
    OK(run(c, "user list", "{}", &seen, &err));
    assert_int_equal(json_object_array_length(seen.rows), 3);
    assert_string_equal(row_text(&seen, 2, "name"), "bob");
    OK(run(c, "status", "{}", &seen, &err));
    assert_non_null(strstr(row_text(&seen, 3, "mounts"), "/somewhere"));
    assert_int_equal(run(c, "user add", "{\"NAME\":\"bob\"}", &seen, &err), -EEXIST);
    assert_true(strlen(err.text) > 0);
    seen_free(&seen);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *command, *args;
        int r;
    } cases[] = {
        {"recover", "{}", -EBUSY},
        {"frobnicate", "{}", -EINVAL},
        {"init", "{\"ARCHIVE\":\"/tmp/x\"}", -EINVAL},
        {"mount", "{\"ARCHIVE\":\"/tmp/x\",\"MOUNTPOINT\":\"/\"}", -EINVAL},
        {"user add", "{}", -EINVAL},
        {"user add", "{\"NAME\":7}", -EINVAL},
        {"user add", "{\"NAME\":\"a\\u001bb\"}", -EINVAL},
        {"user add", "{\"NAME\":\"x\",\"other\":true}", -EINVAL},
        {"user show", "{\"NAME\":\"ghost\"}", -ENOENT},
        {"message get", "{\"MESSAGE\":\"zzzzzz\"}", -EINVAL},
        {"message get", "{\"MESSAGE\":\"000009\"}", -ENOENT},
        {"import", "{}", -EINVAL},
    };
    struct control_test *c = *state;
    struct seen seen = seen_new();

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct emlfs_err err = {0};

        assert_int_equal(run(c, cases[i].command, cases[i].args, &seen, &err), cases[i].r);
        assert_int_equal(err.code, -cases[i].r);
        assert_true(strlen(err.text) > 0);
    }
    assert_int_equal(json_object_array_length(seen.rows), 0);
    seen_free(&seen);
}

static void test_umount(void **state)
{
    struct control_test *c = *state;
    struct seen seen = seen_new();
    struct emlfs_err err = {0};

    OK(run(c, "umount", "{}", &seen, &err));
    assert_int_equal(c->unmounts, 1);
    assert_int_equal(run(c, "umount", "{}", &seen, &err), -EALREADY);
    assert_string_equal(err.text, "already going");
    seen_free(&seen);
}

/* ---- raw frames */

struct raw_client {
    int fd;
    struct emlfs_wire_reader reader;
};

static void raw_open(struct control_test *c, struct raw_client *raw)
{
    OK(emlfs_remote_connect(c->archive->path, &raw->fd, NULL));
    emlfs_wire_reader_init(&raw->reader, raw->fd);
}

static void raw_close(struct raw_client *raw)
{
    emlfs_wire_reader_free(&raw->reader);
    close(raw->fd);
}

static void raw_send(struct raw_client *raw, uint8_t type, const void *data, size_t len)
{
    (void)emlfs_wire_send(raw->fd, type, emlfs_span_of(data, len));
}

static void raw_import(struct control_test *c, struct raw_client *raw)
{
    static const char request[] = "{\"protocol\":1,\"command\":\"import\",\"args\":{\"user\":"
                                  "\"alice\",\"base_folder\":\"Base\",\"source\":\"t:/x\"}}";
    struct emlfs_frame frame;

    raw_open(c, raw);
    raw_send(raw, EMLFS_FRAME_REQUEST, request, sizeof(request) - 1);
    OK(emlfs_wire_recv(&raw->reader, &frame));
    assert_int_equal(frame.type, EMLFS_FRAME_READY);
}

static void raw_head(struct raw_client *raw, uint64_t size)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf head = EMLFS_BUF_INIT(4096);
    struct emlfs_wire_message message = {
        .size_bytes = size, .folder = emlfs_span_str("In"), .position = emlfs_span_str("x:1")};

    OK(emlfs_wire_message_encode(&message, &head));
    raw_send(raw, EMLFS_FRAME_MESSAGE, head.data, head.len);
}

/* The RESULT, after skipping verdicts (counted). */
static int raw_result(struct raw_client *raw, unsigned *verdicts)
{
    for (;;) {
        struct emlfs_frame frame;
        struct json_object *result;

        if (emlfs_wire_recv(&raw->reader, &frame) < 0)
            return -ECONNRESET;
        if (frame.type == EMLFS_FRAME_VERDICT)
            (*verdicts)++;
        if (frame.type != EMLFS_FRAME_RESULT)
            continue;
        OK(emlfs_text_json_parse(frame.payload, &result, NULL));
        int r = emlfs_wire_result_read(result, NULL);

        json_object_put(result);
        return r;
    }
}

static uint64_t messages(struct control_test *c)
{
    struct emlfs_archive_status status;

    OK(emlfs_archive_get_status(c->archive->archive, &status, NULL));
    return status.messages;
}

static void test_import(void **state)
{
    static char big[3u << 20];
    struct control_test *c = *state;
    struct seen seen = seen_new();
    struct raw_client raw;
    unsigned verdicts = 0;

    raw_import(c, &raw);
    for (int i = 0; i < 50; i++) {
        char text[64];
        int len = snprintf(text, sizeof(text), "Subject: %d\n\nx\n", i);

        raw_head(&raw, (uint64_t)len);
        raw_send(&raw, EMLFS_FRAME_DATA, text, 5);
        raw_send(&raw, EMLFS_FRAME_DATA, text + 5, (size_t)len - 5);
    }
    memset(big, 'a', sizeof(big));
    memcpy(big, "A: b\n\n", 6);
    raw_head(&raw, sizeof(big));
    for (size_t at = 0; at < sizeof(big); at += 1u << 20)
        raw_send(&raw, EMLFS_FRAME_DATA, big + at, 1u << 20);
    raw_send(&raw, EMLFS_FRAME_FOLDER, "Empty", 5);
    raw_send(&raw, EMLFS_FRAME_END, "\1", 1);
    OK(raw_result(&raw, &verdicts));
    raw_close(&raw);
    assert_int_equal(verdicts, 51);
    assert_int_equal(messages(c), 51);
    OK(run(c, "message get", "{\"MESSAGE\":\"00001j\"}", &seen, NULL)); /* the 51st */
    assert_true(emlfs_span_equal(emlfs_buf_view(&seen.bytes), emlfs_span_of(big, sizeof(big))));
    OK(run(c, "folder list", "{}", &seen, NULL));
    assert_string_equal(row_text(&seen, 1, "path"), "alice/Base");
    seen_free(&seen);
}

/* What a client may not send ends its connection with a reason, and archives nothing. */
static void test_import_violations(void **state)
{
    static const struct {
        uint8_t type;
        const char *data;
        size_t len;
    } after_head[] = {
        {EMLFS_FRAME_DATA, "0123456789A", 11}, /* more than announced (10) */
        {EMLFS_FRAME_MESSAGE, "", 0},          {EMLFS_FRAME_REQUEST, "{}", 2}, {99, "", 0},
        {EMLFS_FRAME_FOLDER, "a\0b", 3},       {EMLFS_FRAME_CANCEL, "", 0},
    };
    struct control_test *c = *state;

    for (size_t i = 0; i < sizeof(after_head) / sizeof(after_head[0]); i++) {
        struct raw_client raw;
        unsigned verdicts = 0;

        raw_import(c, &raw);
        raw_head(&raw, 10);
        raw_send(&raw, after_head[i].type, after_head[i].data, after_head[i].len);
        assert_int_equal(raw_result(&raw, &verdicts),
                         after_head[i].type == EMLFS_FRAME_CANCEL ? -ECANCELED : -EUCLEAN);
        assert_int_equal(verdicts, 0);
        raw_close(&raw);
    }

    struct raw_client raw;
    unsigned verdicts = 0;

    raw_import(c, &raw);
    raw_head(&raw, EMLFS_MESSAGE_MAX_BYTES + 1ull);
    assert_int_equal(raw_result(&raw, &verdicts), -EUCLEAN);
    raw_close(&raw);
    assert_int_equal(messages(c), 0);
}

/* One whole message, and a part of the next. */
static void raw_torn(struct raw_client *raw)
{
    raw_head(raw, 6);
    raw_send(raw, EMLFS_FRAME_DATA, "A: b\n\n", 6);
    raw_head(raw, 6);
    raw_send(raw, EMLFS_FRAME_DATA, "A: c", 4);
}

/* A client that sends no more and still listens hears of whole messages only, and they are there.
 */
static void test_import_cut(void **state)
{
    struct control_test *c = *state;
    struct raw_client raw;
    unsigned verdicts = 0;

    raw_import(c, &raw);
    raw_torn(&raw);
    assert_int_equal(shutdown(raw.fd, SHUT_WR), 0);
    assert_int_equal(raw_result(&raw, &verdicts), -ENODATA);
    raw_close(&raw);
    assert_int_equal(verdicts, 1);
    assert_int_equal(messages(c), 1);
}

/*
 * A client that dies in the middle leaves whole messages only, and the next one is served: imports
 * take turns, so it may have ended before what the first one left is archived.
 */
static void test_import_torn(void **state)
{
    struct control_test *c = *state;
    struct raw_client raw;
    unsigned verdicts = 0;

    raw_import(c, &raw);
    raw_torn(&raw);
    raw_close(&raw);
    raw_import(c, &raw);
    raw_send(&raw, EMLFS_FRAME_END, "\1", 1);
    OK(raw_result(&raw, &verdicts));
    raw_close(&raw);
    assert_int_equal(verdicts, 0);
    for (int i = 0; i < 3000 && messages(c) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    emlfs_control_stop(c->control); /* no import goes on behind this */
    c->control = NULL;
    assert_int_equal(messages(c), 1);
}

static void test_garbage(void **state)
{
    static const char *const requests[] = {"",
                                           "{}",
                                           "[]",
                                           "{\"protocol\":2,\"command\":\"status\",\"args\":{}}",
                                           "{\"protocol\":1,\"command\":7,\"args\":{}}",
                                           "{\"protocol\":1,\"command\":\"status\"}",
                                           "\377\377\377"};
    struct control_test *c = *state;

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct raw_client raw;
        unsigned verdicts = 0;

        raw_open(c, &raw);
        raw_send(&raw, EMLFS_FRAME_REQUEST, requests[i], strlen(requests[i]));
        assert_true(raw_result(&raw, &verdicts) < 0);
        raw_close(&raw);
    }

    struct raw_client raw;
    unsigned verdicts = 0;

    raw_open(c, &raw);
    (void)send(raw.fd, "\377\377\377\377\1", 5, MSG_NOSIGNAL);
    assert_true(raw_result(&raw, &verdicts) < 0);
    raw_close(&raw);
}

/* More connections than there is room for are turned away; room comes back. */
static void test_many_connections(void **state)
{
    struct control_test *c = *state;
    struct raw_client raw[80];
    struct seen seen = seen_new();
    unsigned refused = 0;

    for (size_t i = 0; i < 80; i++)
        raw_open(c, &raw[i]);
    for (size_t i = 64; i < 80; i++) {
        unsigned verdicts = 0;

        refused += raw_result(&raw[i], &verdicts) == -EAGAIN;
    }
    assert_int_equal(refused, 16);
    for (size_t i = 0; i < 80; i++)
        raw_close(&raw[i]);
    for (int i = 0; i < 1500; i++) {
        struct emlfs_err err = {0};

        if (run(c, "status", "{}", &seen, &err) == 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    assert_int_equal(json_object_array_length(seen.rows), 1);
    seen_free(&seen);
}

/* Another account: how many of its 12 connections are turned away, with a word that says why. */
static int share_of_another(struct control_test *c)
{
    struct raw_client raw[12];
    int refused = 0;

    if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        return 100;
    for (size_t i = 0; i < 12; i++)
        raw_open(c, &raw[i]);
    for (size_t i = 8; i < 12; i++) {
        struct emlfs_frame frame;

        refused += emlfs_wire_recv(&raw[i].reader, &frame) == 0 &&
                   frame.type == EMLFS_FRAME_RESULT &&
                   memmem(frame.payload.data, frame.payload.len, "of this account", 15);
    }
    /* The others are held until the parent has looked. */
    return raise(SIGSTOP) == 0 ? refused : 101;
}

/* One account does not take all there are; root and the mount's own account are not held to it. */
static void test_share(void **state)
{
    struct control_test *c = *state;
    struct seen seen = seen_new();
    struct raw_client raw[20];
    struct emlfs_err err = {0};
    int status;
    pid_t pid;

    if (geteuid() != 0) {
        seen_free(&seen);
        skip();
    }
    assert_int_equal(chmod(c->archive->dir, 0711), 0);
    assert_int_equal(chmod(c->archive->path, 0711), 0);
    pid = fork();
    if (pid == 0)
        _exit(share_of_another(c));
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    for (size_t i = 0; i < 20; i++)
        raw_open(c, &raw[i]);
    OK(run(c, "status", "{}", &seen, &err));
    for (size_t i = 0; i < 20; i++)
        raw_close(&raw[i]);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 4);
    seen_free(&seen);
}

static int ask_once(int fd)
{
    struct emlfs_call call = {.args = json_object_new_object()};
    int r = emlfs_remote_run(fd, "folder list", &call, NULL);

    json_object_put(call.args);
    return r;
}

/* Stopping does not wait for clients that say nothing, nor for one that reads nothing. */
static void test_stop_with_clients(void **state)
{
    struct control_test *c = *state;
    struct raw_client idle, importing;
    struct timespec from, to;

    raw_open(c, &idle);
    raw_import(c, &importing);
    raw_head(&importing, 100);
    clock_gettime(CLOCK_MONOTONIC, &from);
    emlfs_control_stop(c->control);
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_true(to.tv_sec - from.tv_sec < 8); /* a client that asks nothing is given 10 s */
    c->control = NULL;
    /* Who has asked nothing yet is told that nothing of what it asks now is done. */
    assert_int_equal(ask_once(idle.fd), -ESHUTDOWN);
    raw_close(&idle);
    raw_close(&importing);
}

struct asker {
    const char *archive;
    pthread_t thread;
    unsigned answered, turned_away, lost;
};

/* Until nothing is mounted. */
static void *asker_main(void *arg)
{
    struct asker *asker = arg;
    int fd;

    while (emlfs_remote_connect(asker->archive, &fd, NULL) == 0) {
        int r = ask_once(fd);

        asker->answered += r == 0;
        asker->turned_away += r == -ESHUTDOWN || r == -EAGAIN;
        asker->lost += r != 0 && r != -ESHUTDOWN && r != -EAGAIN;
        close(fd);
    }
    return NULL;
}

/* Whenever a command comes while the process ends: it is answered, turned away, or finds nobody. */
static void test_stop_loses_nobody(void **state)
{
    struct control_test *c = *state;
    struct asker askers[6];
    unsigned answered = 0;

    for (size_t i = 0; i < 6; i++) {
        askers[i] = (struct asker){.archive = c->archive->path};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, asker_main, &askers[i]), 0);
    }
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    emlfs_control_stop(c->control);
    c->control = NULL;
    for (size_t i = 0; i < 6; i++) {
        pthread_join(askers[i].thread, NULL);
        answered += askers[i].answered;
        assert_int_equal(askers[i].lost, 0);
    }
    assert_true(answered > 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, control_setup, control_teardown)
        TEST(test_commands),
        TEST(test_refusals),
        TEST(test_umount),
        TEST(test_import),
        TEST(test_garbage),
        TEST(test_import_violations),
        TEST(test_import_cut),
        TEST(test_import_torn),
        TEST(test_many_connections),
        TEST(test_stop_with_clients),
        TEST(test_stop_loses_nobody),
        TEST(test_share),
    };

    if (argc > 0 && strcmp(argv[0], "emlfs-worker") == 0)
        return emlfs_worker_main();
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

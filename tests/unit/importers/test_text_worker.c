/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../importers/worker.h"
#include "emlfs/extract.h"
#include "text_check.h"

#define FAULTY "faulty-worker"
#define FAULTY_PROGRAM "/tmp/emlfs-faulty-XXXXXX"

static void extractor_start(const char *exe, unsigned timeout_ms, struct emlfs_extractor *ret)
{
    struct emlfs_err err = {0};
    const struct emlfs_extractor_config config = {.exe = exe, .timeout_ms = timeout_ms};
    if (emlfs_extractor_new(&config, ret, &err) < 0)
        fail_msg("no extractor: %s", err.text);
}

static void extract(struct emlfs_extractor *extractor, struct emlfs_span raw, struct emlfs_buf *doc)
{
    enum emlfs_priority priority;
    bool attachment;
    struct emlfs_err err = {0};
    *doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    if (extractor->extract(extractor->arg, raw, EMLFS_KIND_ALL, doc, &err) < 0)
        fail_msg("no text: %s", err.text);
    assert_int_equal(emlfs_doctext_check(emlfs_buf_view(doc), &priority, &attachment, NULL), 0);
}

/* What needs files, converters or fonts elsewhere works in a process that has none. */
static void test_confined(void **state)
{
    (void)state;
    static const char message[] =
        "Subject: =?koi8-r?q?=CD=C9=D2?= =?euc-kr?b?x9E=?=\n"
        "Content-Type: multipart/mixed; boundary=x\n\n--x\n"
        "Content-Type: text/plain; charset=gb18030\n\n\xd6\xd0\xce\xc4\n--x\n"
        "Content-Type: application/pdf; name=a.pdf\n\n"
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R"
        "/MediaBox[0 0 300 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj\n"
        "4 0 obj<</Length 34>>stream\nBT /F 9 Tf 5 50 Td (printed) Tj ET\nendstream endobj\n"
        "5 0 obj<</Type/Font/Subtype/TrueType/BaseFont/Arial>>endobj\n"
        "trailer<</Root 1 0 R>>\n%%EOF\n--x--\n";
    EMLFS_BUF_CLEANUP struct emlfs_buf there = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf here = {0};
    struct emlfs_extractor extractor;
    extractor_start("/proc/self/exe", 0, &extractor);
    extract(&extractor, emlfs_span_str(message), &there);
    parse_kinds(emlfs_span_str(message), EMLFS_KIND_ALL, &here);
    assert_piece(&there, EMLFS_TEXT_SUBJECT, "\xd0\xbc\xd0\xb8\xd1\x80\xed\x95\x9c");
    assert_piece(&there, EMLFS_TEXT_BODY, "\xe4\xb8\xad\xe6\x96\x87");
    assert_piece(&there, EMLFS_TEXT_CONTENT, "printed");
    assert_true(emlfs_span_equal(emlfs_buf_view(&there), emlfs_buf_view(&here)));
    extractor.free(extractor.arg);
}

static void test_large(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(80u << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf empty = {0};
    struct emlfs_extractor extractor;
    static const char head[] = "Subject: big\n\n";
    extractor_start("/proc/self/exe", 0, &extractor);
    assert_int_equal(emlfs_buf_append(&message, head, strlen(head)), 0);
    while (message.len < 60u << 20)
        assert_int_equal(emlfs_buf_append(&message, "many words in here\n", 19), 0);
    extract(&extractor, emlfs_buf_view(&message), &doc);
    assert_true(doc.len > 11u << 20);
    assert_piece(&doc, EMLFS_TEXT_SUBJECT, "big");
    assert_piece(&doc, 0, TEXT_BAD_FULL);
    extract(&extractor, emlfs_span_of(NULL, 0), &empty);
    extractor.free(extractor.arg);
}

/* ---- a worker that breaks at the parts a message names: "Subject: crash 2 3" or "hang 1" */

static void faulty_program(char path[sizeof FAULTY_PROGRAM])
{
    char self[500], script[700];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(len > 0);
    self[len] = '\0';
    memcpy(path, FAULTY_PROGRAM, sizeof FAULTY_PROGRAM);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    snprintf(script, sizeof script, "#!/bin/sh\nexec '%s' " FAULTY "\n", self);
    assert_int_equal(emlfs_os_write_all(fd, script, strlen(script)), 0);
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
}

static bool omitted(const struct text_wish *wish, uint32_t part)
{
    for (uint32_t i = 0; i < wish->omit_count; i++) {
        if (wish->omit[i].part == part)
            return true;
    }
    return false;
}

static void break_as_told(const char *message, const struct text_wish *wish,
                          volatile struct worker_progress *progress)
{
    bool hang = strncmp(message, "Subject: hang", 13) == 0;
    bool always = strncmp(message, "Subject: never", 14) == 0;
    if (!hang && !always && strncmp(message, "Subject: crash", 14) != 0)
        return;
    for (const char *at = message; *at != '\n'; at++) {
        if (*at < '1' || *at > '9' || omitted(wish, (uint32_t)(*at - '0')) || wish->plain_only)
            continue;
        progress->part = (uint32_t)(*at - '0');
        if (hang)
            pause();
        kill(getpid(), SIGKILL);
    }
    if (always)
        kill(getpid(), SIGKILL);
}

static bool input_waits(void)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

/* Answers wait while there are requests, so that those before a message are lost with it. */
static int faulty_main(void)
{
    struct text_charsets *charsets = text_charsets_new();
    struct worker_hello hello = {.magic = WORKER_MAGIC};
    struct worker_text_request request;
    static char message[100000];
    struct emlfs_buf doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    struct emlfs_buf out = EMLFS_BUF_INIT(2 * EMLFS_DOCTEXT_MAX_BYTES);
    volatile struct worker_progress *progress = mmap(
        NULL, WORKER_PROGRESS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, WORKER_PROGRESS_FD, 0);
    if (progress == MAP_FAILED || emlfs_os_write_all(1, &hello, sizeof hello) < 0)
        return 1;
    while (emlfs_os_read_full(0, &request, sizeof request) == sizeof request) {
        if (emlfs_os_read_full(0, message, request.bytes) != request.bytes)
            return 1;
        message[request.bytes] = '\0';
        progress->number = request.number;
        break_as_told(message, &request.wish, progress);
        emlfs_buf_clear(&doc);
        text_parse(charsets, &request.wish, emlfs_span_of(message, request.bytes), &progress->part,
                   &doc);
        if (strncmp(message, "Subject: nonsense", 17) == 0 && !request.wish.plain_only)
            memset(doc.data, 0xff, doc.len);
        struct worker_answer answer = {.bytes = (uint32_t)doc.len, .magic = WORKER_MAGIC};
        if (emlfs_buf_append(&out, &answer, sizeof answer) < 0 ||
            emlfs_buf_append(&out, doc.data, doc.len) < 0)
            return 1;
        if (input_waits())
            continue;
        if (emlfs_os_write_all(1, out.data, out.len) < 0)
            return 1;
        emlfs_buf_clear(&out);
    }
    return 0;
}

#define PARTS                                                                                      \
    "\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nbody1\n--x\nContent-Type: text/html\n"  \
    "\nbody2\n--x\nContent-Type: text/html\n\nbody3\n--x\n\nbody4\n--x\n\nbody5\n--x--\n"

static void broken(struct emlfs_extractor *extractor, const char *how, struct emlfs_buf *doc)
{
    char message[1000];
    snprintf(message, sizeof message, "Subject: %s" PARTS, how);
    extract(extractor, emlfs_span_str(message), doc);
}

static void test_crashes(void **state)
{
    (void)state;
    char path[sizeof FAULTY_PROGRAM];
    struct emlfs_extractor extractor;
    EMLFS_BUF_CLEANUP struct emlfs_buf one = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf three = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf four = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf never = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf hung = {0};
    faulty_program(path);
    extractor_start(path, 1000, &extractor);
    broken(&extractor, "crash 3", &one);
    assert_piece(&one, EMLFS_TEXT_BODY, "body2");
    assert_no_piece(&one, EMLFS_TEXT_BODY, "body3");
    assert_piece(&one, EMLFS_TEXT_BODY, "body5");
    assert_int_equal(pieces_with(&one, 0, TEXT_BAD_CRASH), 1);
    broken(&extractor, "crash 1 3 4", &three);
    assert_piece(&three, EMLFS_TEXT_BODY, "body2");
    assert_piece(&three, EMLFS_TEXT_BODY, "body5");
    assert_int_equal(pieces_with(&three, 0, TEXT_BAD_CRASH), 3);
    broken(&extractor, "crash 1 2 3 4", &four); /* one too many: plain text only */
    assert_piece(&four, EMLFS_TEXT_SUBJECT, "crash 1 2 3 4");
    assert_piece(&four, EMLFS_TEXT_BODY, "body5");
    assert_no_piece(&four, EMLFS_TEXT_BODY, "body3");
    assert_piece(&four, 0, "only header and plain text were read");
    broken(&extractor, "never", &never);
    assert_piece(&never, 0, TEXT_BAD_CRASH);
    broken(&extractor, "hang 2", &hung);
    assert_piece(&hung, EMLFS_TEXT_BODY, "body1");
    assert_no_piece(&hung, EMLFS_TEXT_BODY, "body2");
    assert_int_equal(pieces_with(&hung, 0, TEXT_BAD_TIME), 1);
    extractor.free(extractor.arg);
    unlink(path);
}

/* A child that somebody kills between two messages is replaced. */
static void test_killed(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    struct emlfs_extractor extractor;
    extractor_start("/proc/self/exe", 0, &extractor);
    const struct emlfs_worker *worker = extractor.arg;
    assert_int_equal(kill(worker->pid, SIGKILL), 0);
    extract(&extractor, emlfs_span_str("Subject: x\n\nstill here\n"), &doc);
    assert_piece(&doc, EMLFS_TEXT_BODY, "still here");
    extractor.free(extractor.arg);
}

/* ---- messages that were sent ahead */

#define ROW 12u
struct row {
    struct emlfs_buf raw[ROW];
};

/* Messages of the parts above; message at is of the subject how. */
static void row_make(struct row *row, unsigned at, const char *how)
{
    for (unsigned i = 0; i < ROW; i++) {
        char message[1000];
        int len = snprintf(message, sizeof message, "Subject: number %u" PARTS, i);
        if (i == at)
            len = snprintf(message, sizeof message, "Subject: %s" PARTS, how);
        row->raw[i] = EMLFS_BUF_INIT(1u << 20);
        assert_int_equal(emlfs_buf_append(&row->raw[i], message, (size_t)len), 0);
    }
}

static void row_free(struct row *row)
{
    for (unsigned i = 0; i < ROW; i++)
        emlfs_buf_free(&row->raw[i]);
}

static void row_ahead(struct emlfs_extractor *extractor, const struct row *row)
{
    for (unsigned i = 0; i < ROW; i++)
        extractor->ahead(extractor->arg, emlfs_buf_view(&row->raw[i]), EMLFS_KIND_ALL);
}

static void assert_same_text(struct emlfs_extractor *extractor, const struct emlfs_buf *raw)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf there = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf here = {0};
    extract(extractor, emlfs_buf_view(raw), &there);
    parse_kinds(emlfs_buf_view(raw), EMLFS_KIND_ALL, &here);
    assert_true(emlfs_span_equal(emlfs_buf_view(&there), emlfs_buf_view(&here)));
}

static pid_t child_of(const struct emlfs_extractor *extractor)
{
    return ((const struct emlfs_worker *)extractor->arg)->pid;
}

/* Any lengths, in rows of any length: the same texts as alone, and no child is lost. */
static void test_ahead(void **state)
{
    (void)state;
    static const size_t bodies[] = {0, 300, 40000, 9000, 70000, 300000};
    struct emlfs_buf raw[40];
    const unsigned n = sizeof raw / sizeof raw[0];
    struct emlfs_extractor extractor;
    extractor_start("/proc/self/exe", 0, &extractor);
    pid_t child = child_of(&extractor);
    for (unsigned i = 0; i < n; i++) {
        char head[64];
        int len = snprintf(head, sizeof head, "Subject: number %u\n\n", i);
        raw[i] = EMLFS_BUF_INIT(1u << 20);
        assert_int_equal(emlfs_buf_append(&raw[i], head, i == 5 ? 0 : (size_t)len), 0);
        while (i != 5 && raw[i].len < bodies[i % 6])
            assert_int_equal(emlfs_buf_append(&raw[i], "some words in here\n", 19), 0);
    }
    for (unsigned row = 1; row <= n; row += 5) {
        for (unsigned from = 0; from < n; from += row) {
            for (unsigned i = from; i < from + row && i < n; i++)
                extractor.ahead(extractor.arg, emlfs_buf_view(&raw[i]), EMLFS_KIND_ALL);
            for (unsigned i = from; i < from + row && i < n; i++)
                assert_same_text(&extractor, &raw[i]);
        }
    }
    assert_int_equal(child_of(&extractor), child);
    struct emlfs_worker *worker = extractor.arg;
    worker->served = worker->kind->requests_per_child; /* time for another */
    for (unsigned i = 0; i < 5; i++)
        extractor.ahead(extractor.arg, emlfs_buf_view(&raw[i]), EMLFS_KIND_ALL);
    for (unsigned i = 0; i < 5; i++)
        assert_same_text(&extractor, &raw[i]);
    assert_int_not_equal(child_of(&extractor), child);
    for (unsigned i = 0; i < n; i++)
        emlfs_buf_free(&raw[i]);
    extractor.free(extractor.arg);
}

/* Whoever asks in another order gets the right answers all the same. */
static void test_ahead_in_disorder(void **state)
{
    (void)state;
    struct emlfs_extractor extractor;
    struct row row;
    row_make(&row, ROW, "");
    extractor_start("/proc/self/exe", 0, &extractor);
    row_ahead(&extractor, &row);
    assert_same_text(&extractor, &row.raw[0]);
    for (unsigned i = ROW; i-- > 1;)
        assert_same_text(&extractor, &row.raw[i]);
    row_free(&row);
    extractor.free(extractor.arg);
}

/* One that breaks the child, wherever it stands: its neighbours keep everything, and it all but
 * the part that did it. */
static void row_with(const char *path, unsigned at, const char *how, const char *reason)
{
    struct emlfs_extractor extractor;
    struct row row;
    row_make(&row, at, how);
    extractor_start(path, 500, &extractor);
    for (unsigned twice = 0; twice < 2; twice++) {
        row_ahead(&extractor, &row);
        for (unsigned i = 0; i < ROW; i++) {
            EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
            if (i != at) {
                assert_same_text(&extractor, &row.raw[i]);
                continue;
            }
            extract(&extractor, emlfs_buf_view(&row.raw[i]), &doc);
            assert_piece(&doc, EMLFS_TEXT_BODY, "body1");
            assert_no_piece(&doc, EMLFS_TEXT_BODY, "body2");
            assert_piece(&doc, EMLFS_TEXT_BODY, "body5");
            assert_int_equal(pieces_with(&doc, 0, reason), 1);
        }
    }
    row_free(&row);
    extractor.free(extractor.arg);
}

static void test_ahead_broken(void **state)
{
    (void)state;
    char path[sizeof FAULTY_PROGRAM];
    faulty_program(path);
    row_with(path, 0, "crash 2", TEXT_BAD_CRASH);
    row_with(path, ROW / 2, "crash 2", TEXT_BAD_CRASH);
    row_with(path, ROW - 1, "crash 2", TEXT_BAD_CRASH);
    row_with(path, 0, "hang 2", TEXT_BAD_TIME);
    row_with(path, ROW / 2, "hang 2", TEXT_BAD_TIME);
    unlink(path);
}

/* All of them break it, each in its own way. */
static void test_ahead_all_broken(void **state)
{
    (void)state;
    char path[sizeof FAULTY_PROGRAM];
    struct emlfs_extractor extractor;
    struct row row;
    faulty_program(path);
    extractor_start(path, 500, &extractor);
    row_make(&row, ROW, "");
    for (unsigned i = 0; i < ROW; i++) {
        static const char *const how[] = {"crash 3", "crash 1 3 4", "never", "crash 1 2 3 4"};
        char message[1000];
        int len = snprintf(message, sizeof message, "Subject: %s" PARTS, how[i % 4]);
        emlfs_buf_clear(&row.raw[i]);
        assert_int_equal(emlfs_buf_append(&row.raw[i], message, (size_t)len), 0);
    }
    row_ahead(&extractor, &row);
    for (unsigned i = 0; i < ROW; i++) {
        static const unsigned problems[] = {1, 3, 1, 3};
        EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
        extract(&extractor, emlfs_buf_view(&row.raw[i]), &doc);
        assert_int_equal(pieces_with(&doc, 0, TEXT_BAD_CRASH), problems[i % 4]);
        if (i % 4 != 2)
            assert_piece(&doc, EMLFS_TEXT_BODY, "body5");
    }
    row_free(&row);
    extractor.free(extractor.arg);
    unlink(path);
}

static void *kill_soon(void *arg)
{
    usleep(100000);
    kill(*(pid_t *)arg, SIGKILL);
    return NULL;
}

/* Killed by somebody before it began with any of them: none is to blame. */
static void test_ahead_killed(void **state)
{
    (void)state;
    struct emlfs_extractor extractor;
    struct row row;
    pthread_t killer;
    row_make(&row, ROW, "");
    extractor_start("/proc/self/exe", 0, &extractor);
    pid_t child = child_of(&extractor);
    assert_int_equal(kill(child, SIGSTOP), 0);
    row_ahead(&extractor, &row);
    assert_int_equal(pthread_create(&killer, NULL, kill_soon, &child), 0);
    for (unsigned i = 0; i < ROW; i++)
        assert_same_text(&extractor, &row.raw[i]);
    pthread_join(killer, NULL);
    assert_int_not_equal(child_of(&extractor), child);
    row_free(&row);
    extractor.free(extractor.arg);
}

static void *stop_soon(void *arg)
{
    struct emlfs_extractor *extractor = arg;
    usleep(100000);
    extractor->stop(extractor->arg);
    return NULL;
}

static void test_ahead_stopped(void **state)
{
    (void)state;
    struct emlfs_extractor extractor;
    struct row row;
    pthread_t stopper;
    row_make(&row, ROW, "");
    extractor_start("/proc/self/exe", 60000, &extractor);
    assert_int_equal(kill(child_of(&extractor), SIGSTOP), 0);
    row_ahead(&extractor, &row);
    int64_t begin_ns = emlfs_os_monotonic_ns();
    assert_int_equal(pthread_create(&stopper, NULL, stop_soon, &extractor), 0);
    for (unsigned i = 0; i < ROW; i++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
        assert_int_equal(extractor.extract(extractor.arg, emlfs_buf_view(&row.raw[i]),
                                           EMLFS_KIND_ALL, &doc, NULL),
                         -ECANCELED);
        row_ahead(&extractor, &row);
    }
    assert_true(emlfs_os_monotonic_ns() - begin_ns < INT64_C(5000000000));
    pthread_join(stopper, NULL);
    row_free(&row);
    extractor.free(extractor.arg);
}

/* An answer that is no document is its message's fault; those behind it are asked about again. */
static void test_ahead_nonsense(void **state)
{
    (void)state;
    char path[sizeof FAULTY_PROGRAM];
    struct emlfs_extractor extractor;
    struct row row;
    faulty_program(path);
    extractor_start(path, 2000, &extractor);
    row_make(&row, 3, "nonsense");
    row_ahead(&extractor, &row);
    for (unsigned i = 0; i < ROW; i++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
        if (i != 3) {
            assert_same_text(&extractor, &row.raw[i]);
            continue;
        }
        extract(&extractor, emlfs_buf_view(&row.raw[i]), &doc);
        assert_piece(&doc, EMLFS_TEXT_BODY, "body1");
        assert_piece(&doc, 0, "only header and plain text were read");
    }
    row_free(&row);
    extractor.free(extractor.arg);
    unlink(path);
}

static void test_no_program(void **state)
{
    (void)state;
    struct emlfs_extractor extractor;
    const struct emlfs_extractor_config config = {.exe = "/nonexistent/emlfs"};
    assert_int_equal(emlfs_extractor_new(&config, &extractor, NULL), -ENOENT);
    assert_null(extractor.arg);
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], WORKER_ARGV0) == 0)
        return emlfs_worker_main();
    if (argc > 1 && strcmp(argv[1], FAULTY) == 0)
        return faulty_main();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confined),          cmocka_unit_test(test_large),
        cmocka_unit_test(test_crashes),           cmocka_unit_test(test_killed),
        cmocka_unit_test(test_no_program),        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_ahead_in_disorder), cmocka_unit_test(test_ahead_broken),
        cmocka_unit_test(test_ahead_all_broken),  cmocka_unit_test(test_ahead_killed),
        cmocka_unit_test(test_ahead_stopped),     cmocka_unit_test(test_ahead_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

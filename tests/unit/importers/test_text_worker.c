/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
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
                          volatile uint32_t *progress)
{
    bool hang = strncmp(message, "Subject: hang", 13) == 0;
    bool always = strncmp(message, "Subject: never", 14) == 0;
    if (!hang && !always && strncmp(message, "Subject: crash", 14) != 0)
        return;
    for (const char *at = message; *at != '\n'; at++) {
        if (*at < '1' || *at > '9' || omitted(wish, (uint32_t)(*at - '0')) || wish->plain_only)
            continue;
        *progress = (uint32_t)(*at - '0');
        if (hang)
            pause();
        kill(getpid(), SIGKILL);
    }
    if (always)
        kill(getpid(), SIGKILL);
}

static int faulty_main(void)
{
    struct text_charsets *charsets = text_charsets_new();
    struct worker_hello hello = {.magic = WORKER_MAGIC};
    struct worker_text_request request;
    static char message[100000];
    struct emlfs_buf doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    volatile uint32_t *progress = mmap(NULL, WORKER_PROGRESS_BYTES, PROT_READ | PROT_WRITE,
                                       MAP_SHARED, WORKER_PROGRESS_FD, 0);
    if (progress == MAP_FAILED || emlfs_os_write_all(1, &hello, sizeof hello) < 0)
        return 1;
    while (emlfs_os_read_full(0, &request, sizeof request) == sizeof request) {
        if (emlfs_os_read_full(0, message, request.bytes) != request.bytes)
            return 1;
        message[request.bytes] = '\0';
        break_as_told(message, &request.wish, progress);
        emlfs_buf_clear(&doc);
        text_parse(charsets, &request.wish, emlfs_span_of(message, request.bytes), progress, &doc);
        struct worker_answer answer = {.bytes = (uint32_t)doc.len, .magic = WORKER_MAGIC};
        if (emlfs_os_write_all(1, &answer, sizeof answer) < 0 ||
            emlfs_os_write_all(1, doc.data, doc.len) < 0)
            return 1;
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
        cmocka_unit_test(test_confined),   cmocka_unit_test(test_large),
        cmocka_unit_test(test_crashes),    cmocka_unit_test(test_killed),
        cmocka_unit_test(test_no_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../importers/worker.h"
#include "emlfs/base/os.h"
#include "emlfs/importer.h"
#include "emlfs/message.h"

#define CORPUS_MESSAGES 2000

/* WORKER_MAGIC and a memory limit of 0 in hello, in the byte order of the machines tested on. */
#define HELLO "printf '\\167\\154\\155\\145\\0\\0\\0\\0'\n"

static struct emlfs_worker *worker_of(const char *exe, unsigned timeout_ms)
{
    struct emlfs_worker *worker;
    struct emlfs_err err = {0};
    const struct emlfs_worker_config config = {.exe = exe, .timeout_ms = timeout_ms};
    if (emlfs_worker_new(&config, &worker, &err) < 0)
        fail_msg("no worker: %s", err.text);
    return worker;
}

/* Flags and reason of what the worker says; fails when there is no answer. */
static uint32_t ask(struct emlfs_worker *worker, struct emlfs_span message, char *ret_reason,
                    size_t size)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_facts facts;
    struct emlfs_err err = {0};
    if (emlfs_worker_facts(worker, message, &bytes, &err) < 0)
        fail_msg("no answer: %s", err.text);
    assert_int_equal(emlfs_facts_decode(emlfs_buf_view(&bytes), &facts, NULL), 0);
    snprintf(ret_reason, size, "%.*s", (int)facts.reason.len, (const char *)facts.reason.data);
    return facts.flags;
}

static void assert_works(struct emlfs_worker *worker)
{
    char reason[300];
    assert_int_equal(ask(worker, emlfs_span_str("Subject: x\n\n"), reason, sizeof reason), 0);
}

static void test_same_as_here(void **state)
{
    (void)state;
    static const char message[] = "From: =?koi8-r?q?=D0=D2=C9?= <a@b>\nTo: c@d\n"
                                  "Subject: =?iso-2022-jp?b?GyRCJDMbKEI=?= =?big5?b?pKQ=?=\n"
                                  "Date: Sun, 1 Mar 2026 09:13:00 EST\n\nx";
    EMLFS_BUF_CLEANUP struct emlfs_buf there = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf here = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_worker *worker = worker_of("/proc/self/exe", 0);
    for (unsigned i = 0; i < 3; i++) {
        emlfs_buf_clear(&there);
        emlfs_buf_clear(&here);
        assert_int_equal(emlfs_worker_facts(worker, emlfs_span_str(message), &there, NULL), 0);
        assert_int_equal(emlfs_parse_facts(emlfs_span_str(message), &here), 0);
        assert_true(emlfs_span_equal(emlfs_buf_view(&there), emlfs_buf_view(&here)));
    }
    assert_int_equal(emlfs_worker_facts(worker, emlfs_span_of(NULL, 0), &there, NULL), 0);
    emlfs_worker_free(worker);
}

/* ---- messages made to hurt (reliability 4.2, 4.4): an answer within two seconds, and alive after
 */

struct bomb {
    const char *head, *unit;
    size_t count;
    const char *tail;
};

static void bomb_build(const struct bomb *bomb, struct emlfs_buf *out)
{
    assert_int_equal(emlfs_buf_append(out, bomb->head, strlen(bomb->head)), 0);
    for (size_t i = 0; i < bomb->count; i++)
        assert_int_equal(emlfs_buf_append(out, bomb->unit, strlen(bomb->unit)), 0);
    assert_int_equal(emlfs_buf_append(out, bomb->tail, strlen(bomb->tail)), 0);
}

static void test_bombs(void **state)
{
    (void)state;
    static const struct bomb bombs[] = {
        {"To: ", "a:", 10000, "\n\n"},
        {"To: ", "a:", 50000, "\n\n"},
        {"To: ", "a:", 5000000, "\n\n"},
        {"To: ", "a:;", 500000, "\n\n"},
        {"To: ", "\"", 500000, "\n\n"},
        {"To: ", "\"a,", 500000, "\n\n"},
        {"To: ", "<", 500000, "\n\n"},
        {"To: ", "@", 500000, "\n\n"},
        {"To: ", "a@[", 500000, "\n\n"},
        {"To: ", ".", 500000, "\n\n"},
        {"To: ", "a b ", 500000, "\n\n"},
        {"To: ", "(", 500000, "\n\n"},
        {"To: ", "a@b, ", 500000, "\n\n"},
        {"To: ", "=?utf-8?q?a?= ", 500000, "<a@b>\n\n"},
        {"", "To: a@b\n", 500000, "\n"},
        {"Subject: ", "=?utf-8?b?", 500000, "\n\n"},
        {"Subject: ", "=?utf-7?q?+AGE-?= ", 100000, "\n\n"},
        {"Date: ", "1 ", 500000, "\n\n"},
        {"Received: ", ";", 500000, "\n\n"},
        {"Content-Type: text/plain", "; name*0*=%C3", 100000, "\n\n"},
        {"Content-Type: text/plain; name=", "\"\\", 100000, "\n\n"},
        {"Content-Type: multipart/mixed; boundary=b\n\n", "--b\n\n", 500000, ""},
        {"Content-Type: multipart/mixed; boundary=b\n\n",
         "--b\nContent-Type: multipart/mixed; boundary=b\n\n", 100000, ""},
        {"", "Content-Type: message/rfc822\n\n", 100000, ""},
        {"", "--\n", 2000000, ""},
        {"Content-Type: text/plain\n\n", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 800000, ""},
        {"", "\r", 5000000, ""},
        {"Subject: x\n", " \n", 2000000, ""},
    };
    struct emlfs_worker *worker = worker_of("/proc/self/exe", 0);
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(64u << 20);
        char reason[300];
        bomb_build(&bombs[i], &message);
        int64_t start_ns = emlfs_os_monotonic_ns();
        uint32_t flags = ask(worker, emlfs_buf_view(&message), reason, sizeof reason);
        int64_t took_ms = (emlfs_os_monotonic_ns() - start_ns) / 1000000;
        if ((flags & EMLFS_FACT_UNPARSED) || took_ms > 2000)
            fail_msg("bomb %zu: flags %u after %lld ms: %s", i, flags, (long long)took_ms, reason);
        assert_works(worker);
    }
    emlfs_worker_free(worker);
}

/* ---- children that misbehave */

/* The only child of this process that runs, 0: none. */
static pid_t child_find(void)
{
    pid_t found = 0;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        char path[300];
        int parent = 0;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        FILE *file = pid > 0 ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        if (fscanf(file, "%*d (%*[^)]) %*c %d", &parent) == 1 && parent == getpid())
            found = pid;
        fclose(file);
    }
    closedir(proc);
    return found;
}

static void *kill_soon(void *arg)
{
    usleep(200000);
    kill(*(pid_t *)arg, SIGKILL);
    return NULL;
}

static void test_killed(void **state)
{
    (void)state;
    char reason[300];
    struct emlfs_worker *worker = worker_of("/proc/self/exe", 5000);
    pid_t child = child_find();
    assert_true(child > 0);
    kill(child, SIGKILL); /* between messages: nobody notices */
    usleep(100000);
    assert_works(worker);
    child = child_find();
    kill(child, SIGSTOP); /* in mid-work */
    pthread_t killer;
    pthread_create(&killer, NULL, kill_soon, &child);
    uint32_t flags = ask(worker, emlfs_span_str("Subject: x\n\n"), reason, sizeof reason);
    pthread_join(killer, NULL);
    assert_int_equal(flags, EMLFS_FACT_UNPARSED);
    assert_string_equal(reason, "the parser crashed");
    assert_works(worker);
    emlfs_worker_free(worker);
    assert_int_equal(child_find(), 0);
}

static void test_time_out(void **state)
{
    (void)state;
    static uint8_t big[8u << 20];
    char reason[300];
    struct emlfs_worker *worker = worker_of("/proc/self/exe", 300);
    kill(child_find(), SIGSTOP);
    int64_t start_ns = emlfs_os_monotonic_ns();
    uint32_t flags = ask(worker, emlfs_span_of(big, sizeof big), reason, sizeof reason);
    assert_true(emlfs_os_monotonic_ns() - start_ns < 3000000000);
    assert_int_equal(flags, EMLFS_FACT_UNPARSED);
    assert_string_equal(reason, "the parser took too long");
    emlfs_worker_free(worker);
    assert_int_equal(child_find(), 0);
}

static void script_write(char *path, const char *body)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(emlfs_os_write_all(fd, "#!/bin/sh\n", 10), 0);
    assert_int_equal(emlfs_os_write_all(fd, body, strlen(body)), 0);
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
}

/* A program in the child's place that breaks the protocol as body says. */
static void assert_broken(const char *body, const char *expected_reason)
{
    char path[] = "/tmp/emlfs-worker-XXXXXX";
    char reason[300];
    script_write(path, body);
    struct emlfs_worker *worker = worker_of(path, 1000);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t flags = ask(worker, emlfs_span_str("Subject: x\n\n"), reason, sizeof reason);
        assert_int_equal(flags, EMLFS_FACT_UNPARSED);
        assert_string_equal(reason, expected_reason);
    }
    emlfs_worker_free(worker);
    unlink(path);
}

static void test_protocol(void **state)
{
    (void)state;
    assert_broken(HELLO "head -c 28 >/dev/null; printf '\\377\\377\\377\\377\\167\\154\\155\\145'\n"
                        "exec cat /dev/zero",
                  "the parser gave an impossible answer");
    assert_broken(HELLO "head -c 28 >/dev/null; printf '\\3\\0\\0\\0\\0\\0\\0\\0abc'\nexec cat",
                  "the parser gave an impossible answer");
    assert_broken(HELLO "head -c 28 >/dev/null; printf '\\3\\0\\0\\0\\167\\154\\155\\145abc'\n"
                        "exec cat",
                  "the parser gave an impossible answer");
    assert_broken(HELLO "head -c 28 >/dev/null; printf '\\3\\0\\0\\0\\167\\154\\155\\145a'\n"
                        "exec sleep 100",
                  "the parser took too long");
    assert_broken(HELLO "head -c 28 >/dev/null; kill -9 $$", "the parser crashed");
}

static void test_cannot_start(void **state)
{
    (void)state;
    struct emlfs_worker *worker;
    struct emlfs_err err = {0};
    struct emlfs_worker_config config = {.exe = "/nonexistent/emlfs"};
    assert_int_equal(emlfs_worker_new(&config, &worker, &err), -ENOENT);
    assert_null(worker);
    config.exe = "/bin/true";
    assert_int_equal(emlfs_worker_new(&config, &worker, &err), -EIO);
    assert_string_equal(err.module, "worker");
    assert_int_equal(child_find(), 0);
}

/* ---- confinement */

enum { CAN_OPEN = 1, CAN_SOCKET = 2, CAN_EXEC = 4, CAN_FORK = 8, CAN_KILL = 16, CAN_TRACE = 32 };
enum { CAN_MAP_CODE = 64, CAN_STAT = 128 };

static int escapes(void)
{
    struct stat st;
    char *const argv[] = {(char *)"/bin/true", NULL};
    int found = 0;
    if (open("/etc/passwd", O_RDONLY) >= 0 || openat(AT_FDCWD, "/", O_RDONLY) >= 0)
        found |= CAN_OPEN;
    if (open("/tmp/emlfs-escape", O_CREAT | O_WRONLY, 0600) >= 0)
        found |= CAN_OPEN;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
        found |= CAN_SOCKET;
    if (stat("/etc/passwd", &st) == 0)
        found |= CAN_STAT;
    if (kill(getppid(), 0) == 0)
        found |= CAN_KILL;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
        found |= CAN_TRACE;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        found |= CAN_FORK;
    execve(argv[0], argv, NULL);
    return found;
}

static int confined_escapes(void)
{
    worker_preload();
    if (worker_confine(512ull << 20) < 0)
        return 255;
    int found = escapes();
#if !defined(EMLFS_SANITIZED)
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        found |= CAN_MAP_CODE;
    if (malloc(1ull << 30) != NULL)
        found = 254;
#endif
    EMLFS_BUF_CLEANUP struct emlfs_buf facts = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    if (emlfs_parse_facts(emlfs_span_str("Subject: =?koi8-u?q?=d0?=\n\n"), &facts) < 0)
        return 253;
    return found;
}

static void test_confined(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(confined_escapes());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* What the running child has: two ends of one socket and /dev/null, and the kernel's own marks. */
static void test_child_is_bare(void **state)
{
    (void)state;
    char path[100];
    char line[200];
    unsigned marks = 0;
    struct emlfs_worker *worker = worker_of("/proc/self/exe", 0);
    assert_works(worker);
    snprintf(path, sizeof path, "/proc/%d/status", child_find());
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        marks += strcmp(line, "NoNewPrivs:\t1\n") == 0;
        marks += strcmp(line, "Seccomp:\t2\n") == 0;
    }
    fclose(file);
    assert_int_equal(marks, 2);
    snprintf(path, sizeof path, "/proc/%d/fd", child_find());
    DIR *fds = opendir(path);
    unsigned count = 0;
    while (fds && readdir(fds) != NULL)
        count++;
    if (fds) {
        closedir(fds);
        assert_int_equal(count, 3 + 2);
    }
    emlfs_worker_free(worker);
}

/* ---- real mail */

static struct {
    struct emlfs_worker *worker;
    unsigned count, unparsed;
} corpus;

static int corpus_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)at;
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(64u << 20);
    char reason[300];
    if (type != FTW_F || st->st_size == 0 || emlfs_os_read_file(path, &message) < 0)
        return 0;
    if (ask(corpus.worker, emlfs_buf_view(&message), reason, sizeof reason) & EMLFS_FACT_UNPARSED) {
        print_message("%s: %s\n", path, reason);
        corpus.unparsed++;
    }
    return ++corpus.count >= CORPUS_MESSAGES;
}

static void test_corpus(void **state)
{
    (void)state;
    const char *folder = getenv("EMLFS_CORPORA");
    if (folder == NULL || access(folder, R_OK) < 0) {
        print_message("skipped: EMLFS_CORPORA names no folder of real mail\n");
        skip();
    }
    corpus.worker = worker_of("/proc/self/exe", 0);
    nftw(folder, corpus_file, 16, FTW_PHYS);
    emlfs_worker_free(corpus.worker);
    assert_true(corpus.count > 0);
    assert_int_equal(corpus.unparsed, 0);
}

/* ---- messages that were sent ahead */

#define AHEAD_TESTS 40u
struct ahead_mail {
    struct emlfs_buf v[AHEAD_TESTS];
};

/* Different messages of many lengths; some are empty, some too long to be sent ahead. */
static void ahead_mail_make(struct ahead_mail *mail)
{
    static const size_t bodies[] = {10, 60000, 900, 200000, 30000};
    for (unsigned i = 0; i < AHEAD_TESTS; i++) {
        char head[80];
        size_t body = bodies[i % 5];
        int len =
            snprintf(head, sizeof head, "Subject: number %u\nFrom: a%u@example.org\n\n", i, i);
        mail->v[i] = EMLFS_BUF_INIT(1u << 20);
        if (i == 7)
            continue;
        assert_int_equal(emlfs_buf_append(&mail->v[i], head, (size_t)len), 0);
        assert_int_equal(emlfs_buf_reserve(&mail->v[i], body), 0);
        memset(mail->v[i].data + mail->v[i].len, 'x', body);
        mail->v[i].len += body;
    }
}

static void ahead_mail_free(struct ahead_mail *mail)
{
    for (unsigned i = 0; i < AHEAD_TESTS; i++)
        emlfs_buf_free(&mail->v[i]);
}

static void assert_same_facts(struct emlfs_worker *worker, struct emlfs_span raw)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf there = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf here = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    assert_int_equal(emlfs_worker_facts(worker, raw, &there, NULL), 0);
    assert_int_equal(emlfs_parse_facts(raw, &here), 0);
    assert_true(emlfs_span_equal(emlfs_buf_view(&there), emlfs_buf_view(&here)));
}

static void test_ahead(void **state)
{
    struct emlfs_worker *worker = worker_of("/proc/self/exe", 0);
    struct ahead_mail mail;
    (void)state;
    ahead_mail_make(&mail);
    pid_t child = child_find();
    for (unsigned batch = 1; batch <= AHEAD_TESTS; batch += 3) {
        for (unsigned from = 0; from < AHEAD_TESTS; from += batch) {
            for (unsigned i = from; i < from + batch && i < AHEAD_TESTS; i++)
                emlfs_worker_ahead(worker, emlfs_buf_view(&mail.v[i]));
            for (unsigned i = from; i < from + batch && i < AHEAD_TESTS; i++)
                assert_same_facts(worker, emlfs_buf_view(&mail.v[i]));
        }
    }
    assert_int_equal(child_find(), child); /* no order of lengths costs a child */
    ahead_mail_free(&mail);
    emlfs_worker_free(worker);
}

/* Whoever asks in another order, or not at all, gets the right answers all the same. */
static void test_ahead_in_disorder(void **state)
{
    struct emlfs_worker *worker = worker_of("/proc/self/exe", 0);
    struct ahead_mail mail;
    (void)state;
    ahead_mail_make(&mail);
    for (unsigned i = 0; i < 10; i++)
        emlfs_worker_ahead(worker, emlfs_buf_view(&mail.v[i]));
    assert_same_facts(worker, emlfs_buf_view(&mail.v[20]));
    for (unsigned i = 10; i-- > 0;)
        assert_same_facts(worker, emlfs_buf_view(&mail.v[i]));
    emlfs_worker_ahead(worker, emlfs_buf_view(&mail.v[0]));
    ahead_mail_free(&mail);
    emlfs_worker_free(worker);
}

/* One that is too long to wait behind others costs no child, wherever it stands. */
static void test_ahead_long(void **state)
{
    struct emlfs_worker *worker = worker_of("/proc/self/exe", 0);
    EMLFS_BUF_CLEANUP struct emlfs_buf raw = EMLFS_BUF_INIT(1u << 20);
    struct ahead_mail mail;
    (void)state;
    ahead_mail_make(&mail);
    assert_int_equal(emlfs_buf_append(&raw, mail.v[0].data, mail.v[0].len), 0);
    while (raw.len < (100u << 10))
        assert_int_equal(emlfs_buf_append(&raw, "text\r\n", 6), 0);
    pid_t child = child_find();
    for (unsigned at = 0; at < 4; at++) {
        for (unsigned i = 0; i < 4; i++)
            emlfs_worker_ahead(worker, emlfs_buf_view(i == at ? &raw : &mail.v[i]));
        for (unsigned i = 0; i < 4; i++)
            assert_same_facts(worker, emlfs_buf_view(i == at ? &raw : &mail.v[i]));
        assert_int_equal(child_find(), child);
    }
    ahead_mail_free(&mail);
    emlfs_worker_free(worker);
}

/* Only the message that the child died of has no facts. */
static void test_ahead_killed(void **state)
{
    struct emlfs_worker *worker = worker_of("/proc/self/exe", 5000);
    struct ahead_mail mail;
    char reason[300];
    pthread_t killer;
    (void)state;
    ahead_mail_make(&mail);
    pid_t child = child_find();
    kill(child, SIGSTOP);
    for (unsigned i = 0; i < 3; i++)
        emlfs_worker_ahead(worker, emlfs_buf_view(&mail.v[i]));
    pthread_create(&killer, NULL, kill_soon, &child);
    uint32_t flags = ask(worker, emlfs_buf_view(&mail.v[0]), reason, sizeof reason);
    pthread_join(killer, NULL);
    assert_int_equal(flags, EMLFS_FACT_UNPARSED);
    assert_string_equal(reason, "the parser crashed");
    assert_same_facts(worker, emlfs_buf_view(&mail.v[1]));
    assert_same_facts(worker, emlfs_buf_view(&mail.v[2]));
    ahead_mail_free(&mail);
    emlfs_worker_free(worker);
    assert_int_equal(child_find(), 0);
}

int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], WORKER_ARGV0) == 0)
        return emlfs_worker_main();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_here),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_time_out),
        cmocka_unit_test(test_protocol),
        cmocka_unit_test(test_cannot_start),
        cmocka_unit_test(test_confined),
        cmocka_unit_test(test_child_is_bare),
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_ahead_in_disorder),
        cmocka_unit_test(test_ahead_long),
        cmocka_unit_test(test_ahead_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

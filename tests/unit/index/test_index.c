/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The life of an index: killed at every step, removed, damaged, out of room, followed and searched
 * at the same time. Whatever happens, it answers as an undisturbed one does.
 */
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine_ask.h"

/* ---- calls of the operating system that change the index are counted and may go wrong */

enum fault { FAULT_NONE, FAULT_KILL, FAULT_NO_ROOM, FAULT_LATE_RENAME, FAULT_NO_READ };
static struct {
    _Atomic unsigned steps, at;
    _Atomic enum fault fault;
} seam;

static bool path_is_index(const char *path)
{
    return strstr(path, "/index") != NULL;
}

static bool fd_is_index(int fd)
{
    char link[64], target[512];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    return path_is_index(target);
}

/* True: the call fails. */
static bool seam_step(bool takes_room)
{
    unsigned step = atomic_fetch_add(&seam.steps, 1) + 1;
    if (atomic_load(&seam.fault) == FAULT_KILL && step == atomic_load(&seam.at))
        raise(SIGKILL);
    return takes_room && atomic_load(&seam.fault) == FAULT_NO_ROOM;
}

static bool seam_armed(void)
{
    return atomic_load(&seam.fault) != FAULT_NONE;
}

ssize_t write(int fd, const void *data, size_t len)
{
    if (seam_armed() && fd_is_index(fd) && seam_step(true)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_write, fd, data, len);
}

int fsync(int fd)
{
    if (seam_armed() && fd_is_index(fd))
        (void)seam_step(false);
    return 0; /* a killed process loses nothing that was written, and a disk is slow */
}

int fdatasync(int fd)
{
    if (seam_armed() && fd_is_index(fd))
        (void)seam_step(false);
    return 0;
}

int rename(const char *from, const char *to)
{
    int rc;
    if (seam_armed() && path_is_index(to))
        (void)seam_step(false);
    rc = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (rc == 0 && atomic_load(&seam.fault) == FAULT_LATE_RENAME && path_is_index(to)) {
        errno = EIO; /* as a directory that cannot be synced behind it */
        return -1;
    }
    return rc;
}

/* No descriptor left. */
int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;
    va_start(args, flags);
    mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (atomic_load(&seam.fault) == FAULT_NO_READ && path_is_index(path)) {
        errno = EMFILE;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int unlink(const char *path)
{
    if (seam_armed() && path_is_index(path))
        (void)seam_step(false);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int mkdir(const char *path, mode_t mode)
{
    if (seam_armed() && path_is_index(path))
        (void)seam_step(false);
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

#ifndef EMLFS_SANITIZED /* forked, and killed a hundred times */
/* ---- killed at every step */

/* In a process of its own: index everything, in many segments, killed at step number at. */
static int child_index(struct engine *engine, unsigned at)
{
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        const struct emlfs_index_options options = engine_options(engine);
        struct emlfs_index *index;
        struct emlfs_err err = {0};
        life_open(engine->life);
        struct emlfs_index_options own = options;
        own.archive = engine->life->archive;
        atomic_store(&seam.at, at);
        atomic_store(&seam.fault, FAULT_KILL);
        int rc = emlfs_index_open(&own, &index, &err);
        if (rc == 0)
            rc = emlfs_index_catch_up(index, NULL, &err);
        if (rc == 0)
            rc = emlfs_index_close(index, &err);
        _exit(rc == 0 ? 0 : 1);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? -1 : WEXITSTATUS(status);
}

static void reopen_and_ask(struct engine *engine)
{
    life_open(engine->life);
    engine_index_open(engine);
    engine_catch_up(engine);
    ask_all(engine);
    /* A kill is no damage: nothing was made again. */
    if (engine->notices > 0)
        fail_msg("%s", engine->notice);
    engine_index_close(engine);
}

static void test_kill(void **state)
{
    struct engine *engine = *state;
    unsigned last = 0;

    fill(engine, 24);
    life_close(engine->life);
    /* The first are every kind of step; behind them it goes on alike. */
    for (unsigned at = 1;; at += at < 40 ? 1 : 11) {
        int rc;
        engine->memory_bytes = 1; /* a segment for every message, and merges */
        rc = child_index(engine, at);
        assert_true(rc <= 0);
        engine->memory_bytes = 0;
        reopen_and_ask(engine);
        index_remove(engine);
        life_close(engine->life);
        last = at;
        if (rc == 0)
            break;
    }
    assert_true(last > 100);
    /* Killed again and again on the way, each time a little later. */
    engine->memory_bytes = 1;
    for (unsigned at = 1; child_index(engine, at) < 0; at += 9)
        continue;
    reopen_and_ask(engine);
}
#endif

/* ---- envelopes */

static void envelope_expect(unsigned number, struct emlfs_buf *ret)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf encoded = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_facts facts;
    emlfs_buf_clear(ret);
    must(engine_facts(number, &encoded));
    if (number % 11 == 3 || number % 7 == 2)
        return;
    must(emlfs_facts_decode(emlfs_buf_view(&encoded), &facts, NULL));
    must(emlfs_facts_encode_envelope(&facts, ret));
    assert_true(ret->len > 0);
}

/* All at once, in an order that changes the place often. damaged: some may be missing. */
static void envelopes_check(struct engine *engine, bool damaged)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf expected = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_msg_id ids[DOCS_MAX + 1];
    struct emlfs_buf found[DOCS_MAX + 1];
    unsigned n = engine->docs_n;
    for (unsigned i = 0; i < n; i++) {
        ids[i] = engine->docs[i * 7 % n].id;
        found[i] = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
        must(emlfs_buf_append(&found[i], "old", 3));
    }
    ids[n] = emlfs_msg_id_make(emlfs_msg_id_store(ids[0]), UINT32_MAX);
    found[n] = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    emlfs_index_envelopes(engine->index, ids, n + 1, found);
    for (unsigned i = 0; i < n; i++) {
        envelope_expect(i * 7 % n, &expected);
        if (!damaged || found[i].len > 0)
            assert_true(emlfs_span_equal(emlfs_buf_view(&expected), emlfs_buf_view(&found[i])));
        emlfs_buf_free(&found[i]);
    }
    assert_int_equal(found[n].len, 0);
}

static void test_envelopes(void **state)
{
    struct engine *engine = *state;

    fill(engine, 160);
    assert_true(engine->docs_n % 7 != 0);
    engine_index_open(engine);
    engine_catch_up(engine);
    envelopes_check(engine, false); /* in memory */
    engine_index_close(engine);
    engine_index_open(engine);
    envelopes_check(engine, false); /* in a file */
    engine_index_close(engine);
    index_remove(engine);
    engine->memory_bytes = 1; /* in many, and merged */
    engine_index_open(engine);
    engine_catch_up(engine);
    envelopes_check(engine, false);
    engine_index_close(engine);
}

/* ---- removed and damaged */

/* Answers are right, or the search says that something is damaged; then it is made again. */
static void ask_damaged(struct engine *engine)
{
    static struct answer answer;
    for (unsigned q = 0; q < QUESTIONS_N; q++) {
        int rc = engine_ask(engine, questions[q], USER, &answer);
        if (rc < 0 && rc != -EBADMSG && rc != -EUCLEAN)
            fail_msg("%s: %d", questions[q], rc);
        if (rc < 0)
            assert_true(engine->notices > 0);
    }
    envelopes_check(engine, true);
    engine_catch_up(engine);
    ask_all(engine);
}

static void flip_all(struct engine *engine, const char *dir)
{
    struct dirent *entry;
    unsigned files = 0;
    DIR *stream = opendir(dir);
    assert_non_null(stream);
    while ((entry = readdir(stream))) {
        char path[4600];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] == '.' || stat(path, &st) < 0)
            continue;
        files++;
        for (unsigned i = 0; i < 9; i++) {
            uint64_t offset = (uint64_t)st.st_size * i / 9 + i;
            if (stat(path, &st) < 0) /* made again in another file */
                break;
            file_flip(path, offset < (uint64_t)st.st_size ? offset : (uint64_t)st.st_size - 1);
            engine->notices = 0;
            engine_index_open(engine);
            ask_damaged(engine);
            engine_index_close(engine);
        }
    }
    closedir(stream);
    assert_true(files >= 2);
}

static void test_damage(void **state)
{
    struct engine *engine = *state;
    char dir[4200], path[4300];

    fill(engine, 160);
    engine_index_open(engine);
    engine_catch_up(engine);
    ask_all(engine);
    engine_index_close(engine);
    index_remove(engine);
    engine_index_open(engine);
    engine_catch_up(engine);
    ask_all(engine);
    assert_int_equal(engine->notices, 0);
    engine_index_close(engine);
    index_dir(engine, 1, dir, sizeof(dir));
    flip_all(engine, dir);
    snprintf(path, sizeof(path), "%s/MANIFEST", dir);
    must(truncate(path, 10));
    engine->notices = 0;
    engine_index_open(engine);
    assert_int_equal(engine->notices, 1);
    engine_catch_up(engine);
    ask_all(engine);
    must(emlfs_index_reset(engine->index, 0, NULL));
    assert_int_equal(emlfs_index_reset(engine->index, 9, NULL), -ENOENT);
    engine_catch_up(engine);
    ask_all(engine);
}

/* ---- a full disk */

static void test_no_room(void **state)
{
    struct engine *engine = *state;
    struct dice dice = {.state = 5};
    struct emlfs_err err = {0};

    fill(engine, 160);
    engine_index_open(engine);
    atomic_store(&seam.fault, FAULT_NO_ROOM);
    assert_int_equal(emlfs_index_catch_up(engine->index, NULL, &err), -ENOSPC);
    ask_all(engine);                     /* it is in memory */
    engine_add(engine, 30, &dice, NULL); /* mail is archived all the same */
    must(emlfs_index_follow(engine->index, &err));
    assert_int_equal(emlfs_index_catch_up(engine->index, NULL, &err), 0);
    ask_all(engine);
    atomic_store(&seam.fault, FAULT_NONE);
    engine_index_close(engine);
    engine_index_open(engine);
    ask_all(engine);
}

/* ---- a manifest that is on disk though writing it failed; no descriptors */

static void test_late_rename(void **state)
{
    struct engine *engine = *state;
    struct dice dice = {.state = 8};

    fill(engine, 80);
    engine_index_open(engine);
    atomic_store(&seam.fault, FAULT_LATE_RENAME);
    assert_int_equal(emlfs_index_catch_up(engine->index, NULL, NULL), -EIO);
    ask_all(engine);
    /* As a crash leaves it. */
    assert_int_equal(emlfs_index_close(engine->index, NULL), -EIO);
    engine->index = NULL;
    atomic_store(&seam.fault, FAULT_NONE);
    engine_index_open(engine);
    if (engine->notices > 0)
        fail_msg("%s", engine->notice);
    engine_catch_up(engine);
    ask_all(engine);
    engine_add(engine, 20, &dice, NULL);
    engine_catch_up(engine);
    ask_all(engine);
}

static void test_no_descriptor(void **state)
{
    struct engine *engine = *state;
    struct emlfs_index_options options;
    struct emlfs_index *index;

    fill(engine, 80);
    engine_index_open(engine);
    engine_catch_up(engine);
    engine_index_close(engine);
    options = engine_options(engine);
    atomic_store(&seam.fault, FAULT_NO_READ);
    assert_int_equal(emlfs_index_open(&options, &index, NULL), -EMFILE);
    atomic_store(&seam.fault, FAULT_NONE);
    engine_index_open(engine); /* nothing was dropped */
    ask_all(engine);
    assert_int_equal(engine->notices, 0);
}

/* ---- following */

struct searching {
    struct engine *engine;
    atomic_bool stop;
    atomic_uint searches;
};

static int id_ignore(void *arg, struct emlfs_msg_id id)
{
    uint64_t *last = arg;
    if (*last && id.v >= *last)
        return 1;
    *last = id.v;
    return 0;
}

static void *search_thread(void *arg)
{
    struct searching *searching = arg;
    while (!atomic_load(&searching->stop)) {
        struct emlfs_query *query;
        const char *text = questions[atomic_fetch_add(&searching->searches, 1) % QUESTIONS_N];
        uint64_t last = 0;
        must(emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, &query, NULL));
        const struct emlfs_search search = {.query = query, .user = USER};
        assert_int_equal(
            emlfs_index_search(searching->engine->index, &search, id_ignore, &last, NULL), 0);
        emlfs_query_free(query);
    }
    return NULL;
}

static void test_follow(void **state)
{
    struct engine *engine = *state;
    struct dice dice = {.state = 21};
    struct searching searching = {.engine = engine};
    struct emlfs_index_store_status status;
    pthread_t threads[2];

    engine_archive(engine, 300);
    engine->memory_bytes = 2u << 20;
    engine_index_open(engine);
    must(emlfs_index_follow(engine->index, NULL));
    for (unsigned i = 0; i < 2; i++)
        must(pthread_create(&threads[i], NULL, search_thread, &searching));
    for (unsigned round = 0; round < 10; round++) {
        engine_add(engine, 45, &dice, NULL);
        int64_t begin = now_ms();
        struct answer *answer = calloc(1, sizeof(*answer));
        unsigned newest = engine->docs_n - 1;
        do {
            must(engine_ask(engine, "-budgets", engine->folders[engine->docs[newest].filed[0]].user,
                            answer));
            if (strcasestr(engine->docs[newest].raw, "budgets"))
                break;
        } while ((answer->n == 0 || answer->v[0].v != engine->docs[newest].id.v) &&
                 now_ms() - begin < 10000);
#ifndef EMLFS_SANITIZED
        assert_true(now_ms() - begin < 1000);
#endif
        free(answer);
        if (round == 6)
            must(emlfs_index_reset(engine->index, 1, NULL));
    }
    engine_catch_up(engine);
    atomic_store(&searching.stop, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ask_all(engine);
    must(emlfs_index_status(engine->index, 0, &status, NULL));
    assert_int_equal(status.waiting, 0);
    assert_int_equal(status.indexed, 300);
    assert_true(atomic_load(&searching.searches) > 10);
    engine_index_close(engine);
    assert_int_equal(engine->notices, 0);
}

/* ---- settings, problems, what lies on disk */

static void test_kinds_and_problems(void **state)
{
    struct engine *engine = *state;
    struct emlfs_index_store_status status;
    unsigned kinds = 0;

    engine_archive(engine, 1000);
    engine_begin(engine, NULL);
    for (unsigned i = 0; i < 6; i++) {
        struct test_doc *doc = &engine->docs[engine->docs_n];
        snprintf(doc->raw, TEXT_MAX, "Number: %u\nSubject: hello\nProblem: %s\n", i,
                 i < 4 ? "encrypted" : "damaged zip");
        engine_put(engine, engine->docs_n++, 0);
    }
    engine_end(engine, false);
    engine_index_open(engine);
    must(emlfs_index_get_kinds(engine->index, &kinds, NULL));
    assert_int_equal(kinds, EMLFS_KIND_ALL);
    must(emlfs_index_set_kinds(engine->index, NULL, EMLFS_KIND_PDF | EMLFS_KIND_TEXT, NULL));
    assert_int_equal(emlfs_index_set_kinds(engine->index, NULL, 1u << 20, NULL), -EINVAL);
    engine->extractor_fails = true;
    assert_int_equal(emlfs_index_catch_up(engine->index, NULL, NULL), -EAGAIN);
    engine->extractor_fails = false;
    engine_catch_up(engine);
    engine_index_close(engine);
    life_close(engine->life);
    life_open(engine->life);
    engine_index_open(engine);
    must(emlfs_index_get_kinds(engine->index, &kinds, NULL));
    assert_int_equal(kinds, EMLFS_KIND_PDF | EMLFS_KIND_TEXT);
    must(emlfs_index_status(engine->index, 0, &status, NULL));
    assert_int_equal(status.problems, 6);
    assert_int_equal(status.reasons_n, 2);
    assert_string_equal(status.reasons[0].reason, "encrypted");
    assert_int_equal(status.reasons[0].n, 4);
    assert_int_equal(status.reasons[1].n, 2);
    assert_int_equal(emlfs_index_status(engine->index, 1, &status, NULL), -ENOENT);
}

static const char *const secrets[] = {"xylophonquark", "zwetschgenmus", "qqwortschatz"};
static unsigned secrets_found;

static int file_search(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    struct emlfs_buf bytes EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1u << 26);
    (void)st;
    (void)ftw;
    if (kind != FTW_F)
        return 0;
    must(emlfs_os_read_file(path, &bytes));
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]) && bytes.len > 0; i++)
        secrets_found += memmem(bytes.data, bytes.len, secrets[i], strlen(secrets[i])) != NULL;
    return 0;
}

static void test_no_word_on_disk(void **state)
{
    struct engine *engine = *state;
    static struct answer answer;
    char path[200];

    engine_archive(engine, 1000);
    engine_begin(engine, NULL);
    for (size_t i = 0; i < 3; i++) {
        snprintf(engine->docs[i].raw, TEXT_MAX, "Subject: %s\nFile: %s.pdf\nProblem: %s\n",
                 secrets[i], secrets[i], secrets[i]);
        engine_put(engine, engine->docs_n++, 0);
    }
    engine_end(engine, false);
    engine_index_open(engine);
    engine_catch_up(engine);
    must(engine_ask(engine, secrets[1], USER, &answer));
    assert_int_equal(answer.n, 1);
    engine_index_close(engine);
    must(nftw(engine->life->path, file_search, 16, FTW_PHYS));
    assert_int_equal(secrets_found, 0);
    /* The search for them works: a file with one is found. */
    snprintf(path, sizeof(path), "%s/clear", engine->life->path);
    must(emlfs_os_replace_file(path, emlfs_span_str("a zwetschgenmus b"), 0600));
    must(nftw(engine->life->path, file_search, 16, FTW_PHYS));
    assert_int_equal(secrets_found, 1);
    must(unlink(path));
}

/* ---- more messages in one block than the follower takes at a time */

#define MANY 3000u

static int many_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                        struct emlfs_err *err)
{
    (void)arg;
    (void)worker;
    (void)err;
    snprintf(item->stem, sizeof(item->stem), "stem");
    return emlfs_buf_append(&item->facts, "facts", 5);
}

static void many_done(void *arg, struct emlfs_ingest_item *item)
{
    unsigned *archived = arg;
    *archived += item->verdict == EMLFS_INGEST_ARCHIVED;
    emlfs_ingest_item_free(item);
}

static void many_put(struct engine *engine)
{
    unsigned archived = 0;
    const struct emlfs_ingest_options options = {
        .prepare = many_prepare, .done = many_done, .arg = &archived};

    must(emlfs_ingest_begin(engine->life->archive, &options, &engine->life->ingest, NULL));
    for (unsigned i = 0; i < MANY; i++) {
        struct emlfs_ingest_item *item = emlfs_ingest_item_new();
        char raw[40];
        int len = snprintf(raw, sizeof(raw), "Subject: wombat n%u\n", i);
        must(emlfs_buf_append(&item->raw, raw, (size_t)len));
        item->folder = engine->folders[0].id;
        item->user = USER;
        must(emlfs_ingest_put(engine->life->ingest, item, NULL));
    }
    engine_end(engine, false);
    assert_int_equal(archived, MANY);
}

static void test_many_in_one_block(void **state)
{
    struct engine *engine = *state;
    static struct answer answer;
    struct emlfs_change changes[8];
    uint32_t most = 0;
    int n;

    engine->life->settings.commit_ms = 60000;
    engine_archive(engine, 5000000);
    many_put(engine);
    n = emlfs_archive_changes(engine->life->archive, 1, 0, changes, 8, NULL);
    for (int i = 0; i < n; i++)
        most = changes[i].n > most ? changes[i].n : most;
    assert_true(most > 2048);
    engine_index_open(engine);
    engine_catch_up(engine);
    must(engine_ask(engine, "n0", USER, &answer));
    assert_int_equal(answer.n, 1);
    must(engine_ask(engine, "n2999", USER, &answer));
    assert_int_equal(answer.n, 1);
    engine_index_close(engine);
}

static void test_read_only(void **state)
{
    struct engine *engine = *state;
    struct emlfs_archive_options options = {.path = engine->life->path, .read_only = true};

    fill(engine, 160);
    engine_index_open(engine);
    engine_catch_up(engine);
    engine_index_close(engine);
    life_close(engine->life);
    must(emlfs_archive_open(&options, &engine->life->archive, NULL));
    seam.steps = 0;
    atomic_store(&seam.fault, FAULT_NO_ROOM);
    engine_index_open(engine);
    ask_all(engine);
    assert_true(emlfs_index_is_current(engine->index));
    must(emlfs_index_catch_up(engine->index, NULL, NULL));
    assert_int_equal(emlfs_index_follow(engine->index, NULL), -EROFS);
    assert_int_equal(emlfs_index_reset(engine->index, 0, NULL), -EROFS);
    engine_index_close(engine);
    atomic_store(&seam.fault, FAULT_NONE);
    assert_int_equal(seam.steps, 0);
    life_close(engine->life);
    life_open(engine->life);
    life_begin(engine->life, "more");
    life_put_mail(engine->life, (struct emlfs_folder_id){1}, USER, 161);
    life_end(engine->life, true);
    life_close(engine->life);
    must(emlfs_archive_open(&options, &engine->life->archive, NULL));
    engine_index_open(engine);
    assert_false(emlfs_index_is_current(engine->index));
    assert_int_equal(emlfs_index_catch_up(engine->index, NULL, NULL), -EROFS);
    engine_index_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_envelopes, engine_make, engine_free),
#ifndef EMLFS_SANITIZED
        cmocka_unit_test_setup_teardown(test_kill, engine_make, engine_free),
#endif
        cmocka_unit_test_setup_teardown(test_damage, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_no_room, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_late_rename, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_no_descriptor, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_follow, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_kinds_and_problems, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_no_word_on_disk, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_many_in_one_block, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_read_only, engine_make, engine_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

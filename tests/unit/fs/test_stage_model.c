/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tools write into one folder side by side, each by the requests that it really makes, under three
 * uids, in random order; some are killed, the clock goes on, and in one test the mount process dies
 * between any two requests. A model of the files says what must be true:
 *
 *   M1  What is archived was complete, or as it was when a flush had said that it is durable.
 *   M2  What was closed under a name of its own, or renamed to one, is archived in the end, once.
 *   M3  What is no mail is not archived, and nothing stays behind.
 *   M4  Nobody else ever finds it.
 */
#include "fs/stage_world.h"

#define SESSIONS 12u
#define CONTENT_MAX 150000u
#define SIZES 3u

/* ---- tools: one letter a request */

/*
 *   C create under the final name     c under a temporary one     W the next part     V the last
 *   B one part, from the end on       Z set the size              z cut to nothing
 *   T times    M mode                 F flush    f flush, whatever it says    S fsync
 *   R release  N rename               O open to write             o open to read, look, close
 */
struct tool {
    const char *name, *steps;
    const char *before, *after; /* of a temporary name: around a number */
    bool cleans_up;             /* removes its temporary file when it fails */
};
static const struct tool tools[] = {
    {"cp", "CWWVFR", NULL, NULL, false},
    {"cp -p, mv", "CWWVTMFR", NULL, NULL, false},
    {"rsync", "cMWWVFRToMN", ".m.eml.x", "", true},
    {"rsync --inplace", "CWWVZFRTM", NULL, NULL, false},
    {"gio copy", "CWVFRMT", NULL, NULL, false},
    {"gio save", "cMWVSNFR", ".goutputstream-", "", true},
    {"editor", "CzWWVSFR", NULL, NULL, false},
    {"install, shutil", "CWVFRMTo", NULL, NULL, false},
    {"tar", "CWWWVTFR", NULL, NULL, false},
    {"dd", "CFWWVFR", NULL, NULL, false},
    {"redirection", "CFWFWFVFFR", NULL, NULL, false},
    {"Explorer", "CMTZBBBSMTFRo", NULL, NULL, false},
    {"nginx", "cWVTfNR", "m", ".0000000002", false},
    {"curl", "CWWWWVFR", NULL, NULL, false},
    {"touch, then cat", "CFROWVFR", NULL, NULL, false},
    {"sed -i", "CWVFRN", NULL, NULL, false},
    {"mapped", "CWFVR", NULL, NULL, false},
    {"copy, then move", "cWVFRN", "m", ".part", false},
};
#define TOOLS (sizeof(tools) / sizeof(tools[0]))

/* ---- random numbers */

static uint64_t seed = 88172645463325252ull;

static unsigned rnd(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 32) % below;
}

/* ---- the model */

struct session {
    const struct tool *tool;
    unsigned number, step, part, parts;
    uid_t uid;
    bool foreign, failed, renamed, created;
    struct fs_stage_handle *handle;
    struct fs_stage_handle *reader;
    char name[64], final[64];
    char *content;
    size_t len;
    /* As the model sees the file. */
    char *now; /* what was written */
    size_t now_len;
    size_t acked_len; /* of content: the prefix that a flush said is durable; 0 none */
    bool whole_acked;
};

/* What must be archived in the end. */
struct due {
    uid_t uid;
    char *data;
    size_t len;
};

struct model {
    struct world *w;
    struct session sessions[SESSIONS];
    unsigned begun;
    struct due *due;
    size_t due_n, due_cap;
    struct due *allowed; /* M1 */
    size_t allowed_n, allowed_cap;
    unsigned refused, archived_at_rename, crashes;
};

static void remember(struct due **v, size_t *n, size_t *cap, const struct session *s, size_t len)
{
    if (*n == *cap) {
        *cap = *cap ? 2 * *cap : 256;
        *v = reallocarray(*v, *cap, sizeof(**v));
        assert_non_null(*v);
    }
    (*v)[*n] = (struct due){.uid = s->uid, .data = malloc(len + 1), .len = len};
    assert_non_null((*v)[*n].data);
    memcpy((*v)[*n].data, s->content, len);
    (*n)++;
}

static void forget(struct due *v, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        free(v[i].data);
    *n = 0;
}

static void must(struct model *m, const struct session *s, size_t len)
{
    remember(&m->due, &m->due_n, &m->due_cap, s, len);
}

static void may(struct model *m, const struct session *s, size_t len)
{
    remember(&m->allowed, &m->allowed_n, &m->allowed_cap, s, len);
}

static const uid_t uids[] = {3001, 3002, 3003};

static void session_begin(struct model *m, struct session *s)
{
    static const size_t sizes[SIZES] = {400, 9000, CONTENT_MAX};
    unsigned n = ++m->begun;
    int head;

    *s = (struct session){.tool = &tools[rnd(TOOLS)], .number = n, .uid = uids[rnd(3)]};
    s->foreign = rnd(5) == 0;
    s->len = 200 + rnd((unsigned)sizes[rnd(SIZES)]);
    s->content = malloc(s->len + 200);
    assert_non_null(s->content);
    head = snprintf(s->content, 200, "%s: %u\r\nX: %u\r\n\r\n", s->foreign ? "\x89PNG" : "From", n,
                    (unsigned)s->uid);
    for (size_t i = (size_t)head; i < s->len; i++)
        s->content[i] = (char)('a' + (i * n) % 25);
    (void)snprintf(s->final, sizeof(s->final), "letter %u%s", n, rnd(4) ? ".eml" : "");
    memcpy(s->name, s->final, sizeof(s->name));
    if (s->tool->before)
        (void)snprintf(s->name, sizeof(s->name), "%s%u%s", s->tool->before, n, s->tool->after);
    else if (strchr(s->tool->steps, 'N'))
        (void)snprintf(s->name, sizeof(s->name), "sed%u", n);
    for (const char *at = s->tool->steps; *at; at++)
        s->parts += strchr("WVB", *at) != NULL;
}

static void session_end(struct session *s)
{
    free(s->content);
    *s = (struct session){.tool = NULL};
}

static struct fs_stage_at place(const char *name)
{
    return (struct fs_stage_at){{1}, {FOLDER_A}, name};
}

static int find(struct model *m, const struct session *s, const char *name, struct stat *ret)
{
    return fs_stage_lookup(m->w->stage, s->uid, (struct emlfs_folder_id){FOLDER_A}, name, ret);
}

/* ---- requests */

static int do_create(struct model *m, struct session *s)
{
    const struct fs_stage_mode mode = {O_RDWR | O_CREAT | O_EXCL, 0600};
    const struct emlfs_subject subject = {.uid = s->uid, .gid = s->uid};
    const struct fs_stage_at at = place(s->name);
    int rc = fs_stage_create(m->w->stage, &subject, &at, &mode, &s->handle, NULL);

    s->created = rc == 0;
    return rc;
}

static int write_range(struct session *s, size_t from, size_t to)
{
    int rc = 0;

    while (from < to && rc == 0) {
        size_t n = to - from < 65536 ? to - from : 65536;

        rc = fs_stage_pwrite(s->handle, emlfs_span_of(s->content + from, n), from, NULL);
        from += n;
    }
    return rc;
}

static int do_write(struct session *s, bool last, bool backwards)
{
    unsigned part = backwards ? s->parts - 1 - s->part : s->part;
    size_t from = s->len * part / s->parts;
    size_t to = last ? s->len : s->len * (part + 1) / s->parts;

    s->part++;
    s->whole_acked = false;
    if (!backwards)
        s->now_len = to;
    else if (s->part == s->parts)
        s->now_len = s->len;
    return write_range(s, from, to);
}

static int do_set(struct model *m, struct session *s, unsigned mask, off_t size)
{
    struct stat asked = {.st_size = size, .st_mode = 0640, .st_mtim = {1700000000, 0}}, st;
    struct fs_stage_set set = {&asked, mask, s->handle};
    int rc = find(m, s, s->name, &st);

    if (rc == -ENOENT && !s->handle)
        return 0; /* the time of its name is over */
    assert_int_equal(rc, 0);
    return fs_stage_setattr(m->w->stage, s->uid, st.st_ino, &set, &st, NULL);
}

/* What is written by now is durable: a crash may leave it, and no less. */
static int do_flush(struct model *m, struct session *s)
{
    int rc = fs_stage_flush(s->handle, NULL);

    if (rc == 0 && s->now_len) {
        s->acked_len = s->now_len;
        may(m, s, s->acked_len);
    }
    return rc;
}

static bool is_temporary(const struct session *s)
{
    return fs_stage_name_is_temporary(s->name);
}

/* As close does: the kernel flushes nothing of its own here, that was a step before. */
static void do_release(struct model *m, struct session *s, int flushed)
{
    if (s->now_len && !s->foreign && flushed == 0) {
        may(m, s, s->now_len);
        if (!is_temporary(s))
            must(m, s, s->now_len);
    }
    fs_stage_release(s->handle);
    s->handle = NULL;
}

static int do_rename(struct model *m, struct session *s)
{
    const struct fs_stage_move move = {
        .folder = {FOLDER_A}, .name = s->name, .to = place(s->final)};
    struct fs_stage_sealed sealed;
    struct emlfs_err err = {.code = 0};
    struct stat st;
    bool open = s->handle != NULL;
    int rc = find(m, s, s->name, &st);

    if (rc == -ENOENT)
        return 0; /* archived, and the time of its name is over */
    rc = fs_stage_rename(m->w->stage, s->uid, &move, &sealed, &err);
    if (rc < 0)
        return rc;
    assert_int_equal(rc, 0);
    memcpy(s->name, s->final, sizeof(s->name));
    s->renamed = true;
    if (open) { /* durable under its new name */
        s->acked_len = s->now_len;
        may(m, s, s->now_len);
    } else {
        must(m, s, s->now_len);
        assert_true(world_has(m->w, s->uid, FOLDER_A, s->content, s->now_len));
        m->archived_at_rename++;
    }
    return 0;
}

static int do_open(struct model *m, struct session *s, int flags)
{
    struct stat st;
    int rc = find(m, s, s->name, &st);

    return rc < 0 ? rc : fs_stage_open(m->w->stage, s->uid, st.st_ino, flags, &s->handle, NULL);
}

static int do_look(struct model *m, struct session *s)
{
    struct fs_stage_handle *handle;
    struct fs_stage_sealed sealed;
    char *data = malloc(s->len);
    struct stat st;
    int rc = find(m, s, s->name, &st);

    assert_non_null(data);
    if (rc == 0) {
        assert_int_equal(fs_stage_open(m->w->stage, s->uid, st.st_ino, O_RDONLY, &handle, NULL), 0);
        if (!fs_stage_handle_sealed(handle, &sealed)) {
            assert_int_equal(fs_stage_pread(handle, data, s->len, 0, NULL), s->now_len);
            assert_memory_equal(data, s->content, s->now_len);
        }
        fs_stage_release(handle);
    }
    free(data);
    return 0;
}

static int do_step(struct model *m, struct session *s, char step)
{
    switch (step) {
    case 'C':
    case 'c':
        return do_create(m, s);
    case 'W':
        return do_write(s, false, false);
    case 'V':
        return do_write(s, true, false);
    case 'B':
        return do_write(s, false, true);
    case 'Z':
        if (s->now_len == 0 && strchr(s->tool->steps, 'B'))
            return do_set(m, s, FS_STAGE_SET_SIZE, (off_t)s->len);
        return do_set(m, s, FS_STAGE_SET_SIZE, (off_t)s->now_len);
    case 'z':
        return do_set(m, s, FS_STAGE_SET_SIZE, 0);
    case 'T':
        return do_set(m, s, FS_STAGE_SET_MTIME, 0);
    case 'M':
        return do_set(m, s, FS_STAGE_SET_MODE, 0);
    case 'F':
    case 'S':
        return do_flush(m, s);
    case 'f':
        (void)do_flush(m, s);
        return 0;
    case 'N':
        return do_rename(m, s);
    case 'O':
        return do_open(m, s, O_WRONLY);
    default:
        return do_look(m, s);
    }
}

/* ---- sessions */

/* It fails, or is killed: what it has open is closed. */
static void session_abandon(struct model *m, struct session *s, bool by_error)
{
    struct fs_stage_sealed sealed;
    struct stat st;

    if (s->handle) {
        size_t len = s->now_len;
        bool complete = !strchr(s->tool->steps, 'B') || s->part == s->parts;
        int rc = fs_stage_flush(s->handle, NULL);

        if (rc == 0 && len && complete) {
            may(m, s, len);
            if (!is_temporary(s))
                must(m, s, len);
        }
        fs_stage_release(s->handle);
        s->handle = NULL;
    }
    if (by_error && s->foreign)
        m->refused++;
    if (by_error && s->tool->cleans_up && find(m, s, s->name, &st) == 0)
        (void)fs_stage_unlink(m->w->stage, s->uid, (struct emlfs_folder_id){FOLDER_A}, s->name,
                              &sealed, NULL);
    session_end(s);
}

static void session_step(struct model *m, struct session *s)
{
    char step = s->tool->steps[s->step];
    int rc;

    if (step == '\0') {
        session_end(s);
        return;
    }
    s->step++;
    if (step == 'R') {
        do_release(m, s, 0);
        return;
    }
    rc = do_step(m, s, step);
    if (rc < 0) {
        bool late = step == 'O' && rc == -ENOENT; /* what is empty stays a minute */

        if (!s->foreign && !late) {
            (void)fprintf(stderr, "%s, step %u of %s: %s\n", s->tool->name, s->step, s->tool->steps,
                          strerror(-rc));
            fail();
        }
        session_abandon(m, s, true);
    }
}

/* M4 */
static void look_as_others(struct model *m)
{
    struct emlfs_folder_id folder = {FOLDER_A};
    struct fs_stage_name name;
    struct stat st;

    for (unsigned i = 0; i < SESSIONS; i++) {
        struct session *s = &m->sessions[i];

        if (!s->tool || !s->created)
            continue;
        for (unsigned u = 0; u < 3; u++)
            if (uids[u] != s->uid)
                assert_int_equal(fs_stage_lookup(m->w->stage, uids[u], folder, s->name, &st),
                                 -ENOENT);
    }
    for (unsigned u = 0; u < 3; u++) {
        name.position = 0;
        while (fs_stage_next(m->w->stage, uids[u], folder, name.position, &name) == 0)
            assert_int_equal(name.st.st_uid, uids[u]);
    }
}

/* All handles are gone; what was durable under a name of its own must come. */
static void crash(struct model *m)
{
    world_crash(m->w);
    m->crashes++;
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct session *s = &m->sessions[i];

        if (!s->tool)
            continue;
        if (s->handle && s->acked_len && !is_temporary(s))
            must(m, s, s->acked_len);
        free(s->handle);
        session_end(s);
    }
}

static bool is_due(const struct due *v, size_t n, const struct kept *kept)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].uid == kept->uid && v[i].len == kept->len &&
            memcmp(v[i].data, kept->data, kept->len) == 0)
            return true;
    return false;
}

static void settle(struct model *m)
{
    for (unsigned i = 0; i < SESSIONS; i++)
        while (m->sessions[i].tool)
            session_step(m, &m->sessions[i]);
    world_drain(m->w);
    for (size_t i = 0; i < m->due_n; i++) /* M2 */
        if (!world_has(m->w, m->due[i].uid, FOLDER_A, m->due[i].data, m->due[i].len)) {
            (void)fprintf(stderr, "lost: %.60s\n", m->due[i].data);
            fail();
        }
    for (size_t i = 0; i < m->w->kept_n; i++) { /* M1, M3 */
        if (!is_due(m->allowed, m->allowed_n, &m->w->kept[i])) {
            (void)fprintf(stderr, "never complete: %.60s, %zu bytes\n", m->w->kept[i].data,
                          m->w->kept[i].len);
            fail();
        }
    }
    world_pass(m->w, FS_STAGE_TEMPORARY_NS);
    world_drain(m->w);
    world_pass(m->w, FS_STAGE_TEMPORARY_NS);
    assert_false(fs_stage_any(m->w->stage, (struct emlfs_folder_id){FOLDER_A}));
    assert_int_equal(world_spooled(m->w), 0);
    world_forget(m->w);
    forget(m->due, &m->due_n);
    forget(m->allowed, &m->allowed_n);
}

static void run(struct model *m, unsigned steps, unsigned crash_one_in)
{
    for (unsigned n = 1; n <= steps; n++) {
        struct session *s = &m->sessions[rnd(SESSIONS)];

        if (!s->tool)
            session_begin(m, s);
        else if (rnd(60) == 0)
            session_abandon(m, s, false);
        else
            session_step(m, s);
        if (rnd(8) == 0)
            (void)fs_stage_work(m->w->stage);
        if (rnd(10) == 0)
            world_pass(m->w, rnd(20) * FS_STAGE_NS_PER_SEC);
        if (rnd(4) == 0)
            look_as_others(m);
        if (crash_one_in && rnd(crash_one_in) == 0)
            crash(m);
        if (n % 1000 == 0)
            settle(m);
    }
    settle(m);
}

static void model_free(struct model *m)
{
    free(m->due);
    free(m->allowed);
}

static void test_side_by_side(void **state)
{
    struct model m = {.w = *state};

    run(&m, 60000, 0);
    assert_true(m.begun > 1000);
    assert_true(m.refused > 100);
    assert_true(m.archived_at_rename > 50);
    model_free(&m);
}

static void test_with_crashes(void **state)
{
    struct model m = {.w = *state};

    run(&m, 60000, 40);
    assert_true(m.begun > 1000);
    assert_true(m.crashes > 200);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_side_by_side, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_with_crashes, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

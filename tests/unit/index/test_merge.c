/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "scratch.h"
#include "segment_check.h"

#define PARTS 4u

static const struct emlfs_key test_key = {.v = {9, 8, 7}};

struct parts {
    struct memseg *mem[PARTS];
    struct segment *segments[PARTS];
    char paths[PARTS][64];
    unsigned n;
};

static void path_make(char path[64])
{
    static unsigned n;
    snprintf(path, 64, "%s/emlfs-merge-%d-%u", scratch_dir(), (int)getpid(), n++);
    (void)unlink(path);
}

static void parts_make(struct model *m, struct parts *parts, unsigned docs)
{
    *parts = (struct parts){.n = 1 + model_random(m, PARTS)};
    for (unsigned i = 0; i < parts->n; i++) {
        assert_int_equal(0, memseg_new(m->last_doc + 1, &parts->mem[i]));
        model_fill(m, parts->mem[i], model_random(m, 5) ? docs : 0);
        if (i + 1 == parts->n && model_random(m, 2)) {
            assert_int_equal(0, segment_of_memory(parts->mem[i], &parts->segments[i]));
            continue;
        }
        path_make(parts->paths[i]);
        assert_int_equal(0, memseg_write(parts->mem[i], parts->paths[i], &test_key, NULL));
        assert_int_equal(0, segment_open(parts->paths[i], &test_key, &parts->segments[i], NULL));
    }
}

static void parts_free(struct parts *parts)
{
    for (unsigned i = 0; i < parts->n; i++) {
        segment_close(parts->segments[i]);
        memseg_free(parts->mem[i]);
        (void)unlink(parts->paths[i]);
    }
}

static bool doc_lives(void *arg, uint32_t doc)
{
    const struct model_doc *row = model_doc(arg, doc);
    return !row || !row->dead;
}

/* Some die; what was said of them goes with them. */
static void docs_kill(struct model *m)
{
    size_t n = 0;
    const uint32_t every = 1 + model_random(m, 4);
    for (size_t i = 0; i < m->docs_n; i++)
        m->docs[i].dead = model_random(m, every) == 0 && every > 1;
    for (size_t i = 0; i < m->filings_n; i++)
        if (doc_lives(m, m->filings[i].doc))
            m->filings[n++] = m->filings[i];
    m->filings_n = n;
}

static void merged_answers_as_all(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct model m;
        struct parts parts;
        struct segment *merged;
        char path[64];
        model_init(&m, seed, 1);
        parts_make(&m, &parts, seed % 12 == 0 ? 300 : seed % 40);
        docs_kill(&m);
        path_make(path);
        const struct segment_merge setup = {.segments = parts.segments,
                                            .n = parts.n,
                                            .path = path,
                                            .index_key = &test_key,
                                            .alive = doc_lives,
                                            .arg = &m,
                                            .oldest = seed & 1};
        assert_int_equal(0, segment_merge(&setup, NULL));
        model_settle(&m);
        assert_int_equal(0, segment_open(path, &test_key, &merged, NULL));
        segment_check(&m, merged);
        filings_check(&m, merged, seed & 1);
        segment_close(merged);
        unlink(path);
        parts_free(&parts);
        model_free(&m);
    }
}

/* A merge that is cancelled, or that meets damage, leaves nothing behind. */
static void failure_leaves_nothing(void **state)
{
    (void)state;
    struct model m;
    struct parts parts;
    char path[64];
    const atomic_bool cancel = true;
    model_init(&m, 3, 1);
    parts_make(&m, &parts, 60);
    path_make(path);
    struct segment_merge setup = {.segments = parts.segments,
                                  .n = parts.n,
                                  .path = path,
                                  .index_key = &test_key,
                                  .cancel = &cancel};
    assert_int_equal(-ECANCELED, segment_merge(&setup, NULL));
    assert_int_equal(-1, access(path, F_OK));
    setup.path = "/nonexistent/segment";
    assert_int_equal(-ENOENT, segment_merge(&setup, NULL));
    setup.n = 0;
    assert_int_equal(-EINVAL, segment_merge(&setup, NULL));
    parts_free(&parts);
    model_free(&m);
}

/* Statements alone: no document at all. */
static void filings_only(void **state)
{
    (void)state;
    struct model m;
    struct memseg *mem;
    struct segment *segment;
    char path[64];
    path_make(path);
    model_init(&m, 5, 500);
    assert_int_equal(0, memseg_new(500, &mem));
    for (unsigned i = 0; i < 3000; i++)
        model_file(&m, mem);
    assert_int_equal(0, memseg_write(mem, path, &test_key, NULL));
    assert_int_equal(0, segment_open(path, &test_key, &segment, NULL));
    segment_check(&m, segment);
    filings_check(&m, segment, false);
    assert_true(segment_overrules(segment, 500));
    assert_false(segment_overrules(segment, 1));
    segment_close(segment);
    memseg_free(mem);
    unlink(path);
    model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_answers_as_all),
        cmocka_unit_test(failure_leaves_nothing),
        cmocka_unit_test(filings_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

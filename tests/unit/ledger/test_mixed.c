/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files of one ledger from different times beside each other, as a backup restored in part, or
 * somebody who wants to undo a record, leaves them: mark, records and checkpoints each from any of
 * several states of two histories that part, closed in order or not. Opening refuses them, or no
 * record that the files hold or the mark names is lost, the ledger goes on, and verify finds what
 * is not of one history.
 */
#include "ledger_test.h"

#define STATES 10u

#define UNSIGNED 260u /* records, where no checkpoint was made */

enum { MARK, RECORDS, CHECKPOINTS, TILES, PARTS };

static const char *const parts[PARTS][3] = {
    {"mark"}, {"records/00000001.log"}, {"checkpoints"}, {"tiles/0", "tiles/1"}};

struct state {
    struct emlfs_buf files[PARTS][2];
    uint64_t size;
    unsigned history; /* 0: of both */
    bool closed;
};

struct mix {
    struct state states[STATES];
    unsigned n;
};

/* Thousands of ledgers are opened and closed here, and none of them has to outlive the machine. */
int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

int fsync(int fd)
{
    (void)fd;
    return 0;
}

static void part_take(const struct scene *scene, unsigned part, struct state *ret)
{
    char path[LEDGER_PATH_MAX_BYTES];
    for (unsigned i = 0; parts[part][i]; i++) {
        ret->files[part][i] = EMLFS_BUF_INIT(1 << 20);
        assert_int_equal(ledger_path(scene->dir, parts[part][i], path), 0);
        assert_int_equal(emlfs_os_read_file(path, &ret->files[part][i]), 0);
    }
}

static void part_put(const struct scene *scene, unsigned part, const struct state *state)
{
    char path[LEDGER_PATH_MAX_BYTES];
    for (unsigned i = 0; parts[part][i]; i++) {
        const struct emlfs_buf *file = &state->files[part][i];
        assert_int_equal(ledger_path(scene->dir, parts[part][i], path), 0);
        EMLFS_FD_CLEANUP int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(emlfs_os_write_all(fd, file->data, file->len), 0);
    }
}

static void state_take(const struct scene *scene, struct mix *mix, struct state state)
{
    struct state *to = &mix->states[mix->n++];
    *to = state;
    for (unsigned part = 0; part < PARTS; part++)
        part_take(scene, part, to);
}

static void mix_free(struct mix *mix)
{
    for (unsigned s = 0; s < mix->n; s++)
        for (unsigned part = 0; part < PARTS; part++)
            for (unsigned i = 0; i < 2; i++)
                emlfs_buf_free(&mix->states[s].files[part][i]);
}

/* The ledger as a process has it open, and closed. */
static void states_make(struct scene *scene, struct mix *mix, struct state state, bool signed_too)
{
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    uint64_t before = emlfs_ledger_size(scene->ledger);
    assert_int_equal(records_append(scene->ledger, before, (size_t)(state.size - before)), 0);
    if (signed_too)
        assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &text, NULL), 0);
    state_take(scene, mix, state);
    scene_close(scene);
    state.closed = true;
    state_take(scene, mix, state);
    scene_reopen(scene);
}

static void states_fill(struct scene *scene, struct mix *mix)
{
    states_make(scene, mix, (struct state){.size = 250}, true);
    unsigned fork = mix->n - 1;
    states_make(scene, mix, (struct state){.size = UNSIGNED, .history = 1}, false);
    states_make(scene, mix, (struct state){.size = 270, .history = 1}, true);
    scene_close(scene);
    for (unsigned part = 0; part < PARTS; part++)
        part_put(scene, part, &mix->states[fork]);
    scene_reopen(scene);
    /* The same lengths as the other history's. */
    states_make(scene, mix, (struct state){.size = UNSIGNED, .history = 2}, false);
    states_make(scene, mix, (struct state){.size = 270, .history = 2}, true);
    scene_close(scene);
}

/* Tiles are made again where the mark does not vouch for them. */
static bool one_history(const struct state *const from[PARTS])
{
    unsigned seen = from[MARK]->history | from[RECORDS]->history;
    if (from[CHECKPOINTS]->size != UNSIGNED)
        seen |= from[CHECKPOINTS]->history;
    if (from[MARK]->closed)
        seen |= from[TILES]->history;
    return seen != 3;
}

struct counts {
    unsigned opened, refused, found;
};

static void mixed_try(struct scene *scene, const struct state *const from[PARTS],
                      struct counts *counts)
{
    struct emlfs_ledger_opened opened;
    int closed = emlfs_ledger_closed(&scene->config);
    int r = emlfs_ledger_open(&scene->config, &scene->ledger, &opened, NULL);
    if (r < 0) {
        scene->ledger = NULL;
        assert_int_equal(r, -EBADMSG);
        counts->refused++;
        return;
    }
    counts->opened++;
    /* What looks closed is opened as such. */
    assert_true(closed < 0 || opened.in_order);
    assert_true(opened.records >= from[MARK]->size);
    assert_int_equal(opened.records, from[RECORDS]->size);
    assert_int_equal(records_append(scene->ledger, opened.records, 3), 0);
    scene_close(scene);
    uint64_t found = findings_count(scene, false);
    counts->found += found > 0;
    assert_true(found > 0 || one_history(from));
    assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, &opened, NULL), 0);
    assert_true(opened.in_order);
    assert_records(scene->ledger, from[RECORDS]->size + 3);
    scene_close(scene);
}

static void test_mixed(void **state)
{
    struct scene *scene = *state;
    struct mix *mix = calloc(1, sizeof(*mix));
    struct counts counts = {0};
    assert_non_null(mix);
    states_fill(scene, mix);
    assert_int_equal(mix->n, STATES);
    for (unsigned i = 0; i < 2 * STATES * STATES * STATES; i++) {
        const struct state *from[PARTS] = {
            [MARK] = &mix->states[i % STATES],
            [RECORDS] = &mix->states[i / STATES % STATES],
            [CHECKPOINTS] = &mix->states[i / STATES / STATES % STATES],
        };
        from[TILES] = from[i < STATES * STATES * STATES ? MARK : RECORDS];
        for (unsigned part = 0; part < PARTS; part++)
            part_put(scene, part, from[part]);
        mixed_try(scene, from, &counts);
    }
    print_message("%u opened, %u refused, %u found\n", counts.opened, counts.refused, counts.found);
    assert_true(counts.opened > STATES && counts.refused > STATES && counts.found > 0);
    mix_free(mix);
    free(mix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {IN_SCENE(test_mixed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

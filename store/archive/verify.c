/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Verification: every record of every pack is authenticated, every message rebuilt and hashed, and
 * the catalogues are compared row by row with a second set made from the packs alone. A difference
 * is a finding; the walk goes on.
 *
 * Left out of the comparison, because packs do not hold it: the import run in M rows and the r row
 * that counts runs, C rows (a running import's notes) and the W row's place (checked against the
 * packs' ends instead).
 */
#include <stdio.h>
#include <stdlib.h>

#include "emlfs/base/os.h"
#include "rebuild.h"
#include "verify_ledger.h"

#define MODULE "verify"
#define FINDINGS_MAX 1000u

/* What the files of a closed ledger say, kept until it is known whether a crash explains it. */
#define EARLY_MAX 32u
struct early {
    struct emlfs_err v[EARLY_MAX];
    unsigned n;
    struct emlfs_check_totals totals;
};

struct verify {
    struct emlfs_archive *archive;
    bool ledger_checked; /* its files were, before it was opened */
    struct replay_options replay;
    struct emlfs_err *err;
    uint64_t rows;
};

static void report(struct verify *verify, const struct emlfs_err *found)
{
    if (verify->replay.totals->errors++ < FINDINGS_MAX && verify->replay.finding)
        verify->replay.finding(verify->replay.arg, found);
}

static void report_found(void *arg, const struct emlfs_err *found)
{
    report(arg, found);
}

static bool row_left_out(struct emlfs_span key, bool master)
{
    uint8_t kind = key.len ? key.data[0] : 0;

    return master ? kind == MASTER_RUNS : kind == ROW_CANDIDATE || kind == ROW_MARK;
}

static unsigned row_flags(struct emlfs_span key, bool master)
{
    uint8_t kind = key.len ? key.data[0] : 0;

    if (master)
        return kind == MASTER_CHILD || kind == MASTER_NAME || kind == MASTER_FOLDER_TIME
                   ? 0
                   : EMLFS_CATALOG_SEALED;
    return kind == ROW_ENTRIES ? EMLFS_CATALOG_SEALED : 0;
}

/* M rows are compared without their run, in any order of filing. */
static int filed_compare(const void *a, const void *b)
{
    const struct filed *x = a, *y = b;

    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    return x->folder < y->folder ? -1 : x->folder > y->folder;
}

static int filed_normalise(struct emlfs_buf *value)
{
    struct filed_list list;
    int rc = filed_decode(emlfs_buf_view(value), &list);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < list.n; i++)
        list.v[i].run = 0;
    qsort(list.v, list.n, sizeof(*list.v), filed_compare);
    emlfs_buf_clear(value);
    rc = filed_encode(&list, value);
    filed_list_free(&list);
    return rc;
}

struct side {
    struct emlfs_catalog_iter *iter;
    struct emlfs_buf value;
    bool master;
};

static int side_value(struct side *side, struct emlfs_err *err)
{
    struct emlfs_span key = emlfs_catalog_iter_key(side->iter);
    int rc;

    emlfs_buf_clear(&side->value);
    rc = emlfs_catalog_iter_value(side->iter, row_flags(key, side->master), &side->value, err);
    if (rc == 0 && !side->master && key.data[0] == ROW_FILED)
        rc = filed_normalise(&side->value);
    return rc;
}

static void side_skip(struct side *side)
{
    while (emlfs_catalog_iter_valid(side->iter) &&
           row_left_out(emlfs_catalog_iter_key(side->iter), side->master))
        emlfs_catalog_iter_next(side->iter);
}

static int key_compare(struct emlfs_span a, struct emlfs_span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.data, b.data, n) : 0;

    return order ? order : (a.len < b.len ? -1 : a.len > b.len);
}

static void report_row(struct verify *verify, uint16_t no, struct emlfs_span key, const char *what)
{
    struct emlfs_err found;
    char hex[65] = "";
    char where[32] = "master";

    for (size_t i = 1; i < key.len && i < 32; i++)
        snprintf(hex + 2 * (i - 1), 3, "%02x", key.data[i]);
    if (no)
        snprintf(where, sizeof(where), "store %u", no);
    emlfs_err_set(&found, EBADMSG, MODULE, "catalogue of %s: row %c %s %s", where,
                  key.len ? key.data[0] : '?', hex, what);
    report(verify, &found);
}

static int compare_step(struct verify *verify, uint16_t no, struct side *live, struct side *made)
{
    bool has_live = emlfs_catalog_iter_valid(live->iter);
    bool has_made = emlfs_catalog_iter_valid(made->iter);
    struct emlfs_span a = has_live ? emlfs_catalog_iter_key(live->iter) : (struct emlfs_span){0};
    struct emlfs_span b = has_made ? emlfs_catalog_iter_key(made->iter) : (struct emlfs_span){0};
    int order = !has_live ? 1 : !has_made ? -1 : key_compare(a, b);
    int rc = 0;

    if (order < 0) {
        report_row(verify, no, a, "is not in the packs");
    } else if (order > 0) {
        report_row(verify, no, b, "is missing");
    } else {
        struct emlfs_err ignored;
        int one = side_value(live, &ignored);
        rc = side_value(made, verify->err);
        if (one < 0)
            report_row(verify, no, a, "is damaged");
        else if (rc == 0 &&
                 !emlfs_span_equal(emlfs_buf_view(&live->value), emlfs_buf_view(&made->value)))
            report_row(verify, no, a, "differs from the packs");
        verify->rows++;
    }
    if (order <= 0)
        emlfs_catalog_iter_next(live->iter);
    if (order >= 0)
        emlfs_catalog_iter_next(made->iter);
    return rc;
}

static int compare(struct verify *verify, uint16_t no, struct emlfs_catalog *live_catalog,
                   struct emlfs_catalog *made_catalog)
{
    struct side live = {.value = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES), .master = no == 0};
    struct side made = live;
    struct emlfs_err found;
    int rc = emlfs_catalog_iter_new(live_catalog, &live.iter, verify->err);

    if (rc == 0)
        rc = emlfs_catalog_iter_new(made_catalog, &made.iter, verify->err);
    if (rc == 0) {
        emlfs_catalog_iter_seek(live.iter, (struct emlfs_span){0});
        emlfs_catalog_iter_seek(made.iter, (struct emlfs_span){0});
    }
    while (rc == 0) {
        side_skip(&live);
        side_skip(&made);
        if (!emlfs_catalog_iter_valid(live.iter) && !emlfs_catalog_iter_valid(made.iter))
            break;
        rc = emlfs_progress_cancelled(verify->replay.progress)
                 ? -ECANCELED
                 : compare_step(verify, no, &live, &made);
        emlfs_progress_step(verify->replay.progress, "catalogue", verify->rows, 0);
    }
    if (rc == 0 && emlfs_catalog_iter_error(live.iter, &found) < 0)
        report(verify, &found);
    emlfs_catalog_iter_free(live.iter);
    emlfs_catalog_iter_free(made.iter);
    emlfs_buf_free(&live.value);
    emlfs_buf_free(&made.value);
    return rc;
}

static void compare_marks(struct verify *verify, uint16_t no, const struct mark_row *live,
                          const struct mark_row *made)
{
    struct emlfs_err found;

    if (live->messages != made->messages || live->bytes != made->bytes ||
        live->blobs != made->blobs || live->next_number != made->next_number) {
        emlfs_err_set(&found, EBADMSG, MODULE,
                      "store %u: the catalogue counts %llu messages, %llu blobs, %llu bytes; the "
                      "packs hold %llu, %llu, %llu",
                      no, (unsigned long long)live->messages, (unsigned long long)live->blobs,
                      (unsigned long long)live->bytes, (unsigned long long)made->messages,
                      (unsigned long long)made->blobs, (unsigned long long)made->bytes);
        report(verify, &found);
    }
    if (made->end.pack_no < live->end.pack_no ||
        (made->end.pack_no == live->end.pack_no && made->end.offset < live->end.offset)) {
        emlfs_err_set(&found, EBADMSG, MODULE,
                      "store %u: packs end at pack %u, %llu; the catalogue had read up to pack %u, "
                      "%llu",
                      no, made->end.pack_no, (unsigned long long)made->end.offset,
                      live->end.pack_no, (unsigned long long)live->end.offset);
        report(verify, &found);
    }
}

static int compare_stores(struct verify *verify, struct rebuilt *rebuilt,
                          const struct mark_row *marks)
{
    int rc = compare(verify, 0, verify->archive->master, rebuilt->state.master);

    for (unsigned i = 0; i < rebuilt->stores_n && rc == 0; i++) {
        struct store *live = archive_store(verify->archive, (uint16_t)(i + 1));
        struct mark_row made;
        if (!live || !rebuilt->stores[i])
            continue;
        rc = compare(verify, live->rows.no, live->rows.catalog, rebuilt->rows[i]->catalog);
        if (rc == 0)
            rc = store_mark(rebuilt->stores[i], &made, verify->err);
        if (rc == 0)
            compare_marks(verify, live->rows.no, &marks[i], &made);
    }
    return rc;
}

static int marks_take(struct emlfs_archive *archive, struct mark_row *marks, struct emlfs_err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < atomic_load(&archive->stores_n) && rc == 0; i++) {
        if (!archive->stores[i])
            continue;
        rc = store_reached(archive->stores[i], archive->read_only, &marks[i], err);
    }
    return rc;
}

/*
 * Under write_lock: nothing is written while the catalogue is compared, so a difference is one.
 * Reads go on.
 */
static int verify_locked(struct verify *verify)
{
    struct emlfs_archive *archive = verify->archive;
    struct mark_row *marks = calloc(EMLFS_STORES_MAX, sizeof(*marks));
    const struct rebuilt_options options = {.path = archive->path,
                                            .suffix = "check",
                                            .keys = &archive->keys,
                                            .replay = &verify->replay,
                                            .until = marks};
    const struct ledger_checking checking = {.archive = archive,
                                             .book = {.path = archive->path,
                                                      .keys = &archive->keys,
                                                      .identity = &archive->identity,
                                                      .clock = archive->clock,
                                                      .read_only = true},
                                             .progress = verify->replay.progress,
                                             .totals = verify->replay.totals,
                                             .report = report_found,
                                             .arg = verify};
    struct rebuilt *rebuilt = NULL;
    struct ledger_check *ledger = NULL;
    int rc = marks ? marks_take(archive, marks, verify->err) : -ENOMEM;

    if (rc == 0 && !verify->ledger_checked)
        rc = ledger_check_files(&checking, verify->err);
    if (rc == 0)
        rc = ledger_check_new(&checking, &ledger, verify->err);
    if (ledger) {
        verify->replay.message = ledger_check_message;
        verify->replay.message_arg = ledger;
    }
    if (rc == 0)
        rc = rebuilt_make(&options, &rebuilt, verify->err);
    if (rc == 0)
        rc = ledger_check_end(ledger, verify->err);
    if (rc == 0)
        rc = compare_stores(verify, rebuilt, marks);
    if (rebuilt)
        rebuilt_discard(rebuilt);
    ledger_check_free(ledger);
    free(marks);
    return rc;
}

static int count_folder(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct folder_row row;

    (void)key;
    if (folder_row_decode(value, &row) == 0 && !(row.flags & FOLDER_REMOVED))
        ((struct emlfs_check_totals *)arg)->folders++;
    return 0;
}

static void report_text(void *arg, const char *text)
{
    struct emlfs_err found;

    emlfs_err_set(&found, EBADMSG, MODULE, "%s", text);
    report(arg, &found);
}

static int verify_run(struct verify *verify)
{
    struct emlfs_err found;
    int rc = spool_aside_each(verify->archive->path, report_text, verify);

    if (rc < 0) {
        emlfs_err_sys(&found, -rc, MODULE, "spool");
        report(verify, &found);
    }

    pthread_mutex_lock(&verify->archive->write_lock);
    rc = verify_locked(verify);
    pthread_mutex_unlock(&verify->archive->write_lock);
    return rc < 0 ? rc
                  : emlfs_archive_master_walk(verify->archive, EMLFS_MASTER_FOLDER, count_folder,
                                              verify->replay.totals, verify->err);
}

int emlfs_archive_verify(struct emlfs_archive *archive, const struct emlfs_progress *progress,
                         emlfs_finding_fn *finding, void *arg, struct emlfs_check_totals *ret,
                         struct emlfs_err *err)
{
    struct verify verify = {
        .archive = archive,
        .err = err,
        .replay = {
            .progress = progress, .finding = finding, .arg = arg, .totals = ret, .deep = true}};

    memset(ret, 0, sizeof(*ret));
    return verify_run(&verify);
}

static void check_files(const char *path, const struct archive_keys *keys, struct verify *verify)
{
    char dir[EMLFS_PATH_MAX_BYTES];
    struct store_dir *dirs = NULL;
    struct emlfs_err found;
    unsigned n = 0;

    if (path_join(dir, sizeof(dir), path, "master") == 0 &&
        sums_check(dir, &keys->check, &found) < 0)
        report(verify, &found);
    if (layout_stores(path, &dirs, &n, &found) < 0)
        report(verify, &found);
    for (unsigned i = 0; i < n; i++) {
        if (path_join(dir, sizeof(dir), dirs[i].path, "catalog") == 0 &&
            sums_check(dir, &keys->check, &found) < 0)
            report(verify, &found);
    }
    free(dirs);
}

static void early_keep(void *arg, const struct emlfs_err *found)
{
    struct early *early = arg;

    if (early->n < EARLY_MAX)
        early->v[early->n++] = *found;
}

/* Opening sets files right that a crash left; of a ledger closed in order it hides damage. */
static int early_check(const struct emlfs_archive_options *options, const struct archive_keys *keys,
                       const struct emlfs_progress *progress, struct early *early,
                       struct emlfs_err *err)
{
    struct archive_identity identity;
    const struct ledger_checking checking = {
        .book = {.path = options->path, .keys = keys, .identity = &identity, .read_only = true},
        .progress = progress,
        .totals = &early->totals,
        .report = early_keep,
        .arg = early};
    int rc = identity_read(options->path, keys, &identity, err);

    return rc < 0 ? rc : ledger_check_files(&checking, err);
}

/* Reports what was found early if no crash explains it. */
static void early_judge(struct verify *verify, const struct archive_how *how,
                        const struct early *early)
{
    verify->ledger_checked = how->ledger_failed || how->ledger_in_order;
    for (unsigned i = 0; i < early->n && verify->ledger_checked; i++)
        report(verify, &early->v[i]);
    if (how->ledger_failed && early->n == 0)
        report(verify, &how->err_ledger);
    if (!verify->ledger_checked)
        return;
    verify->replay.totals->ledger_records = early->totals.ledger_records;
    verify->replay.totals->ledger_checkpoints = early->totals.ledger_checkpoints;
    verify->replay.totals->ledger_timestamps = early->totals.ledger_timestamps;
}

/* Files first, then all that opening them shows. */
static int files_verify(struct verify *verify, const struct emlfs_archive_options *options,
                        const struct archive_keys *keys, struct early *early)
{
    struct emlfs_check_totals *totals = verify->replay.totals;
    struct archive_how how = {.without_ledger = true};
    int closed, rc;

    check_files(options->path, keys, verify);
    rc = early_check(options, keys, verify->replay.progress, early, verify->err);
    if (rc == 0)
        rc = archive_open(options, &how, &verify->archive, verify->err);
    if (rc < 0)
        return rc;
    early_judge(verify, &how, early);
    totals->repaired += verify->archive->opening.repaired;
    totals->errors += verify->archive->opening.errors;
    totals->ledger_completed = verify->archive->opening.ledger_completed;
    rc = verify_run(verify);
    closed = emlfs_archive_close(verify->archive, rc == 0 ? verify->err : NULL);
    return rc < 0 ? rc : closed;
}

int emlfs_archive_verify_files(const struct emlfs_archive_options *options,
                               const struct emlfs_progress *progress, emlfs_finding_fn *finding,
                               void *arg, struct emlfs_check_totals *ret, struct emlfs_err *err)
{
    struct verify verify = {
        .err = err,
        .replay = {
            .progress = progress, .finding = finding, .arg = arg, .totals = ret, .deep = true}};
    struct early *early = calloc(1, sizeof(*early));
    struct archive_keys keys = {0};
    int rc = early ? keys_open(options->path, options->recovery_key, &keys, err)
                   : emlfs_err_set(err, ENOMEM, MODULE, "out of memory");

    memset(ret, 0, sizeof(*ret));
    if (rc == 0)
        rc = files_verify(&verify, options, &keys, early);
    emlfs_wipe(&keys, sizeof(keys));
    free(early);
    return rc;
}

struct recovery {
    const struct emlfs_archive_options *options;
    struct rebuild_options make;
    struct emlfs_check_totals *totals;
    struct emlfs_err *err;
};

/* The ledger for recover; its tiles are made again when they are what is wrong with it. */
static int recovery_ledger(struct recovery *recovery)
{
    struct archive_identity identity;
    struct emlfs_clock system = emlfs_clock_system();
    struct book book = {.path = recovery->make.path,
                        .keys = recovery->make.keys,
                        .identity = &identity,
                        .clock =
                            recovery->options->clock.now_ns ? recovery->options->clock : system};
    struct emlfs_err found;
    struct book_config config;
    int rc = identity_read(book.path, book.keys, &identity, &found);

    if (rc == 0)
        rc = book_open(&book, &recovery->make.ledger, NULL, &found);
    if (rc == -EBADMSG && book_config(&book, &config) == 0) {
        if (emlfs_ledger_rebuild_tiles(&config.config, recovery->make.progress, NULL) == 0 &&
            (rc = book_open(&book, &recovery->make.ledger, NULL, &found)) == 0)
            recovery->totals->repaired++;
        emlfs_wipe(&config.config.master, sizeof(config.config.master));
    }
    if (rc == 0)
        return 0;
    recovery->totals->errors++;
    if (recovery->make.finding)
        recovery->make.finding(recovery->make.arg, &found);
    return rc == -ENOMEM ? rc : 0;
}

static int recovery_run(struct recovery *recovery)
{
    uint64_t opened;
    int closed, rc = recovery_ledger(recovery);

    if (rc < 0)
        return emlfs_err_sys(recovery->err, -rc, MODULE, "ledger");
    opened = recovery->make.ledger ? emlfs_ledger_size(recovery->make.ledger) : 0;
    rc = rebuild_catalogs(&recovery->make, recovery->totals, recovery->err);
    closed = book_close(recovery->make.ledger, opened, rc == 0 ? recovery->err : NULL);
    return rc < 0 ? rc : closed;
}

int emlfs_archive_recover(const struct emlfs_archive_options *options,
                          const struct emlfs_progress *progress, emlfs_finding_fn *finding,
                          void *arg, struct emlfs_check_totals *ret, struct emlfs_err *err)
{
    struct archive_keys keys = {0};
    struct recovery recovery = {.options = options,
                                .make = {.path = options->path,
                                         .keys = &keys,
                                         .progress = progress,
                                         .finding = finding,
                                         .arg = arg},
                                .totals = ret,
                                .err = err};
    int lock = -1, rc = keys_open(options->path, options->recovery_key, &keys, err);

    memset(ret, 0, sizeof(*ret));
    if (rc == 0)
        rc = archive_lock(options->path, options->lock_wait_ms, &lock, err);
    if (rc == 0)
        rc = recovery_run(&recovery);
    archive_unlock(&lock);
    emlfs_wipe(&keys, sizeof(keys));
    return rc;
}

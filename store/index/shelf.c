/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The index of one store: its segment files, the segment in memory and the manifest.
 *
 * I-SHELF-1  the list of parts is, oldest first, what the manifest on disk names, then the part in
 *            memory; it changes in one step, under lock, after the manifest did
 * I-SHELF-2  a part is freed when no search holds it any more; its file may be gone by then
 * I-SHELF-3  a manifest never counts what is in memory only
 * I-SHELF-4  whatever is wrong ends in an empty shelf, to be filled again from the change feed;
 * what only could not be opened just now (no descriptor, no right) is left as it is I-SHELF-5
 * parts, saved and drops are written with change and lock held and read with either; next_no is
 * written with lock held; mem and live are written with lock held by whoever holds
 * emlfs_index.work, who reads them without. Nobody else knows a shelf while it is opened or closed,
 * and nobody holds work then I-SHELF-6  a segment file is removed only when no manifest on disk can
 * name it
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "search.h"

#define MODULE "index"
#define REMAKES_MAX 3u
#define REMAKES_FORGOTTEN_NS (INT64_C(86400) * 1000000000)

bool errno_is_damage(int rc)
{
    return rc == -EBADMSG || rc == -EUCLEAN || rc == -EPROTONOSUPPORT || rc == -EIO;
}

/* Says nothing of the files: they may be all right the next time. */
static bool errno_is_passing(int rc)
{
    return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -EAGAIN || rc == -EINTR ||
           rc == -EACCES || rc == -EPERM;
}

/* ---- parts and snapshots */

static struct part *part_new(struct emlfs_index *index)
{
    struct part *part = calloc(1, sizeof(*part));

    if (!part)
        return NULL;
    atomic_init(&part->refs, 1);
    part->serial = atomic_fetch_add(&index->serial, 1);
    part->cache = index->cache;
    return part;
}

static struct part *part_ref(struct part *part)
{
    atomic_fetch_add(&part->refs, 1);
    return part;
}

void part_unref(struct part *part)
{
    if (!part || atomic_fetch_sub(&part->refs, 1) != 1)
        return;
    segment_close(part->segment);
    memseg_free(part->mem);
    cache_forget(part->cache, part->serial);
    free(part);
}

static int part_open(struct shelf *shelf, uint32_t no, struct part **ret, struct emlfs_err *err)
{
    char path[SHELF_PATH_BYTES];
    struct part *part = part_new(shelf->index);
    int rc = part ? manifest_segment_path(shelf->dir, no, path, sizeof(path)) : -ENOMEM;

    if (rc < 0)
        emlfs_err_sys(err, -rc, MODULE, "segment %u of %s", no, shelf->dir);
    if (rc == 0)
        rc = segment_open(path, &shelf->key, &part->segment, err);
    if (rc < 0) {
        part_unref(part);
        return rc;
    }
    part->no = no;
    *ret = part;
    return 0;
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    for (unsigned i = 0; i < snapshot->n; i++)
        part_unref(snapshot->v[i]);
    free(snapshot);
}

int shelf_snapshot(struct shelf *shelf, struct snapshot **ret)
{
    struct snapshot *snapshot;

    pthread_mutex_lock(&shelf->lock);
    snapshot = calloc(1, sizeof(*snapshot) + (shelf->parts_n + 1) * sizeof(struct part *));
    if (snapshot)
        snapshot->drops = shelf->drops;
    for (unsigned i = 0; snapshot && i < shelf->parts_n; i++)
        snapshot->v[snapshot->n++] = part_ref(shelf->parts[i]);
    if (snapshot && shelf->mem)
        snapshot->v[snapshot->n++] = part_ref(shelf->mem);
    pthread_mutex_unlock(&shelf->lock);
    *ret = snapshot;
    return snapshot ? 0 : -ENOMEM;
}

/* ---- opening and dropping */

static void counts_copy(struct manifest *to, const struct manifest *from)
{
    to->seq = from->seq;
    to->last_doc = from->last_doc;
    to->docs = from->docs;
    to->text_bytes = from->text_bytes;
    to->problems = from->problems;
}

/* The feed must have given what the manifest says was consumed. */
static int manifest_fits(struct shelf *shelf, const struct emlfs_store_place *place,
                         struct emlfs_err *err)
{
    uint64_t last;
    int rc = emlfs_archive_last_change(shelf->index->options.archive, shelf->no, &last, err);

    if (rc < 0)
        return rc;
    if (shelf->saved.seq <= last && shelf->saved.last_doc <= place->messages)
        return 0;
    return emlfs_err_set(err, EUCLEAN, MODULE, "the index is newer than the store");
}

static int parts_open(struct shelf *shelf, struct emlfs_err *err)
{
    uint32_t above = 0;
    int rc = 0;

    shelf->parts = calloc(shelf->saved.segments_n + 1, sizeof(*shelf->parts));
    if (!shelf->parts)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    for (unsigned i = 0; i < shelf->saved.segments_n && rc == 0; i++) {
        struct segment_info info;
        rc = part_open(shelf, shelf->saved.segments[i], &shelf->parts[i], err);
        if (rc == -ENOENT)
            rc = -EUCLEAN;
        if (rc < 0)
            break;
        shelf->parts_n++;
        segment_get_info(shelf->parts[i]->segment, &info);
        if (info.docs > 0 && info.first_doc <= above)
            rc = emlfs_err_set(err, EUCLEAN, MODULE, "segments overlap");
        above = info.docs > 0 ? info.last_doc : above;
    }
    if (rc == 0 && above > shelf->saved.last_doc)
        rc = emlfs_err_set(err, EUCLEAN, MODULE, "a segment reaches beyond the manifest");
    return rc;
}

/* Under lock, or before anybody knows the shelf. */
static void shelf_empty(struct shelf *shelf)
{
    for (unsigned i = 0; i < shelf->parts_n; i++)
        part_unref(shelf->parts[i]);
    free(shelf->parts);
    shelf->parts = NULL;
    shelf->parts_n = 0;
    part_unref(shelf->mem);
    shelf->mem = NULL;
    manifest_free(&shelf->saved);
    shelf->saved = (struct manifest){.next_no = 1};
    counts_copy(&shelf->live, &shelf->saved);
}

int shelf_drop(struct shelf *shelf, struct emlfs_err *err)
{
    int rc;

    pthread_mutex_lock(&shelf->change);
    /* First, so that the files left by a crash in between name nothing. */
    rc = manifest_sweep(shelf->dir, NULL, err);
    pthread_mutex_lock(&shelf->lock);
    shelf_empty(shelf);
    shelf->drops++;
    atomic_store(&shelf->damaged, rc < 0);
    pthread_mutex_unlock(&shelf->lock);
    pthread_mutex_unlock(&shelf->change);
    return rc;
}

void shelf_damage(struct shelf *shelf, uint64_t drops, const struct emlfs_err *err)
{
    bool known;

    pthread_mutex_lock(&shelf->lock);
    known = drops != shelf->drops || atomic_exchange(&shelf->damaged, true);
    pthread_mutex_unlock(&shelf->lock);
    if (known)
        return;
    index_notice(shelf->index, "store %s: the index is damaged and is made again: %s", shelf->name,
                 err && err->code ? err->text : "a block does not open");
    index_wake(shelf->index);
}

int shelf_remake(struct shelf *shelf, struct emlfs_err *err)
{
    int64_t now = emlfs_os_monotonic_ns();
    int rc;

    if (shelf->remakes > 0 && now - shelf->remade_ns > REMAKES_FORGOTTEN_NS)
        shelf->remakes = 0;
    if (shelf->remakes >= REMAKES_MAX)
        return emlfs_err_set(err, EIO, MODULE,
                             "the index of store %s was made again %u times and is damaged again",
                             shelf->name, shelf->remakes);
    rc = shelf_drop(shelf, err);
    if (rc == 0) {
        shelf->remakes++;
        shelf->remade_ns = now;
    }
    return rc;
}

bool shelf_unsaved(struct shelf *shelf, uint64_t *ret_docs)
{
    bool unsaved;

    pthread_mutex_lock(&shelf->lock);
    unsaved = shelf->mem || shelf->live.seq != shelf->saved.seq;
    if (ret_docs)
        *ret_docs = shelf->live.docs - shelf->saved.docs;
    pthread_mutex_unlock(&shelf->lock);
    return unsaved;
}

static int shelf_load(struct shelf *shelf, const struct emlfs_store_place *place,
                      struct emlfs_err *err)
{
    int rc = manifest_read(shelf->dir, &shelf->key, &shelf->saved, err);

    if (rc == 0)
        rc = manifest_fits(shelf, place, err);
    if (rc == 0)
        rc = parts_open(shelf, err);
    if (rc == 0) {
        counts_copy(&shelf->live, &shelf->saved);
        shelf->next_no = shelf->saved.next_no;
    }
    return rc;
}

static bool shelf_maintained(const struct shelf *shelf)
{
    return shelf->index->writable && shelf->index->options.extractor;
}

static void shelf_recover(struct shelf *shelf, const struct emlfs_err *err)
{
    index_notice(shelf->index, "store %s: the index cannot be used and %s: %s", shelf->name,
                 shelf_maintained(shelf) ? "is made again" : "is left out", err->text);
    if (shelf_maintained(shelf)) {
        (void)shelf_drop(shelf, NULL);
        return;
    }
    pthread_mutex_lock(&shelf->lock);
    shelf_empty(shelf);
    pthread_mutex_unlock(&shelf->lock);
}

int shelf_open(struct emlfs_index *index, const struct emlfs_store_place *place, struct shelf **ret,
               struct emlfs_err *err)
{
    struct shelf *shelf = calloc(1, sizeof(*shelf));
    struct emlfs_err why = {0};
    int rc;

    if (!shelf)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    pthread_mutex_init(&shelf->change, NULL);
    pthread_mutex_init(&shelf->lock, NULL);
    shelf->index = index;
    shelf->no = place->no;
    shelf->key = place->index_key;
    shelf->next_no = 1;
    snprintf(shelf->name, sizeof(shelf->name), "%s", place->name);
    snprintf(shelf->dir, sizeof(shelf->dir), "%s/index", place->path);
    shelf->saved.next_no = 1;
    rc = shelf_load(shelf, place, &why);
    if (rc == -ENOMEM || (errno_is_passing(rc) && shelf_maintained(shelf))) {
        shelf_close(shelf);
        if (err)
            *err = why;
        return rc;
    }
    if (rc < 0 && rc != -ENOENT)
        shelf_recover(shelf, &why);
    if (shelf_maintained(shelf)) /* what a crash left, I-MANIFEST-2 */
        (void)manifest_sweep(shelf->dir, rc == 0 ? &shelf->saved : NULL, NULL);
    *ret = shelf;
    return 0;
}

void shelf_close(struct shelf *shelf)
{
    if (!shelf)
        return;
    shelf_empty(shelf);
    pthread_mutex_destroy(&shelf->change);
    pthread_mutex_destroy(&shelf->lock);
    emlfs_wipe(&shelf->key, sizeof(shelf->key));
    free(shelf);
}

/* ---- the part in memory and its way to disk */

int shelf_memory(struct shelf *shelf, struct part **ret)
{
    struct part *part = shelf->mem; /* only this thread sets it */
    int rc;

    *ret = part;
    if (part)
        return 0;
    part = part_new(shelf->index);
    if (!part)
        return -ENOMEM;
    rc = memseg_new(shelf->live.last_doc + 1, &part->mem);
    if (rc == 0)
        rc = segment_of_memory(part->mem, &part->segment);
    if (rc < 0) {
        part_unref(part);
        return rc;
    }
    pthread_mutex_lock(&shelf->lock);
    shelf->mem = part;
    pthread_mutex_unlock(&shelf->lock);
    *ret = part;
    return 0;
}

static int dir_make(struct shelf *shelf)
{
    char *slash = strrchr(shelf->dir, '/');
    int rc = emlfs_os_mkdir(shelf->dir, 0700);

    if (rc < 0)
        return rc == -EEXIST ? 0 : rc;
    *slash = '\0';
    rc = emlfs_os_sync_dir(shelf->dir);
    *slash = '/';
    return rc;
}

static uint32_t file_number(struct shelf *shelf)
{
    uint32_t no;

    pthread_mutex_lock(&shelf->lock);
    no = shelf->next_no++;
    pthread_mutex_unlock(&shelf->lock);
    return no;
}

/* A manifest that could not be written may have reached the disk all the same, I-SHELF-6. */
static bool file_may_be_named(struct shelf *shelf, uint32_t no)
{
    struct manifest manifest;
    int rc = manifest_read(shelf->dir, &shelf->key, &manifest, NULL);
    bool named = rc < 0 && rc != -ENOENT;

    for (unsigned i = 0; rc == 0 && i < manifest.segments_n; i++)
        named |= manifest.segments[i] == no;
    manifest_free(&manifest);
    return named;
}

static void file_remove(struct shelf *shelf, uint32_t no)
{
    char path[SHELF_PATH_BYTES];

    if (manifest_segment_path(shelf->dir, no, path, sizeof(path)) == 0)
        (void)unlink(path);
}

/* What is in memory as a file, opened. */
static int memory_write(struct shelf *shelf, struct part **ret, struct emlfs_err *err)
{
    uint32_t no = file_number(shelf);
    char path[SHELF_PATH_BYTES];
    int rc = manifest_segment_path(shelf->dir, no, path, sizeof(path));

    if (rc == 0)
        rc = memseg_write(shelf->mem->mem, path, &shelf->key, err);
    if (rc == 0)
        rc = part_open(shelf, no, ret, err);
    if (rc < 0)
        file_remove(shelf, no);
    return rc;
}

struct swap {
    unsigned at, n;    /* parts that go */
    struct part *part; /* comes in their place; NULL: none */
};

/* A manifest and a list of parts with the swap done. */
static int swap_prepare(struct shelf *shelf, const struct swap *swap, struct manifest *ret,
                        struct part ***ret_parts)
{
    unsigned keep = shelf->parts_n - swap->n, n = keep + (swap->part ? 1 : 0);

    ret->segments = calloc(n + 1, sizeof(*ret->segments));
    *ret_parts = calloc(n + 1, sizeof(**ret_parts));
    if (!ret->segments || !*ret_parts)
        return -ENOMEM;
    for (unsigned i = 0, from = 0; i < n; i++) {
        if (i == swap->at && swap->part) {
            (*ret_parts)[i] = swap->part;
            from += swap->n;
        } else {
            (*ret_parts)[i] = shelf->parts[from++];
        }
        ret->segments[i] = (*ret_parts)[i]->no;
    }
    ret->segments_n = n;
    pthread_mutex_lock(&shelf->lock);
    ret->next_no = shelf->next_no;
    pthread_mutex_unlock(&shelf->lock);
    return n > MANIFEST_SEGMENTS_MAX ? -E2BIG : 0;
}

/*
 * Commit: the manifest with these counts and the swap done, then the list of parts. Under change.
 * Takes swap->part when 0 came back; the parts that went are unreferenced and their files removed.
 */
static int shelf_commit(struct shelf *shelf, const struct manifest *counts, const struct swap *swap,
                        struct emlfs_err *err)
{
    struct manifest next = {0};
    struct part **parts = NULL;
    struct part **old;
    int rc = swap_prepare(shelf, swap, &next, &parts);

    counts_copy(&next, counts);
    if (rc == 0)
        rc = manifest_write(shelf->dir, &shelf->key, &next, err);
    else
        emlfs_err_sys(err, -rc, MODULE, "%s", shelf->dir);
    if (rc < 0) {
        manifest_free(&next);
        free(parts);
        return rc;
    }
    pthread_mutex_lock(&shelf->lock);
    old = shelf->parts;
    shelf->parts = parts;
    shelf->parts_n = next.segments_n;
    manifest_free(&shelf->saved);
    shelf->saved = next;
    if (counts == &shelf->live) { /* everything in memory is in files now */
        part_unref(shelf->mem);
        shelf->mem = NULL;
    }
    pthread_mutex_unlock(&shelf->lock);
    for (unsigned i = swap->at; i < swap->at + swap->n; i++) {
        file_remove(shelf, old[i]->no);
        part_unref(old[i]);
    }
    free(old);
    return 0;
}

int shelf_flush(struct shelf *shelf, struct emlfs_err *err)
{
    struct swap swap = {0};
    int rc;

    if (!shelf_unsaved(shelf, NULL))
        return 0;
    pthread_mutex_lock(&shelf->change);
    rc = dir_make(shelf);
    if (rc < 0)
        emlfs_err_sys(err, -rc, MODULE, "%s cannot be made", shelf->dir);
    if (rc == 0 && shelf->mem)
        rc = memory_write(shelf, &swap.part, err);
    if (rc == 0) {
        swap.at = shelf->parts_n;
        rc = shelf_commit(shelf, &shelf->live, &swap, err);
    }
    if (rc < 0 && swap.part) {
        if (!file_may_be_named(shelf, swap.part->no))
            file_remove(shelf, swap.part->no);
        part_unref(swap.part);
    }
    pthread_mutex_unlock(&shelf->change);
    return rc;
}

/* ---- merging */

struct merge_job {
    struct part *parts[MANIFEST_SEGMENTS_MAX];
    struct segment *segments[MANIFEST_SEGMENTS_MAX];
    unsigned at, n;
    uint64_t drops;
};

static int merge_pick(struct shelf *shelf, struct merge_job *job)
{
    uint64_t bytes[MANIFEST_SEGMENTS_MAX];
    bool due;

    pthread_mutex_lock(&shelf->lock);
    for (unsigned i = 0; i < shelf->parts_n; i++) {
        struct segment_info info;
        segment_get_info(shelf->parts[i]->segment, &info);
        bytes[i] = info.file_bytes;
    }
    due = !atomic_load(&shelf->damaged) && merge_choose(bytes, shelf->parts_n, &job->at, &job->n);
    for (unsigned i = 0; due && i < job->n; i++) {
        job->parts[i] = part_ref(shelf->parts[job->at + i]);
        job->segments[i] = job->parts[i]->segment;
    }
    job->drops = shelf->drops;
    pthread_mutex_unlock(&shelf->lock);
    return due ? 1 : 0;
}

/* Replace the merged parts, unless everything was dropped meanwhile. */
static int merge_install(struct shelf *shelf, const struct merge_job *job, uint32_t no,
                         struct emlfs_err *err)
{
    struct swap swap = {.at = job->at, .n = job->n};
    int rc = 0;

    pthread_mutex_lock(&shelf->change);
    if (shelf->drops != job->drops)
        rc = -ECANCELED;
    if (rc == 0)
        rc = part_open(shelf, no, &swap.part, err);
    if (rc == 0)
        rc = shelf_commit(shelf, &shelf->saved, &swap, err);
    if (rc < 0) {
        if (!file_may_be_named(shelf, no))
            file_remove(shelf, no);
        part_unref(swap.part);
    }
    pthread_mutex_unlock(&shelf->change);
    return rc;
}

static int merge_run(struct shelf *shelf, struct merge_job *job, const atomic_bool *cancel,
                     struct emlfs_err *err)
{
    uint32_t no = file_number(shelf);
    char path[SHELF_PATH_BYTES];
    struct segment_merge merge = {.segments = job->segments,
                                  .n = job->n,
                                  .path = path,
                                  .index_key = &shelf->key,
                                  .cancel = cancel,
                                  .oldest = job->at == 0};
    struct docset gone = {0};
    int rc = manifest_segment_path(shelf->dir, no, path, sizeof(path));

    if (rc == 0)
        rc = gone_find(shelf, job->segments, job->n, &gone, err);
    if (gone.bits) {
        merge.alive = gone_not;
        merge.arg = &gone;
    }
    if (rc == 0)
        rc = segment_merge(&merge, err);
    docset_free(&gone);
    if (rc < 0) {
        (void)unlink(path);
        return rc;
    }
    return merge_install(shelf, job, no, err);
}

int shelf_merge(struct shelf *shelf, const atomic_bool *cancel, struct emlfs_err *err)
{
    struct merge_job *job = calloc(1, sizeof(*job));
    struct emlfs_err why = {0};
    int rc = job ? merge_pick(shelf, job) : -ENOMEM;

    if (rc > 0) {
        rc = merge_run(shelf, job, cancel, &why);
        for (unsigned i = 0; i < job->n; i++)
            part_unref(job->parts[i]);
        if (errno_is_damage(rc) && rc != -EIO) /* EIO: perhaps of writing */
            shelf_damage(shelf, job->drops, &why);
        if (rc < 0 && err)
            *err = why;
        rc = rc < 0 ? rc : 1;
    }
    free(job);
    return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The content of staged files.
 *
 * C1  What a write was refused for stays refused until the file is truncated to nothing: half of a
 *     file is never taken for the whole.
 * C2  A file is judged by its first bytes, as soon as byte 0 was written (file servers set the size
 *     first, and write in any order), and as a whole at each flush.
 * C3  What the last flush refused is gone when nobody has it open for writing any more.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emlfs/name.h"
#include "stage_internal.h"

static int refuse(struct staged *s, int code, const char *why, struct emlfs_err *err)
{
    s->refused = code;
    return emlfs_err_set(err, code, "stage", "%s", why);
}

/* An editor's or desktop's own file, which is no mail and is not archived under this name. */
static bool is_judged(const char *name)
{
    size_t len = strlen(name);

    if (emlfs_name_is_discarded(name))
        return false;
    return name[0] != '.' || len < 5 || memcmp(name + len - 4, ".sw", 3) != 0;
}

void staged_claim(struct staged *s)
{
    struct fs_stage *stage = s->stage;

    for (;;) {
        bool still;

        pthread_mutex_lock(&s->lock);
        pthread_mutex_lock(&stage->lock);
        if (s->state == STAGED_QUEUED && !s->moving)
            stage_dequeue(s);
        still = s->state == STAGED_OPEN || s->state == STAGED_ARCHIVED;
        pthread_mutex_unlock(&stage->lock);
        if (still)
            return;
        pthread_mutex_unlock(&s->lock);
        pthread_mutex_lock(&stage->work);
        pthread_mutex_unlock(&stage->work);
        (void)sched_yield();
    }
}

/* ---- the spool file */

static int meta_of(const struct staged *s, const struct fs_stage_at *at, bool retired,
                   struct emlfs_buf *out)
{
    const char *name = at ? at->name : s->name;
    struct stage_meta meta = {
        .retired = retired,
        .uid = s->uid,
        .gid = s->gid,
        .mode = s->st.st_mode & 07777,
        .user = at ? at->user : s->user,
        .folder = at ? at->folder : s->folder,
        .mtime = s->st.st_mtim,
    };

    memcpy(meta.name, name, strlen(name) + 1);
    return stage_meta_encode(&meta, out);
}

int staged_reopen(struct staged *s, struct emlfs_err *err)
{
    int rc;

    if (s->file)
        return 0;
    rc = emlfs_spool_reopen(s->stage->spool, s->spool_number, &s->file, err);
    if (rc == 0)
        atomic_fetch_add(&s->stage->spool_files, 1);
    return rc;
}

static void spooled_set(struct staged *s, bool spooled)
{
    pthread_mutex_lock(&s->stage->lock);
    s->spooled = spooled;
    pthread_mutex_unlock(&s->stage->lock);
}

/* Its spool file is open from now on for who has it open; that is counted, by uid. */
static int slot_take(struct staged *s, struct emlfs_err *err)
{
    struct fs_stage *stage = s->stage;
    bool mine;

    if (s->slotted)
        return 0;
    pthread_mutex_lock(&stage->lock);
    mine = s->owner->slots < stage->options.open_max / 2;
    if (mine)
        s->owner->slots++;
    pthread_mutex_unlock(&stage->lock);
    s->slotted = mine;
    return mine ? 0
                : emlfs_err_set(err, EMFILE, "stage",
                                "too many files of this account are open that are not archived");
}

static int slot_find(struct staged *s, struct emlfs_err *err)
{
    if (!s->file && atomic_load(&s->stage->spool_files) >= s->stage->options.open_max)
        return emlfs_err_set(err, ENFILE, "stage", "too many files are open for writing");
    return slot_take(s, err);
}

/* There is a spool file, and it is open. */
static int file_make(struct staged *s, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf meta = EMLFS_BUF_INIT(EMLFS_SPOOL_META_MAX_BYTES);
    int rc;

    rc = slot_find(s, err);
    if (rc < 0)
        return rc;
    if (s->spool_number)
        return staged_reopen(s, err);
    rc = meta_of(s, NULL, false, &meta);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, "stage", "a name");
    rc = emlfs_spool_create(s->stage->spool, emlfs_buf_view(&meta), &s->file, err);
    if (rc < 0)
        return rc == -E2BIG ? -ENOSPC : rc;
    atomic_fetch_add(&s->stage->spool_files, 1);
    s->spool_number = emlfs_spool_file_number(s->file);
    s->meta_stale = false;
    spooled_set(s, true);
    return 0;
}

bool staged_drop_content(struct staged *s)
{
    struct emlfs_err err = {.code = 0};
    bool back = s->synced && !s->retired;
    int rc = 0;

    if (!s->spool_number)
        return false;
    rc = staged_reopen(s, &err);
    if (rc == 0) {
        rc = emlfs_spool_file_remove(s->file, &err);
        atomic_fetch_sub(&s->stage->spool_files, 1);
    }
    if (rc < 0)
        stage_told(s->stage, s, "cannot be removed from the spool", &err);
    s->file = NULL;
    s->spool_number = 0;
    s->synced = false;
    spooled_set(s, false);
    return back;
}

void stage_settle(struct fs_stage *stage)
{
    struct emlfs_err err = {.code = 0};

    if (emlfs_spool_settle(stage->spool, &err) < 0 && stage->options.told)
        stage->options.told(stage->options.told_arg, err.text);
}

static int content_sync(struct staged *s, const struct fs_stage_at *at, bool retired,
                        struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf meta = EMLFS_BUF_INIT(EMLFS_SPOOL_META_MAX_BYTES);
    int rc = staged_reopen(s, err);

    if (rc == 0 && (s->meta_stale || at || retired)) {
        rc = meta_of(s, at, retired, &meta);
        rc = rc < 0 ? emlfs_err_sys(err, -rc, "stage", "a name")
                    : emlfs_spool_file_set_meta(s->file, emlfs_buf_view(&meta), err);
    }
    if (rc == 0)
        rc = emlfs_spool_file_sync(s->file, err);
    if (rc < 0)
        return rc == -EBADMSG || rc == -EUCLEAN ? -EIO : rc;
    s->meta_stale = false;
    s->synced = true;
    s->retired = s->retired || retired;
    return 0;
}

int staged_resync(struct staged *s, const struct fs_stage_at *at, struct emlfs_err *err)
{
    s->meta_stale = true;
    return s->synced ? content_sync(s, at, false, err) : 0;
}

void staged_retire(struct staged *s)
{
    struct emlfs_err err = {.code = 0};

    if (s->synced && !s->retired && content_sync(s, NULL, true, &err) < 0)
        stage_told(s->stage, s, "may come back after a crash", &err);
}

void staged_rest(struct staged *s)
{
    struct fs_stage *stage = s->stage;
    bool idle;

    pthread_mutex_lock(&stage->lock);
    idle = s->opens == 0 && s->state != STAGED_ARCHIVING;
    if (s->opens == 0) {
        s->owner->slots -= s->slotted;
        s->slotted = false;
    }
    if (s->state == STAGED_QUEUED && atomic_load(&stage->spool_files) < stage->options.open_max / 8)
        idle = false; /* it is read soon */
    pthread_mutex_unlock(&stage->lock);
    if (!idle || !s->file || s->dirty || s->meta_stale || !s->synced)
        return;
    emlfs_spool_file_close(s->file);
    atomic_fetch_sub(&stage->spool_files, 1);
    s->file = NULL;
}

/* ---- reading and judging */

static ssize_t content_pread(void *arg, void *data, size_t len, uint64_t offset,
                             struct emlfs_err *err)
{
    struct staged *s = arg;
    int rc;

    if (!s->spool_number)
        return 0;
    rc = staged_reopen(s, err);
    return rc < 0 ? rc : emlfs_spool_file_pread(s->file, data, len, offset, err);
}

/* For the thread that archives. */
static ssize_t archive_pread(void *arg, void *data, size_t len, uint64_t offset,
                             struct emlfs_err *err)
{
    struct staged *s = arg;
    ssize_t n;

    pthread_mutex_lock(&s->lock);
    n = content_pread(s, data, len, offset, err);
    pthread_mutex_unlock(&s->lock);
    return n;
}

void staged_item(struct staged *s, const struct fs_stage_at *at, struct emlfs_drop_item *ret)
{
    *ret = (struct emlfs_drop_item){
        .subject = {.uid = s->uid, .gid = s->gid},
        .user = at ? at->user : s->user,
        .folder = at ? at->folder : s->folder,
        .name = at ? at->name : s->name,
        .file_time_sec = s->st.st_mtim.tv_sec,
        .size_bytes = (uint64_t)s->st.st_size,
        .pread = archive_pread,
        .arg = s,
    };
}

/* C2 */
static int head_judge(struct staged *s, struct emlfs_err *err)
{
    uint8_t head[EMLFS_DROP_HEAD_BYTES];
    struct emlfs_err why = {.code = 0};
    const char *reason = NULL;
    ssize_t n = content_pread(s, head, sizeof(head), 0, err);

    if (n < 0)
        return (int)n;
    s->kind = s->stage->options.sniff(emlfs_span_of(head, (size_t)n), false, &reason);
    if (s->kind != EMLFS_DROP_FOREIGN)
        return 0;
    (void)refuse(s, EOPNOTSUPP, reason ? reason : "no mail", &why);
    stage_told(s->stage, s, "is refused", &why);
    if (err)
        *err = why;
    return -EOPNOTSUPP;
}

static void stat_resized(struct staged *s)
{
    pthread_mutex_lock(&s->stage->lock);
    s->st.st_size = s->file ? (off_t)emlfs_spool_file_size(s->file) : 0;
    s->st.st_blocks = (s->st.st_size + 511) / 512;
    (void)clock_gettime(CLOCK_REALTIME, &s->st.st_mtim);
    s->st.st_ctim = s->st.st_mtim;
    pthread_mutex_unlock(&s->stage->lock);
    s->dirty = s->meta_stale = true;
}

static int content_pwrite(struct staged *s, struct emlfs_span data, uint64_t offset,
                          struct emlfs_err *err)
{
    int rc;

    if (s->refused)
        return emlfs_err_set(err, s->refused, "stage", "an earlier write was refused"); /* C1 */
    if (data.len == 0)
        return 0;
    rc = file_make(s, err);
    if (rc == 0)
        rc = emlfs_spool_file_pwrite(s->file, data, offset, err);
    if (rc < 0) {
        s->refused = -rc;
        return rc;
    }
    stat_resized(s);
    if (offset + data.len > s->high)
        s->high = offset + data.len;
    s->head = s->head || offset == 0;
    if (s->head && offset < EMLFS_DROP_HEAD_BYTES && is_judged(s->name))
        return head_judge(s, err);
    return 0;
}

int fs_stage_pwrite(struct fs_stage_handle *handle, struct emlfs_span data, uint64_t offset,
                    struct emlfs_err *err)
{
    struct staged *s = handle->file;
    int rc = -EBADF;

    pthread_mutex_lock(&s->lock);
    if (handle->writes)
        rc = content_pwrite(s, data, offset, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

ssize_t fs_stage_pread(struct fs_stage_handle *handle, void *data, size_t len, uint64_t offset,
                       struct emlfs_err *err)
{
    struct staged *s = handle->file;
    ssize_t n = 0;

    pthread_mutex_lock(&s->lock);
    if (s->spool_number)
        n = slot_find(s, err);
    if (n == 0)
        n = content_pread(s, data, len, offset, err);
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* To nothing: it begins anew, whatever was wrong with it. */
static int content_truncate(struct staged *s, uint64_t size, struct emlfs_err *err)
{
    int rc = 0;

    if (size > 0 && s->refused)
        return emlfs_err_set(err, s->refused, "stage", "an earlier write was refused"); /* C1 */
    if (size == 0) {
        s->head = false;
        s->kind = EMLFS_DROP_UNDECIDED;
        s->flush_rc = 0;
        if (s->refused && staged_drop_content(s))
            stage_settle(s->stage); /* G3: what is removed next has no older state to be marked */
        s->refused = 0;
    }
    if (size == (uint64_t)s->st.st_size && (size == 0) == !s->spool_number)
        return 0;
    if (size > 0 || s->spool_number) {
        rc = file_make(s, err);
        if (rc == 0)
            rc = emlfs_spool_file_truncate(s->file, size, err);
    }
    if (rc < 0) {
        s->refused = -rc;
        return rc;
    }
    if (s->high > size)
        s->high = size;
    stat_resized(s);
    return 0;
}

/* ---- flushing and settling */

struct charge {
    struct emlfs_user_id user;
    uint64_t bytes;
};

/* *ret_before (NULL: not wanted): what it was. */
static uint64_t charge(struct staged *s, struct charge to, struct charge *ret_before)
{
    uint64_t others;

    pthread_mutex_lock(&s->stage->lock);
    if (ret_before)
        *ret_before = (struct charge){s->charged_to, s->charged};
    others = stage_charge(s, to.user, to.bytes);
    pthread_mutex_unlock(&s->stage->lock);
    return others;
}

/* G4 */
static int content_check(struct staged *s, const struct fs_stage_at *at, struct emlfs_err *err)
{
    struct emlfs_drop_item item;
    struct charge before;
    int rc;

    if (!is_judged(at ? at->name : s->name)) {
        (void)charge(s, (struct charge){s->user, 0}, NULL);
        return 0;
    }
    if (s->high < (uint64_t)s->st.st_size)
        return emlfs_err_set(err, EOPNOTSUPP, "stage", "its end was never written");
    staged_item(s, at, &item);
    item.pread = content_pread;
    item.waiting_bytes = charge(s, (struct charge){item.user, item.size_bytes}, &before);
    rc = s->stage->options.check(s->stage->options.drop, &item, err);
    if (rc < 0)
        (void)charge(s, at ? before : (struct charge){s->user, 0}, NULL); /* R1; C3 */
    return rc;
}

int staged_flush(struct staged *s, const struct fs_stage_at *at, struct emlfs_err *err)
{
    int rc;

    if (s->refused)
        return emlfs_err_set(err, s->refused, "stage", "a write was refused");
    if (s->st.st_size == 0 || !s->spool_number ||
        emlfs_name_is_discarded(at ? at->name : s->name)) {
        rc = s->synced && s->spool_number ? content_sync(s, at, false, err) : 0;
        (void)charge(s, (struct charge){s->user, 0}, NULL);
        s->flush_rc = rc;
        return rc;
    }
    if (!s->dirty && !at && s->flush_rc == 0)
        return 0;
    rc = content_check(s, at, err);
    if (rc == 0)
        rc = content_sync(s, at, false, err);
    if (rc == 0 || !at) {
        s->dirty = false;
        s->flush_rc = rc;
    }
    return rc;
}

int fs_stage_flush(struct fs_stage_handle *handle, struct emlfs_err *err)
{
    struct staged *s = handle->file;
    bool named;
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    pthread_mutex_lock(&s->stage->lock);
    named = s->named;
    pthread_mutex_unlock(&s->stage->lock);
    if (handle->writes && named)
        rc = staged_flush(s, NULL, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static void unname_open(struct staged *s, bool *ret_opens)
{
    bool named;

    pthread_mutex_lock(&s->stage->lock);
    named = s->named;
    *ret_opens = s->opens > 0;
    if (named)
        stage_unname(s);
    pthread_mutex_unlock(&s->stage->lock);
    if (named)
        staged_put(s);
}

void staged_unname(struct staged *s)
{
    bool opens;

    unname_open(s, &opens);
    if (opens)
        staged_retire(s);
}

void staged_replaced(struct staged *s)
{
    bool opens;

    pthread_mutex_lock(&s->lock);
    pthread_mutex_lock(&s->stage->lock);
    opens = s->opens > 0;
    pthread_mutex_unlock(&s->stage->lock);
    if (opens)
        staged_retire(s);
    pthread_mutex_unlock(&s->lock);
    staged_put(s);
}

static void wait_for(struct staged *s, int64_t ns)
{
    pthread_mutex_lock(&s->stage->lock);
    s->until_ns = stage_now(s->stage) + ns;
    s->retry_ns = 0; /* as it is now it is not to be archived */
    pthread_mutex_unlock(&s->stage->lock);
}

void staged_settle(struct staged *s)
{
    struct emlfs_err err = {.code = 0};
    int rc = s->refused ? -s->refused : s->flush_rc;
    bool named;

    pthread_mutex_lock(&s->stage->lock);
    named = s->named;
    pthread_mutex_unlock(&s->stage->lock);
    if (!named)
        return;
    if (rc == 0 && s->dirty)
        rc = staged_flush(s, NULL, &err);
    if (rc < 0 || emlfs_name_is_discarded(s->name)) {
        if (err.code)
            stage_told(s->stage, s, "is not archived", &err);
        staged_unname(s); /* C3 */
    } else if (s->st.st_size == 0) {
        wait_for(s, FS_STAGE_EMPTY_NS);
    } else if (fs_stage_name_is_temporary(s->name)) {
        wait_for(s, FS_STAGE_TEMPORARY_NS);
    } else {
        pthread_mutex_lock(&s->stage->lock);
        stage_enqueue(s);
        pthread_mutex_unlock(&s->stage->lock);
    }
}

/* ---- opening */

static struct fs_stage_handle *handle_new(struct staged *s, bool writes)
{
    struct fs_stage_handle *handle = calloc(1, sizeof(*handle));

    if (handle)
        *handle = (struct fs_stage_handle){.file = s, .writes = writes};
    return handle;
}

/* Claimed. */
static int open_claimed(struct staged *s, bool writes, int flags, struct emlfs_err *err)
{
    bool alone = false;
    int rc = 0;

    pthread_mutex_lock(&s->stage->lock);
    if (writes && s->state == STAGED_ARCHIVED) {
        rc = emlfs_err_set(err, EPERM, "stage", "what is archived does not change");
    } else {
        s->opens++;
        s->writers += writes;
        if (writes)
            s->until_ns = s->retry_ns = 0;
    }
    pthread_mutex_unlock(&s->stage->lock);
    if (rc == 0 && flags & O_TRUNC) {
        rc = s->spool_number ? slot_find(s, err) : 0; /* before anything of it changes */
        if (rc == 0)
            rc = content_truncate(s, 0, err);
        if (rc < 0) {
            pthread_mutex_lock(&s->stage->lock);
            s->opens--;
            alone = --s->writers == 0;
            pthread_mutex_unlock(&s->stage->lock);
            if (alone)
                staged_settle(s);
        }
    }
    return rc;
}

/* Takes the reference that the caller has. */
static int open_staged(struct staged *s, int flags, struct fs_stage_handle **ret,
                       struct emlfs_err *err)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
    struct fs_stage_handle *handle = handle_new(s, writes);
    int rc = 0;

    if (!handle) {
        rc = emlfs_err_set(err, ENOMEM, "stage", "out of memory");
    } else if (writes) {
        staged_claim(s);
        rc = open_claimed(s, true, flags, err);
        pthread_mutex_unlock(&s->lock);
    } else {
        pthread_mutex_lock(&s->stage->lock);
        s->opens++;
        pthread_mutex_unlock(&s->stage->lock);
    }
    if (rc < 0) {
        free(handle);
        staged_put(s);
        return rc;
    }
    *ret = handle;
    return 0;
}

int fs_stage_open(struct fs_stage *stage, uid_t uid, emlfs_node node, int flags,
                  struct fs_stage_handle **ret, struct emlfs_err *err)
{
    struct staged *s = stage_get_node(stage, uid, node);

    if (!s)
        return emlfs_err_set(err, ENOENT, "stage", "no such file");
    return open_staged(s, flags, ret, err);
}

int fs_stage_create(struct fs_stage *stage, const struct emlfs_subject *subject,
                    const struct fs_stage_at *at, const struct fs_stage_mode *mode,
                    struct fs_stage_handle **ret, struct emlfs_err *err)
{
    struct fs_stage_handle *handle;
    struct staged *s;
    int rc = stage_add(stage, subject, at, &s, err);

    if (rc == -EEXIST && !(mode->flags & O_EXCL)) {
        s = stage_get_name(stage, subject->uid, at->folder, at->name);
        if (s)
            return open_staged(s, mode->flags, ret, err);
    }
    if (rc < 0)
        return rc;
    handle = handle_new(s, true); /* its release settles even what was opened to read */
    pthread_mutex_lock(&stage->lock);
    s->st.st_mode = S_IFREG | (mode->mode & 0777);
    if (handle)
        s->opens = s->writers = 1;
    pthread_mutex_unlock(&stage->lock);
    if (!handle) {
        pthread_mutex_lock(&s->lock);
        staged_unname(s);
        pthread_mutex_unlock(&s->lock);
        staged_put(s);
        return emlfs_err_set(err, ENOMEM, "stage", "out of memory");
    }
    *ret = handle;
    return 0;
}

void fs_stage_handle_stat(struct fs_stage_handle *handle, struct stat *ret)
{
    pthread_mutex_lock(&handle->file->stage->lock);
    *ret = handle->file->st;
    pthread_mutex_unlock(&handle->file->stage->lock);
}

bool fs_stage_handle_sealed(struct fs_stage_handle *handle, struct fs_stage_sealed *ret)
{
    struct staged *s = handle->file;
    bool sealed;

    pthread_mutex_lock(&s->stage->lock);
    sealed = s->state == STAGED_ARCHIVED && s->id.v && !s->spooled;
    *ret = (struct fs_stage_sealed){s->user, s->folder, s->id};
    pthread_mutex_unlock(&s->stage->lock);
    return sealed;
}

void fs_stage_release(struct fs_stage_handle *handle)
{
    struct staged *s = handle->file;
    bool settle, sealed;

    pthread_mutex_lock(&s->lock);
    pthread_mutex_lock(&s->stage->lock);
    s->opens--;
    settle = handle->writes && --s->writers == 0 && s->state == STAGED_OPEN;
    sealed = s->opens == 0 && s->state == STAGED_ARCHIVED && s->id.v;
    if (sealed)
        s->spooled = false; /* at once: who opens it now reads the message */
    pthread_mutex_unlock(&s->stage->lock);
    if (settle)
        staged_settle(s);
    if (sealed)
        (void)staged_drop_content(s); /* retired */
    staged_rest(s);
    pthread_mutex_unlock(&s->lock);
    staged_put(s);
    free(handle);
}

/* Back to what was synced last; what never was is refused. */
static void content_revert(struct staged *s)
{
    struct emlfs_err err = {.code = 0};

    if (!s->synced) {
        (void)refuse(s, EIO, "its mount was taken away", &err);
        return;
    }
    emlfs_spool_file_close(s->file);
    atomic_fetch_sub(&s->stage->spool_files, 1);
    s->file = NULL;
    if (staged_reopen(s, &err) < 0) {
        s->refused = EIO; /* its spool file stays, for the next process */
        return;
    }
    stat_resized(s);
    s->high = emlfs_spool_file_size(s->file);
    s->dirty = s->meta_stale = false;
    s->flush_rc = 0;
    (void)charge(s, (struct charge){s->user, s->high}, NULL);
}

void fs_stage_abandon(struct fs_stage_handle *handle)
{
    struct staged *s = handle->file;
    bool last;

    pthread_mutex_lock(&s->lock);
    pthread_mutex_lock(&s->stage->lock);
    last = handle->writes && s->writers == 1;
    pthread_mutex_unlock(&s->stage->lock);
    if (last && s->dirty && s->file)
        content_revert(s);
    pthread_mutex_unlock(&s->lock);
}

/* ---- attributes */

static void attr_set(struct staged *s, const struct fs_stage_set *set)
{
    pthread_mutex_lock(&s->stage->lock);
    if (set->mask & FS_STAGE_SET_MODE)
        s->st.st_mode = S_IFREG | (set->asked->st_mode & 07777);
    if (set->mask & FS_STAGE_SET_MTIME)
        s->st.st_mtim = set->asked->st_mtim;
    if (set->mask & FS_STAGE_SET_ATIME)
        s->st.st_atim = set->asked->st_atim;
    (void)clock_gettime(CLOCK_REALTIME, &s->st.st_ctim);
    pthread_mutex_unlock(&s->stage->lock);
    s->meta_stale = true;
}

/* By path, which is as if it had been opened for it. */
static int resize(struct staged *s, uint64_t size, struct emlfs_err *err)
{
    bool alone;
    int rc = 0;

    pthread_mutex_lock(&s->stage->lock);
    alone = s->writers == 0;
    pthread_mutex_unlock(&s->stage->lock);
    if (alone && s->spool_number)
        rc = slot_find(s, err); /* before anything of it changes */
    if (rc == 0)
        rc = content_truncate(s, size, err);
    if (alone) {
        staged_settle(s);
        staged_rest(s);
    }
    return rc;
}

/* Claimed. */
static int set_claimed(struct staged *s, const struct fs_stage_set *set, struct emlfs_err *err)
{
    bool queued = false, archived, alone;
    int rc = 0;

    pthread_mutex_lock(&s->stage->lock);
    archived = s->state == STAGED_ARCHIVED;
    alone = s->writers == 0;
    pthread_mutex_unlock(&s->stage->lock);
    if (archived)
        return set->mask & FS_STAGE_SET_SIZE && set->asked->st_size != s->st.st_size
                   ? emlfs_err_set(err, EPERM, "stage", "what is archived does not change")
                   : 0;
    if (set->mask & FS_STAGE_SET_SIZE) {
        rc = resize(s, (uint64_t)set->asked->st_size, err);
        queued = alone; /* settled */
    }
    if (rc == 0 && set->mask & ~(FS_STAGE_SET_SIZE | FS_STAGE_SET_UID))
        attr_set(s, set);
    if (alone && !queued)
        staged_settle(s);
    return rc;
}

int fs_stage_setattr(struct fs_stage *stage, uid_t uid, emlfs_node node,
                     const struct fs_stage_set *set, struct stat *ret, struct emlfs_err *err)
{
    struct staged *s;
    int rc = 0;

    if (set->handle)
        uid = set->handle->file->uid;
    s = stage_get_node(stage, uid, node);
    if (!s)
        return emlfs_err_set(err, ENOENT, "stage", "no such file");
    if (set->mask & FS_STAGE_SET_UID && set->asked->st_uid != s->uid)
        rc = emlfs_err_set(err, EPERM, "stage", "it stays its owner's");
    if (rc == 0) {
        staged_claim(s);
        rc = set_claimed(s, set, err);
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_lock(&stage->lock);
    *ret = s->st;
    pthread_mutex_unlock(&stage->lock);
    staged_put(s);
    return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the spool keeps of a staged file beside its bytes (store/FORMAT.md), and taking it up. */
#include <stdlib.h>
#include <string.h>

#include "emlfs/base/cursor.h"
#include "stage_internal.h"

#define META_FORM 1u
#define META_RETIRED 1u /* flag */

int stage_meta_encode(const struct stage_meta *meta, struct emlfs_buf *out)
{
    int rc;

    emlfs_buf_clear(out);
    rc = emlfs_buf_append_u8(out, META_FORM);
    if (rc == 0)
        rc = emlfs_buf_append_u8(out, meta->retired ? META_RETIRED : 0);
    if (rc == 0)
        rc = emlfs_buf_append_u32le(out, meta->uid);
    if (rc == 0)
        rc = emlfs_buf_append_u32le(out, meta->gid);
    if (rc == 0)
        rc = emlfs_buf_append_u16le(out, (uint16_t)(meta->mode & 07777));
    if (rc == 0)
        rc = emlfs_buf_append_u16le(out, meta->user.v);
    if (rc == 0)
        rc = emlfs_buf_append_u32le(out, meta->folder.v);
    if (rc == 0)
        rc = emlfs_buf_append_u64le(out, (uint64_t)meta->mtime.tv_sec);
    if (rc == 0)
        rc = emlfs_buf_append_u32le(out, (uint32_t)meta->mtime.tv_nsec);
    return rc < 0 ? rc : emlfs_buf_append_bytes(out, emlfs_span_str(meta->name));
}

static bool name_take(struct emlfs_cursor *cur, char *ret, size_t size)
{
    struct emlfs_span name = emlfs_cursor_bytes(cur, size - 1);

    if (!emlfs_cursor_done(cur) || name.len == 0 || memchr(name.data, '\0', name.len) ||
        memchr(name.data, '/', name.len))
        return false;
    memcpy(ret, name.data, name.len);
    ret[name.len] = '\0';
    return true;
}

int stage_meta_decode(struct emlfs_span bytes, struct stage_meta *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(bytes);
    uint8_t flags;

    if (emlfs_cursor_u8(&cur) != META_FORM)
        return cur.bad ? -EUCLEAN : -EPROTONOSUPPORT;
    flags = emlfs_cursor_u8(&cur);
    *ret = (struct stage_meta){.retired = flags & META_RETIRED};
    ret->uid = emlfs_cursor_u32le(&cur);
    ret->gid = emlfs_cursor_u32le(&cur);
    ret->mode = emlfs_cursor_u16le(&cur);
    ret->user.v = emlfs_cursor_u16le(&cur);
    ret->folder.v = emlfs_cursor_u32le(&cur);
    ret->mtime.tv_sec = (time_t)emlfs_cursor_u64le(&cur);
    ret->mtime.tv_nsec = (long)emlfs_cursor_u32le(&cur);
    if (!name_take(&cur, ret->name, sizeof(ret->name)) || flags & ~META_RETIRED ||
        ret->mode & ~07777u || ret->folder.v == 0 || ret->mtime.tv_nsec > 999999999)
        return -EUCLEAN;
    return 0;
}

/* ---- recovery */

/* Two files of one name: the later one was written over the earlier by a rename that was not ended.
 * Both were acknowledged; the second gets another name. */
static int recover_add(struct fs_stage *stage, struct stage_meta *meta, struct staged **ret,
                       struct emlfs_err *err)
{
    const struct emlfs_subject subject = {.uid = meta->uid, .gid = meta->gid};
    const struct fs_stage_at at = {meta->user, meta->folder, meta->name};
    size_t len = strlen(meta->name);
    int rc = stage_add(stage, &subject, &at, ret, err);

    for (unsigned n = 0; rc == -EEXIST && n < 10 && len + 3 < sizeof(meta->name); n++) {
        memcpy(meta->name + len, " -", 2);
        meta->name[len + 2] = (char)('0' + n);
        meta->name[len + 3] = '\0';
        rc = stage_add(stage, &subject, &at, ret, err);
    }
    return rc;
}

/* Takes file. */
static int recover_one(struct fs_stage *stage, struct emlfs_spool_file *file,
                       struct emlfs_spool_lost *lost, struct emlfs_err *err)
{
    struct stage_meta meta;
    struct staged *s;
    int rc = stage_meta_decode(emlfs_spool_file_meta(file), &meta);

    if (rc == -EPROTONOSUPPORT) {
        emlfs_spool_file_close(file); /* of a newer version, which will know it */
        return 0;
    }
    if (rc < 0) {
        emlfs_spool_file_set_aside(file, lost);
        return 0;
    }
    if (meta.retired || emlfs_spool_file_size(file) == 0)
        return emlfs_spool_file_remove(file, err);
    rc = recover_add(stage, &meta, &s, err);
    if (rc < 0) {
        emlfs_spool_file_close(file);
        return rc == -EEXIST ? 0 : rc; /* when the others are archived, by the next process */
    }
    pthread_mutex_lock(&s->lock);
    s->file = file;
    atomic_fetch_add(&stage->spool_files, 1);
    s->spool_number = emlfs_spool_file_number(file);
    s->high = emlfs_spool_file_size(file);
    s->synced = s->head = true;
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&stage->lock);
    s->spooled = true;
    (void)stage_charge(s, s->user, s->high); /* G4: it was checked by whoever took it */
    s->st.st_mode = S_IFREG | meta.mode;
    s->st.st_size = (off_t)emlfs_spool_file_size(file);
    s->st.st_blocks = (s->st.st_size + 511) / 512;
    s->st.st_mtim = s->st.st_atim = meta.mtime;
    pthread_mutex_unlock(&stage->lock);
    pthread_mutex_lock(&s->lock);
    staged_settle(s);
    staged_rest(s);
    pthread_mutex_unlock(&s->lock);
    staged_put(s);
    return 0;
}

int stage_recover(struct fs_stage *stage, struct emlfs_err *err)
{
    struct emlfs_spool_file *file;
    struct emlfs_spool_lost lost = {.told = stage->options.told, .arg = stage->options.told_arg};
    uint64_t after = 0;
    int rc;

    for (;;) {
        rc = emlfs_spool_left(stage->spool, after, &file, &lost, err);
        if (rc < 0)
            break;
        after = emlfs_spool_file_number(file);
        rc = recover_one(stage, file, &lost, err);
        if (rc < 0)
            break;
    }
    return rc == -ENOENT ? 0 : rc;
}

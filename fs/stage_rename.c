/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Renaming and removing staged files.
 *
 * R1  A rename that failed changed nothing: the old name stands for the file, with its fate.
 * R2  Behind a rename that returned 0, a crash leaves the file under its new name, if it leaves it.
 */
#include <string.h>

#include "emlfs/name.h"
#include "stage_internal.h"

static int no_such_file(struct emlfs_err *err)
{
    return emlfs_err_set(err, ENOENT, "stage", "no such file");
}

static bool is_at(const struct staged *s, struct emlfs_folder_id folder, const char *name)
{
    return s->named && s->folder.v == folder.v && strcmp(s->name, name) == 0;
}

/* The names change places; claimed. Who had the new one is the caller's to let go. */
static int names_swap(struct staged *s, const struct fs_stage_at *to, struct staged **ret_was,
                      struct emlfs_err *err)
{
    struct fs_stage *stage = s->stage;
    struct staged *was;
    bool done;

    pthread_mutex_lock(&stage->lock);
    was = stage_find_name(stage, s->uid, to->folder, to->name);
    done = s->named && stage_rename_to(s, to);
    if (done && was) {
        stage_unname(was);
        if (was->state == STAGED_QUEUED && !was->moving)
            stage_dequeue(was);
    }
    pthread_mutex_unlock(&stage->lock);
    *ret_was = done ? was : NULL;
    return done ? 0 : emlfs_err_set(err, ENOMEM, "stage", "out of memory");
}

static bool is_complete(const struct staged *s, const struct fs_stage_at *to)
{
    return s->st.st_size > 0 && !fs_stage_name_is_temporary(to->name) &&
           !emlfs_name_is_discarded(to->name);
}

/* Claimed, and stays so. */
static int rename_waiting(struct staged *s, const struct fs_stage_at *to, struct staged **ret_was,
                          struct emlfs_err *err)
{
    int rc = is_complete(s, to) ? staged_flush(s, to, err) : staged_resync(s, to, err);

    if (rc == 0)
        rc = names_swap(s, to, ret_was, err);
    return rc;
}

/* In grace: 1 when it is the message's matter. Claimed. */
static int rename_archived(struct staged *s, const struct fs_stage_move *move,
                           struct fs_stage_sealed *ret_sealed, struct staged **ret_was,
                           struct emlfs_err *err)
{
    if (move->to.folder.v == s->folder.v)
        return names_swap(s, &move->to, ret_was, err);
    *ret_sealed = (struct fs_stage_sealed){s->user, s->folder, s->id};
    return 1;
}

/* Claimed; gives that up. */
static int rename_claimed(struct staged *s, const struct fs_stage_move *move,
                          struct fs_stage_sealed *ret_sealed, struct emlfs_err *err)
{
    struct fs_stage *stage = s->stage;
    struct staged *was = NULL;
    bool sealed, alone, there;
    int rc;

    pthread_mutex_lock(&stage->lock);
    there = is_at(s, move->folder, move->name);
    sealed = s->state == STAGED_ARCHIVED;
    alone = s->writers == 0;
    pthread_mutex_unlock(&stage->lock);
    if (!there)
        rc = no_such_file(err);
    else if (sealed)
        rc = rename_archived(s, move, ret_sealed, &was, err);
    else if (alone && is_complete(s, &move->to)) {
        rc = staged_flush(s, NULL, err);
        if (rc == 0)
            rc = staged_archive_now(s, &move->to, err);
        else
            pthread_mutex_unlock(&s->lock);
        staged_claim(s);
    } else {
        rc = rename_waiting(s, &move->to, &was, err);
    }
    pthread_mutex_lock(&stage->lock);
    alone = s->writers == 0 && s->state == STAGED_OPEN;
    pthread_mutex_unlock(&stage->lock);
    if (alone && there)
        staged_settle(s); /* R1: also what was queued */
    staged_rest(s);
    pthread_mutex_unlock(&s->lock);
    if (was)
        staged_replaced(was);
    return rc;
}

int fs_stage_rename(struct fs_stage *stage, uid_t uid, const struct fs_stage_move *move,
                    struct fs_stage_sealed *ret_sealed, struct emlfs_err *err)
{
    struct staged *s = stage_get_name(stage, uid, move->folder, move->name);
    struct staged *there;
    int rc;

    if (!s)
        return no_such_file(err);
    if (strlen(move->to.name) >= sizeof(((struct fs_stage_name *)0)->name)) {
        staged_put(s);
        return emlfs_err_set(err, ENAMETOOLONG, "stage", "name too long");
    }
    there = stage_get_name(stage, uid, move->to.folder, move->to.name);
    if (there && move->no_replace) {
        rc = emlfs_err_set(err, EEXIST, "stage", "the name is taken");
    } else if (there == s) {
        rc = 0;
    } else {
        staged_claim(s);
        rc = rename_claimed(s, move, ret_sealed, err);
    }
    staged_put(there);
    staged_put(s);
    return rc;
}

int fs_stage_unlink(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder,
                    const char *name, struct fs_stage_sealed *ret_sealed, struct emlfs_err *err)
{
    struct staged *s = stage_get_name(stage, uid, folder, name);
    int rc = 0;

    if (!s)
        return no_such_file(err);
    staged_claim(s);
    pthread_mutex_lock(&stage->lock);
    if (!is_at(s, folder, name))
        rc = no_such_file(err);
    else if (s->state == STAGED_ARCHIVED)
        rc = 1;
    *ret_sealed = (struct fs_stage_sealed){s->user, s->folder, s->id};
    pthread_mutex_unlock(&stage->lock);
    if (rc == 0)
        staged_unname(s);
    pthread_mutex_unlock(&s->lock);
    staged_put(s);
    return rc;
}

void fs_stage_forget(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder,
                     const char *name)
{
    struct staged *s = stage_get_name(stage, uid, folder, name);
    bool sealed;

    if (!s)
        return;
    pthread_mutex_lock(&stage->lock);
    sealed = s->state == STAGED_ARCHIVED && is_at(s, folder, name);
    if (sealed)
        stage_unname(s);
    pthread_mutex_unlock(&stage->lock);
    if (sealed)
        staged_put(s);
    staged_put(s);
}

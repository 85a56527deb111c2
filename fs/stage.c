/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of staged files: by number, by (folder, uid, name), and by folder in the order in which
 * names came there. What is in a file is stage_file.c's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emlfs/name.h"
#include "stage_internal.h"

#define EVICT_MAX 256u

int64_t stage_now(const struct fs_stage *stage)
{
    return stage->options.now_ns(stage->options.clock);
}

void stage_told(struct fs_stage *stage, const struct staged *s, const char *what,
                const struct emlfs_err *err)
{
    char text[640];

    if (!stage->options.told)
        return;
    (void)snprintf(text, sizeof(text), "a file of uid %u in folder %u %s: %s", (unsigned)s->uid,
                   (unsigned)s->folder.v, what, err->code ? err->text : "no reason given");
    stage->options.told(stage->options.told_arg, text);
}

/* ---- names */

static bool ends_with(const char *name, size_t len, const char *end)
{
    size_t n = strlen(end);

    return len >= n && strcasecmp(name + len - n, end) == 0;
}

/* NAME.0000000002: a web server's. */
static bool ends_with_number(const char *name, size_t len)
{
    const size_t digits = 10;

    return len > digits + 1 && name[len - digits - 1] == '.' &&
           strspn(name + len - digits, "0123456789") == digits;
}

bool fs_stage_name_is_temporary(const char *name)
{
    static const char *const ends[] = {"~", ".tmp", ".part", ".crdownload", ".swp"};
    size_t len = strlen(name);

    if (name[0] == '.' || ends_with_number(name, len))
        return true;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (ends_with(name, len, ends[i]))
            return true;
    return false;
}

/* ---- buckets */

static unsigned name_bucket(uid_t uid, struct emlfs_folder_id folder, const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ uid ^ (uint64_t)folder.v << 32;

    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return (unsigned)((h ^ h >> 32) % STAGE_NAMES);
}

static struct stage_folder *folder_find(struct fs_stage *stage, struct emlfs_folder_id folder)
{
    struct stage_folder *f = stage->folders[folder.v % STAGE_FOLDERS];

    while (f && f->folder.v != folder.v)
        f = f->next;
    return f;
}

static struct stage_folder *folder_get(struct fs_stage *stage, struct emlfs_folder_id folder)
{
    struct stage_folder *f = folder_find(stage, folder);

    if (f)
        return f;
    f = calloc(1, sizeof(*f));
    if (f) {
        f->folder = folder;
        f->next = stage->folders[folder.v % STAGE_FOLDERS];
        stage->folders[folder.v % STAGE_FOLDERS] = f;
    }
    return f;
}

static void folder_drop(struct fs_stage *stage, struct stage_folder *f)
{
    struct stage_folder **at = &stage->folders[f->folder.v % STAGE_FOLDERS];

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    free(f);
}

static struct stage_uid *uid_get(struct fs_stage *stage, uid_t uid)
{
    struct stage_uid *u = stage->uids;

    while (u && u->uid != uid)
        u = u->next;
    if (u)
        return u;
    u = calloc(1, sizeof(*u));
    if (u) {
        u->uid = uid;
        u->next = stage->uids;
        stage->uids = u;
    }
    return u;
}

static void uid_drop(struct fs_stage *stage, struct stage_uid *u)
{
    struct stage_uid **at = &stage->uids;

    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    free(u);
}

/* Into the name table and its folder; name is taken. */
static void names_enter(struct staged *s, struct stage_folder *f)
{
    struct fs_stage *stage = s->stage;
    struct staged **bucket = &stage->names[name_bucket(s->uid, s->folder, s->name)];

    s->name_next = *bucket;
    *bucket = s;
    s->position = ++stage->last_position;
    s->folder_prev = f->last;
    s->folder_next = NULL;
    if (f->last)
        f->last->folder_next = s;
    else
        f->first = s;
    f->last = s;
}

/* Out of them; its folder, which may be empty now. */
static struct stage_folder *names_leave(struct staged *s)
{
    struct fs_stage *stage = s->stage;
    struct staged **at = &stage->names[name_bucket(s->uid, s->folder, s->name)];
    struct stage_folder *f = folder_find(stage, s->folder);

    while (*at != s)
        at = &(*at)->name_next;
    *at = s->name_next;
    if (f->listed == s)
        f->listed = s->folder_prev;
    if (s->folder_prev)
        s->folder_prev->folder_next = s->folder_next;
    else
        f->first = s->folder_next;
    if (s->folder_next)
        s->folder_next->folder_prev = s->folder_prev;
    else
        f->last = s->folder_prev;
    return f;
}

uint64_t stage_charge(struct staged *s, struct emlfs_user_id user, uint64_t bytes)
{
    uint64_t others;

    s->stage->charged[s->charged_to.v] -= s->charged;
    others = s->stage->charged[user.v];
    s->charged_to = user;
    s->charged = bytes;
    s->stage->charged[user.v] += bytes;
    return others;
}

void stage_unname(struct staged *s)
{
    struct fs_stage *stage = s->stage;
    struct stage_folder *f = names_leave(s);

    if (!f->first)
        folder_drop(stage, f);
    s->named = false;
    (void)stage_charge(s, s->user, 0);
    atomic_fetch_sub(&stage->named, 1);
    s->owner->n--;
}

bool stage_rename_to(struct staged *s, const struct fs_stage_at *to)
{
    struct stage_folder *f = folder_get(s->stage, to->folder), *left;
    char *name = f ? strdup(to->name) : NULL;

    if (!name) {
        if (f && !f->first)
            folder_drop(s->stage, f);
        return false;
    }
    left = names_leave(s);
    free(s->name);
    s->name = name;
    s->folder = to->folder;
    s->user = to->user;
    names_enter(s, f);
    if (!left->first)
        folder_drop(s->stage, left);
    return true;
}

struct staged *stage_find_name(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder,
                               const char *name)
{
    struct staged *s = stage->names[name_bucket(uid, folder, name)];

    while (s && (s->uid != uid || s->folder.v != folder.v || strcmp(s->name, name) != 0))
        s = s->name_next;
    return s;
}

struct staged *stage_get_name(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder,
                              const char *name)
{
    struct staged *s = NULL;

    if (atomic_load(&stage->named) == 0)
        return NULL;
    pthread_mutex_lock(&stage->lock);
    s = stage_find_name(stage, uid, folder, name);
    if (s)
        s->refs++;
    pthread_mutex_unlock(&stage->lock);
    return s;
}

static struct staged *find_number(struct fs_stage *stage, uint64_t number)
{
    struct staged *s = stage->numbers[number % STAGE_NUMBERS];

    while (s && s->number != number)
        s = s->number_next;
    return s;
}

struct staged *stage_get_node(struct fs_stage *stage, uid_t uid, emlfs_node node)
{
    struct staged *s;

    pthread_mutex_lock(&stage->lock);
    s = fs_stage_is(node) ? find_number(stage, node & ~FS_STAGE_TAG) : NULL;
    if (s && s->uid != uid)
        s = NULL;
    if (s)
        s->refs++;
    pthread_mutex_unlock(&stage->lock);
    return s;
}

static void numbers_leave(struct staged *s)
{
    struct staged **at = &s->stage->numbers[s->number % STAGE_NUMBERS];

    while (*at != s)
        at = &(*at)->number_next;
    *at = s->number_next;
    s->stage->files--;
    (void)stage_charge(s, s->user, 0); /* also what was flushed while its name went */
}

/* The last reference went: nobody else knows of s. */
static void staged_free(struct staged *s)
{
    struct fs_stage *stage = s->stage;
    bool back = staged_drop_content(s);

    pthread_mutex_lock(&stage->lock);
    s->owner->slots -= s->slotted;
    if (--s->owner->files == 0)
        uid_drop(stage, s->owner);
    pthread_mutex_unlock(&stage->lock);
    pthread_mutex_destroy(&s->lock);
    free(s->name);
    free(s);
    if (back)
        stage_settle(stage); /* G3 */
}

void staged_put(struct staged *s)
{
    bool last;

    if (!s)
        return;
    pthread_mutex_lock(&s->stage->lock);
    last = --s->refs == 0;
    if (last)
        numbers_leave(s);
    pthread_mutex_unlock(&s->stage->lock);
    if (last)
        staged_free(s);
}

static void stage_signal(struct fs_stage *stage)
{
    stage->woken = true;
    pthread_cond_signal(&stage->wake);
}

void stage_enqueue(struct staged *s)
{
    struct fs_stage *stage = s->stage;

    s->state = STAGED_QUEUED;
    s->until_ns = 0;
    s->retry_ns = 0;
    s->refs++;
    s->queue_next = NULL;
    *stage->queue_end = s;
    stage->queue_end = &s->queue_next;
    stage_signal(stage);
}

/* The caller has a reference of its own. */
void stage_dequeue(struct staged *s)
{
    struct staged **at = &s->stage->queue;

    while (*at != s)
        at = &(*at)->queue_next;
    *at = s->queue_next;
    if (s->stage->queue_end == &s->queue_next)
        s->stage->queue_end = at;
    s->state = STAGED_OPEN;
    s->refs--;
}

/* ---- adding */

/* What is in grace and not open gives way. Under the lock; to be put by the caller. */
static unsigned grace_evict(struct fs_stage *stage, struct staged *ret[EVICT_MAX])
{
    unsigned n = 0;

    for (unsigned i = 0; i < STAGE_NUMBERS && n < EVICT_MAX; i++)
        for (struct staged *s = stage->numbers[i]; s && n < EVICT_MAX; s = s->number_next)
            if (s->state == STAGED_ARCHIVED && s->named && s->opens == 0) {
                stage_unname(s);
                ret[n++] = s;
            }
    return n;
}

static bool is_full(struct fs_stage *stage, uid_t uid)
{
    const struct stage_uid *u = stage->uids;

    while (u && u->uid != uid)
        u = u->next;
    return stage->files >= stage->options.files_max || (u && u->n >= stage->options.uid_max);
}

static void make_room(struct fs_stage *stage, uid_t uid)
{
    struct staged *gone[EVICT_MAX];
    unsigned n = 0;

    pthread_mutex_lock(&stage->lock);
    if (is_full(stage, uid))
        n = grace_evict(stage, gone);
    pthread_mutex_unlock(&stage->lock);
    for (unsigned i = 0; i < n; i++)
        staged_put(gone[i]);
}

static struct staged *staged_new(struct fs_stage *stage, const struct emlfs_subject *subject,
                                 const struct fs_stage_at *at)
{
    struct staged *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->name = strdup(at->name);
    if (!s->name) {
        free(s);
        return NULL;
    }
    s->stage = stage;
    s->uid = subject->uid;
    s->gid = subject->gid;
    s->user = at->user;
    s->folder = at->folder;
    s->refs = 2;
    pthread_mutex_init(&s->lock, NULL);
    s->st = (struct stat){.st_nlink = 1, .st_uid = s->uid, .st_gid = s->gid, .st_blksize = 4096};
    (void)clock_gettime(CLOCK_REALTIME, &s->st.st_mtim);
    s->st.st_atim = s->st.st_ctim = s->st.st_mtim;
    return s;
}

/* Under the lock, with room. */
static int table_enter(struct fs_stage *stage, struct staged *s)
{
    struct stage_folder *f = folder_get(stage, s->folder);
    struct stage_uid *u = uid_get(stage, s->uid);
    struct staged **bucket;

    if (!f || !u) {
        if (f && !f->first)
            folder_drop(stage, f);
        return -ENOMEM;
    }
    u->n++;
    u->files++;
    s->owner = u;
    s->number = ++stage->last_number;
    s->st.st_ino = FS_STAGE_TAG | s->number;
    bucket = &stage->numbers[s->number % STAGE_NUMBERS];
    s->number_next = *bucket;
    *bucket = s;
    if (stage->files++ == 0)
        stage_signal(stage);
    s->named = true;
    names_enter(s, f);
    atomic_fetch_add(&stage->named, 1);
    return 0;
}

int stage_add(struct fs_stage *stage, const struct emlfs_subject *subject,
              const struct fs_stage_at *at, struct staged **ret, struct emlfs_err *err)
{
    struct staged *s;
    int rc = 0;

    if (strlen(at->name) >= sizeof(((struct fs_stage_name *)0)->name))
        return emlfs_err_set(err, ENAMETOOLONG, "stage", "name too long");
    s = staged_new(stage, subject, at);
    if (!s)
        return emlfs_err_set(err, ENOMEM, "stage", "out of memory");
    make_room(stage, s->uid);
    pthread_mutex_lock(&stage->lock);
    if (is_full(stage, s->uid))
        rc = emlfs_err_set(err, ENOSPC, "stage", "too many files are being written");
    else if (stage_find_name(stage, s->uid, s->folder, s->name))
        rc = emlfs_err_set(err, EEXIST, "stage", "the name is taken");
    else if (table_enter(stage, s) < 0)
        rc = emlfs_err_set(err, ENOMEM, "stage", "out of memory");
    pthread_mutex_unlock(&stage->lock);
    if (rc < 0) {
        pthread_mutex_destroy(&s->lock);
        free(s->name);
        free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

/* ---- asking */

bool fs_stage_any(struct fs_stage *stage, struct emlfs_folder_id folder)
{
    bool any;

    if (!stage || atomic_load(&stage->named) == 0)
        return false;
    pthread_mutex_lock(&stage->lock);
    any = folder_find(stage, folder) != NULL;
    pthread_mutex_unlock(&stage->lock);
    return any;
}

bool fs_stage_holds(struct fs_stage *stage, struct emlfs_folder_id folder)
{
    struct stage_folder *f;
    struct staged *s;

    if (!stage || atomic_load(&stage->named) == 0)
        return false;
    pthread_mutex_lock(&stage->lock);
    f = folder_find(stage, folder);
    s = f ? f->first : NULL;
    while (s &&
           (s->state == STAGED_ARCHIVED || s->st.st_size == 0 || emlfs_name_is_discarded(s->name)))
        s = s->folder_next;
    pthread_mutex_unlock(&stage->lock);
    return s != NULL;
}

static int stat_and_put(struct staged *s, struct stat *ret)
{
    if (!s)
        return -ENOENT;
    pthread_mutex_lock(&s->stage->lock);
    *ret = s->st;
    pthread_mutex_unlock(&s->stage->lock);
    staged_put(s);
    return 0;
}

int fs_stage_lookup(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder,
                    const char *name, struct stat *ret)
{
    return stat_and_put(stage_get_name(stage, uid, folder, name), ret);
}

int fs_stage_getattr(struct fs_stage *stage, uid_t uid, emlfs_node node, struct stat *ret)
{
    return stat_and_put(stage_get_node(stage, uid, node), ret);
}

static bool is_listed(const struct staged *s)
{
    if (emlfs_name_is_discarded(s->name))
        return false;
    return s->state != STAGED_ARCHIVED || s->id.v == 0;
}

int fs_stage_next(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder, uint64_t after,
                  struct fs_stage_name *ret)
{
    struct stage_folder *f;
    struct staged *s;

    pthread_mutex_lock(&stage->lock);
    f = folder_find(stage, folder);
    s = f ? f->first : NULL;
    if (s && f->listed && f->listed->position <= after)
        s = f->listed; /* a listing goes on where it was */
    while (s && (s->position <= after || s->uid != uid || !is_listed(s)))
        s = s->folder_next;
    if (s) {
        f->listed = s;
        ret->position = s->position;
        ret->st = s->st;
        (void)snprintf(ret->name, sizeof(ret->name), "%s", s->name);
    }
    pthread_mutex_unlock(&stage->lock);
    return s ? 0 : -ENOENT;
}

/* ---- life */

static int stage_init(struct fs_stage *stage)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc != 0)
        return -rc;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = pthread_cond_init(&stage->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (rc != 0)
        return -rc;
    pthread_mutex_init(&stage->work, NULL);
    pthread_mutex_init(&stage->lock, NULL);
    atomic_init(&stage->named, 0);
    atomic_init(&stage->spool_files, 0);
    stage->queue_end = &stage->queue;
    if (!stage->options.files_max)
        stage->options.files_max = FS_STAGE_FILES_MAX;
    if (!stage->options.uid_max)
        stage->options.uid_max = FS_STAGE_UID_MAX;
    if (!stage->options.open_max)
        stage->options.open_max = FS_STAGE_OPEN_MAX;
    return 0;
}

int fs_stage_new(const struct fs_stage_options *options, struct fs_stage **ret,
                 struct emlfs_err *err)
{
    struct fs_stage *stage = calloc(1, sizeof(*stage));
    int rc;

    if (!stage)
        return emlfs_err_set(err, ENOMEM, "stage", "out of memory");
    stage->options = *options;
    rc = stage_init(stage);
    if (rc < 0) {
        free(stage);
        return emlfs_err_sys(err, -rc, "stage", "starting");
    }
    rc = emlfs_spool_open(options->archive, &stage->spool, err);
    if (rc == 0)
        rc = stage_recover(stage, err);
    if (rc < 0) {
        fs_stage_free(stage);
        return rc;
    }
    *ret = stage;
    return 0;
}

/* G2: its spool file stays. */
static void staged_leave(struct staged *s)
{
    emlfs_spool_file_close(s->file);
    pthread_mutex_destroy(&s->lock);
    free(s->name);
    free(s);
}

void fs_stage_free(struct fs_stage *stage)
{
    if (!stage)
        return;
    for (unsigned i = 0; i < STAGE_NUMBERS; i++)
        while (stage->numbers[i]) {
            struct staged *s = stage->numbers[i];

            stage->numbers[i] = s->number_next;
            if (s->named)
                stage_unname(s);
            staged_leave(s);
        }
    while (stage->uids)
        uid_drop(stage, stage->uids);
    emlfs_spool_close(stage->spool);
    pthread_cond_destroy(&stage->wake);
    pthread_mutex_destroy(&stage->lock);
    pthread_mutex_destroy(&stage->work);
    free(stage);
}

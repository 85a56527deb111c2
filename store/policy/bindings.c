/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which uid owns which user archive.
 *
 * Two caches under one lock: the users with their accounts, read from the archive, and for each the
 * answer of NSS, asked when first needed. Both live for 60 s.
 *
 *   B1  The lock is held for memory operations only: never while NSS is asked (which may wait for a
 *       network) and never while the archive is read.
 *   B2  What cannot be told is refused: an error is no uid. An earlier answer outlives failures of
 *       NSS for 15 minutes, so that a name server that restarts closes nobody's mail.
 *   B3  After _refresh returned, no decision rests on anything read before it.
 *   B4  While one thread asks NSS again, others use the answer that just ran out.
 */
#include "bindings.h"

#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "emlfs/base/os.h"
#include "users.h"

#define SECOND_NS INT64_C(1000000000)
#define CACHE_NS (60 * SECOND_NS)
#define RETRY_NS (5 * SECOND_NS)
#define OUTAGE_NS (15 * 60 * SECOND_NS)
#define LOADS_MAX 100u /* each further one needs a _refresh during the one before */
#define PASSWD_FIRST_BYTES ((size_t)1024)
#define PASSWD_MAX_BYTES ((size_t)1 << 20)

struct binding {
    struct emlfs_user_id user;
    uint32_t flags;
    bool asking; /* a thread is asking NSS */
    bool known;  /* result and uid are set */
    int result;  /* 0, or -errno of asking */
    uid_t uid;
    int64_t until_ns;    /* when to ask again */
    int64_t answered_ns; /* last time NSS told anything */
    char account[EMLFS_USER_NAME_MAX_BYTES + 1];
};

struct binding_table {
    struct binding *rows; /* in user id order */
    size_t n;
    size_t cap;
};

struct emlfs_bindings {
    struct emlfs_archive *archive;
    struct bindings_system system;
    pthread_mutex_t lock; /* of everything below */
    struct binding_table table;
    bool loaded;
    int64_t loaded_until_ns;
    uint64_t generation; /* counts _refresh */
};

/* ---- the system */

static int passwd_find(const char *account, char *buf, size_t size, uid_t *ret_uid)
{
    struct passwd pw;
    struct passwd *found = NULL;

    int r = getpwnam_r(account, &pw, buf, size, &found);
    if (found) {
        *ret_uid = found->pw_uid;
        return 0;
    }
    /* How "not there" is told differs from one NSS module to the next: getpwnam(3). */
    return r == 0 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM ? -ENOENT : -r;
}

int emlfs_bindings_nss_uid(void *arg, const char *account, uid_t *ret_uid)
{
    int r = -ERANGE;

    (void)arg;
    for (size_t size = PASSWD_FIRST_BYTES; size <= PASSWD_MAX_BYTES; size *= 2) {
        char *buf = malloc(size);
        if (!buf)
            return -ENOMEM;
        do {
            r = passwd_find(account, buf, size, ret_uid);
        } while (r == -EINTR);
        free(buf);
        if (r != -ERANGE)
            break;
    }
    return r;
}

static int64_t system_monotonic_ns(void *arg)
{
    (void)arg;
    return emlfs_os_monotonic_ns();
}

static int64_t now_ns(const struct emlfs_bindings *bindings)
{
    return bindings->system.monotonic_ns(bindings->system.arg);
}

/* ---- life */

int emlfs_bindings_new_on(struct emlfs_archive *archive, const struct bindings_system *system,
                          struct emlfs_bindings **ret)
{
    struct emlfs_bindings *bindings = calloc(1, sizeof(*bindings));
    if (!bindings)
        return -ENOMEM;
    bindings->archive = archive;
    bindings->system = *system;
    pthread_mutex_init(&bindings->lock, NULL);
    emlfs_users_settle(archive);
    *ret = bindings;
    return 0;
}

int emlfs_bindings_new(struct emlfs_archive *archive, struct emlfs_bindings **ret)
{
    const struct bindings_system system = {.uid = emlfs_bindings_nss_uid,
                                           .monotonic_ns = system_monotonic_ns};
    return emlfs_bindings_new_on(archive, &system, ret);
}

static void table_free(struct binding_table *table)
{
    free(table->rows);
    *table = (struct binding_table){0};
}

void emlfs_bindings_free(struct emlfs_bindings *bindings)
{
    if (!bindings)
        return;
    table_free(&bindings->table);
    pthread_mutex_destroy(&bindings->lock);
    free(bindings);
}

void emlfs_bindings_refresh(struct emlfs_bindings *bindings)
{
    pthread_mutex_lock(&bindings->lock);
    bindings->generation++;
    bindings->loaded = false;
    table_free(&bindings->table);
    pthread_mutex_unlock(&bindings->lock);
}

/* ---- users */

static int table_append(void *arg, const struct emlfs_user *user)
{
    struct binding_table *table = arg;

    if (table->n == table->cap) {
        size_t cap = table->cap ? 2 * table->cap : 16;
        struct binding *more = reallocarray(table->rows, cap, sizeof(*more));
        if (!more)
            return -ENOMEM;
        table->rows = more;
        table->cap = cap;
    }
    struct binding *row = &table->rows[table->n++];
    *row = (struct binding){.user = user->id, .flags = user->flags};
    memcpy(row->account, user->unix_account, sizeof(row->account));
    return 0;
}

static struct binding *table_find(const struct binding_table *table, struct emlfs_user_id user)
{
    size_t low = 0;
    size_t high = table->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->rows[middle].user.v < user.v)
            low = middle + 1;
        else
            high = middle;
    }
    return low < table->n && table->rows[low].user.v == user.v ? &table->rows[low] : NULL;
}

/* Answers of NSS stay good when only the users were read again. */
static void table_inherit(struct binding_table *table, const struct binding_table *old)
{
    for (size_t i = 0; i < table->n; i++) {
        struct binding *row = &table->rows[i];
        const struct binding *before = table_find(old, row->user);
        if (!before || strcmp(before->account, row->account) != 0)
            continue;
        uint32_t flags = row->flags;
        *row = *before;
        row->flags = flags;
    }
}

/* Takes the rows of table. Under the lock. */
static void table_install(struct emlfs_bindings *bindings, struct binding_table *table)
{
    table_inherit(table, &bindings->table);
    table_free(&bindings->table);
    bindings->table = *table;
    bindings->loaded = true;
    bindings->loaded_until_ns = now_ns(bindings) + CACHE_NS;
}

/* Read the users and install them, unless a refresh came in between. */
static int table_load(struct emlfs_bindings *bindings, uint64_t generation)
{
    struct binding_table table = {0};

    int r = emlfs_user_walk(bindings->archive, table_append, &table, NULL);
    pthread_mutex_lock(&bindings->lock);
    if (r == 0 && generation == bindings->generation) {
        table_install(bindings, &table);
        table = (struct binding_table){0};
    }
    pthread_mutex_unlock(&bindings->lock);
    table_free(&table);
    return r;
}

/* 0: the users are there, not older than CACHE_NS, and the lock is held. Otherwise it is not. */
static int table_lock(struct emlfs_bindings *bindings)
{
    for (unsigned attempt = 0; attempt < LOADS_MAX; attempt++) {
        pthread_mutex_lock(&bindings->lock);
        if (bindings->loaded && now_ns(bindings) < bindings->loaded_until_ns)
            return 0;
        uint64_t generation = bindings->generation;
        pthread_mutex_unlock(&bindings->lock);
        int r = table_load(bindings, generation);
        if (r < 0)
            return r;
    }
    return -EAGAIN;
}

/* ---- uids */

/* Keep what NSS said about row's account. Under the lock. */
static void answer_keep(struct binding *row, int result, uid_t uid, int64_t at_ns)
{
    bool told = result == 0 || result == -ENOENT;

    row->asking = false;
    row->until_ns = at_ns + (told ? CACHE_NS : RETRY_NS);
    if (!told && row->known && row->answered_ns && at_ns - row->answered_ns < OUTAGE_NS)
        return; /* B2 */
    row->known = true;
    row->result = result;
    row->uid = uid;
    row->answered_ns = told ? at_ns : 0;
}

/* Ask NSS about *row (a copy), keep the answer for others, and put it into *row. */
static void answer_fetch(struct emlfs_bindings *bindings, struct binding *row, uint64_t generation)
{
    uid_t uid = (uid_t)-1;

    int result = bindings->system.uid(bindings->system.arg, row->account, &uid);
    int64_t at_ns = now_ns(bindings);
    answer_keep(row, result, uid, at_ns);
    pthread_mutex_lock(&bindings->lock);
    struct binding *kept = table_find(&bindings->table, row->user);
    if (kept && generation == bindings->generation && strcmp(kept->account, row->account) == 0)
        answer_keep(kept, result, uid, at_ns);
    pthread_mutex_unlock(&bindings->lock);
}

/* What is known about user, NSS asked when needed. -ENOENT: no such user. */
static int binding_get(struct emlfs_bindings *bindings, struct emlfs_user_id user,
                       struct binding *ret)
{
    bool ask = false;

    int r = table_lock(bindings);
    if (r < 0)
        return r;
    uint64_t generation = bindings->generation;
    struct binding *row = table_find(&bindings->table, user);
    if (row) {
        bool fresh = row->known && now_ns(bindings) < row->until_ns;
        ask = !fresh && !(row->known && row->asking); /* B4 */
        *ret = *row;
        row->asking |= ask;
    }
    pthread_mutex_unlock(&bindings->lock);
    if (!row)
        return -ENOENT;
    if (ask)
        answer_fetch(bindings, ret, generation);
    return 0;
}

static struct access_user access_of(const struct binding *binding)
{
    return (struct access_user){
        .flags = binding->flags, .bound = binding->result == 0, .uid = binding->uid};
}

int emlfs_bindings_uid(struct emlfs_bindings *bindings, struct emlfs_user_id user, uid_t *ret_uid)
{
    struct binding binding;

    int r = binding_get(bindings, user, &binding);
    if (r < 0)
        return r;
    if (binding.flags & EMLFS_USER_REMOVED)
        return -ENOENT;
    if (binding.result == 0)
        *ret_uid = binding.uid;
    return binding.result;
}

bool emlfs_bindings_may_read(struct emlfs_bindings *bindings, const struct emlfs_subject *subject,
                             struct emlfs_user_id user)
{
    struct binding binding;

    if (binding_get(bindings, user, &binding) < 0)
        return false;
    struct access_user owner = access_of(&binding);
    return emlfs_access_may_read(subject, &owner);
}

/* Ids of the users who could be administrators, into *ret_ids (to be freed). */
static int admins_list(struct emlfs_bindings *bindings, struct emlfs_user_id **ret_ids,
                       size_t *ret_n)
{
    size_t n = 0;

    int r = table_lock(bindings);
    if (r < 0)
        return r;
    struct emlfs_user_id *ids = calloc(bindings->table.n + 1, sizeof(*ids));
    for (size_t i = 0; ids && i < bindings->table.n; i++)
        if (bindings->table.rows[i].flags & EMLFS_USER_ADMIN)
            ids[n++] = bindings->table.rows[i].user;
    pthread_mutex_unlock(&bindings->lock);
    *ret_ids = ids;
    *ret_n = n;
    return ids ? 0 : -ENOMEM;
}

bool emlfs_bindings_is_admin(struct emlfs_bindings *bindings, const struct emlfs_subject *subject)
{
    const struct access_user nobody = {0};
    struct emlfs_user_id *ids;
    struct binding binding;
    size_t n;

    if (emlfs_access_is_admin(subject, &nobody))
        return true;
    if (admins_list(bindings, &ids, &n) < 0)
        return false;
    bool admin = false;
    for (size_t i = 0; i < n && !admin; i++) {
        if (binding_get(bindings, ids[i], &binding) < 0)
            continue;
        struct access_user user = access_of(&binding);
        admin = emlfs_access_is_admin(subject, &user);
    }
    free(ids);
    return admin;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changing stores: a new current one, states, names, taking one away and bringing it back.
 *
 * I-STORE-1  a store is shown only when it is there, whole, and the one that was detached
 * I-STORE-2  a detached store's catalogue needs nothing from packs of others: what was filed while
 *            it was there is in it, and while it is not nothing is
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "emlfs/base/cursor.h"
#include "emlfs/name.h"
#include "emlfs/stores.h"
#include "internal.h"

#define MODULE "archive"
#define FOLDED_MAX_BYTES 4096u
#define PACK_HEADER_BYTES 64u /* the first record stands behind it */

static const char *const state_names[] = {"current",  "normal", "write-protected",
                                          "disabled", "locked", "detached"};

/* A change of one store. */
struct act {
    const struct emlfs_actor *actor;
    uint16_t no;
    struct store_row row;
    enum emlfs_ledger_kind kind;
    char detail[EMLFS_LEDGER_DETAIL_MAX_BYTES + 1];
};

static int act_begin(struct emlfs_archive *archive, uint16_t no, struct act *ret,
                     struct emlfs_err *err)
{
    int rc = archive_writable(archive, err);

    ret->no = no;
    if (rc < 0)
        return rc;
    if (no == 0 || no > atomic_load(&archive->stores_n))
        return emlfs_err_set(err, ENOENT, MODULE, "there is no store %u", no);
    return store_row_get(archive, no, &ret->row, err);
}

static int act_commit(struct emlfs_archive *archive, struct act *act, struct emlfs_err *err)
{
    const uint8_t key[2] = {(uint8_t)(act->no >> 8), (uint8_t)act->no};
    const uint32_t rules = EMLFS_FOLDER_RULES;
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1024);
    const struct emlfs_ledger_record record = {.kind = (uint16_t)act->kind,
                                               .uid = EMLFS_LEDGER_UID_NONE,
                                               .object = act->no,
                                               .name = emlfs_span_str(act->row.name),
                                               .detail = emlfs_span_str(act->detail)};
    struct emlfs_master_row row = {.kind = EMLFS_MASTER_STORE, .key = emlfs_span_of(key, 2)};
    int rc = store_row_encode(&act->row, &value);

    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "store %u", act->no);
    row.value = emlfs_buf_view(&value);
    rc = journal_master(archive, act->actor, &row, &record, err);
    if (rc < 0)
        return rc;
    atomic_store(&archive->states[act->no - 1], act->row.state);
    atomic_fetch_add(&archive->generation, 1);
    archive_notify(archive, &rules, 1);
    archive_wake_watchers(archive);
    return 0;
}

static void state_set(struct emlfs_archive *archive, struct act *act, enum emlfs_store_state state)
{
    act->row.state = (uint8_t)state;
    act->row.changed_ns = emlfs_archive_now_ns(archive);
    act->row.next_folder = archive->next_folder;
}

/* ---- names */

static bool all_digits(const char *text)
{
    return text[strspn(text, "0123456789")] == '\0';
}

static int folded(const char *name, struct emlfs_buf *ret)
{
    emlfs_buf_clear(ret);
    return emlfs_name_fold(name, ret);
}

/* The store with that name; 0: none. Negative: error. */
static int named(struct emlfs_archive *archive, const char *name, struct emlfs_err *err)
{
    struct emlfs_buf a EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(FOLDED_MAX_BYTES);
    struct emlfs_buf b EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(FOLDED_MAX_BYTES);
    unsigned n = atomic_load(&archive->stores_n);

    if (strlen(name) > EMLFS_STORE_NAME_MAX_BYTES || folded(name, &a) < 0)
        return 0;
    for (unsigned no = 1; no <= n; no++) {
        struct store_row row;
        int rc = store_row_get(archive, (uint16_t)no, &row, err);
        if (rc == 0)
            rc = folded(row.name, &b);
        if (rc < 0)
            return rc;
        if (emlfs_span_equal(emlfs_buf_view(&a), emlfs_buf_view(&b)))
            return (int)no;
    }
    return 0;
}

/* A number is a number, and what looks like a directory is that directory's store only. */
static int name_check(struct emlfs_archive *archive, uint16_t no, const char *name,
                      struct emlfs_err *err)
{
    int other;

    if (strlen(name) > EMLFS_STORE_NAME_MAX_BYTES || !emlfs_name_folder_ok(name) ||
        all_digits(name) || (strspn(name, "0123456789") == 5 && name[5] == '-'))
        return emlfs_err_set(err, EINVAL, MODULE, "\"%.200s\" cannot be the name of a store", name);
    other = named(archive, name, err);
    if (other > 0 && other != no)
        return emlfs_err_set(err, EEXIST, MODULE, "there is a store \"%s\" already", name);
    return other < 0 ? other : 0;
}

int emlfs_archive_store_find(struct emlfs_archive *archive, const char *name_or_number,
                             struct emlfs_store_info *ret, struct emlfs_err *err)
{
    unsigned long no = 0;

    if (name_or_number[0] && all_digits(name_or_number)) {
        no = strlen(name_or_number) <= 6 ? strtoul(name_or_number, NULL, 10) : 0;
    } else {
        int found = named(archive, name_or_number, err);
        if (found < 0)
            return found;
        no = (unsigned long)found;
    }
    if (no == 0 || no > EMLFS_STORES_MAX)
        return -ENOENT;
    return emlfs_archive_store_info(archive, (uint16_t)(no - 1), ret, err);
}

/* ---- a new store */

int stores_roll(struct emlfs_archive *archive, const struct emlfs_actor *actor, const char *name,
                struct emlfs_err *err)
{
    struct act act = {.actor = actor, .kind = EMLFS_LEDGER_STORE_MADE};
    int rc = writer_roll_store(archive, err);

    if (rc == 0)
        rc = act_begin(archive, (uint16_t)atomic_load(&archive->stores_n), &act, err);
    if (rc < 0)
        return rc;
    act.row.made_ns = emlfs_archive_now_ns(archive);
    state_set(archive, &act, EMLFS_STORE_CURRENT);
    if (name)
        snprintf(act.row.name, sizeof(act.row.name), "%s", name);
    return act_commit(archive, &act, err);
}

static int store_create(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                        const char *name, uint16_t *ret_no, struct emlfs_err *err)
{
    int rc = name ? name_check(archive, 0, name, err) : 0;

    if (rc == 0)
        rc = writer_begin(archive, err);
    if (rc == 0)
        rc = writer_room(archive, err);
    /* Refused before the writer is at it, for what fails there is for good. */
    if (rc == 0 && atomic_load(&archive->stores_n) >= EMLFS_STORES_MAX)
        rc =
            emlfs_err_set(err, E2BIG, MODULE, "an archive has at most %u stores", EMLFS_STORES_MAX);
    if (rc == 0)
        rc = stores_roll(archive, actor, name, err);
    if (rc == 0)
        *ret_no = (uint16_t)atomic_load(&archive->stores_n);
    return rc;
}

int emlfs_archive_store_create(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               const char *name, uint16_t *ret_no, struct emlfs_err *err)
{
    int rc;

    /* An ingest numbers its messages in the store it began with. */
    turn_take(&archive->turn);
    pthread_mutex_lock(&archive->write_lock);
    rc = store_create(archive, actor, name, ret_no, err);
    pthread_mutex_unlock(&archive->write_lock);
    turn_give(&archive->turn);
    return rc;
}

/* ---- states and names */

static int state_check(struct emlfs_archive *archive, const struct act *act,
                       enum emlfs_store_state state, struct emlfs_err *err)
{
    bool last = act->no == atomic_load(&archive->stores_n);

    if (act->row.state == EMLFS_STORE_LOCKED)
        return emlfs_err_set(err, EPERM, MODULE,
                             "store \"%s\" is locked; the recovery key opens it", act->row.name);
    if (act->row.state == EMLFS_STORE_DETACHED)
        return emlfs_err_set(err, EINVAL, MODULE, "store \"%s\" is detached; attach it first",
                             act->row.name);
    if (state > EMLFS_STORE_LOCKED)
        return emlfs_err_set(err, EINVAL, MODULE, "no state that is set");
    if (last && state != EMLFS_STORE_CURRENT && state != EMLFS_STORE_WRITE_PROTECTED)
        return emlfs_err_set(err, EINVAL, MODULE,
                             "store \"%s\" is the current one; create a new one first",
                             act->row.name);
    if (!last && state == EMLFS_STORE_CURRENT)
        return emlfs_err_set(err, EINVAL, MODULE,
                             "only the newest store can be current; create a new one");
    return 0;
}

int emlfs_archive_store_set_state(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                                  const struct emlfs_store_change *change, struct emlfs_err *err)
{
    struct act act = {.actor = actor, .kind = EMLFS_LEDGER_STORE_STATE};
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = act_begin(archive, change->no, &act, err);
    if (rc == 0)
        rc = state_check(archive, &act, change->state, err);
    if (rc == 0 && act.row.state != (uint8_t)change->state) {
        const char *reason = change->reason ? change->reason : "";
        state_set(archive, &act, change->state);
        snprintf(act.detail, sizeof(act.detail), "%s%s%.900s", state_names[change->state],
                 reason[0] ? ": " : "", reason);
        rc = act_commit(archive, &act, err);
    }
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

int emlfs_archive_store_rename(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               uint16_t no, const char *name, struct emlfs_err *err)
{
    struct act act = {.actor = actor, .kind = EMLFS_LEDGER_STORE_RENAMED};
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = act_begin(archive, no, &act, err);
    if (rc == 0)
        rc = name_check(archive, no, name, err);
    if (rc == 0 && strcmp(act.row.name, name) != 0) {
        snprintf(act.detail, sizeof(act.detail), "%s", act.row.name);
        snprintf(act.row.name, sizeof(act.row.name), "%s", name);
        rc = act_commit(archive, &act, err);
    }
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

/* EACCES when it is no recovery key, or another archive's. */
static int recovery_opens(struct emlfs_archive *archive, const char *text, struct emlfs_err *err)
{
    struct archive_keys keys = {0};
    int rc = keys_open(archive->path, text, &keys, err);
    bool same =
        rc == 0 && emlfs_equal_secret(keys.master.v, archive->keys.master.v, EMLFS_KEY_BYTES);

    emlfs_wipe(&keys, sizeof(keys));
    if (rc == -ENOKEY || rc == -EINVAL || (rc == 0 && !same))
        return emlfs_err_set(err, EACCES, MODULE, "this recovery key opens nothing here");
    return rc;
}

int emlfs_archive_store_unlock(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               uint16_t no, const char *recovery_key, struct emlfs_err *err)
{
    struct act act = {.actor = actor, .kind = EMLFS_LEDGER_STORE_UNLOCKED};
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = act_begin(archive, no, &act, err);
    if (rc == 0 && act.row.state != EMLFS_STORE_LOCKED)
        rc = emlfs_err_set(err, EINVAL, MODULE, "store \"%s\" is not locked", act.row.name);
    if (rc == 0)
        rc = recovery_opens(archive, recovery_key, err);
    if (rc == 0) {
        state_set(archive, &act, EMLFS_STORE_NORMAL);
        rc = act_commit(archive, &act, err);
    }
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

/* ---- taking away and bringing back */

/* An ingest is about to write events of messages of the store. */
static bool being_filed(const struct emlfs_archive *archive, uint16_t no)
{
    bool found = emlfs_msg_id_store(archive->filing_one) == no;

    for (unsigned i = 0; i < archive->filing_n && !found; i++)
        found = emlfs_msg_id_store(archive->filing[i]) == no;
    return found;
}

static int detach_check(struct emlfs_archive *archive, const struct act *act, struct emlfs_err *err)
{
    if (act->no == atomic_load(&archive->stores_n))
        return emlfs_err_set(err, EINVAL, MODULE,
                             "store \"%s\" is the current one; create a new one first",
                             act->row.name);
    if (act->row.state == EMLFS_STORE_DETACHED)
        return emlfs_err_set(err, EINVAL, MODULE, "store \"%s\" is detached already",
                             act->row.name);
    if (act->row.state == EMLFS_STORE_LOCKED)
        return emlfs_err_set(err, EPERM, MODULE,
                             "store \"%s\" is locked; the recovery key opens it", act->row.name);
    if (being_filed(archive, act->no))
        return emlfs_err_set(err, EBUSY, MODULE,
                             "mail of store \"%s\" is just being filed; try again", act->row.name);
    return 0;
}

int emlfs_archive_store_detach(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               uint16_t no, struct emlfs_err *err)
{
    struct act act = {.actor = actor, .kind = EMLFS_LEDGER_STORE_DETACHED};
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = act_begin(archive, no, &act, err);
    if (rc == 0)
        rc = detach_check(archive, &act, err);
    if (rc == 0) {
        usage_forget(archive);
        state_set(archive, &act, EMLFS_STORE_DETACHED);
        rc = act_commit(archive, &act, err);
    }
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

static int directory_find(struct emlfs_archive *archive, uint16_t no, struct store_dir *ret,
                          struct emlfs_err *err)
{
    struct store_dir *dirs = NULL;
    unsigned n = 0;
    int rc = layout_stores(archive->path, &dirs, &n, err);

    if (rc < 0)
        return rc;
    rc = -ENOENT;
    for (unsigned i = 0; i < n && rc < 0; i++) {
        if (dirs[i].no == no) {
            *ret = dirs[i];
            rc = 0;
        }
    }
    free(dirs);
    return rc < 0 ? emlfs_err_set(err, ENOENT, MODULE, "the directory of store %u is not there", no)
                  : 0;
}

/* The first record of every pack opens with this archive's keys, and none is missing at the end. */
static int packs_check(struct store *store, struct emlfs_err *err)
{
    struct mark_row mark;
    uint32_t last = 0;
    uint64_t bytes = 0;
    int rc = store_mark(store, &mark, err);

    if (rc == 0)
        rc = emlfs_packs_last(store->packs, &last, err);
    for (uint32_t no = 1; no <= last && rc == 0; no++) {
        struct emlfs_record record = EMLFS_RECORD_INIT;
        if (emlfs_packs_size(store->packs, no, &bytes) < 0 || bytes <= PACK_HEADER_BYTES)
            continue;
        rc = emlfs_packs_read(store->packs,
                              (struct emlfs_pack_loc){.pack_no = no, .offset = PACK_HEADER_BYTES},
                              &record, err);
        emlfs_record_free(&record);
    }
    if (rc == 0 && mark.end.pack_no &&
        (emlfs_packs_size(store->packs, mark.end.pack_no, &bytes) < 0 || bytes < mark.end.offset))
        rc = emlfs_err_set(err, EUCLEAN, MODULE, "store %u: its last pack is missing or cut",
                           store->rows.no);
    return rc == -ENOENT
               ? emlfs_err_set(err, EUCLEAN, MODULE, "store %u: a pack is missing", store->rows.no)
               : rc;
}

/* I-STORE-2: an older copy of it lacks what was filed between the copy and the detaching. */
static int stamp_check(struct store *store, const struct store_row *row, struct emlfs_err *err)
{
    const uint8_t kind = ROW_DETACHED;
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct emlfs_cursor cur;
    int64_t stamp = 0;
    int rc = emlfs_catalog_get(store->rows.catalog, emlfs_span_of(&kind, 1), 0, &value, err);

    if (rc == 0) {
        cur = emlfs_cursor_of(emlfs_buf_view(&value));
        stamp = emlfs_cursor_svarint(&cur);
        rc = emlfs_cursor_done(&cur) ? 0 : -EUCLEAN;
    }
    if (rc == 0 && stamp == row->changed_ns)
        return 0;
    if (rc < 0 && rc != -ENOENT && rc != -EUCLEAN)
        return rc;
    return emlfs_err_set(err, EUCLEAN, MODULE,
                         "store %u is not as it was when it was detached: recover makes its "
                         "catalogue again, then it can be attached",
                         store->rows.no);
}

static int attach_open(struct emlfs_archive *archive, const struct act *act,
                       const struct store_dir *dir, struct emlfs_err *err)
{
    const struct store_opening opening = {.keys = &archive->keys, .dir = dir};
    struct store *store = NULL;
    char catalog[EMLFS_PATH_MAX_BYTES];
    int rc = path_join(catalog, sizeof(catalog), dir->path, "catalog");

    if (rc == 0)
        rc = sums_check(catalog, &archive->keys.check, err);
    if (rc < 0)
        return rc;
    rc = store_open(&opening, &store, err);
    if (rc == -ENOENT)
        rc = emlfs_err_set(err, EUCLEAN, MODULE,
                           "store %u has no catalogue; recover makes it again", act->no);
    if (rc == 0)
        rc = packs_check(store, err);
    if (rc == 0)
        rc = stamp_check(store, &act->row, err);
    if (rc < 0) {
        store_close(store, &archive->keys, NULL);
        return rc;
    }
    archive->store_rows[act->no - 1] = &store->rows;
    archive->stores[act->no - 1] = store;
    return 0;
}

/* Detached by this process, it is still open: then it must be the same directory. */
static int attach_check(struct emlfs_archive *archive, const struct act *act, struct emlfs_err *err)
{
    struct store *store = archive_store(archive, act->no);
    struct store_dir *dir = calloc(1, sizeof(*dir));
    struct stat st;
    int rc = dir ? directory_find(archive, act->no, dir, err)
                 : emlfs_err_set(err, ENOMEM, MODULE, "out of memory");

    if (rc == 0 && !store)
        rc = attach_open(archive, act, dir, err);
    else if (rc == 0 && (stat(dir->path, &st) < 0 || (uint64_t)st.st_dev != store->dev ||
                         (uint64_t)st.st_ino != store->ino))
        rc = emlfs_err_set(err, EUCLEAN, MODULE,
                           "the directory of store %u was exchanged; open the archive again first",
                           act->no);
    free(dir);
    return rc;
}

int emlfs_archive_store_attach(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               uint16_t no, struct emlfs_err *err)
{
    struct act act = {.actor = actor, .kind = EMLFS_LEDGER_STORE_ATTACHED};
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = act_begin(archive, no, &act, err);
    if (rc == 0 && act.row.state != EMLFS_STORE_DETACHED)
        rc = emlfs_err_set(err, EINVAL, MODULE, "store \"%s\" is not detached", act.row.name);
    if (rc == 0)
        rc = attach_check(archive, &act, err);
    if (rc == 0) {
        usage_forget(archive);
        state_set(archive, &act, EMLFS_STORE_WRITE_PROTECTED);
        rc = act_commit(archive, &act, err);
    }
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The archive as it stood at a time: the packs applied once more, up to that time, into catalogues
 * of their own in ARCHIVE/asof/N. They hold only what lists folders; content is the live archive's.
 *
 * I-ASOF-1  nothing of the live archive is changed, and none of its locks is waited for
 * I-ASOF-2  content is given only of what is still filed in the live archive
 * I-ASOF-3  what lies in asof/ is of use to the process that made it, and to nobody else
 */
#include "emlfs/asof.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "internal.h"

#define MODULE "asof"
#define SCRATCH_MAX 256u /* at the same time */
#define MASTER_CACHE_BYTES (1u << 20)

bool emlfs_asof_is(const struct emlfs_archive *archive, int64_t *ret_time_ns)
{
    if (ret_time_ns && archive->live)
        *ret_time_ns = archive->asof_ns;
    return archive->live != NULL;
}

struct emlfs_archive *emlfs_asof_live(struct emlfs_archive *archive)
{
    return archive->live ? archive->live : archive;
}

/* ---- files */

void asof_sweep(const char *archive_path)
{
    char path[EMLFS_PATH_MAX_BYTES];

    if (path_join(path, sizeof(path), archive_path, "asof") == 0 && access(path, F_OK) == 0)
        layout_remove(path);
}

/* The directory above goes with the last that closes: it may do so in between. */
static int scratch_try(struct emlfs_archive *past, const char *root, unsigned n)
{
    char name[16];
    int rc = emlfs_os_mkdir(root, 0700);

    snprintf(name, sizeof(name), "%u", n);
    if (rc == 0 || rc == -EEXIST)
        rc = path_join(past->scratch, sizeof(past->scratch), root, name);
    return rc < 0 ? rc : emlfs_os_mkdir(past->scratch, 0700);
}

static int scratch_make(struct emlfs_archive *past, struct emlfs_err *err)
{
    char root[EMLFS_PATH_MAX_BYTES];
    int rc = path_join(root, sizeof(root), past->path, "asof");

    if (rc == 0)
        rc = -EEXIST;
    for (unsigned n = 1; n <= SCRATCH_MAX && (rc == -EEXIST || rc == -ENOENT); n++)
        rc = scratch_try(past, root, n);
    if (rc == 0)
        return 0;
    past->scratch[0] = '\0'; /* another one's */
    return emlfs_err_sys(err, -rc, MODULE, "no directory in %s", root);
}

static void scratch_remove(struct emlfs_archive *past)
{
    char root[EMLFS_PATH_MAX_BYTES];

    if (!past->scratch[0])
        return;
    layout_remove(past->scratch);
    if (path_join(root, sizeof(root), past->path, "asof") == 0)
        (void)rmdir(root); /* unless another one is there */
}

void asof_close(struct emlfs_archive *archive)
{
    for (unsigned i = 0; i < EMLFS_STORES_MAX; i++)
        store_close(archive->stores[i], NULL, NULL);
    if (archive->master)
        emlfs_catalog_close(archive->master);
    scratch_remove(archive);
    archive_free(archive);
}

/* ---- making it */

static int past_new(const struct emlfs_asof_options *options, struct emlfs_archive **ret,
                    struct emlfs_err *err)
{
    struct emlfs_archive *live = options->live;
    const struct emlfs_archive_options as = {
        .path = live->path, .read_only = true, .workers = 1, .clock = live->clock};
    struct emlfs_archive *past = archive_new(&as);

    if (!past)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    past->live = live;
    past->asof_ns = options->time_ns;
    past->keys = live->keys;
    past->identity = live->identity;
    past->state.keys = &past->keys;
    past->state.stores = past->store_rows;
    past->state.brief = true;
    *ret = past;
    return 0;
}

static int master_make(struct emlfs_archive *past, struct emlfs_err *err)
{
    char dir[EMLFS_PATH_MAX_BYTES];
    const struct emlfs_catalog_config config = {.dir = dir,
                                                .key = past->keys.rows,
                                                .create = true,
                                                .cache_bytes = MASTER_CACHE_BYTES,
                                                .write_buffer_bytes = MASTER_CACHE_BYTES};
    int rc = path_join(dir, sizeof(dir), past->scratch, "master");

    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "%s", past->scratch);
    rc = emlfs_catalog_open(&config, &past->master, err);
    past->state.master = past->master;
    return rc;
}

static int store_make(struct emlfs_archive *past, const struct store_dir *dir,
                      struct emlfs_err *err)
{
    char subdir[16];
    const struct store_opening opening = {
        .keys = &past->keys, .dir = dir, .subdir = subdir, .parent = past->scratch, .create = true};
    struct store *store = NULL;
    int rc;

    snprintf(subdir, sizeof(subdir), "store-%05u", dir->no);
    rc = store_open(&opening, &store, err);
    if (rc < 0)
        return rc;
    past->stores[dir->no - 1] = store;
    past->store_rows[dir->no - 1] = &store->rows;
    past->state.stores_n = dir->no;
    atomic_store(&past->stores_n, dir->no);
    return 0;
}

/* The records of one store; those of the live one's current store up to where they are durable. */
static int store_fill(struct emlfs_archive *past, const struct store_dir *dir,
                      struct replay_options *replay, struct emlfs_err *err)
{
    struct store *live = archive_store(past->live, dir->no);
    struct store *store;
    struct mark_row until;
    int rc = store_make(past, dir, err);

    replay->until = NULL;
    if (rc == 0 && live) {
        rc = store_reached(live, past->live->read_only, &until, err);
        replay->until = &until;
    }
    if (rc < 0)
        return rc;
    store = past->stores[dir->no - 1];
    rc = replay_store(&past->state, store, replay, err);
    emlfs_packs_close(store->packs); /* content comes from elsewhere */
    store->packs = NULL;
    return rc;
}

static int stores_fill(struct emlfs_archive *past, struct replay_options *replay,
                       struct emlfs_err *err)
{
    const unsigned known = atomic_load(&past->live->stores_n);
    struct store_dir *dirs = NULL;
    unsigned n = 0;
    int rc = layout_stores(past->path, &dirs, &n, err);

    for (unsigned i = 0; i < known && rc == 0 && !replay->horizon->reached; i++) {
        if (i >= n || dirs[i].no != i + 1)
            rc = emlfs_err_set(err, ENOENT, MODULE,
                               "store %u is detached and not there: what was changed while it was "
                               "the current one is not known",
                               i + 1);
        else
            rc = store_fill(past, &dirs[i], replay, err);
    }
    free(dirs);
    return rc;
}

static int made_tell(void *arg, const struct emlfs_ledger_record *record)
{
    *(int64_t *)arg = record->time_ns;
    return 1;
}

/* Some archives are older than their ledger, and in tests the clocks are not one. */
static int made_check(struct emlfs_archive *past, const struct horizon *horizon,
                      struct emlfs_err *err)
{
    struct emlfs_ledger *ledger = past->live->ledger;
    const struct emlfs_ledger_filter all = {0};
    int64_t made_ns = INT64_MAX;
    int rc = ledger && emlfs_ledger_size(ledger) > 0
                 ? emlfs_ledger_each(ledger, &all, made_tell, &made_ns, err)
                 : 0;

    if (rc < 0)
        return rc;
    if (horizon->begun && horizon->first_ns < made_ns)
        made_ns = horizon->first_ns;
    return made_ns == INT64_MAX || made_ns <= horizon->time_ns
               ? 0
               : emlfs_err_set(err, EINVAL, MODULE, "the archive was made later");
}

static int past_fill(struct emlfs_archive *past, const struct emlfs_asof_options *options,
                     struct emlfs_err *err)
{
    struct horizon horizon = {.time_ns = options->time_ns};
    struct replay_options replay = {.progress = options->progress,
                                    .finding = options->finding,
                                    .arg = options->arg,
                                    .totals = &past->opening,
                                    .horizon = &horizon};
    int rc = scratch_make(past, err);

    if (rc == 0)
        rc = master_make(past, err);
    if (rc == 0)
        rc = stores_fill(past, &replay, err);
    return rc < 0 ? rc : made_check(past, &horizon, err);
}

int emlfs_asof_open(const struct emlfs_asof_options *options, struct emlfs_archive **ret,
                    struct emlfs_err *err)
{
    struct emlfs_archive *past = NULL;
    int rc;

    if (options->live->live)
        return emlfs_err_set(err, EINVAL, MODULE, "that archive is one of the past itself");
    if (options->time_ns > emlfs_archive_now_ns(options->live))
        return emlfs_err_set(err, EINVAL, MODULE, "that time has not come yet");
    rc = writer_room(options->live, err);
    if (rc == 0)
        rc = past_new(options, &past, err);
    if (rc == 0)
        rc = past_fill(past, options, err);
    if (rc < 0) {
        if (past)
            asof_close(past);
        return rc;
    }
    *ret = past;
    return 0;
}

/* ---- content */

static int removed(struct emlfs_msg_id id, struct emlfs_err *err)
{
    char text[EMLFS_MSG_ID_TEXT_MAX];

    emlfs_msg_id_format(id, text);
    return emlfs_err_set(err, EIDRM, MODULE, "message %s was taken out since", text);
}

int asof_content(struct emlfs_archive *archive, struct emlfs_msg_id id, struct emlfs_err *err)
{
    struct store *then = archive_shown(archive, emlfs_msg_id_store(id));
    struct store *now = archive_shown(archive->live, emlfs_msg_id_store(id));
    int rc = then && now ? message_there(then, emlfs_msg_id_number(id), err) : -ENOENT;

    if (rc < 0)
        return rc;
    rc = message_there(now, emlfs_msg_id_number(id), err);
    return rc == -ENOENT ? removed(id, err) : rc;
}

int emlfs_asof_given(struct emlfs_archive *archive, struct emlfs_user_id user,
                     struct emlfs_msg_id id, struct emlfs_err *err)
{
    struct row_key key = key_u32(ROW_FILED, emlfs_msg_id_number(id));
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct filed_list list = {0};
    struct store *now;
    unsigned links;
    int rc;

    if (!archive->live)
        return 0;
    now = archive_shown(archive->live, emlfs_msg_id_store(id));
    if (!now)
        return emlfs_err_set(err, ENOENT, MODULE, "the store is not shown");
    rc = emlfs_catalog_get(now->rows.catalog, row_key_view(&key), 0, &value, err);
    if (rc == 0)
        rc = filed_decode(emlfs_buf_view(&value), &list);
    links = rc == 0 ? filed_count_user(&list, user.v) : 0;
    filed_list_free(&list);
    if (rc == -ENOENT || (rc == 0 && links == 0))
        return removed(id, err);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "row of message %u", emlfs_msg_id_number(id))
                  : 0;
}

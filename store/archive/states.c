/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What stores let happen: a T row says it, and without one the highest number is the current store,
 * the others are normal. Asking takes no lock.
 *
 * I-STATE-1  what a row of another store than the last says of being current means normal, and a
 *            last store that would be normal is current: so beginning a store changes one row only
 */
#include <stdio.h>
#include <time.h>

#include "emlfs/stores.h"
#include "internal.h"

#define MODULE "archive"

static struct row_key store_key(uint16_t no)
{
    const uint8_t bytes[2] = {(uint8_t)(no >> 8), (uint8_t)no};

    return key_bytes(EMLFS_MASTER_STORE, emlfs_span_of(bytes, 2));
}

static int row_read(struct emlfs_catalog *master, uint16_t no, struct store_row *ret,
                    struct emlfs_err *err)
{
    struct row_key key = store_key(no);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1024);
    int rc = emlfs_catalog_get(master, row_key_view(&key), EMLFS_CATALOG_SEALED, &value, err);

    if (rc == 0)
        rc = store_row_decode(emlfs_buf_view(&value), ret);
    return rc == 0 || rc == -ENOENT ? rc : emlfs_err_sys(err, -rc, MODULE, "row of store %u", no);
}

bool store_is_detached(struct emlfs_catalog *master, uint16_t no)
{
    struct store_row row;

    return row_read(master, no, &row, NULL) == 0 && row.state == EMLFS_STORE_DETACHED;
}

static enum emlfs_store_state effective(const struct emlfs_archive *archive, uint16_t no,
                                        uint8_t state)
{
    bool last = no == atomic_load(&archive->stores_n);

    if (last)
        return state == EMLFS_STORE_WRITE_PROTECTED ? EMLFS_STORE_WRITE_PROTECTED
                                                    : EMLFS_STORE_CURRENT;
    return state == EMLFS_STORE_CURRENT ? EMLFS_STORE_NORMAL : (enum emlfs_store_state)state;
}

/* The month in the directory's name. */
static int64_t month_ns(const char *directory)
{
    struct tm tm = {.tm_mday = 1};
    unsigned no, year, month;
    time_t sec;

    if (sscanf(directory, "%5u-%4u-%2u", &no, &year, &month) != 3 || month < 1 || month > 12)
        return 0;
    tm.tm_year = (int)year - 1900;
    tm.tm_mon = (int)month - 1;
    sec = timegm(&tm);
    return sec > 0 ? (int64_t)sec * 1000000000 : 0;
}

static void row_make(struct store *store, struct store_row *ret)
{
    const char *slash = strrchr(store->dir.path, '/');

    *ret = (struct store_row){0};
    snprintf(ret->directory, sizeof(ret->directory), "%.31s", slash ? slash + 1 : store->dir.path);
    snprintf(ret->name, sizeof(ret->name), "%s", ret->directory);
    ret->made_ns = month_ns(ret->directory);
}

int store_row_get(struct emlfs_archive *archive, uint16_t no, struct store_row *ret,
                  struct emlfs_err *err)
{
    struct store *store = archive_store(archive, no);
    int rc = row_read(archive->master, no, ret, err);

    if (rc == -ENOENT && store) {
        row_make(store, ret);
        rc = 0;
    }
    if (rc == 0)
        ret->state = (uint8_t)emlfs_archive_store_state(archive, no);
    return rc == -ENOENT ? emlfs_err_set(err, ENOENT, MODULE, "there is no store %u", no) : rc;
}

struct loading {
    struct emlfs_archive *archive;
    struct emlfs_err *err;
};

static int state_take(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct loading *loading = arg;
    uint16_t no = key.len == 2 ? (uint16_t)(key.data[0] << 8 | key.data[1]) : 0;
    struct store_row row;
    int rc = no ? store_row_decode(value, &row) : -EUCLEAN;

    if (rc < 0)
        return emlfs_err_sys(loading->err, -rc, MODULE, "row of store %u", no);
    if (no > atomic_load(&loading->archive->stores_n))
        return emlfs_err_set(loading->err, EUCLEAN, MODULE, "%s: store %u is missing",
                             loading->archive->path, no);
    atomic_store(&loading->archive->states[no - 1],
                 (unsigned char)effective(loading->archive, no, row.state));
    return 0;
}

int states_load(struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct loading loading = {.archive = archive, .err = err};

    return emlfs_archive_master_walk(archive, EMLFS_MASTER_STORE, state_take, &loading, err);
}

enum emlfs_store_state emlfs_archive_store_state(struct emlfs_archive *archive, uint16_t no)
{
    if (no == 0 || no > atomic_load(&archive->stores_n))
        return EMLFS_STORE_DETACHED;
    if (archive->live)
        return emlfs_archive_store_state(archive->live, no);
    return (enum emlfs_store_state)atomic_load(&archive->states[no - 1]);
}

bool emlfs_archive_store_shown(struct emlfs_archive *archive, uint16_t no)
{
    return emlfs_archive_store_state(archive, no) <= EMLFS_STORE_WRITE_PROTECTED;
}

bool emlfs_archive_all_protected(struct emlfs_archive *archive)
{
    unsigned n = atomic_load(&archive->stores_n);
    bool all = n > 0;

    if (archive->live)
        return true;
    for (unsigned i = 0; i < n && all; i++)
        all = atomic_load(&archive->states[i]) == EMLFS_STORE_WRITE_PROTECTED;
    return all;
}

int emlfs_archive_store_info(struct emlfs_archive *archive, uint16_t after,
                             struct emlfs_store_info *ret, struct emlfs_err *err)
{
    uint16_t no = (uint16_t)(after + 1);
    struct mark_row mark = {0};
    struct store_row row;
    struct store *store;
    int rc;

    if (no == 0 || no > atomic_load(&archive->stores_n))
        return -ENOENT;
    store = archive_store(archive, no);
    rc = store_row_get(archive, no, &row, err);
    if (rc == 0 && store)
        rc = store_mark(store, &mark, err);
    if (rc < 0)
        return rc;
    *ret = (struct emlfs_store_info){.no = no,
                                     .state = (enum emlfs_store_state)row.state,
                                     .present = store != NULL,
                                     .made_ns = row.made_ns,
                                     .messages = mark.messages,
                                     .bytes = mark.bytes};
    snprintf(ret->name, sizeof(ret->name), "%s", row.name);
    snprintf(ret->directory, sizeof(ret->directory), "%s", row.directory);
    return 0;
}

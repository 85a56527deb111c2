/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: making, opening and closing a ledger, and its mark.
 *
 * Locks: notes, then lock. Whoever sets busy (under lock) owns the files for writing and everything
 * that internal.h puts behind it, without holding a lock; nothing sleeps on a disk under lock.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commit.h"

int ledger_path(const char *dir, const char *name, char ret_path[LEDGER_PATH_MAX_BYTES])
{
    int n = snprintf(ret_path, LEDGER_PATH_MAX_BYTES, "%s/%s", dir, name);
    return n < 0 || n >= (int)LEDGER_PATH_MAX_BYTES ? -ENAMETOOLONG : 0;
}

static int folder_make(const char *dir, const char *name)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = ledger_path(dir, name, path);
    return r < 0 ? r : emlfs_os_mkdir(path, 0700);
}

static int file_make(const char *dir, const char *name, struct emlfs_span content)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = ledger_path(dir, name, path);
    return r < 0 ? r : emlfs_os_replace_file(path, content, 0600);
}

/* Both slots, so that a torn write never leaves none. */
static int first_mark(const char *dir, const struct emlfs_key *key)
{
    uint8_t slots[2 * MARK_SLOT_BYTES];
    struct ledger_tree empty = {0};
    struct ledger_mark mark = {0};
    int r = ledger_tree_root(&empty, &mark.root);
    if (r < 0)
        return r;
    ledger_mark_encode(&mark, key, slots);
    mark.generation = 1;
    ledger_mark_encode(&mark, key, slots + MARK_SLOT_BYTES);
    return file_make(dir, "mark", emlfs_span_of(slots, sizeof(slots)));
}

static int parts_make(const struct emlfs_ledger_config *config, struct emlfs_err *err)
{
    struct ledger_keys keys = {0};
    int r = folder_make(config->dir, "records");
    if (r == 0)
        r = folder_make(config->dir, "timestamps");
    if (r == 0)
        r = ledger_tiles_create(config->dir);
    if (r == 0)
        r = file_make(config->dir, "checkpoints", (struct emlfs_span){0});
    if (r == 0)
        r = ledger_keys_create(config->dir, &config->master, err);
    if (r == 0)
        r = ledger_keys_open(config->dir, &config->master, &keys, err);
    if (r == 0)
        r = first_mark(config->dir, &keys.mark);
    ledger_keys_free(&keys);
    return r;
}

int emlfs_ledger_create(const struct emlfs_ledger_config *config, struct emlfs_err *err)
{
    char up[LEDGER_PATH_MAX_BYTES];
    if (!ledger_origin_valid(config->origin))
        return emlfs_err_set(err, EINVAL, MODULE, "a ledger cannot have this name");
    int r = emlfs_os_mkdir(config->dir, 0700);
    if (r == 0)
        r = parts_make(config, err);
    if (r == 0)
        r = emlfs_os_sync_dir(config->dir);
    if (r == 0)
        r = ledger_path(config->dir, "..", up);
    if (r == 0)
        r = emlfs_os_sync_dir(up);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the ledger cannot be made") : 0;
}

static int file_open(const struct emlfs_ledger *ledger, const char *name, int *ret_fd)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = ledger_path(ledger->dir, name, path);
    if (r < 0)
        return r;
    *ret_fd = open(path, (ledger->read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? -errno : 0;
}

static void ledger_free(struct emlfs_ledger *ledger)
{
    ledger_batch_free(ledger->open);
    ledger_segment_close(&ledger->segment);
    ledger_tiles_close(&ledger->tiles);
    emlfs_os_close(&ledger->mark_fd);
    emlfs_os_close(&ledger->notes_fd);
    ledger_keys_free(&ledger->keys);
    pthread_cond_destroy(&ledger->changed);
    pthread_mutex_destroy(&ledger->lock);
    pthread_mutex_destroy(&ledger->notes);
    free(ledger);
}

static struct emlfs_ledger *ledger_new(const struct emlfs_ledger_config *config)
{
    struct emlfs_ledger *ledger = calloc(1, sizeof(*ledger));
    if (!ledger)
        return NULL;
    snprintf(ledger->dir, sizeof(ledger->dir), "%s", config->dir);
    snprintf(ledger->origin, sizeof(ledger->origin), "%s", config->origin);
    ledger->clock = config->clock;
    ledger->read_only = config->flags & EMLFS_LEDGER_READ_ONLY;
    ledger->segment = LEDGER_SEGMENT_INIT;
    ledger->tiles = LEDGER_TILES_INIT;
    ledger->mark_fd = ledger->notes_fd = -1;
    pthread_mutex_init(&ledger->lock, NULL); /* default attributes: cannot fail on Linux */
    pthread_mutex_init(&ledger->notes, NULL);
    pthread_cond_init(&ledger->changed, NULL);
    return ledger;
}

static int files_open(struct emlfs_ledger *ledger, struct emlfs_err *err)
{
    unsigned good;
    int r = file_open(ledger, "mark", &ledger->mark_fd);
    if (r == 0)
        r = ledger_mark_read(ledger->mark_fd, &ledger->keys.mark, &ledger->mark, &good);
    if (r < 0)
        return emlfs_err_sys(err, -r, MODULE, "the ledger's mark");
    r = file_open(ledger, "checkpoints", &ledger->notes_fd);
    if (r < 0)
        return emlfs_err_sys(err, -r, MODULE, "the ledger's checkpoints");
    r = ledger_tiles_open(ledger->dir, !ledger->read_only, &ledger->tiles);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the ledger's tiles") : 0;
}

static bool file_ends_at(const char *path, uint64_t bytes)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == bytes;
}

static int mark_of_dir(const struct emlfs_ledger_config *config, struct ledger_mark *ret_mark)
{
    char path[LEDGER_PATH_MAX_BYTES];
    struct emlfs_key key;
    unsigned good;
    int r = ledger_path(config->dir, "mark", path);
    EMLFS_FD_CLEANUP int fd = r < 0 ? -1 : open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return r < 0 ? r : -errno;
    r = ledger_keys_mark(&config->master, &key);
    if (r == 0)
        r = ledger_mark_read(fd, &key, ret_mark, &good);
    emlfs_wipe(&key, sizeof(key));
    return r;
}

int emlfs_ledger_closed(const struct emlfs_ledger_config *config)
{
    char notes[LEDGER_PATH_MAX_BYTES], records[LEDGER_PATH_MAX_BYTES];
    struct ledger_mark mark = {0};
    uint32_t last = 0;
    int r = mark_of_dir(config, &mark);
    if (r == 0 && (mark.size == 0 || mark.segment_bytes == 0))
        r = -EBUSY;
    if (r == 0)
        r = ledger_segment_closed(config->dir, mark.size, &last);
    if (r == 0)
        r = ledger_segment_path(config->dir, last, records);
    if (r == 0)
        r = ledger_path(config->dir, "checkpoints", notes);
    if (r == 0 && (!file_ends_at(records, mark.segment_bytes) ||
                   !file_ends_at(notes, mark.checkpoints_bytes)))
        r = -EBADMSG;
    return r;
}

int emlfs_ledger_open(const struct emlfs_ledger_config *config, struct emlfs_ledger **ret_ledger,
                      struct emlfs_ledger_opened *ret_opened, struct emlfs_err *err)
{
    struct emlfs_ledger_opened opened = {0};
    if (!ledger_origin_valid(config->origin) || strlen(config->dir) >= LEDGER_PATH_MAX_BYTES)
        return emlfs_err_set(err, EINVAL, MODULE, "a ledger cannot have this name");
    struct emlfs_ledger *ledger = ledger_new(config);
    if (!ledger)
        return emlfs_err_sys(err, ENOMEM, MODULE, "ledger");
    int r = ledger_keys_open(ledger->dir, &config->master, &ledger->keys, err);
    if (r == 0)
        r = files_open(ledger, err);
    if (r == 0)
        r = ledger_recover(ledger, &opened, err);
    if (r == 0)
        r = ledger_notes_open(ledger, err);
    if (r == 0)
        r = ledger_publish(ledger, err);
    if (r < 0) {
        ledger_free(ledger);
        return r;
    }
    if (ret_opened)
        *ret_opened = opened;
    *ret_ledger = ledger;
    return 0;
}

int ledger_mark_now(struct emlfs_ledger *ledger, bool durable)
{
    struct ledger_mark *mark = &ledger->mark;
    int r = durable ? ledger_tiles_sync(&ledger->tiles) : 0;
    mark->generation++;
    mark->size = ledger->tree.size;
    if (durable)
        mark->tiles = mark->size;
    if (r == 0)
        r = ledger_tree_root(&ledger->tree, &mark->root);
    if (r == 0)
        r = ledger_mark_write(ledger->mark_fd, &ledger->keys.mark, mark);
    return r == 0 && durable ? emlfs_os_fdatasync(ledger->mark_fd) : r;
}

int emlfs_ledger_close(struct emlfs_ledger *ledger, struct emlfs_err *err)
{
    int r = 0;
    if (!ledger)
        return 0;
    if (!ledger->read_only) {
        r = ledger->poisoned ? -EROFS : 0;
        ledger->mark.segment_bytes = ledger->offset;
        /* Both: where a slot is damaged later, the other one still says closed. */
        for (unsigned slot = 0; slot < 2 && r == 0; slot++)
            r = ledger_mark_now(ledger, true);
    }
    ledger_free(ledger);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the ledger was not closed in order") : 0;
}

void ledger_tree_now(struct emlfs_ledger *ledger, struct ledger_tree *ret_tree)
{
    pthread_mutex_lock(&ledger->lock);
    *ret_tree = ledger->tree;
    pthread_mutex_unlock(&ledger->lock);
}

uint64_t emlfs_ledger_size(struct emlfs_ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    uint64_t size = ledger->tree.size;
    pthread_mutex_unlock(&ledger->lock);
    return size;
}

int emlfs_ledger_checkpoint_pem(struct emlfs_ledger *ledger, struct emlfs_buf *out)
{
    return emlfs_sign_key_pem(ledger->keys.checkpoint, out);
}

/* What is there, or else made; *made is NULL if it stays. */
static const struct emlfs_sign_key *export_key_share(struct emlfs_ledger *ledger,
                                                     struct emlfs_sign_key **made)
{
    pthread_mutex_lock(&ledger->lock);
    if (!ledger->keys.export) {
        ledger->keys.export = *made;
        *made = NULL;
    }
    const struct emlfs_sign_key *key = ledger->keys.export;
    pthread_mutex_unlock(&ledger->lock);
    return key;
}

/* The key of exports, once it is asked for; then it stays. Of two who read it, one keeps it. */
static int export_key(struct emlfs_ledger *ledger, const struct emlfs_sign_key **ret,
                      struct emlfs_err *err)
{
    struct ledger_keys own = {.seal = ledger->keys.seal};
    int r = 0;
    *ret = export_key_share(ledger, &own.export);
    if (!*ret) {
        r = ledger_keys_export(ledger->dir, &own, err);
        *ret = r == 0 ? export_key_share(ledger, &own.export) : NULL;
    }
    ledger_keys_free(&own);
    return r;
}

int emlfs_ledger_export_pem(struct emlfs_ledger *ledger, struct emlfs_buf *out)
{
    const struct emlfs_sign_key *key;
    int r = export_key(ledger, &key, NULL);
    return r < 0 ? r : emlfs_sign_key_pem(key, out);
}

int emlfs_ledger_export_sign(struct emlfs_ledger *ledger, const struct emlfs_hash *message,
                             struct emlfs_buf *out, struct emlfs_err *err)
{
    const struct emlfs_sign_key *key;
    int r = export_key(ledger, &key, err);
    if (r < 0)
        return r;
    r = emlfs_sign_hash(key, message, out);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the export cannot be signed") : 0;
}

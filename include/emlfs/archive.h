/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_H
#define EMLFS_ARCHIVE_H

#include <sys/types.h>

#include "emlfs/base/actor.h"
#include "emlfs/base/buf.h"
#include "emlfs/base/clock.h"
#include "emlfs/base/crypto.h"
#include "emlfs/base/err.h"
#include "emlfs/base/ids.h"
#include "emlfs/base/progress.h"

/*
 * The archive: one directory with keys, master rows and stores. Content is appended to packs and
 * synced, then the catalogue commits; the packs are the truth and the catalogue can be rebuilt.
 *
 * Threads: every function may be called from any thread; ingests write in turn. Readers never wait
 * for ingest, verification or each other.
 */
struct emlfs_archive;

struct emlfs_archive_settings {
    uint32_t store_messages; /* a store holding this many is closed and the next begun */
    uint32_t block_bytes;    /* text per block */
    int zstd_level;
    uint32_t commit_ms; /* longest wait of a stored message for its commit */
    char timezone[64];  /* IANA name, of the dates in file names */
};

struct emlfs_init_options {
    const char *name; /* archive name; NULL: the directory's last component */
    const struct emlfs_archive_settings *settings; /* NULL: defaults; so does a field of 0 or "" */
    const char *timezone;                          /* NULL: the machine's */
};
#define EMLFS_RECOVERY_KEY_TEXT_MAX 80

/*
 * Make an archive in path (created, or empty; -EEXIST otherwise). ret_recovery receives the
 * recovery key in words-and-digits groups; it is shown once and kept nowhere. Wipe it after use.
 */
int emlfs_archive_init(const char *path, const struct emlfs_init_options *options,
                       char ret_recovery[EMLFS_RECOVERY_KEY_TEXT_MAX], struct emlfs_err *err);

struct emlfs_archive_options {
    const char *path;
    const char *recovery_key; /* NULL: use the machine key file */
    bool read_only;           /* no writes but LevelDB's own */
    bool look;                /* only to read; see _open */
    unsigned lock_wait_ms;    /* how long to wait for another process; 0: fail at once */
    unsigned workers;         /* ingest threads, 0: as many as processors, at most 8 */
    struct emlfs_clock clock; /* now_ns NULL: system */
    const struct emlfs_progress *progress; /* replay after a crash reports here */
};

/*
 * Open: takes the lock, repairs what a crash left (torn tails cut, durable but uncommitted records
 * added, a damaged catalogue rebuilt from packs). EBUSY: another process has it; ENOKEY; EUCLEAN;
 * EPROTONOSUPPORT: newer format; ENOENT: no archive there. With look, one that was closed in order
 * stays as it is, but for what emlfs_archive_record is given: other changes are EROFS, and
 * emlfs_archive_ledger is NULL. Any other is opened as without look.
 */
int emlfs_archive_open(const struct emlfs_archive_options *options,
                       struct emlfs_archive **ret_archive, struct emlfs_err *err);
/* Ends the writer in an orderly way (packs sealed). Reports the first failure; frees always. */
int emlfs_archive_close(struct emlfs_archive *archive, struct emlfs_err *err);
const char *emlfs_archive_path(const struct emlfs_archive *archive);
const char *emlfs_archive_name(const struct emlfs_archive *archive);
const char *emlfs_archive_uuid(const struct emlfs_archive *archive);
const struct emlfs_archive_settings *
emlfs_archive_get_settings(const struct emlfs_archive *archive);
int64_t emlfs_archive_now_ns(const struct emlfs_archive *archive);

/* ---- master rows: what cannot be rebuilt from mail; journaled into packs, so recover keeps it */

enum emlfs_master_kind {
    EMLFS_MASTER_USER = 'U',   /* key: user id, u16 be */
    EMLFS_MASTER_FOLDER = 'F', /* key: folder id, u32 be; only store/archive writes these */
    EMLFS_MASTER_SOURCE = 'S', /* key: source number, u32 be; only store/archive writes these */
    EMLFS_MASTER_JOB = 'J',    /* store/command's: when a job runs, and ran; key: its name */
    EMLFS_MASTER_INDEX = 'i',  /* settings of the index; key: their name */
    EMLFS_MASTER_SEARCH = 'Q', /* key: search id, u32 be; saved.h */
    /* store/policy's, see store/FORMAT.md */
    EMLFS_MASTER_POLICY = 'P',       /* retention.h; key: policy id, u32 be */
    EMLFS_MASTER_HOLD = 'H',         /* hold.h; key: hold id, u32 be */
    EMLFS_MASTER_HOLD_MESSAGE = 'M', /* hold.h; key: hold id, u32 be, message id, u64 be */
    EMLFS_MASTER_RIGHTS = 'R',       /* rights.h; key: user id, u16 be */
    EMLFS_MASTER_GRANT = 'G',        /* rights.h; key: archive's user id, u16 be, and grantee */
    EMLFS_MASTER_CLOCK = 'C',        /* compliance.h; key: "clock" */
    EMLFS_MASTER_RULE = 'g',         /* rules.h: settings of governing; key: their name */
    EMLFS_MASTER_STORE = 'T', /* key: store number, u16 be; only store/archive writes these */
};
/*
 * Durable when 0 came back. An empty value deletes the row. Takes the archive's write lock. For
 * rows that nobody changes by an act of theirs (the clock); all others go through
 * emlfs_archive_master_change, which records who did it.
 */
int emlfs_archive_master_put(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                             struct emlfs_span key, struct emlfs_span value, struct emlfs_err *err);
int emlfs_archive_master_get(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                             struct emlfs_span key, struct emlfs_buf *ret_value,
                             struct emlfs_err *err);
/* Calls each for every row of kind in key order; non-zero return stops and is returned. */
int emlfs_archive_master_walk(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                              int (*each)(void *arg, struct emlfs_span key,
                                          struct emlfs_span value),
                              void *arg, struct emlfs_err *err);

/* ---- folders: parent 0 holds the user archives (one top folder each) */

#define EMLFS_NAME_MAX_BYTES 240u /* without the NUL */

struct emlfs_folder {
    struct emlfs_folder_id id, parent;
    struct emlfs_user_id user; /* owner: the user archive it belongs to */
    int64_t created_ns;
    int64_t mtime_ns; /* last change of membership (entries, subfolders) */
    uint64_t entries; /* messages directly in it */
    char name[EMLFS_NAME_MAX_BYTES + 1];
};
struct emlfs_folder_wanted {
    struct emlfs_folder_id parent;
    struct emlfs_user_id user; /* its owner */
    const char *name;          /* already safe (emlfs_name_folder) */
};
/*
 * The folder wanted: found (ignoring case), or made, with its record in the ledger. actor NULL:
 * emlfs itself. Durable when 0 came back. EINVAL unsafe name; ESTALE: parent was removed.
 */
int emlfs_archive_folder_make(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                              const struct emlfs_folder_wanted *wanted,
                              struct emlfs_folder_id *ret_id, struct emlfs_err *err);
int emlfs_archive_folder_rename(struct emlfs_archive *archive, struct emlfs_folder_id id,
                                const char *name, struct emlfs_err *err);
int emlfs_archive_folder_get(struct emlfs_archive *archive, struct emlfs_folder_id id,
                             struct emlfs_folder *ret, struct emlfs_err *err);
/* As _get, without counting: entries 0, mtime_ns that of its making. */
int emlfs_archive_folder_named(struct emlfs_archive *archive, struct emlfs_folder_id id,
                               struct emlfs_folder *ret, struct emlfs_err *err);
/* Exact name only; -ENOENT. */
int emlfs_archive_folder_lookup(struct emlfs_archive *archive, struct emlfs_folder_id parent,
                                const char *name, struct emlfs_folder *ret, struct emlfs_err *err);
/* The child folder with the smallest id > after; -ENOENT at the end. */
int emlfs_archive_folder_next(struct emlfs_archive *archive, struct emlfs_folder_id parent,
                              struct emlfs_folder_id after, struct emlfs_folder *ret,
                              struct emlfs_err *err);

/* ---- entries: a message filed in a folder under a name */

struct emlfs_entry {
    struct emlfs_msg_id id;
    struct emlfs_folder_id folder;
    struct emlfs_user_id user;
    uint32_t nlink; /* entries of this message in this user archive */
    uint32_t flags; /* EMLFS_ENTRY_... of importer.h */
    uint64_t size_bytes;
    int64_t mtime_ns;                    /* message date, clamped */
    int64_t ctime_ns;                    /* archive time of the message */
    char name[EMLFS_NAME_MAX_BYTES + 1]; /* with " [id].eml" */
};
/* A stretch of a folder: asked for by folder, after, v and max; n is the answer, 0 at the end. */
struct emlfs_entry_page {
    struct emlfs_folder_id folder;
    struct emlfs_msg_id after; /* 0: from the first */
    struct emlfs_entry *v;     /* the caller's, max of them */
    unsigned max, n;
};
/*
 * The entries of a folder with message id > after, in id order (stores in order). Cost: one
 * catalogue scan; a folder is listed by calling again with the last id. -ENOENT: no such folder.
 */
int emlfs_archive_entries(struct emlfs_archive *archive, struct emlfs_entry_page *page,
                          struct emlfs_err *err);
/* By exact name (the id in it is used); -ENOENT. */
int emlfs_archive_entry_lookup(struct emlfs_archive *archive, struct emlfs_folder_id folder,
                               const char *name, struct emlfs_entry *ret, struct emlfs_err *err);
/* Any entry (the lowest folder id) of message id in user's archive; -ENOENT. */
int emlfs_archive_entry_of(struct emlfs_archive *archive, struct emlfs_user_id user,
                           struct emlfs_msg_id id, struct emlfs_entry *ret, struct emlfs_err *err);

/*
 * Bytes of the messages in a user archive: each once, at its size, of stores that are not detached.
 * Cheap, but for the first call of a process, which counts every entry while writing waits; ENOMEM,
 * EIO, EBADMSG.
 */
int emlfs_archive_usage(struct emlfs_archive *archive, struct emlfs_user_id user,
                        uint64_t *ret_bytes, struct emlfs_err *err);

/* ---- reading a message */

struct emlfs_msg_reader;
/*
 * Open message id. Messages up to 1 MiB are rebuilt whole and their SHA-256 is checked; longer ones
 * are rebuilt by ranges, every record authenticated and every blob's keyed hash checked.
 * EBADMSG/EUCLEAN: damaged, err names the message, pack and offset. ENOENT.
 */
int emlfs_archive_msg_open(struct emlfs_archive *archive, struct emlfs_msg_id id,
                           struct emlfs_msg_reader **ret_reader, struct emlfs_err *err);
uint64_t emlfs_msg_reader_size(const struct emlfs_msg_reader *reader);
/* Bytes copied (short only at the end), or negative. Threads may share a reader. */
ssize_t emlfs_msg_reader_pread(struct emlfs_msg_reader *reader, void *data, size_t len,
                               uint64_t offset, struct emlfs_err *err);
void emlfs_msg_reader_free(struct emlfs_msg_reader *reader);
/* The whole message in out, which is cleared first. As _msg_open; E2BIG: longer than out may be. */
int emlfs_archive_msg_read(struct emlfs_archive *archive, struct emlfs_msg_id id,
                           struct emlfs_buf *out, struct emlfs_err *err);

struct emlfs_msg_info {
    struct emlfs_msg_id id;
    uint64_t size_bytes;
    int64_t archived_ns;
    int64_t mtime_ns; /* message date, clamped, as of its first entry */
    struct emlfs_hash sha256;
};
/* ret_facts (may be NULL): encoded facts, message.h. */
int emlfs_archive_msg_info(struct emlfs_archive *archive, struct emlfs_msg_id id,
                           struct emlfs_msg_info *ret, struct emlfs_buf *ret_facts,
                           struct emlfs_err *err);
/*
 * For read-ahead: the ids of the messages in the same block as id, after it, up to max. The block
 * is read whole, so that they are cheap to open now. -ENOENT no such message, or why the block
 * cannot be read.
 */
int emlfs_archive_msg_neighbours(struct emlfs_archive *archive, struct emlfs_msg_id id,
                                 struct emlfs_msg_id *ret, unsigned max, unsigned *ret_n,
                                 struct emlfs_err *err);

/* ---- change notices: called after each commit, on the committing thread; must be quick */

typedef void emlfs_change_fn(void *arg, struct emlfs_folder_id folder);
/*
 * One subscriber; NULL fn unsubscribes. folder 0: the list of user archives; EMLFS_FOLDER_RULES:
 * the rules or a store's state changed, so anybody may see other things, under other modes.
 */
#define EMLFS_FOLDER_RULES UINT32_MAX
void emlfs_archive_subscribe(struct emlfs_archive *archive, emlfs_change_fn *fn, void *arg);

struct emlfs_archive_status {
    uint64_t messages, bytes_archived, bytes_on_disk;
    uint32_t stores;
    bool writable; /* false after a failed sync, until reopened */
    char why[256]; /* then */
};
int emlfs_archive_get_status(struct emlfs_archive *archive, struct emlfs_archive_status *ret,
                             struct emlfs_err *err);
/* Does it take changes? As status.writable, but false while only looking; cheap. */
bool emlfs_archive_is_writable(struct emlfs_archive *archive);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_STAGE_INTERNAL_H
#define EMLFS_FS_STAGE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "emlfs/spool.h"
#include "stage.h"

/*
 * Shared by the files of the stage.
 *
 * Lock order: stage->work, then the lock of one staged file, then stage->lock (a leaf: nothing is
 * waited for under it).
 *
 * G1  A staged file is in the name table exactly while it is named; findable by number until its
 *     last reference goes. Each handle, each call, the name and the queue hold a reference.
 * G2  The spool file of a staged file goes with the staged file; only fs_stage_free lets go of the
 *     one without the other.
 * G3  What will not be archived, but was synced once, is marked so in the spool before its name
 *     goes: a crash must not bring it back. Where nobody has it open its spool file is removed
 *     instead, and the removal settled before the call that did it returns.
 * G4  What waits for a user archive is counted with each file that passed its check, before the
 *     check: so of two that are checked at a time the second knows of the first.
 */

#define STAGE_NUMBERS 16384u /* buckets */
#define STAGE_NAMES 16384u
#define STAGE_FOLDERS 1024u
#define STAGE_BATCH 64u

enum staged_state {
    STAGED_OPEN,
    STAGED_QUEUED,
    STAGED_ARCHIVING, /* names, state and content stand still */
    STAGED_ARCHIVED,  /* grace */
};

struct staged {
    struct fs_stage *stage;
    uint64_t number;
    uid_t uid;
    gid_t gid;
    /* Under stage->lock; user, folder, name, st are changed with the file's lock, too. */
    unsigned refs, opens, writers;
    struct stage_uid *owner;
    enum staged_state state;
    bool named;
    struct emlfs_user_id user;
    struct emlfs_folder_id folder;
    char *name;
    uint64_t position;
    struct staged *number_next, *name_next, *queue_next;
    struct staged *folder_prev, *folder_next;
    int64_t until_ns; /* of empty, temporary and archived ones; 0: for ever */
    int64_t retry_ns; /* of one that could not be archived; 0: none */
    int64_t backoff_ns;
    struct emlfs_msg_id id;           /* archived: 0 an mbox */
    const struct fs_stage_at *moving; /* archiving for a rename: where to */
    int code;                         /* of the last attempt to archive */
    struct emlfs_err err;
    bool spooled;     /* it has a spool file, for what reads it */
    uint64_t charged; /* bytes of it that are to be archived, as far as they were checked ... */
    struct emlfs_user_id charged_to; /* ... by this user */
    struct stat st;
    /* Under lock. */
    pthread_mutex_t lock;
    struct emlfs_spool_file *file; /* NULL: closed, or there is none */
    uint64_t spool_number;         /* 0: there is none */
    enum emlfs_drop_kind kind;     /* of the first bytes */
    bool head;                     /* byte 0 was written */
    int refused;                   /* errno of all writes, until it is truncated to 0 */
    uint64_t high;                 /* where the last byte that was written ends */
    bool dirty;                    /* written to since the last flush */
    bool meta_stale;               /* the spool says other attributes or another name */
    bool synced;                   /* a crash leaves it in the spool */
    bool retired;                  /* there, and not to be taken up */
    bool slotted;                  /* its spool file is open for who has it open */
    int flush_rc;                  /* what the last flush said */
};

struct stage_folder {
    struct emlfs_folder_id folder;
    struct staged *first, *last;
    struct staged *listed; /* returned last by a listing, or what came before it; or NULL */
    struct stage_folder *next;
};

struct stage_uid {
    uid_t uid;
    unsigned n;     /* files that are named */
    unsigned files; /* all of them */
    unsigned slots; /* that are slotted */
    struct stage_uid *next;
};

struct fs_stage {
    struct fs_stage_options options;
    struct emlfs_spool *spool;
    pthread_mutex_t work; /* serialises archiving */
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;
    atomic_uint named;       /* read without the lock: nothing is staged, as nearly always */
    atomic_uint spool_files; /* that are open */
    bool woken;
    unsigned files;
    uint64_t last_number, last_position;
    uint64_t charged[UINT16_MAX + 1]; /* by user: of all its files; most pages are never touched */
    struct staged *queue, **queue_end;
    struct emlfs_drop_item items[STAGE_BATCH]; /* under work, as the next */
    struct staged *batch[STAGE_BATCH];
    struct staged *numbers[STAGE_NUMBERS];
    struct staged *names[STAGE_NAMES];
    struct stage_folder *folders[STAGE_FOLDERS];
    struct stage_uid *uids;
};

struct fs_stage_handle {
    struct staged *file;
    bool writes;
};

int64_t stage_now(const struct fs_stage *stage);
void stage_told(struct fs_stage *stage, const struct staged *s, const char *what,
                const struct emlfs_err *err);

/* ---- the table: stage.c. All under stage->lock but where it is said otherwise. */

struct staged *stage_find_name(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder,
                               const char *name);
/* Only its uid's. With a reference; takes the lock. */
struct staged *stage_get_node(struct fs_stage *stage, uid_t uid, emlfs_node node);
struct staged *stage_get_name(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder,
                              const char *name);
/* Let go of a reference; takes the lock, and frees behind it. NULL is fine. */
void staged_put(struct staged *s);
/* ENOSPC, ENOMEM, ENAMETOOLONG. Named, with two references: the name's and the caller's. */
int stage_add(struct fs_stage *stage, const struct emlfs_subject *subject,
              const struct fs_stage_at *at, struct staged **ret, struct emlfs_err *err);
/* The caller puts the name's reference, without the lock. */
void stage_unname(struct staged *s);
/* False: no memory. */
bool stage_rename_to(struct staged *s, const struct fs_stage_at *to);
/* bytes are to be archived for user, who may be another than before; what others are already. */
uint64_t stage_charge(struct staged *s, struct emlfs_user_id user, uint64_t bytes);
void stage_enqueue(struct staged *s);
void stage_dequeue(struct staged *s);

/* ---- content: stage_file.c. Under the file's lock. */

/* Take the lock of s when it is neither queued (any more) nor being archived. Without locks. */
void staged_claim(struct staged *s);
/* Open the spool file that was closed. -EIO, -EBADMSG. */
int staged_reopen(struct staged *s, struct emlfs_err *err);
/* at: where it is to be; NULL: where it is. */
int staged_flush(struct staged *s, const struct fs_stage_at *at, struct emlfs_err *err);
/* Say in the spool where it is to be, as far as it is there. */
int staged_resync(struct staged *s, const struct fs_stage_at *at, struct emlfs_err *err);
/* What becomes of it, now that nobody writes to it any more. */
void staged_settle(struct staged *s);
/* G3 */
void staged_retire(struct staged *s);
/*
 * Its content goes: it is in the archive, or nobody wants it. True: a power cut may bring it back
 * until stage_settle.
 */
bool staged_drop_content(struct staged *s);
/* What was dropped stays so. Without stage->lock: it waits for the disk. */
void stage_settle(struct fs_stage *stage);
/* Close the spool file while nobody needs it: it costs 64 KiB. */
void staged_rest(struct staged *s);
/* G3; the caller has a reference of its own. */
void staged_unname(struct staged *s);
/* The name was taken by another: without locks; puts the name's reference. */
void staged_replaced(struct staged *s);
void staged_item(struct staged *s, const struct fs_stage_at *at, struct emlfs_drop_item *ret);

/* ---- archiving: stage_archive.c */

/* Archive s, which is claimed and nobody writes to, as to; its error. Gives up the lock. */
int staged_archive_now(struct staged *s, const struct fs_stage_at *to, struct emlfs_err *err);

/* ---- the meta part of a spool file: stage_meta.c */

struct stage_meta {
    bool retired; /* archived, removed: not to be taken up again */
    uid_t uid;
    gid_t gid;
    mode_t mode;
    struct emlfs_user_id user;
    struct emlfs_folder_id folder;
    struct timespec mtime;
    char name[256];
};
/* -ENOMEM. */
int stage_meta_encode(const struct stage_meta *meta, struct emlfs_buf *out);
/* -EUCLEAN, -EPROTONOSUPPORT. */
int stage_meta_decode(struct emlfs_span bytes, struct stage_meta *ret);
/* Take up what is in the spool; err says why not. */
int stage_recover(struct fs_stage *stage, struct emlfs_err *err);

#endif

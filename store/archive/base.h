/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_BASE_H
#define EMLFS_ARCHIVE_BASE_H

#include "emlfs/archive.h"
#include "emlfs/catalog.h"
#include "emlfs/ingest.h"
#include "emlfs/pack.h"
#include "emlfs/verify.h"

#define EMLFS_ARCHIVE_FORMAT 1u
#define TOUCHED_MAX 256u
#define EMLFS_STORES_MAX 1024u /* open at the same time */
#define EMLFS_PATH_MAX_BYTES 4096u

/* ---- keys.c */

/* What the master key yields; wiped at close. */
struct archive_keys {
    struct emlfs_key master;
    struct emlfs_key names; /* keyed hash of folder names */
    struct emlfs_key rows;  /* seals master rows */
    struct emlfs_key check; /* authenticates emlfs.json, key slots and file lists */
};
struct store_keys {
    struct emlfs_key packs;
    struct emlfs_key rows;
    struct emlfs_key content; /* keyed hash of messages and blobs */
};
int keys_derive(struct archive_keys *keys, struct emlfs_err *err);
int keys_store(const struct archive_keys *keys, uint16_t store_no, struct store_keys *ret,
               struct emlfs_err *err);
/* Of the store's index. */
int keys_index(const struct archive_keys *keys, uint16_t store_no, struct emlfs_key *ret,
               struct emlfs_err *err);
/* Of the spool. */
int keys_spool(const struct archive_keys *keys, struct emlfs_key *ret);
/* Make keys/machine.key and keys/slots for a new random master key. */
int keys_create(const char *path, struct archive_keys *ret,
                char ret_recovery[EMLFS_RECOVERY_KEY_TEXT_MAX], struct emlfs_err *err);
/* recovery NULL: by the machine key file. ENOKEY, EBADMSG. */
int keys_open(const char *path, const char *recovery, struct archive_keys *ret,
              struct emlfs_err *err);

/* ---- identity.c: emlfs.json */

struct archive_identity {
    char uuid[37];
    char name[EMLFS_NAME_MAX_BYTES + 1];
    struct emlfs_archive_settings settings;
};
int identity_write(const char *path, const struct archive_identity *identity,
                   const struct archive_keys *keys, struct emlfs_err *err);
/* Reads and checks; EPROTONOSUPPORT, EBADMSG, ENOENT. */
int identity_read(const char *path, const struct archive_keys *keys, struct archive_identity *ret,
                  struct emlfs_err *err);

/* ---- state: the catalogues an apply writes to (live, or a rebuilt copy beside them) */

struct store;
struct store_rows {
    uint16_t no;
    struct store_keys keys;
    struct emlfs_catalog *catalog;
};
/* A set of catalogues: the master rows and each store's. */
struct state {
    const struct archive_keys *keys;
    struct emlfs_catalog *master;
    struct store_rows **stores; /* by store number - 1, NULL where there is none */
    unsigned stores_n;
    bool brief; /* what lists folders, not what finds content, duplicates and changes */
};

/* ---- layout.c: paths, store directories, file lists */

int path_join(char *out, size_t size, const char *a, const char *b);
struct store_dir {
    uint16_t no;
    char path[EMLFS_PATH_MAX_BYTES];
};
/* The stores of an archive in number order; *ret is malloced. */
int layout_stores(const char *archive_path, struct store_dir **ret, unsigned *ret_n,
                  struct emlfs_err *err);
/* Remove an archive whose making failed. */
void layout_remove(const char *path);
int layout_new_store(const char *archive_path, uint16_t no, int64_t now_ns, struct store_dir *ret,
                     struct emlfs_err *err);
/* SHA-256 of every file of a closed catalogue, authenticated, in dir.sum; removed when opened. */
int sums_write(const char *dir, const struct emlfs_key *check, struct emlfs_err *err);
/* 0 equal or no list; EBADMSG: a file differs (err names it). */
int sums_check(const char *dir, const struct emlfs_key *check, struct emlfs_err *err);
int sums_remove(const char *dir);
/* 0: dir was closed in order, and not opened since; -ENOENT. */
int sums_there(const char *dir);
/* Each file of the spool that was damaged and is kept: one line, with its name. EIO, EACCES. */
int spool_aside_each(const char *archive, void (*found)(void *arg, const char *text), void *arg);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_CATALOG_LOOK_H
#define EMLFS_CATALOG_LOOK_H

#include "backend.h"
#include "crc32c.h"

/*
 * What the files of a LevelDB database say, for reading without LevelDB: doc/log_format.md,
 * doc/table_format.md and doc/impl.md of its sources. Every byte of them may be hostile.
 */

#define LOOK_KEY_MAX_BYTES 1024u
#define LOOK_VALUE_MAX_BYTES (EMLFS_CATALOG_VALUE_MAX_BYTES + 4096u)
#define LOOK_LEVELS 7u

/* A row as one of the files has it. Bytes are borrowed from whoever holds it. */
struct look_row {
    struct emlfs_span key, value;
    uint64_t sequence;
    bool deleted;
};

/* crc is the stored form: rotated, and a constant added. */
bool look_crc_fits(const struct crc32c *crc, struct emlfs_span first, struct emlfs_span second,
                   uint32_t stored);

/* ---- look_log.c: logs, and the manifest, which is one */

struct look_log {
    const struct crc32c *crc;
    struct emlfs_cursor *file;
    size_t block_left;       /* of the 32 KiB that file stands in */
    struct emlfs_buf record; /* joined */
};

struct look_file {
    unsigned level;
    uint64_t number, bytes;
    uint8_t small[LOOK_KEY_MAX_BYTES], large[LOOK_KEY_MAX_BYTES]; /* keys without their tags */
    uint32_t small_len, large_len;
};
struct look_version {
    struct emlfs_buf files; /* of struct look_file * */
    uint64_t log, log_before;
};
void look_version_free(struct look_version *version);
/* What a manifest leaves in force. EUCLEAN, E2BIG, ENOMEM. */
int look_version_read(const struct crc32c *crc, struct emlfs_span manifest,
                      struct look_version *ret);
static inline size_t look_files_n(const struct look_version *version)
{
    return version->files.len / sizeof(struct look_file *);
}
static inline struct look_file **look_files(const struct look_version *version)
{
    return (struct look_file **)version->files.data;
}

/* Rows of logs, in memory. */
struct look_rows {
    struct emlfs_buf bytes; /* keys and values */
    struct emlfs_buf index; /* of struct look_row_at, sorted by look_rows_sort */
};
void look_rows_free(struct look_rows *rows);
/* All of a log. EUCLEAN, E2BIG, ENOMEM. */
int look_rows_add(const struct crc32c *crc, struct emlfs_span log, struct look_rows *rows);
/* By key, the newest first. Behind it nothing is added. */
void look_rows_sort(struct look_rows *rows);
size_t look_rows_n(const struct look_rows *rows);
struct look_row look_rows_at(const struct look_rows *rows, size_t at);

/* ---- look_table.c: one table file */

struct look_table;
/* ENOENT: the file is not in dir_fd; or why it cannot be opened. */
int look_table_there(int dir_fd, uint64_t number);
/* Reads the index of a file in dir_fd, which must stay open. EUCLEAN, ENOENT, EIO, E2BIG, ENOMEM.
 */
int look_table_open(const struct crc32c *crc, int dir_fd, const struct look_file *file,
                    struct look_table **ret);
/* The same of fd, which it takes in any case. */
int look_table_of(const struct crc32c *crc, int fd, uint64_t bytes, struct look_table **ret);
void look_table_free(struct look_table *table);

/* A place in a table. Zero is one without a table. */
struct look_cursor {
    struct look_table *table;
    size_t block;            /* that content is of; SIZE_MAX: none */
    struct emlfs_buf stored; /* as read */
    struct emlfs_buf content;
    size_t at, end;       /* of the next entry, of entries, in content */
    struct emlfs_buf key; /* of the present entry, with its tag */
    struct look_row row;  /* the present entry */
    bool valid;
};
void look_cursor_begin(struct look_cursor *cursor, struct look_table *table);
void look_cursor_free(struct look_cursor *cursor);
/* The first row with row key >= key, its newest version; not valid: there is none. */
int look_cursor_seek(struct look_cursor *cursor, struct emlfs_span key);
/* Some version of the last row with row key < key. */
int look_cursor_seek_below(struct look_cursor *cursor, struct emlfs_span key);
/* From a valid place. */
int look_cursor_next(struct look_cursor *cursor);

/* ---- look.c */

int emlfs_catalog_look_open(const struct emlfs_catalog_config *config, void **ret_backend,
                            struct emlfs_err *err);
extern const struct catalog_backend_ops emlfs_catalog_look_ops;

#endif

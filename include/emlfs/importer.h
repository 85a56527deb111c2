/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_IMPORTER_H
#define EMLFS_IMPORTER_H

#include <sys/types.h>

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"
#include "emlfs/base/progress.h"

/*
 * Importers read a source and hand messages to a sink. They never see the store and never change
 * the source. They run in the process of the user who started them, with that user's rights.
 */
#define EMLFS_MESSAGE_MAX_BYTES (256u << 20) /* a larger message is rejected with a reason */

/* Maildir/IMAP flags of an entry. */
#define EMLFS_ENTRY_SEEN 1u
#define EMLFS_ENTRY_ANSWERED 2u
#define EMLFS_ENTRY_FLAGGED 4u
#define EMLFS_ENTRY_DRAFT 8u
#define EMLFS_ENTRY_DELETED 16u
#define EMLFS_ENTRY_FORWARDED 32u
/* The dates of the message count for retention: set by the archive, where an administrator vouched
 * for the dates of a source; never by a source. */
#define EMLFS_ENTRY_VOUCHED 64u

struct emlfs_source_message {
    const char *folder;    /* path below the import's base folder, components separated by '/';
                              component text is UTF-8, a '/' inside a name was replaced; "": base */
    const char *position;  /* for the report: "path" or "path:byte-offset" */
    struct emlfs_buf *raw; /* the exact message bytes; the sink may take them (and empties it) */
    uint32_t flags;        /* EMLFS_ENTRY_... */
    int64_t file_time_sec; /* the source's own time (mtime, Maildir name), 0: unknown */
};

struct emlfs_sink {
    void *arg;
    /* A message. 0: taken, the verdict comes later to the sink's owner. Negative: stop (the import
     * ends with this error, e.g. -ECANCELED, -ENOSPC). */
    int (*message)(void *arg, struct emlfs_source_message *message, struct emlfs_err *err);
    /* Something at position that is counted as read but cannot be archived. Same returns. */
    int (*reject)(void *arg, const char *position, const char *reason, struct emlfs_err *err);
    /* A folder that exists in the source, even when empty. Optional (may be NULL). */
    int (*folder)(void *arg, const char *folder, struct emlfs_err *err);
    /* Something noticed that is neither (an unreadable directory, a skipped file). Optional. */
    int (*note)(void *arg, const char *position, const char *text, struct emlfs_err *err);
};

struct emlfs_import_options {
    const char *const *include; /* NULL-terminated globs (fnmatch) over the source-relative path */
    const char *const *exclude;
    const struct emlfs_progress *progress; /* done/total in bytes where they are known */
    bool *ret_partial; /* may be NULL: true when a part of the source could not be read, so that
                          what was not seen may still be there (no entry is taken for moved then);
                          else false. Also written when the run fails. */
};

struct emlfs_importer {
    const char *name;    /* "eml", "maildir", "mbox" */
    const char *summary; /* one line for --help */
    /* How sure it is that path is its kind: 0 no ... 100 certain. Opens, reads little. */
    int (*probe)(const char *path);
    /* Name of the folder that the source's own top should become: "INBOX", "bench", ... */
    void (*base_folder)(const char *path, char *ret_name, size_t size);
    /* Read everything. 0, or negative when the source as a whole could not be read, or what the
     * sink returned. Single bad messages go to sink->reject and the rest goes on. */
    int (*run)(const char *path, const struct emlfs_import_options *options,
               const struct emlfs_sink *sink, struct emlfs_err *err);
};

/* The registry: all importers, NULL-terminated, and the surest for a path (NULL: none). */
extern const struct emlfs_importer *const emlfs_importers[];
const struct emlfs_importer *emlfs_importer_find(const char *path);
const struct emlfs_importer *emlfs_importer_by_name(const char *name);

/*
 * True when bytes look like a message: the first line is a header field (RFC 5322 2.2, leniently:
 * 8-bit bytes allowed), or there is at least one header field before the first empty line.
 * A file whose first line is an mbox "From " line is judged (and archived) after that line; the
 * offset to begin at is returned in *ret_skip.
 */
bool emlfs_looks_like_message(struct emlfs_span bytes, size_t *ret_skip);
/*
 * True when bytes begin as an mbox does: behind a byte order mark and empty lines a "From " line
 * that has a date or is Mozilla's, or one of another form with a message behind it.
 */
bool emlfs_looks_like_mbox(struct emlfs_span bytes);

/* An mbox that is no file: its bytes through a callback. */
struct emlfs_mbox_source {
    const char *name; /* for positions: "name:byte-offset" */
    uint64_t size_bytes;
    /* As pread(2): short only at the end. Negative: -errno, with err. */
    ssize_t (*pread)(void *arg, void *data, size_t len, uint64_t offset, struct emlfs_err *err);
    void *arg;
    uint64_t *ret_too_large; /* may be NULL: how many were rejected for their size */
};
/*
 * Every message of the mbox to the sink, filed in "". Memory: one message and a window of 256 KiB.
 * Returns what the sink returned, or the first error of pread: messages before it were handed over
 * then. ENOMEM, E2BIG the name, ECANCELED by the options' progress. options may be NULL.
 */
int emlfs_mbox_read(const struct emlfs_mbox_source *source,
                    const struct emlfs_import_options *options, const struct emlfs_sink *sink,
                    struct emlfs_err *err);

/*
 * Facts worker: a confined child process (seccomp, Landlock, rlimits, no keys, no files) that
 * parses messages. One worker serves one thread. It is restarted by itself after a crash or a
 * time-out.
 */
struct emlfs_worker;
struct emlfs_worker_config {
    const char *exe;       /* program to execute: normally "/proc/self/exe" */
    unsigned timeout_ms;   /* per message, 0: default 5000 */
    uint64_t memory_bytes; /* RLIMIT_AS, 0: default 512 MiB */
};
int emlfs_worker_new(const struct emlfs_worker_config *config, struct emlfs_worker **ret_worker,
                     struct emlfs_err *err);
void emlfs_worker_free(struct emlfs_worker *worker);
/*
 * Facts of one message, encoded (emlfs_facts_encode). Always 0 unless no worker can be started or
 * memory is out: a crash, a time-out or a limit yields facts with EMLFS_FACT_UNPARSED or _PARTIAL
 * and a reason. The child's answer is decoded and checked here before it is returned.
 */
int emlfs_worker_facts(struct emlfs_worker *worker, struct emlfs_span raw,
                       struct emlfs_buf *ret_facts, struct emlfs_err *err);
/*
 * Hand raw to the child now; its facts are asked for later, with the same bytes at the same place,
 * in the order of these calls. Only a hint: whatever cannot be sent ahead is sent when it is asked
 * for. Cannot fail.
 */
#define EMLFS_WORKER_AHEAD 16u
void emlfs_worker_ahead(struct emlfs_worker *worker, struct emlfs_span raw);
/* The child's main: confines itself, serves requests on fd 0/1 until end of file. Exit code. */
int emlfs_worker_main(void);
/*
 * Parse in this process: what the child runs, and what the fuzz target calls. -ENOMEM, -E2BIG;
 * -ELIBACC: GMime is not installed.
 */
int emlfs_parse_facts(struct emlfs_span raw, struct emlfs_buf *ret_facts);

#endif

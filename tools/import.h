/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TOOL_IMPORT_H
#define EMLFS_TOOL_IMPORT_H

#include "emlfs/importer.h"
#include "emlfs/wire.h"
#include "tool.h"

/* ---- import_report.c: what became of each message */

#define REPORT_KEPT 20u /* rejections shown at the end when there is no report file */

/*
 * R1  read = archived + already_there + rejected once every verdict is in.
 * Verdicts come from the committing thread, the rest from the importer's: one lock.
 */
struct report {
    pthread_mutex_t lock;
    uint64_t read, archived, already_there, rejected, moved, notes, bytes;
    int64_t start_ns;
    FILE *file; /* --report */
    bool file_failed;
    char *kept[REPORT_KEPT];
    unsigned kept_n;
};
int report_begin(struct report *report, const char *file, struct emlfs_err *err);
void report_read(struct report *report, uint64_t bytes);
void report_verdict(void *report, const char *position, enum emlfs_ingest_verdict verdict,
                    struct emlfs_msg_id id, const char *reason);
void report_note(struct report *report, const char *position, const char *text);
/* Words for the meter. */
void report_words(void *report, char *text, size_t size);
/* The totals as a row, the rejections on stderr. The exit code when nothing else failed. */
int report_end(struct report *report, const struct emlfs_cli *cli, struct output *out);

/* ---- import_remote.c: a sink that sends to the mount process */

struct remote_import;
struct remote_options {
    const char *user, *base_folder, *source;
    bool dry_run;
    bool trust_dates;
    struct report *report;
    const atomic_bool *cancel;
};
/* fd stays the caller's. Waits until the mount process is ready for messages. */
int remote_import_begin(int fd, const struct remote_options *options, struct remote_import **ret,
                        struct emlfs_err *err);
const struct emlfs_sink *remote_import_sink(struct remote_import *remote);
int remote_import_end(struct remote_import *remote, bool complete, uint64_t *ret_moved,
                      struct emlfs_err *err);

/* ---- import_seen.c: which messages a dry run has met (nothing is archived that could tell) */

struct seen {
    uint64_t *slots; /* beginnings of SHA-256, 0: free */
    size_t n, cap;
};
/* True when it was met before. -ENOMEM. */
int seen_add(struct seen *seen, struct emlfs_span raw, bool *ret_before);
void seen_free(struct seen *seen);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_COMMAND_INTAKE_H
#define EMLFS_COMMAND_INTAKE_H

#include <pthread.h>

#include "emlfs/command.h"
#include "emlfs/importer.h"

#define INTAKE_CACHE_SLOTS 1024u

/* Folder paths that were met, by hash: a slot holds the last path that fell into it. */
struct intake_slot {
    char *path; /* as the source wrote it; NULL: empty */
    struct emlfs_folder_id id;
};

/* What turns a message into facts, a date and a name: a confined worker for each ingest thread. */
struct intake_parsers {
    struct emlfs_archive *archive;
    struct emlfs_worker_config config;
    struct emlfs_worker **v;
    unsigned n;
};

struct emlfs_intake {
    struct emlfs_archive *archive;
    struct emlfs_rules *rules;
    struct emlfs_user_id user;
    struct emlfs_actor actor;    /* who imports */
    struct emlfs_folder_id top;  /* of the user archive */
    struct emlfs_folder_id base; /* that paths are relative to */
    bool dry_run;
    bool trust_dates;
    struct emlfs_sink sink;
    struct emlfs_ingest *ingest;
    struct intake_parsers parsers;
    void (*verdict)(void *arg, const char *position, enum emlfs_ingest_verdict verdict,
                    struct emlfs_msg_id id, const char *reason);
    void *arg;
    struct intake_slot cache[INTAKE_CACHE_SLOTS];
    char *base_path;
    pthread_mutex_t sent_lock;
    struct emlfs_folder_id *sent; /* folders of sent mail, ascending */
    size_t sent_n, sent_cap;
};

/* A worker that cannot be started is found here, not once for every message. */
int intake_parsers_init(struct intake_parsers *parsers, struct emlfs_archive *archive,
                        const char *exe, struct emlfs_err *err);
void intake_parsers_free(struct intake_parsers *parsers);
struct intake_how {
    bool keep_claims;  /* the dates that the message claims count */
    bool sent;         /* it is named after its recipient */
    const char *given; /* the name it was given; NULL: none */
};
/* Fill facts, date and stem of item. worker: of one thread alone. */
int intake_parse(struct intake_parsers *parsers, unsigned worker, struct emlfs_ingest_item *item,
                 const struct intake_how *how, struct emlfs_err *err);
void intake_parse_ahead(struct intake_parsers *parsers, unsigned worker,
                        const struct emlfs_ingest_item *item);

/* The base folder; path NULL, "" or "/": the top. */
int intake_base(struct emlfs_intake *intake, const char *path, struct emlfs_err *err);
/* The folder of path below the base, made when it is new. E2BIG: too deep or too long. */
int intake_folder(struct emlfs_intake *intake, const char *path, struct emlfs_folder_id *ret,
                  struct emlfs_err *err);
/* Any thread. */
bool intake_folder_is_sent(struct emlfs_intake *intake, struct emlfs_folder_id id);
void intake_folders_free(struct emlfs_intake *intake);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_COMMAND_H
#define EMLFS_COMMAND_H

#include <json-c/json.h>

#include "emlfs/archive.h"
#include "emlfs/index.h"
#include "emlfs/ingest.h"
#include "emlfs/rules_change.h"
#include "emlfs/saved.h"

/*
 * The command table: name, summary, typed arguments, right, flags, handler. The CLI, --json, help,
 * completion, man page synopsis and the control socket are generated from it.
 *
 * A command runs either in the process that was started (nothing mounted) or inside the mount
 * process (over the control socket), through emlfs_command_run in both cases: authorise, run.
 * Importers always run in the user's own process; only messages travel.
 */
enum emlfs_arg_kind {
    EMLFS_ARG_FLAG,   /* --dry-run */
    EMLFS_ARG_TEXT,   /* --user NAME */
    EMLFS_ARG_PATH,   /* completed as a file name */
    EMLFS_ARG_NUMBER, /* unsigned */
    EMLFS_ARG_LIST,   /* may be repeated: --include GLOB */
};
#define EMLFS_ARG_REQUIRED 1u
#define EMLFS_ARG_POSITIONAL 2u /* in table order; a LIST takes the rest */
/*
 * Never on the command line and shown nowhere: the client reads it from the file that NAME-file
 * names, or asks for it on the terminal, when emlfs_args_secret_wanted. The runner wipes it.
 */
#define EMLFS_ARG_SECRET 4u
#define EMLFS_ARG_TWICE 8u /* of a secret: it is new, so it is asked for twice */

struct emlfs_arg {
    const char *name; /* long option without dashes, or the positional's NAME */
    char letter;      /* short option, 0: none */
    enum emlfs_arg_kind kind;
    unsigned flags;
    const char *value; /* placeholder in help */
    const char *help;
};

enum emlfs_right {
    EMLFS_RIGHT_ANYONE, /* the handler checks by object */
    EMLFS_RIGHT_ADMIN,
    EMLFS_RIGHT_OFFICE, /* administrators and auditors: to look at what governs the archive */
    EMLFS_RIGHT_LOCAL,  /* no archive involved, or it does not exist yet (init) */
};
#define EMLFS_COMMAND_ARCHIVE 1u /* needs an open archive (-a is added) */
#define EMLFS_COMMAND_WRITES 2u
#define EMLFS_COMMAND_CLOSED 4u /* must own the closed archive: refused while mounted */
#define EMLFS_COMMAND_CLIENT 8u /* always runs in the user's process (import, mount, help) */
#define EMLFS_COMMAND_HIDDEN 16u
/* With CLOSED: mounted, it runs inside the mount process instead. */
#define EMLFS_COMMAND_EITHER 32u
#define EMLFS_COMMAND_ONE 64u    /* one result row: shown as "name: value" lines */
#define EMLFS_COMMAND_BYTES 128u /* writes bytes instead of rows (message get) */
#define EMLFS_COMMAND_INDEX 256u /* needs the index and the saved searches */
/* Nothing it calls is recorded, so the runner records COMMAND_RUN with its name and outcome. */
#define EMLFS_COMMAND_RECORD 512u
/* With ARCHIVE: changes nothing and asks for no ledger, so a closed archive is only looked into. */
#define EMLFS_COMMAND_LOOKS 1024u

struct emlfs_control_options;

/* One running command. */
struct emlfs_call {
    struct emlfs_archive *archive; /* open; NULL without EMLFS_COMMAND_ARCHIVE, or closed */
    const struct emlfs_archive_options *closed; /* CLOSED, nothing mounted: how to open it */
    struct emlfs_bindings *bindings;            /* NULL exactly when archive is */
    struct emlfs_rules *rules;                  /* NULL exactly when archive is */
    uint8_t source;                             /* enum emlfs_ledger_source, of what is recorded */
    struct emlfs_index *index;                  /* with EMLFS_COMMAND_INDEX, else perhaps NULL */
    struct emlfs_saved *saved;                  /* NULL exactly when index is */
    struct emlfs_subject subject;
    struct emlfs_who who;     /* subject, as rules know it; set by emlfs_command_run */
    struct json_object *args; /* checked against the table: strings, numbers, arrays */
    const struct emlfs_progress *progress;
    const struct emlfs_control_options *mount; /* in the mount process; NULL elsewhere */
    /* A result row (borrowed); shown as a table line or a JSON line. Negative: stop. */
    int (*row)(void *arg, struct json_object *row);
    /* Raw bytes for stdout. Negative: stop. */
    int (*bytes)(void *arg, struct emlfs_span bytes);
    /* A finding or warning for stderr. Any thread of the command. */
    void (*notice)(void *arg, const char *text);
    void *arg;
    uint64_t findings; /* result: not 0 makes the exit code 1 */
};

struct emlfs_command {
    const char *name;    /* "user add" */
    const char *summary; /* one line */
    const char *help;    /* paragraphs; also names MailStore's word for it where there is one */
    const struct emlfs_arg *args; /* ends with name NULL */
    enum emlfs_right right;
    unsigned flags;
    const char *fields; /* result fields "name,unix_account", in order of display; NULL: none */
    /* 0, or negative errno with err filled; the exit code follows. NULL: run by tools/ (mount,
     * help) */
    int (*run)(struct emlfs_call *call, struct emlfs_err *err);
};

extern const struct emlfs_command emlfs_commands[]; /* ends with name NULL */
const struct emlfs_command *emlfs_command_find(const char *name);
/*
 * Authorise (EACCES), run, record a refusal. Secrets in args are wiped then. Any thread; the
 * archive serialises what it must.
 */
int emlfs_command_run(const struct emlfs_command *command, struct emlfs_call *call,
                      struct emlfs_err *err);

/*
 * What may stand in args: every key is an argument of command, of its kind; texts are at most
 * EMLFS_ARG_TEXT_MAX_BYTES without control characters; required ones are there. EINVAL. args may
 * come from the socket.
 */
#define EMLFS_ARG_TEXT_MAX_BYTES 4096u
#define EMLFS_ARG_LIST_MAX 1024u
int emlfs_args_check(const struct emlfs_command *command, struct json_object *args,
                     struct emlfs_err *err);
const char *emlfs_args_text(struct json_object *args, const char *name); /* NULL: not given */
bool emlfs_args_flag(struct json_object *args, const char *name);
uint64_t emlfs_args_number(struct json_object *args, const char *name, uint64_t otherwise);
/* Borrowed array of strings, NULL when not given. */
struct json_object *emlfs_args_list(struct json_object *args, const char *name);
/* Does the command, with the other arguments as they are, need this secret of its? */
bool emlfs_args_secret_wanted(const struct emlfs_command *command, const struct emlfs_arg *secret,
                              struct json_object *args);
/* Overwrite the secrets in args; they stay there, empty of meaning. */
void emlfs_args_wipe(const struct emlfs_command *command, struct json_object *args);

/*
 * Open the search index of an archive with the importers' extractors: for the mount process and for
 * commands where nothing is mounted. notice: as in emlfs_index_options.
 */
int emlfs_command_index_open(struct emlfs_archive *archive,
                             void (*notice)(void *arg, const char *text), void *arg,
                             struct emlfs_index **ret, struct emlfs_err *err);

/*
 * Jobs that are due by themselves, for the process that keeps an archive open: to be called about
 * once a minute, by one thread at a time, which also calls emlfs_rules_tick. The job that processes
 * retention policies runs at its time (03:30 in the archive's zone) or at the first call after it;
 * an archive that never ran it, or whose last run lies ahead of the clock, waits for its next time
 * from that call on. 0: nothing was due, or the archive takes no changes; 1: it ran. A failed run
 * is recorded and not repeated before its next time; where that could not be recorded, not within
 * an hour. Entries that fail for a reason of their own end no run: it returns the first one's error
 * behind the others. ECANCELED by progress (may be NULL): it runs again at the next call. EROFS,
 * ENOSPC, EUCLEAN, EIO.
 */
struct emlfs_jobs { /* the caller's, zero at first */
    bool failed;
    int64_t failed_ns;
};
struct emlfs_jobs_at {
    struct emlfs_rules *rules;
    struct emlfs_archive *archive;
    int64_t now_ns;
};
int emlfs_jobs_tick(struct emlfs_jobs *jobs, const struct emlfs_jobs_at *at,
                    const struct emlfs_progress *progress, struct emlfs_err *err);

/*
 * Intake: a sink (importer.h) that archives what it is given, in this process. The control socket's
 * far end and an unmounted import both use it. It makes folders, prepares facts and names in
 * confined workers and reports verdicts.
 */
struct emlfs_sink;
struct emlfs_intake;
struct emlfs_intake_options {
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_rules *rules;
    uint8_t ledger_source;
    struct emlfs_subject subject; /* must own the archive of user, or administer: EACCES */
    const char *user;
    const char *base_folder; /* path below the user archive */
    const char *source;      /* emlfs_ingest_options.source */
    const char *worker_exe;  /* NULL: /proc/self/exe */
    bool dry_run;            /* write nothing, tell what would happen */
    bool trust_dates;        /* dates of the messages count for retention: administrators only */
    /* A verdict, after it is durable, on the committing thread. position as the importer gave it.
     */
    void (*verdict)(void *arg, const char *position, enum emlfs_ingest_verdict verdict,
                    struct emlfs_msg_id id, const char *reason);
    void *arg;
};
/*
 * One thread drives an intake: begin, the sink's calls, end. Every message that the sink took (0
 * came back) gets exactly one verdict before _end returns. EACCES, ENOENT no such user, EINVAL
 * folder.
 */
int emlfs_intake_begin(const struct emlfs_intake_options *options, struct emlfs_intake **ret,
                       struct emlfs_err *err);
const struct emlfs_sink *emlfs_intake_sink(struct emlfs_intake *intake);
int emlfs_intake_flush(struct emlfs_intake *intake, struct emlfs_err *err);
int emlfs_intake_end(struct emlfs_intake *intake, bool complete,
                     struct emlfs_ingest_totals *ret_totals, struct emlfs_err *err);

/*
 * Control socket, server side: ARCHIVE/control (Unix stream, 0666; each peer is judged by
 * SO_PEERCRED). Runs its own threads, at most 64 connections. Starting removes a dead socket.
 */
struct emlfs_control;
struct emlfs_control_options {
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_rules *rules;
    struct emlfs_index *index;
    struct emlfs_saved *saved;
    /* Called on a control thread; must not wait for the control server to stop. */
    int (*unmount)(void *arg, const struct emlfs_subject *subject, struct json_object *args,
                   struct emlfs_err *err);
    /* Adds "mounts" to the row of `emlfs status`: of each its mount point, since when, options. */
    int (*mount_status)(void *arg, struct json_object *row);
    /* Are names of user archives hidden from strangers? Where there is a mount that hides them. */
    bool (*private_names)(void *arg);
    bool (*ending)(void *arg); /* nothing is mounted any more: what begins now would be cancelled */
    /*
     * A further mount: _ask judges it, prepares it and gives it a *ret; after 0 _take is called
     * once, with the descriptors that came (-1: none) or without, which ends it. What it keeps of
     * fds it sets -1.
     */
    int (*mount_ask)(void *arg, const struct emlfs_subject *subject, struct json_object *args,
                     const struct emlfs_progress *progress, void **ret, struct emlfs_err *err);
    int (*mount_take)(void *arg, void *asked, int fds[2], struct emlfs_err *err);
    void *arg;
};
int emlfs_control_start(const struct emlfs_control_options *options, struct emlfs_control **ret,
                        struct emlfs_err *err);
/* Cancels what runs, answers it, joins all threads, removes the socket. */
void emlfs_control_stop(struct emlfs_control *control);

/*
 * Control socket, client side (used by tools and by emlfs_umount_main). -ENOENT: nothing is mounted
 * (no socket, or nobody behind it); EACCES.
 */
int emlfs_remote_connect(const char *archive, int *ret_fd, struct emlfs_err *err);
/*
 * Run the command of this name ("umount" too: "mountpoint", where there are several) in the mount
 * process. Of call, args, row, bytes, notice, progress (with cancel) and arg are used, findings is
 * set; any callback may be NULL. Returns what the command returned there; -ESHUTDOWN: it is ending
 * and did nothing; -ECONNRESET: it went away. One run per connection; fd stays the caller's.
 */
int emlfs_remote_run(int fd, const char *command, struct emlfs_call *call, struct emlfs_err *err);

#endif

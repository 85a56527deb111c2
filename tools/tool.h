/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TOOL_H
#define EMLFS_TOOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "emlfs/cli.h"

/* What the command line program shares among its files. Here is the only place that prints. */

/* ---- output.c: results on stdout */

#define OUTPUT_ROWS_MAX 20000u /* lined up together; more are shown in groups of this many */

struct output_cell {
    size_t at, len; /* in text */
    size_t columns;
};
struct output {
    const struct emlfs_command *command;
    bool json;
    /* rows waiting to be lined up: a cell for each of the command's fields */
    struct output_cell *cells;
    size_t n, cap;
    struct emlfs_buf text;
};
void output_begin(struct output *out, const struct emlfs_cli *cli);
int output_row(struct output *out, struct json_object *row);
int output_bytes(struct emlfs_span bytes);
/* Print what waits; 0, or -errno when stdout did not take everything. */
int output_end(struct output *out);
/* Text as it is, for help; -errno. */
int output_text(const struct emlfs_buf *text);
/* One escaped line on stderr, "emlfs: " before it. */
void complain(const char *text);
void complain_err(const struct emlfs_err *err);

/* ---- meter.c: progress on stderr; steps may come from any thread */

struct meter {
    struct emlfs_progress progress; /* for the work: its arg is the meter */
    bool off, tty, shown;
    int64_t start_ns, last_ns;
    pthread_mutex_t lock;
    /* Words behind the percentage; NULL: done of total. */
    void (*words)(void *arg, char *text, size_t size);
    void *words_arg;
};
void meter_begin(struct meter *meter, bool quiet, const atomic_bool *cancel);
/* Take the bar away. */
void meter_end(struct meter *meter);

/* ---- interrupt.c: the first SIGINT (or SIGTERM) asks to stop, the second ends the process */

const atomic_bool *interrupt_watch(void);

/* ---- secret.c: passwords and keys, which never are in the arguments */

#define SECRET_FILE_MAX_BYTES 4096u
/* All of file, "-": standard input. To be wiped. -errno. */
int secret_read(const char *file, struct emlfs_buf *ret);
/*
 * Put the secrets that the command wants into its arguments: a line of the file that NAME-file
 * names, otherwise asked for on the terminal without echo. EINVAL: no terminal, or they are not the
 * same; ECANCELED.
 */
int secrets_fill(const struct emlfs_cli *cli, struct emlfs_err *err);

/* ---- client.c: where a command runs */

struct place {
    int fd;                        /* >= 0: connected to the mount process */
    struct emlfs_archive *archive; /* otherwise opened here; both empty for a closed archive */
    struct emlfs_bindings *bindings;
    struct emlfs_rules *rules;
    struct emlfs_index *index; /* of archive, for commands that need it, and import */
    struct emlfs_saved *saved;
    struct emlfs_archive_options options;
    char *recovery_key;
    struct meter *meter;
    bool trying; /* what is noticed now will be noticed again */
};
/* Find the archive's process, or be it. */
int place_find(struct place *place, const struct emlfs_cli *cli, struct meter *meter,
               struct emlfs_err *err);
/* Open the index of an archive that was opened here. Its notices end the meter's line. */
int place_index(struct place *place, struct emlfs_err *err);
int place_leave(struct place *place, struct emlfs_err *err);
/* Run an ordinary command; the exit code. */
int client_run(const struct emlfs_cli *cli);
/* Exit code of a failure. */
int exit_code(int r, uint64_t findings);

/* ---- import.c */

int import_run(const struct emlfs_cli *cli);

/* ---- checkpassword.c: the program by its other name; returns its exit code */

int checkpassword_main(int argc, char **argv);

#endif

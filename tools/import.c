/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * emlfs import: importers run here, with the rights of whoever started them; messages go to an
 * intake in this process, or to the one in the mount process.
 */
#include "import.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "emlfs/text.h"

#define SOURCE_ID_MAX_BYTES 16384

struct import {
    const struct emlfs_cli *cli;
    const char *user, *folder;
    const struct emlfs_importer *format; /* NULL: detect */
    const char **include, **exclude;
    bool dry_run, no_index, trust_dates;
    struct report report;
    struct meter meter;
    struct seen seen;
    struct place place; /* open from the first source on, where it is here */
    /* the source being read: */
    const struct emlfs_sink *to;
    bool partial;
};

/* ---- the sink that importers see: counts, then passes on */

static int import_message(void *arg, struct emlfs_source_message *message, struct emlfs_err *err)
{
    struct import *import = arg;
    bool before = false;

    if (atomic_load(import->meter.progress.cancel))
        return emlfs_err_set(err, ECANCELED, "import", "interrupted");
    if (import->dry_run && seen_add(&import->seen, emlfs_buf_view(message->raw), &before) < 0)
        return emlfs_err_set(err, ENOMEM, "import", "out of memory");
    report_read(&import->report, message->raw->len);
    if (!before)
        return import->to->message(import->to->arg, message, err);
    report_verdict(&import->report, message->position, EMLFS_INGEST_DUPLICATE,
                   (struct emlfs_msg_id){0}, "");
    return 0;
}

static int import_reject(void *arg, const char *position, const char *reason, struct emlfs_err *err)
{
    struct import *import = arg;

    report_read(&import->report, 0);
    return import->to->reject(import->to->arg, position, reason, err);
}

static int import_folder(void *arg, const char *folder, struct emlfs_err *err)
{
    struct import *import = arg;

    return import->dry_run ? 0 : import->to->folder(import->to->arg, folder, err);
}

static int import_note(void *arg, const char *position, const char *text, struct emlfs_err *err)
{
    struct import *import = arg;
    EMLFS_BUF_CLEANUP struct emlfs_buf line = EMLFS_BUF_INIT(64u << 10);

    (void)err;
    report_note(&import->report, position, text);
    if (import->cli->verbose && emlfs_text_printf(&line, "%s: %s%c", position, text, '\0') == 0) {
        meter_end(&import->meter);
        complain((const char *)line.data);
    }
    return 0;
}

/* ---- one source */

struct source {
    const char *path, *base, *id;
    const struct emlfs_importer *importer;
};

static const struct emlfs_importer *source_importer(struct import *import, const char *path,
                                                    struct emlfs_err *err)
{
    const struct emlfs_importer *importer = import->format;

    if (access(path, R_OK) < 0) {
        emlfs_err_sys(err, errno, "import", "%s", path);
        return NULL;
    }
    if (!importer)
        importer = emlfs_importer_find(path);
    if (!importer)
        emlfs_err_set(err, EILSEQ, "import", "%s: neither a mail file nor a mail directory", path);
    return importer;
}

static int id_part(struct emlfs_buf *out, const char *text)
{
    int r = 0;

    for (; r == 0 && *text; text++)
        r = isgraph((unsigned char)*text) && (unsigned char)*text < 0x80 && !strchr("%|", *text)
                ? emlfs_buf_append_u8(out, (uint8_t)*text)
                : emlfs_text_printf(out, "%%%02x", (unsigned char)*text);
    return r == 0 ? emlfs_buf_append_u8(out, '|') : r;
}

static int id_list(struct emlfs_buf *out, const char *const *list)
{
    int r = 0;

    for (; r == 0 && list && *list; list++)
        r = id_part(out, *list);
    return r == 0 ? emlfs_buf_append_u8(out, '|') : r;
}

/*
 * What identifies this source when it is imported again: a message is taken for moved only within
 * it, so everything that decides what is seen and where it is filed is part of it.
 */
static int source_id(struct import *import, const struct emlfs_importer *importer, const char *path,
                     const char *base, struct emlfs_buf *out)
{
    char *real = realpath(path, NULL);
    int r = real ? emlfs_text_printf(out, "%s:", importer->name) : -errno;

    if (r == 0)
        r = id_part(out, real);
    if (r == 0)
        r = id_part(out, import->user);
    if (r == 0)
        r = id_part(out, base);
    if (r == 0)
        r = id_list(out, import->include);
    if (r == 0)
        r = id_list(out, import->exclude);
    free(real);
    return r == 0 ? emlfs_buf_append_u8(out, '\0') : r;
}

static int source_read(struct import *import, const struct source *source, bool *ret_complete,
                       struct emlfs_err *err)
{
    struct emlfs_sink sink = {.arg = import,
                              .message = import_message,
                              .reject = import_reject,
                              .folder = import_folder,
                              .note = import_note};
    struct emlfs_import_options options = {.include = import->include,
                                           .exclude = import->exclude,
                                           .progress = &import->meter.progress,
                                           .ret_partial = &import->partial};

    import->partial = false;
    int r = source->importer->run(source->path, &options, &sink, err);

    *ret_complete = r == 0 && !import->partial && !atomic_load(import->meter.progress.cancel);
    if (r < 0 && err->code == 0)
        emlfs_err_sys(err, -r, "import", "%s", source->path);
    return r;
}

static int source_here(struct import *import, struct place *place, const struct source *source,
                       struct emlfs_err *err)
{
    struct emlfs_intake_options options = {.archive = place->archive,
                                           .bindings = place->bindings,
                                           .rules = place->rules,
                                           .ledger_source = EMLFS_LEDGER_COMMAND,
                                           .subject = {.uid = getuid(), .gid = getgid()},
                                           .user = import->user,
                                           .base_folder = source->base,
                                           .source = source->id,
                                           .dry_run = import->dry_run,
                                           .trust_dates = import->trust_dates,
                                           .verdict = report_verdict,
                                           .arg = &import->report};
    struct emlfs_ingest_totals totals = {0};
    struct emlfs_intake *intake = NULL;
    bool complete = false;
    int r = emlfs_intake_begin(&options, &intake, err);

    if (r < 0)
        return r;
    import->to = emlfs_intake_sink(intake);
    r = source_read(import, source, &complete, err);
    int ended = emlfs_intake_end(intake, complete, &totals, r < 0 ? NULL : err);

    import->report.moved += totals.moved;
    return r < 0 ? r : ended;
}

static int source_there(struct import *import, struct place *place, const struct source *source,
                        struct emlfs_err *err)
{
    struct remote_options options = {.user = import->user,
                                     .base_folder = source->base,
                                     .source = source->id,
                                     .dry_run = import->dry_run,
                                     .trust_dates = import->trust_dates,
                                     .report = &import->report,
                                     .cancel = import->meter.progress.cancel};
    struct remote_import *remote = NULL;
    uint64_t moved = 0;
    bool complete = false;
    int r = remote_import_begin(place->fd, &options, &remote, err);

    if (r < 0)
        return r;
    import->to = remote_import_sink(remote);
    r = source_read(import, source, &complete, err);
    /* What the mount process says explains a failed sending. */
    struct emlfs_err end_err = {0};
    int ended = remote_import_end(remote, complete, &moved, &end_err);

    import->report.moved += moved;
    if (ended < 0 && (r == 0 || r == -EPIPE || r == -ECONNRESET)) {
        *err = end_err;
        return ended;
    }
    return r;
}

/* The index follows the import; whatever is wrong with it, the mail is archived. */
static void index_begin(struct import *import, struct place *place)
{
    struct emlfs_err err = {0};
    int r = place_index(place, &err);

    if (r == 0)
        r = emlfs_index_follow(place->index, &err);
    if (r < 0) {
        meter_end(&import->meter);
        complain_err(&err);
    }
}

/* What the index does not know yet, with a line of its own. Ctrl-C leaves the rest for later. */
static void index_end(struct import *import)
{
    const atomic_bool *cancel = import->meter.progress.cancel;
    struct emlfs_err err = {0};
    struct meter meter;
    int r;

    if (!import->place.index || atomic_load(cancel))
        return;
    meter_begin(&meter, import->cli->quiet, cancel);
    r = emlfs_index_catch_up(import->place.index, &meter.progress, &err);
    meter_end(&meter);
    if (r == -ECANCELED)
        complain("indexing was interrupted; it goes on at the next search, import or mount");
    else if (r < 0)
        complain_err(&err);
}

/*
 * Each source has its own intake: base folder and moves belong to it. An archive that is opened
 * here stays open for all of them, so that they share its pack.
 */
static int source_place(struct import *import, struct place *place, const struct source *source,
                        struct emlfs_err *err)
{
    int r = 0;

    if (!place->archive) {
        r = place_find(place, import->cli, &import->meter, err);
        if (r == 0 && place->archive && !import->dry_run && !import->no_index)
            index_begin(import, place);
    }
    if (r < 0 || place->archive)
        return r < 0 ? r : source_here(import, place, source, err);
    r = source_there(import, place, source, err);
    int left = place_leave(place, r < 0 ? NULL : err);

    return r < 0 ? r : left;
}

static int source_import(struct import *import, struct place *place, const char *path,
                         struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf id = EMLFS_BUF_INIT(SOURCE_ID_MAX_BYTES);
    const struct emlfs_importer *importer = source_importer(import, path, err);
    struct source source = {.path = path, .importer = importer, .base = import->folder};
    char base[1024] = "";

    if (!importer)
        return -err->code;
    if (!source.base) {
        importer->base_folder(path, base, sizeof(base));
        source.base = base;
    }

    int r = source_id(import, importer, path, source.base, &id);

    if (r < 0)
        return emlfs_err_sys(err, -r, "import", "%s", path);
    source.id = (const char *)id.data;
    return source_place(import, place, &source, err);
}

/* ---- the command */

static const char **strings_of(struct json_object *list)
{
    size_t n = list ? json_object_array_length(list) : 0;
    const char **strings = calloc(n + 1, sizeof(*strings));

    for (size_t i = 0; strings && i < n; i++)
        strings[i] = json_object_get_string(json_object_array_get_idx(list, i));
    return strings;
}

static int import_setup(struct import *import, struct emlfs_err *err)
{
    struct json_object *args = import->cli->args;
    const char *format = emlfs_args_text(args, "format");

    import->user = emlfs_args_text(args, "user");
    import->folder = emlfs_args_text(args, "folder");
    import->dry_run = emlfs_args_flag(args, "dry-run");
    import->trust_dates = emlfs_args_flag(args, "trust-dates");
    import->no_index = emlfs_args_flag(args, "no-index");
    import->format = format ? emlfs_importer_by_name(format) : NULL;
    if (format && !import->format)
        return emlfs_err_set(err, EINVAL, "import", "--format: there is no format %s", format);
    import->include = strings_of(emlfs_args_list(args, "include"));
    import->exclude = strings_of(emlfs_args_list(args, "exclude"));
    if (!import->include || !import->exclude)
        return emlfs_err_set(err, ENOMEM, "import", "out of memory");
    return 0;
}

static int import_sources(struct import *import, struct emlfs_err *err)
{
    struct json_object *sources = emlfs_args_list(import->cli->args, "SOURCE");
    int r = 0;

    for (size_t i = 0; r == 0 && i < json_object_array_length(sources); i++)
        r = source_import(import, &import->place,
                          json_object_get_string(json_object_array_get_idx(sources, i)), err);
    return r;
}

/* Behind the report, so that nothing it says waits for the index. */
static int import_leave(struct import *import, int code)
{
    struct emlfs_err err = {0};

    index_end(import);
    if (place_leave(&import->place, &err) == 0)
        return code;
    complain_err(&err);
    return EMLFS_EXIT_SYSTEM;
}

int import_run(const struct emlfs_cli *cli)
{
    struct import import = {.cli = cli, .place = {.fd = -1}};
    struct emlfs_err err = {0};
    struct output out;
    int r = import_setup(&import, &err);
    int code = r == -EINVAL ? EMLFS_EXIT_USAGE : EMLFS_EXIT_SYSTEM;

    if (r == 0)
        r = report_begin(&import.report, emlfs_args_text(cli->args, "report"), &err);
    if (r < 0) {
        complain_err(&err);
    } else {
        output_begin(&out, cli);
        meter_begin(&import.meter, cli->quiet, interrupt_watch());
        import.meter.words = report_words;
        import.meter.words_arg = &import.report;
        r = import_sources(&import, &err);
        meter_end(&import.meter);
        if (r < 0)
            complain_err(&err);
        code = report_end(&import.report, cli, &out);
        if (output_end(&out) < 0)
            code = EMLFS_EXIT_SYSTEM;
        if (r < 0)
            code = exit_code(r, 0);
        code = import_leave(&import, code);
    }
    seen_free(&import.seen);
    free(import.include);
    free(import.exclude);
    return code;
}

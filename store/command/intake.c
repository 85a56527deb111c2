/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Intake: messages from a sink into the archive.
 *
 * Responsible for: who may file mail for whom; turning foreign folder paths into folders; facts,
 * dates and names of new messages; one verdict for each message.
 * Not responsible for: durability (ingest), parsing (the worker), what a source is (importers).
 *
 * I1  A message for which the sink returned 0 gets exactly one verdict before _end returns.
 * I2  A folder is made only below the user archive; each component passed emlfs_name_folder.
 * I3  Worker n of the parsers is used by ingest thread n alone.
 */
#include "intake.h"

#include <stdlib.h>

#include "emlfs/ingest.h"

static bool is_admin(const struct emlfs_intake_options *options)
{
    const struct emlfs_target whole = {.kind = EMLFS_OBJECT_SYSTEM};

    return emlfs_rules_check(options->rules, &options->subject, &whole, EMLFS_CALL_COMMAND, NULL) ==
           0;
}

/*
 * Those who may file mail there, and administrators, who need not see it for that. ENOENT: of those
 * from whom its name is hidden.
 */
static int intake_allowed(const struct emlfs_intake_options *options, struct emlfs_user_id user)
{
    const struct emlfs_target top = {.kind = EMLFS_OBJECT_ARCHIVE, .user = user};
    int r = emlfs_rules_check(options->rules, &options->subject, &top, EMLFS_CALL_CREATE, NULL);

    if (r == 0 || r == -EROFS)
        return r;
    if (is_admin(options))
        return 0;
    return r == -ENOENT ? r : -EACCES;
}

/* That somebody answers for the dates of a source is an act of theirs. */
static int trust_record(const struct emlfs_intake_options *options, const struct emlfs_actor *actor,
                        struct emlfs_user_id user, struct emlfs_err *err)
{
    uint8_t detail[EMLFS_LEDGER_DETAIL_MAX_BYTES];
    struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_COMMAND_RUN,
                                         .owner = user,
                                         .name = emlfs_span_str("import --trust-dates")};

    if (options->source)
        record.detail = emlfs_ledger_detail(emlfs_span_str(options->source), detail);
    return emlfs_archive_record(options->archive, actor, &record, err);
}

static int intake_top(struct emlfs_intake *intake, const struct emlfs_intake_options *options,
                      struct emlfs_err *err)
{
    struct emlfs_user user;
    int r = emlfs_user_by_name(intake->archive, options->user, &user, err);
    const bool found = r == 0;

    if (found)
        r = intake_allowed(options, user.id);
    if (r == -ENOENT)
        return emlfs_err_set(err, ENOENT, "import",
                             "no archive user %s: 'emlfs user add' makes one", options->user);
    if (r < 0 && !found)
        return r;
    if (r == -EROFS)
        return emlfs_err_set(err, EROFS, "import", "the archive takes no mail now");
    if (r < 0)
        return emlfs_err_set(err, EACCES, "import",
                             "only those who may archive for %s, and administrators, may import "
                             "for %s",
                             user.name, user.name);
    if (options->trust_dates && !is_admin(options))
        return emlfs_err_set(err, EACCES, "import",
                             "--trust-dates: only administrators may vouch for dates");
    if (user.flags & EMLFS_USER_REMOVED)
        return emlfs_err_set(err, EPERM, "import", "archive user %s was removed", user.name);
    intake->user = user.id;
    intake->top = user.archive;
    return 0;
}

static int intake_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                          struct emlfs_err *err)
{
    struct emlfs_intake *intake = arg;
    const struct intake_how how = {.keep_claims = intake->trust_dates,
                                   .sent = intake_folder_is_sent(intake, item->folder)};

    return intake_parse(&intake->parsers, worker, item, &how, err);
}

static void intake_ahead(void *arg, unsigned worker, const struct emlfs_ingest_item *item)
{
    struct emlfs_intake *intake = arg;

    intake_parse_ahead(&intake->parsers, worker, item);
}

static void intake_done(void *arg, struct emlfs_ingest_item *item)
{
    struct emlfs_intake *intake = arg;

    if (intake->verdict)
        intake->verdict(intake->arg, item->position ? item->position : "", item->verdict, item->id,
                        item->verdict == EMLFS_INGEST_REJECTED ? item->err.text : "");
    emlfs_ingest_item_free(item);
}

static int intake_item(struct emlfs_intake *intake, struct emlfs_source_message *message,
                       struct emlfs_ingest_item **ret, struct emlfs_err *err)
{
    struct emlfs_folder_id folder;
    int r = intake_folder(intake, message->folder, &folder, err);

    if (r < 0)
        return r;

    struct emlfs_ingest_item *item = emlfs_ingest_item_new();

    if (item)
        item->position = strdup(message->position ? message->position : "");
    if (!item || !item->position) {
        emlfs_ingest_item_free(item);
        return emlfs_err_set(err, ENOMEM, "import", "out of memory");
    }
    emlfs_buf_free(&item->raw);
    item->raw = *message->raw;
    *message->raw = EMLFS_BUF_INIT(item->raw.max_bytes);
    item->folder = folder;
    item->user = intake->user;
    item->flags = message->flags & ~EMLFS_ENTRY_VOUCHED;
    item->flags |= intake->trust_dates ? EMLFS_ENTRY_VOUCHED : 0;
    item->file_time_sec = message->file_time_sec;
    *ret = item;
    return 0;
}

static void intake_reject(struct emlfs_intake *intake, const char *position, const char *reason)
{
    if (intake->verdict)
        intake->verdict(intake->arg, position ? position : "", EMLFS_INGEST_REJECTED,
                        (struct emlfs_msg_id){0}, reason);
}

/* Nothing is written: the archive only tells whether it has these bytes. */
static int intake_dry(struct emlfs_intake *intake, struct emlfs_source_message *message,
                      struct emlfs_err *err)
{
    bool has = false;
    int r =
        emlfs_archive_has(intake->archive, intake->user, emlfs_buf_view(message->raw), &has, err);

    if (r == 0 && intake->verdict)
        intake->verdict(intake->arg, message->position ? message->position : "",
                        has ? EMLFS_INGEST_DUPLICATE : EMLFS_INGEST_ARCHIVED,
                        (struct emlfs_msg_id){0}, "");
    return r;
}

static int intake_message(void *arg, struct emlfs_source_message *message, struct emlfs_err *err)
{
    struct emlfs_intake *intake = arg;
    struct emlfs_ingest_item *item = NULL;
    struct emlfs_err why = {0};

    if (message->raw->len > EMLFS_MESSAGE_MAX_BYTES) {
        intake_reject(intake, message->position, "larger than 256 MiB");
        return 0;
    }
    if (intake->dry_run)
        return intake_dry(intake, message, err);

    int r = intake_item(intake, message, &item, &why);

    /* A folder path that cannot be is the message's fault; the rest goes on. */
    if (r == -E2BIG || r == -EINVAL || r == -EILSEQ) {
        intake_reject(intake, message->position, why.text);
        return 0;
    }
    if (r < 0) {
        if (err)
            *err = why;
        return r;
    }
    return emlfs_ingest_put(intake->ingest, item, err);
}

static int intake_sink_reject(void *arg, const char *position, const char *reason,
                              struct emlfs_err *err)
{
    (void)err;
    intake_reject(arg, position, reason);
    return 0;
}

static int intake_sink_folder(void *arg, const char *folder, struct emlfs_err *err)
{
    struct emlfs_intake *intake = arg;
    struct emlfs_folder_id id;
    int r = intake->dry_run ? 0 : intake_folder(intake, folder, &id, err);

    /* An impossible name of an empty folder costs nothing. */
    return r == -E2BIG || r == -EINVAL || r == -EILSEQ ? 0 : r;
}

static void intake_free(struct emlfs_intake *intake)
{
    intake_parsers_free(&intake->parsers);
    intake_folders_free(intake);
    pthread_mutex_destroy(&intake->sent_lock);
    free(intake);
}

static int64_t intake_arrival(void *arg)
{
    struct emlfs_intake *intake = arg;

    return emlfs_rules_arrival_ns(intake->rules);
}

static int intake_quota(void *arg, struct emlfs_user_id user, uint64_t *ret_bytes,
                        struct emlfs_err *err)
{
    struct emlfs_intake *intake = arg;

    return emlfs_rules_quota(intake->rules, user, ret_bytes, err);
}

static int intake_start(struct emlfs_intake *intake, const struct emlfs_intake_options *options,
                        struct emlfs_err *err)
{
    struct emlfs_ingest_options ingest = {.prepare = intake_prepare,
                                          .ahead = intake_ahead,
                                          .done = intake_done,
                                          .arg = intake,
                                          .source = options->source,
                                          .arrival_ns = intake_arrival,
                                          .quota = intake_quota};
    struct emlfs_who who;

    emlfs_rules_who(options->rules, &options->subject, &who);
    intake->actor = emlfs_rules_actor(&who, options->ledger_source);
    ingest.actor = intake->actor;

    int r = intake_top(intake, options, err);

    if (r < 0 || intake->dry_run)
        return r;
    if (options->trust_dates)
        r = trust_record(options, &intake->actor, intake->user, err);
    if (r == 0)
        r = intake_parsers_init(&intake->parsers, intake->archive, options->worker_exe, err);
    if (r == 0)
        r = emlfs_ingest_begin(intake->archive, &ingest, &intake->ingest, err);
    if (r < 0)
        return r;
    r = intake_base(intake, options->base_folder, err);
    if (r < 0) {
        struct emlfs_ingest_totals none;

        emlfs_ingest_end(intake->ingest, false, &none, NULL);
    }
    return r;
}

int emlfs_intake_begin(const struct emlfs_intake_options *options, struct emlfs_intake **ret,
                       struct emlfs_err *err)
{
    struct emlfs_intake *intake = calloc(1, sizeof(*intake));

    if (!intake)
        return emlfs_err_set(err, ENOMEM, "import", "out of memory");
    intake->archive = options->archive;
    intake->rules = options->rules;
    intake->dry_run = options->dry_run;
    intake->trust_dates = options->trust_dates;
    intake->verdict = options->verdict;
    intake->arg = options->arg;
    pthread_mutex_init(&intake->sent_lock, NULL);
    intake->sink = (struct emlfs_sink){.arg = intake,
                                       .message = intake_message,
                                       .reject = intake_sink_reject,
                                       .folder = intake_sink_folder};

    int r = intake_start(intake, options, err);

    if (r < 0) {
        intake_free(intake);
        return r;
    }
    *ret = intake;
    return 0;
}

const struct emlfs_sink *emlfs_intake_sink(struct emlfs_intake *intake)
{
    return &intake->sink;
}

int emlfs_intake_flush(struct emlfs_intake *intake, struct emlfs_err *err)
{
    return intake->dry_run ? 0 : emlfs_ingest_flush(intake->ingest, err);
}

int emlfs_intake_end(struct emlfs_intake *intake, bool complete,
                     struct emlfs_ingest_totals *ret_totals, struct emlfs_err *err)
{
    struct emlfs_ingest_totals totals = {0};
    int r = intake->dry_run ? 0 : emlfs_ingest_end(intake->ingest, complete, &totals, err);

    if (ret_totals)
        *ret_totals = totals;
    intake_free(intake);
    return r;
}

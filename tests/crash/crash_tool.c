/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the crash tests do with an archive, through the library and without workers:
 *
 *   crash_tool init ARCHIVE STORE_MESSAGES
 *   crash_tool write ARCHIVE ACK FIRST COUNT [PACE_US]   archive generated messages FIRST...
 *   crash_tool events ARCHIVE                            users and folders made, renamed, removed
 *   crash_tool acts ARCHIVE                              the same; mail, folders, stores changed
 *   crash_tool dump ARCHIVE                              every user, folder and entry, with hashes
 *   crash_tool make NUMBER                               a generated message to stdout
 *
 * write appends "a NUMBER SHA256\n" to the file ACK with one write(2) when message NUMBER has been
 * reported durable, and "r NUMBER REASON" when it was refused. Message NUMBER has the same bytes in
 * every run. Exit: 0; 1 when anything failed (the reason is on stderr); 2 usage.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash_mail.h"
#include "emlfs/archive.h"
#include "emlfs/base/os.h"
#include "emlfs/change.h"
#include "emlfs/ingest.h"
#include "emlfs/message.h"
#include "emlfs/name.h"
#include "emlfs/policy.h"
#include "emlfs/stores.h"
#include "emlfs/verify.h"

#define BATCH 256u

static int fail(const struct emlfs_err *err)
{
    fprintf(stderr, "crash_tool: %s: %s\n", err->module, err->text);
    return 1;
}

static void hex_of(const uint8_t *bytes, size_t len, char *ret)
{
    for (size_t i = 0; i < len; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

static int tool_open(const char *path, struct emlfs_archive **ret, struct emlfs_err *err)
{
    struct emlfs_archive_options options = {
        .path = path, .lock_wait_ms = 5000, .workers = 2, .clock = emlfs_clock_system()};
    return emlfs_archive_open(&options, ret, err);
}

static int tool_init(const char *path, const char *store_messages)
{
    struct emlfs_err err = {0};
    struct emlfs_archive_settings settings = {
        .store_messages = (uint32_t)strtoul(store_messages, NULL, 10),
        .block_bytes = 64u << 10,
        .zstd_level = 3,
        .commit_ms = 2,
        .timezone = "UTC",
    };
    struct emlfs_init_options options = {.settings = &settings, .timezone = "UTC"};
    char recovery[EMLFS_RECOVERY_KEY_TEXT_MAX];
    if (emlfs_archive_init(path, &options, recovery, &err) < 0)
        return fail(&err);
    printf("%s\n", recovery);
    return 0;
}

/* ---- write */

struct writer {
    int ack_fd;
    bool failed;
    struct emlfs_user_id user;
    struct emlfs_folder_id folders[CRASH_FOLDERS];
};

static int writer_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                          struct emlfs_err *err)
{
    (void)arg;
    (void)worker;
    struct emlfs_facts facts = {
        .date_sec = item->file_time_sec,
        .date_source = EMLFS_DATE_DATE,
        .from = emlfs_span_str("Crash <crash@sample.example>"),
        .subject = emlfs_span_str(item->position),
    };
    item->mtime_ns = item->file_time_sec * 1000000000;
    item->facts.max_bytes = EMLFS_FACTS_MAX_BYTES;
    int rc = emlfs_facts_encode(&facts, &item->facts);
    if (rc < 0)
        return emlfs_err_set(err, -rc, "tool", "facts");
    struct emlfs_name_input input = {.facts = &facts, .date_ns = item->mtime_ns, .timezone = "UTC"};
    rc = emlfs_name_stem(&input, item->stem, sizeof(item->stem));
    return rc < 0 ? emlfs_err_set(err, -rc, "tool", "name") : 0;
}

static void writer_done(void *arg, struct emlfs_ingest_item *item)
{
    struct writer *writer = arg;
    struct emlfs_buf mail = EMLFS_BUF_INIT(CRASH_MAIL_MAX_BYTES);
    struct emlfs_hash hash;
    char text[600];
    char hex[2 * EMLFS_HASH_BYTES + 1] = "";
    if (item->verdict == EMLFS_INGEST_REJECTED) {
        snprintf(text, sizeof(text), "r %s %.480s\n", item->position, item->err.text);
        writer->failed = true;
    } else {
        if (crash_mail(strtoull(item->position, NULL, 10), &mail) == 0 &&
            emlfs_sha256(emlfs_buf_view(&mail), &hash) == 0)
            hex_of(hash.v, sizeof(hash.v), hex);
        snprintf(text, sizeof(text), "a %s %s\n", item->position, hex);
    }
    size_t len = strlen(text);
    if (write(writer->ack_fd, text, len) != (ssize_t)len)
        writer->failed = true;
    emlfs_buf_free(&mail);
    emlfs_ingest_item_free(item);
}

static int writer_user(struct writer *writer, struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct emlfs_user user;
    int rc = emlfs_user_by_name(archive, "crash", &user, err);
    if (rc == -ENOENT)
        rc =
            emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"crash", "root", 0}, &user, err);
    /* A run that was cut off while it added the user: adding again completes that, and says so. */
    if (rc == -EEXIST)
        rc = emlfs_user_by_name(archive, "crash", &user, err);
    writer->user = user.id;
    for (unsigned i = 0; rc >= 0 && i < CRASH_FOLDERS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "Folder %u", i);
        rc = emlfs_archive_folder_make(archive, NULL,
                                       &(struct emlfs_folder_wanted){user.archive, user.id, name},
                                       &writer->folders[i], err);
    }
    return rc;
}

static int writer_put(struct writer *writer, struct emlfs_ingest *ingest, uint64_t number,
                      struct emlfs_err *err)
{
    struct emlfs_ingest_item *item = emlfs_ingest_item_new();
    if (!item)
        return emlfs_err_set(err, ENOMEM, "tool", "item");
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    item->raw.max_bytes = CRASH_MAIL_MAX_BYTES;
    item->position = strdup(text);
    item->folder = writer->folders[number % CRASH_FOLDERS];
    item->user = writer->user;
    item->file_time_sec = 1700000000 + (int64_t)number;
    int rc = item->position ? crash_mail(number, &item->raw) : -ENOMEM;
    if (rc < 0) {
        emlfs_ingest_item_free(item);
        return emlfs_err_set(err, -rc, "tool", "message %" PRIu64, number);
    }
    return emlfs_ingest_put(ingest, item, err);
}

static int writer_all(struct writer *writer, struct emlfs_ingest *ingest, char **argv,
                      struct emlfs_err *err)
{
    uint64_t first = strtoull(argv[0], NULL, 10);
    uint64_t count = strtoull(argv[1], NULL, 10);
    useconds_t pace_us = argv[2] ? (useconds_t)strtoul(argv[2], NULL, 10) : 0;
    for (uint64_t i = 0; i < count; i++) {
        int rc = writer_put(writer, ingest, first + i, err);
        if (rc == 0 && i % 10 == 9 && !pace_us)
            rc = emlfs_ingest_flush(ingest, err);
        if (rc < 0)
            return rc;
        if (pace_us)
            usleep(pace_us);
    }
    return 0;
}

static int tool_write(const char *path, const char *ack, char **argv)
{
    struct emlfs_err err = {0};
    struct emlfs_archive *archive = NULL;
    struct emlfs_ingest *ingest = NULL;
    struct emlfs_ingest_totals totals;
    struct writer writer = {.ack_fd = open(ack, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
    if (writer.ack_fd < 0 || tool_open(path, &archive, &err) < 0)
        return fail(&err);
    struct emlfs_ingest_options options = {
        .prepare = writer_prepare, .done = writer_done, .arg = &writer, .source = "crash"};
    int rc = writer_user(&writer, archive, &err);
    if (rc == 0)
        rc = emlfs_ingest_begin(archive, &options, &ingest, &err);
    if (rc == 0) {
        rc = writer_all(&writer, ingest, argv, &err);
        int end = emlfs_ingest_end(ingest, false, &totals, rc ? NULL : &err);
        rc = rc ? rc : end;
    }
    if (rc < 0)
        writer.failed = fail(&err);
    rc = emlfs_archive_close(archive, &err);
    if (rc < 0)
        writer.failed = fail(&err);
    close(writer.ack_fd);
    return writer.failed ? 1 : 0;
}

/* ---- events: what the master rows keep, and a folder that changed its name */

/* A folder that moved into a later one, and one that is gone. */
static int folders_run(struct emlfs_archive *archive, struct emlfs_folder_id top,
                       struct emlfs_err *err)
{
    struct emlfs_folder_id early, late, gone;
    int rc = emlfs_archive_folder_add(archive, NULL, top, "Early", &early, err);
    if (rc == 0)
        rc = emlfs_archive_folder_add(archive, NULL, top, "Late", &late, err);
    if (rc == 0)
        rc = emlfs_archive_folder_add(archive, NULL, early, "Gone", &gone, err);
    if (rc == 0)
        rc = emlfs_archive_folder_move(archive, NULL, early,
                                       &(struct emlfs_folder_place){late, "Moved", 0}, err);
    if (rc == 0)
        rc = emlfs_archive_folder_remove(archive, NULL, gone, err);
    return rc;
}

static int entry_act(struct emlfs_archive *archive, const struct emlfs_entry *entry,
                     struct emlfs_folder_id to, struct emlfs_err *err)
{
    const struct emlfs_entry_at at = {entry->user, entry->folder, entry->id};
    const struct emlfs_verdict_terms terms = {.act = to.v ? EMLFS_ACT_MOVE : EMLFS_ACT_DELETE,
                                              .id = entry->id,
                                              .archive = entry->user,
                                              .policy = 3,
                                              .generation = emlfs_archive_generation(archive)};
    struct emlfs_verdict *verdict = NULL;
    int rc = emlfs_verdict_issue(&terms, &verdict);
    if (rc == 0 && to.v)
        rc = emlfs_archive_entry_move(archive, NULL, &at, to, verdict, err);
    else if (rc == 0)
        rc = emlfs_archive_entry_delete(archive, NULL, &at, verdict, err);
    emlfs_verdict_free(verdict);
    return rc;
}

/* Of the first messages of the first folder that has some, every other goes, the rest moves. */
static int entries_run(struct emlfs_archive *archive, struct emlfs_folder_id top,
                       struct emlfs_folder_id to, struct emlfs_err *err)
{
    static struct emlfs_entry entries[8];
    struct emlfs_entry_page page = {.folder = top, .v = entries, .max = 8};
    struct emlfs_folder folder = {.id = {0}};
    int rc = emlfs_archive_entries(archive, &page, err);
    while (rc == 0 && page.n == 0) {
        rc = emlfs_archive_folder_next(archive, top, folder.id, &folder, err);
        page.folder = folder.id;
        if (rc == 0)
            rc = emlfs_archive_entries(archive, &page, err);
    }
    for (unsigned i = 0; i < page.n && rc == 0; i++)
        rc = entry_act(archive, &entries[i], (struct emlfs_folder_id){i % 2 ? to.v : 0}, err);
    return rc == -ENOENT ? 0 : rc;
}

static int stores_run(struct emlfs_archive *archive, struct emlfs_err *err)
{
    uint16_t no;
    int rc = emlfs_archive_store_create(archive, NULL, "Later", &no, err);
    if (rc == 0)
        rc = emlfs_archive_store_set_state(
            archive, NULL, &(struct emlfs_store_change){1, EMLFS_STORE_WRITE_PROTECTED, "a test"},
            err);
    return rc == 0 ? emlfs_archive_store_rename(archive, NULL, 1, "Earliest", err) : rc;
}

/* acts: also what deletes and moves, after which mail brought again is new. */
static int events_run(struct emlfs_archive *archive, bool acts, struct emlfs_err *err)
{
    struct emlfs_user crash, user;
    struct emlfs_folder_id folder, inner;
    int rc = emlfs_user_by_name(archive, "crash", &crash, err);
    if (rc == 0)
        rc = emlfs_user_add(archive, NULL,
                            &(struct emlfs_user_new){"second", NULL, EMLFS_USER_ADMIN}, &user, err);
    if (rc == 0)
        rc = emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"third", "nobody", 0}, &user,
                            err);
    if (rc == 0)
        rc = emlfs_user_rename(archive, NULL, "third", "fourth", err);
    if (rc == 0)
        rc = emlfs_user_remove(archive, NULL, "fourth", err);
    if (rc == 0)
        rc = emlfs_archive_folder_make(
            archive, NULL, &(struct emlfs_folder_wanted){crash.archive, crash.id, "Projekte"},
            &folder, err);
    if (rc == 0)
        rc = emlfs_archive_folder_make(
            archive, NULL, &(struct emlfs_folder_wanted){folder, crash.id, "Größe"}, &inner, err);
    if (rc == 0)
        rc = emlfs_archive_folder_rename(archive, folder, "Projects", err);
    if (rc == 0 && acts)
        rc = folders_run(archive, crash.archive, err);
    if (rc == 0 && acts)
        rc = entries_run(archive, crash.archive, folder, err);
    return rc < 0 || !acts ? rc : stores_run(archive, err);
}

static int tool_events(const char *path, bool acts)
{
    struct emlfs_err err = {0};
    struct emlfs_archive *archive = NULL;
    if (tool_open(path, &archive, &err) < 0)
        return fail(&err);
    int rc = events_run(archive, acts, &err);
    if (rc < 0)
        fail(&err);
    int closed = emlfs_archive_close(archive, rc ? NULL : &err);
    if (rc == 0 && closed < 0)
        rc = -fail(&err);
    return rc ? 1 : 0;
}

/* ---- dump */

struct dump {
    struct emlfs_archive *archive;
    struct emlfs_err err;
    unsigned failures;
};

static void dump_fail(struct dump *dump, const char *path)
{
    printf("error %s %s\n", path, dump->err.text);
    dump->failures++;
}

static int content_hash(struct dump *dump, struct emlfs_msg_id id, char *ret_hex)
{
    struct emlfs_msg_reader *reader = NULL;
    int rc = emlfs_archive_msg_open(dump->archive, id, &reader, &dump->err);
    if (rc < 0)
        return rc;
    struct emlfs_sha256_ctx *ctx = emlfs_sha256_new();
    struct emlfs_hash hash;
    uint8_t piece[16384];
    uint64_t offset = 0;
    ssize_t got = ctx ? 1 : -ENOMEM;
    while (got > 0) {
        got = emlfs_msg_reader_pread(reader, piece, sizeof(piece), offset, &dump->err);
        if (got > 0) {
            emlfs_sha256_update(ctx, emlfs_span_of(piece, (size_t)got));
            offset += (uint64_t)got;
        }
    }
    if (got == 0)
        got = emlfs_sha256_final(ctx, &hash);
    if (got == 0)
        hex_of(hash.v, sizeof(hash.v), ret_hex);
    emlfs_sha256_free(ctx);
    emlfs_msg_reader_free(reader);
    return (int)got;
}

static int info_hashes(struct dump *dump, struct emlfs_msg_id id, char *ret_hex, char *ret_facts)
{
    struct emlfs_msg_info info;
    struct emlfs_hash hash = {0};
    struct emlfs_buf facts = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    int rc = emlfs_archive_msg_info(dump->archive, id, &info, &facts, &dump->err);
    if (rc == 0)
        rc = emlfs_sha256(emlfs_buf_view(&facts), &hash);
    if (rc == 0) {
        hex_of(info.sha256.v, sizeof(info.sha256.v), ret_hex);
        hex_of(hash.v, 8, ret_facts);
    }
    emlfs_buf_free(&facts);
    return rc;
}

static void dump_entry(struct dump *dump, const char *path, const struct emlfs_entry *entry)
{
    char content[2 * EMLFS_HASH_BYTES + 1] = "";
    char recorded[2 * EMLFS_HASH_BYTES + 1] = "";
    char facts[17] = "";
    if (content_hash(dump, entry->id, content) < 0 ||
        info_hashes(dump, entry->id, recorded, facts) < 0) {
        dump_fail(dump, entry->name);
        return;
    }
    if (strcmp(content, recorded) != 0) {
        printf("error %s content is not what was recorded\n", entry->name);
        dump->failures++;
    }
    printf("entry\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRId64 "\t%" PRId64 "\t%u\t%u\t%s\t%s\t%s\n",
           content, entry->id.v, entry->size_bytes, entry->mtime_ns, entry->ctime_ns, entry->nlink,
           entry->flags, facts, path, entry->name);
}

static void dump_entries(struct dump *dump, struct emlfs_folder_id folder, const char *path)
{
    struct emlfs_entry *batch = calloc(BATCH, sizeof(*batch));
    struct emlfs_entry_page page = {.folder = folder, .v = batch, .max = BATCH, .n = 1};
    while (batch && page.n > 0) {
        if (emlfs_archive_entries(dump->archive, &page, &dump->err) < 0) {
            dump_fail(dump, path);
            break;
        }
        for (unsigned i = 0; i < page.n; i++) {
            dump_entry(dump, path, &batch[i]);
            page.after = batch[i].id;
        }
    }
    free(batch);
}

/* NOLINTNEXTLINE(misc-no-recursion): folders nest */
static void dump_folders(struct dump *dump, struct emlfs_folder_id parent, const char *path)
{
    struct emlfs_folder folder = {0};
    struct emlfs_folder_id after = {0};
    char child[2048];
    int rc;
    while ((rc = emlfs_archive_folder_next(dump->archive, parent, after, &folder, &dump->err)) ==
           0) {
        int len = snprintf(child, sizeof(child), "%s/%s", path, folder.name);
        if (len >= (int)sizeof(child)) {
            printf("error %.100s... folders run in a circle\n", child);
            dump->failures++;
            return;
        }
        printf("folder\t%u\t%u\t%u\t%" PRId64 "\t%" PRId64 "\t%" PRIu64 "\t%s\n", folder.id.v,
               folder.parent.v, folder.user.v, folder.created_ns, folder.mtime_ns, folder.entries,
               child);
        dump_entries(dump, folder.id, child);
        dump_folders(dump, folder.id, child);
        after = folder.id;
    }
    if (rc != -ENOENT)
        dump_fail(dump, path);
}

static int dump_user(void *arg, const struct emlfs_user *user)
{
    (void)arg;
    printf("user\t%u\t%u\t%u\t%" PRId64 "\t%s\t%s\n", user->id.v, user->archive.v, user->flags,
           user->created_ns, user->name, user->unix_account);
    return 0;
}

static int tool_dump(const char *path)
{
    struct dump dump = {0};
    if (tool_open(path, &dump.archive, &dump.err) < 0)
        return fail(&dump.err);
    struct emlfs_check_totals opening = {0};
    emlfs_archive_opening(dump.archive, &opening);
    fprintf(stderr, "opening repaired %" PRIu64 "\n", opening.repaired);
    printf("archive\t%s\t%s\n", emlfs_archive_uuid(dump.archive), emlfs_archive_name(dump.archive));
    if (emlfs_user_walk(dump.archive, dump_user, NULL, &dump.err) < 0)
        dump_fail(&dump, "users");
    dump_folders(&dump, (struct emlfs_folder_id){0}, "");
    if (emlfs_archive_close(dump.archive, &dump.err) < 0)
        dump_fail(&dump, "close");
    return dump.failures ? 1 : 0;
}

static int tool_make(const char *number)
{
    struct emlfs_buf mail = EMLFS_BUF_INIT(CRASH_MAIL_MAX_BYTES);
    if (crash_mail(strtoull(number, NULL, 10), &mail) < 0)
        return 1;
    size_t put = fwrite(mail.data, 1, mail.len, stdout);
    bool whole = put == mail.len;
    emlfs_buf_free(&mail);
    return whole ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "init") == 0)
        return tool_init(argv[2], argv[3]);
    if ((argc == 6 || argc == 7) && strcmp(argv[1], "write") == 0)
        return tool_write(argv[2], argv[3], argv + 4);
    if (argc == 3 && strcmp(argv[1], "events") == 0)
        return tool_events(argv[2], false);
    if (argc == 3 && strcmp(argv[1], "acts") == 0)
        return tool_events(argv[2], true);
    if (argc == 3 && strcmp(argv[1], "dump") == 0)
        return tool_dump(argv[2]);
    if (argc == 3 && strcmp(argv[1], "make") == 0)
        return tool_make(argv[2]);
    fputs("usage: crash_tool init|write|events|acts|dump|make ...\n", stderr);
    return 2;
}

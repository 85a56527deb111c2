/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "import.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/text.h"

#define LINE_MAX_BYTES (1u << 20)

int report_begin(struct report *report, const char *file, struct emlfs_err *err)
{
    *report = (struct report){.start_ns = emlfs_os_monotonic_ns()};
    pthread_mutex_init(&report->lock, NULL);
    if (!file)
        return 0;

    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    report->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!report->file) {
        int r = emlfs_err_sys(err, errno, "import", "report %s", file);

        emlfs_os_close(&fd);
        return r;
    }
    return 0;
}

void report_read(struct report *report, uint64_t bytes)
{
    pthread_mutex_lock(&report->lock);
    report->read++;
    report->bytes += bytes;
    pthread_mutex_unlock(&report->lock);
}

static void line_write(struct report *report, struct json_object *line)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(LINE_MAX_BYTES);
    int r = line ? emlfs_text_json(line, &text) : -ENOMEM;

    if (r == 0)
        r = emlfs_buf_append_u8(&text, '\n');
    if (r < 0 || fwrite(text.data, 1, text.len, report->file) != text.len)
        report->file_failed = true;
    json_object_put(line);
}

static void line_put(struct report *report, const char *verdict, const char *position,
                     const char *reason)
{
    struct json_object *line = json_object_new_object();

    if (line) {
        json_object_object_add(line, "verdict", json_object_new_string(verdict));
        json_object_object_add(line, "position", emlfs_text_string(emlfs_span_str(position)));
        json_object_object_add(line, "reason", emlfs_text_string(emlfs_span_str(reason)));
    }
    line_write(report, line);
}

static void rejection_keep(struct report *report, const char *position, const char *reason)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(LINE_MAX_BYTES);

    if (report->file) {
        line_put(report, "rejected", position, reason);
        return;
    }
    if (report->kept_n < REPORT_KEPT &&
        emlfs_text_printf(&text, "rejected %s: %s", position, reason) == 0)
        report->kept[report->kept_n++] = strndup((const char *)text.data, text.len);
}

void report_verdict(void *arg, const char *position, enum emlfs_ingest_verdict verdict,
                    struct emlfs_msg_id id, const char *reason)
{
    struct report *report = arg;

    (void)id;
    pthread_mutex_lock(&report->lock);
    report->archived += verdict == EMLFS_INGEST_ARCHIVED;
    report->already_there += verdict == EMLFS_INGEST_DUPLICATE;
    if (verdict == EMLFS_INGEST_REJECTED) {
        report->rejected++;
        rejection_keep(report, position, reason);
    }
    pthread_mutex_unlock(&report->lock);
}

void report_note(struct report *report, const char *position, const char *text)
{
    pthread_mutex_lock(&report->lock);
    report->notes++;
    if (report->file)
        line_put(report, "note", position, text);
    pthread_mutex_unlock(&report->lock);
}

void report_words(void *arg, char *text, size_t size)
{
    struct report *report = arg;
    char read[32], archived[32], there[32], rate[32];

    pthread_mutex_lock(&report->lock);
    double sec = (double)(emlfs_os_monotonic_ns() - report->start_ns) / 1e9;

    emlfs_text_count(report->read, read);
    emlfs_text_count(report->archived, archived);
    emlfs_text_count(report->already_there, there);
    emlfs_text_count((uint64_t)(sec > 0 ? (double)report->read / sec : 0), rate);
    (void)snprintf(text, size, "%s read, %s archived, %s already there, %llu rejected, %s/s", read,
                   archived, there, (unsigned long long)report->rejected, rate);
    pthread_mutex_unlock(&report->lock);
}

static struct json_object *totals_row(const struct report *report, double sec)
{
    struct json_object *row = json_object_new_object();
    char seconds[32];

    if (!row)
        return NULL;
    json_object_object_add(row, "read", json_object_new_uint64(report->read));
    json_object_object_add(row, "archived", json_object_new_uint64(report->archived));
    json_object_object_add(row, "already_there", json_object_new_uint64(report->already_there));
    json_object_object_add(row, "rejected", json_object_new_uint64(report->rejected));
    json_object_object_add(row, "moved", json_object_new_uint64(report->moved));
    json_object_object_add(row, "notes", json_object_new_uint64(report->notes));
    json_object_object_add(row, "bytes", json_object_new_uint64(report->bytes));
    (void)snprintf(seconds, sizeof(seconds), "%.3f", sec);
    json_object_object_add(row, "seconds", json_object_new_double_s(sec, seconds));
    return row;
}

static void summary_print(const struct report *report, bool dry_run, double sec)
{
    char read[32], archived[32], there[32], rejected[32], moved[32], rate[32], size[32];

    emlfs_text_count(report->read, read);
    emlfs_text_count(report->archived, archived);
    emlfs_text_count(report->already_there, there);
    emlfs_text_count(report->rejected, rejected);
    emlfs_text_count(report->moved, moved);
    emlfs_text_count((uint64_t)(sec > 0 ? (double)report->read / sec : 0), rate);
    emlfs_text_size(report->bytes, size);
    (void)printf("read %s = archived %s + already there %s + rejected %s%s\n", read, archived,
                 there, rejected, dry_run ? " (dry run: nothing was archived)" : "");
    (void)printf("moved %s, notes %llu; %s in %.1f s, %s messages/s\n", moved,
                 (unsigned long long)report->notes, size, sec, rate);
}

static void rejections_print(struct report *report)
{
    char text[128];

    for (unsigned i = 0; i < report->kept_n; i++) {
        if (report->kept[i])
            complain(report->kept[i]);
        free(report->kept[i]);
    }
    if (!report->file && report->rejected > report->kept_n) {
        (void)snprintf(text, sizeof(text), "and %llu more rejected; --report FILE writes them all",
                       (unsigned long long)(report->rejected - report->kept_n));
        complain(text);
    }
}

static int file_end(struct report *report, struct json_object *row)
{
    if (!report->file)
        return 0;
    if (row) {
        json_object_object_add(row, "verdict", json_object_new_string("total"));
        line_write(report, json_object_get(row));
        json_object_object_del(row, "verdict");
    }
    if (fclose(report->file) != 0)
        report->file_failed = true;
    report->file = NULL;
    return report->file_failed ? -EIO : 0;
}

int report_end(struct report *report, const struct emlfs_cli *cli, struct output *out)
{
    double sec = (double)(emlfs_os_monotonic_ns() - report->start_ns) / 1e9;
    struct json_object *row = totals_row(report, sec);
    uint64_t told = report->archived + report->already_there + report->rejected;
    int code = report->rejected ? EMLFS_EXIT_REJECTED : EMLFS_EXIT_OK;
    char text[160];

    rejections_print(report);
    if (file_end(report, row) < 0) {
        complain("the report file did not take everything");
        code = EMLFS_EXIT_SYSTEM;
    }
    if (cli->json && row)
        (void)output_row(out, row);
    else if (!cli->quiet)
        summary_print(report, emlfs_args_flag(cli->args, "dry-run"), sec);
    json_object_put(row);
    if (told != report->read) {
        (void)snprintf(text, sizeof(text),
                       "of %llu messages read only %llu were answered for: import again",
                       (unsigned long long)report->read, (unsigned long long)told);
        complain(text);
        code = EMLFS_EXIT_SYSTEM;
    }
    pthread_mutex_destroy(&report->lock);
    return code;
}

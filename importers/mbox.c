/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * mbox files: every message in the file, in order, with what its Status fields say.
 *
 * A message that is larger than the maximum or has no header field is rejected by its offset and
 * the next one is taken: nothing is left out without a word. Messages which Mozilla marked as
 * deleted (X-Mozilla-Status 0x0008) are ordinary messages here, with the flag set.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "mbox.h"

#define HEADER_SCAN_BYTES (256u << 10)
#define NOTE_BYTES 200u

static ssize_t read_file_at(void *arg, void *data, size_t len, uint64_t offset)
{
    return emlfs_os_pread_full(*(int *)arg, data, len, offset);
}

static ssize_t read_span_at(void *arg, void *data, size_t len, uint64_t offset)
{
    const struct emlfs_span *bytes = arg;
    memcpy(data, bytes->data + offset, len);
    return (ssize_t)len;
}

bool emlfs_mbox_holds_several(struct emlfs_span raw)
{
    struct emlfs_mbox_from first = emlfs_mbox_from_parse(raw);
    if (first.form == EMLFS_MBOX_NONE || first.form == EMLFS_MBOX_OTHER)
        return false;
    bool more = memmem(raw.data, raw.len, "\nFrom ", 6) || memmem(raw.data, raw.len, "\rFrom ", 6);
    struct emlfs_mbox_reader reader = {.read_at = read_span_at, .arg = &raw, .size = raw.len};
    if (!more || emlfs_mbox_reader_init(&reader) < 0)
        return false;
    struct emlfs_mbox_style style = {.first_form = first.form};
    struct emlfs_mbox_message found;
    int r = emlfs_mbox_find(&reader, &style, first.line_len, &found, NULL);
    emlfs_mbox_reader_free(&reader);
    return r > 0;
}

static uint32_t flags_of_letters(struct emlfs_span value)
{
    uint32_t flags = 0;
    for (size_t i = 0; i < value.len; i++) {
        switch (value.data[i]) {
        case 'R':
            flags |= EMLFS_ENTRY_SEEN;
            break;
        case 'A':
            flags |= EMLFS_ENTRY_ANSWERED;
            break;
        case 'F':
            flags |= EMLFS_ENTRY_FLAGGED;
            break;
        case 'D':
            flags |= EMLFS_ENTRY_DELETED;
            break;
        case 'T':
            flags |= EMLFS_ENTRY_DRAFT;
            break;
        default:
            break;
        }
    }
    return flags;
}

static uint32_t flags_of_mozilla(struct emlfs_span value)
{
    static const struct {
        unsigned long bit;
        uint32_t flag;
    } bits[] = {{0x0001, EMLFS_ENTRY_SEEN},
                {0x0002, EMLFS_ENTRY_ANSWERED},
                {0x0004, EMLFS_ENTRY_FLAGGED},
                {0x0008, EMLFS_ENTRY_DELETED},
                {0x1000, EMLFS_ENTRY_FORWARDED}};
    char text[8] = "";
    memcpy(text, value.data, value.len < sizeof(text) - 1 ? value.len : sizeof(text) - 1);
    unsigned long number = strtoul(text, NULL, 16);
    uint32_t flags = 0;
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        if (number & bits[i].bit)
            flags |= bits[i].flag;
    return flags;
}

static bool field_is(struct emlfs_span line, const char *name, struct emlfs_span *ret_value)
{
    size_t len = strlen(name);
    if (line.len < len || strncasecmp((const char *)line.data, name, len) != 0)
        return false;
    *ret_value = emlfs_span_of(line.data + len, line.len - len);
    while (ret_value->len && (ret_value->data[0] == ' ' || ret_value->data[0] == '\t'))
        *ret_value = emlfs_span_of(ret_value->data + 1, ret_value->len - 1);
    return true;
}

/* From Status, X-Status (mutt, Pine, Dovecot) and X-Mozilla-Status. */
static uint32_t flags_of(struct emlfs_span raw, bool *ret_expunged)
{
    uint32_t flags = 0;
    size_t at = 0;
    if (raw.len > HEADER_SCAN_BYTES)
        raw.len = HEADER_SCAN_BYTES;
    *ret_expunged = false;
    while (at < raw.len) {
        const uint8_t *end = memchr(raw.data + at, '\n', raw.len - at);
        size_t len = end ? (size_t)(end - raw.data) - at : raw.len - at;
        struct emlfs_span line = emlfs_span_of(raw.data + at, len), value;
        if (len == 0 || (len == 1 && line.data[0] == '\r'))
            break;
        if (field_is(line, "Status:", &value) || field_is(line, "X-Status:", &value))
            flags |= flags_of_letters(value);
        if (field_is(line, "X-Mozilla-Status:", &value)) {
            uint32_t mozilla = flags_of_mozilla(value);
            *ret_expunged = mozilla & EMLFS_ENTRY_DELETED;
            flags |= mozilla;
        }
        at += len + 1;
    }
    return flags;
}

/* One mbox being read. */
struct mbox_run {
    struct emlfs_import *im;
    struct emlfs_mbox_splitter splitter;
    uint64_t messages;
    uint64_t expunged;
    uint64_t too_large;
};

static int read_message(struct mbox_run *run, const struct emlfs_mbox_message *message)
{
    struct emlfs_mbox_reader *reader = run->splitter.reader;
    struct emlfs_buf *raw = &run->im->raw;
    size_t len = (size_t)(message->end - message->content);
    emlfs_buf_clear(raw);
    int r = emlfs_buf_reserve(raw, len + 1);
    if (r < 0)
        return emlfs_err_sys(run->im->err, -r, "import", "no memory for a message");
    ssize_t n = reader->read_at(reader->arg, raw->data, len, message->content);
    if (n < 0 || (size_t)n != len)
        return reader->error = n < 0 ? (int)n : -EAGAIN;
    raw->len = len;
    if (run->splitter.style.dialect == EMLFS_MBOX_RD)
        emlfs_mbox_unquote(raw);
    return 0;
}

static int reject_at(struct mbox_run *run, const char *position, const char *reason)
{
    return run->im->sink->reject(run->im->sink->arg, position, reason, run->im->err);
}

static int take_message(struct mbox_run *run, const char *position,
                        const struct emlfs_mbox_message *message)
{
    struct emlfs_import *im = run->im;
    uint64_t len = message->end - message->content;
    if (message->separated && len == 0)
        return reject_at(run, position, "a From line without a message");
    if (len > EMLFS_MESSAGE_MAX_BYTES) {
        run->too_large++;
        return reject_at(run, position, "larger than the largest message that can be archived");
    }
    int r = read_message(run, message);
    if (r < 0)
        return r;
    if (!message->separated && !emlfs_looks_like_message(emlfs_buf_view(&im->raw), NULL))
        return reject_at(run, position, "no header field: text before the first From line");
    bool expunged;
    uint32_t flags = flags_of(emlfs_buf_view(&im->raw), &expunged);
    run->expunged += expunged;
    return emlfs_import_deliver(im, position, flags, message->date_sec);
}

static int note_count(struct mbox_run *run, uint64_t count, const char *text)
{
    char note[NOTE_BYTES];
    if (count == 0)
        return 0;
    snprintf(note, sizeof(note), "%llu %s", (unsigned long long)count, text);
    return emlfs_import_note(run->im, note);
}

static int note_dialect(struct mbox_run *run)
{
    const struct emlfs_mbox_style *style = &run->splitter.style;
    char note[NOTE_BYTES];
    const char *quotes = style->quoted_lines == 0 ? "no quoted From lines seen"
                         : style->dialect == EMLFS_MBOX_RD
                             ? "quoted From lines are unquoted"
                             : "quoted From lines are kept as they are";
    snprintf(note, sizeof(note), "mbox dialect %s: %s", emlfs_mbox_dialect_name(style->dialect),
             quotes);
    return emlfs_import_note(run->im, note);
}

static int note_end(struct mbox_run *run)
{
    int r = note_count(run, run->splitter.kept_lines,
                       "lines that may be damaged separators were kept as text");
    if (r == 0)
        r = note_count(run, run->splitter.wrong_lengths,
                       "wrong Content-Length fields were ignored");
    if (r == 0)
        r = note_count(run, run->expunged,
                       "messages are marked as deleted (X-Mozilla-Status) and were taken");
    return r;
}

static int take_all(struct mbox_run *run)
{
    struct emlfs_import *im = run->im;
    EMLFS_BUF_CLEANUP struct emlfs_buf position = EMLFS_BUF_INIT(128u << 10);
    struct emlfs_mbox_message message;
    int r = emlfs_buf_reserve(&position, im->path.len + 24);
    int more = r;
    while (r == 0 && (more = emlfs_mbox_split_next(&run->splitter, &message)) > 0) {
        r = emlfs_import_check(im);
        snprintf((char *)position.data, position.cap, "%s:%llu", emlfs_import_position(im),
                 (unsigned long long)message.begin);
        if (r == 0)
            r = take_message(run, (const char *)position.data, &message);
        if (im->options)
            emlfs_progress_step(im->options->progress, "import", im->done_bytes + message.end,
                                im->total_bytes);
    }
    return r < 0 ? r : more;
}

static int take_split(struct emlfs_import *im, struct emlfs_mbox_reader *reader,
                      uint64_t *ret_too_large)
{
    struct mbox_run run = {.im = im};
    int r = emlfs_mbox_split_begin(&run.splitter, reader);
    if (r == 0 && reader->size)
        r = note_dialect(&run);
    if (r == 0)
        r = take_all(&run);
    if (ret_too_large)
        *ret_too_large = run.too_large;
    return r == 0 ? note_end(&run) : r;
}

static int take_reader(struct emlfs_import *im, struct emlfs_mbox_reader *reader)
{
    int r = take_split(im, reader, NULL);
    if (reader->error == 0)
        return r;
    /* The file itself failed under us: what was read so far is taken, the rest is one rejection. */
    return emlfs_import_reject_unread(im, "the rest of the mbox cannot be read", -reader->error);
}

int emlfs_mbox_take(struct emlfs_import *im, int fd, const struct stat *st)
{
    struct emlfs_mbox_reader reader = {
        .read_at = read_file_at, .arg = &fd, .size = (uint64_t)st->st_size};
    int r = emlfs_mbox_reader_init(&reader);
    if (r < 0)
        return emlfs_err_sys(im->err, -r, "import", "no memory for an mbox");
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    r = take_reader(im, &reader);
    emlfs_mbox_reader_free(&reader);
    return r;
}

/* A source as the reader wants it, and what it failed with. */
struct callback {
    const struct emlfs_mbox_source *source;
    struct emlfs_err err;
};

static ssize_t read_callback_at(void *arg, void *data, size_t len, uint64_t offset)
{
    struct callback *callback = arg;
    const struct emlfs_mbox_source *source = callback->source;
    size_t done = 0;
    while (done < len) {
        ssize_t n = source->pread(source->arg, (uint8_t *)data + done, len - done, offset + done,
                                  &callback->err);
        if (n < 0)
            return n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int emlfs_mbox_read(const struct emlfs_mbox_source *source,
                    const struct emlfs_import_options *options, const struct emlfs_sink *sink,
                    struct emlfs_err *err)
{
    struct callback callback = {.source = source};
    struct emlfs_mbox_reader reader = {
        .read_at = read_callback_at, .arg = &callback, .size = source->size_bytes};
    struct emlfs_import im;
    int r = emlfs_import_begin(&im, source->name, options, sink, err);
    if (r < 0)
        return emlfs_import_end(&im, r);
    im.total_bytes = source->size_bytes;
    if (emlfs_mbox_reader_init(&reader) < 0)
        return emlfs_import_end(&im, emlfs_err_set(err, ENOMEM, "import", "no memory for an mbox"));
    r = take_split(&im, &reader, source->ret_too_large);
    if (reader.error < 0) {
        r = reader.error;
        if (callback.err.code && err)
            *err = callback.err;
        else
            emlfs_err_sys(err, -r, "import", "the mbox cannot be read");
    }
    emlfs_mbox_reader_free(&reader);
    return emlfs_import_end(&im, r);
}

static int run_file(struct emlfs_import *im, int fd, const struct stat *st)
{
    im->total_bytes = (uint64_t)st->st_size;
    if (!emlfs_import_included(im) || emlfs_import_excluded(im))
        return 0;
    int r = emlfs_mbox_take(im, fd, st);
    emlfs_import_progress(im, (uint64_t)st->st_size);
    return r;
}

/* A directory: the mboxes in it, and nothing else. */
static int run_tree(struct emlfs_import *im, const struct emlfs_import_dir *dir)
{
    im->mbox_only = true;
    emlfs_import_measure(im, dir);
    return emlfs_eml_walk(im, dir);
}

static int mbox_run(const char *path, const struct emlfs_import_options *options,
                    const struct emlfs_sink *sink, struct emlfs_err *err)
{
    static const struct emlfs_import_kind kind = {.dir = run_tree, .file = run_file};
    struct emlfs_import im;
    int r = emlfs_import_begin(&im, path, options, sink, err);
    if (r == 0)
        r = emlfs_import_source(&im, path, &kind, err);
    return emlfs_import_end(&im, r);
}

static bool has_mbox_suffix(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcasecmp(dot, ".mbox") == 0 || strcasecmp(dot, ".mbx") == 0);
}

/* Looks at the first part: how many separators are there? */
static int mbox_probe(const char *path)
{
    struct stat st;
    struct emlfs_import im = {.noatime = true};
    EMLFS_FD_CLEANUP int fd = emlfs_import_open(&im, AT_FDCWD, path, true, &st);
    if (fd < 0)
        return 0;
    EMLFS_BUF_CLEANUP struct emlfs_buf head = EMLFS_BUF_INIT(EMLFS_MBOX_WINDOW_BYTES);
    if (emlfs_buf_reserve(&head, EMLFS_MBOX_WINDOW_BYTES) < 0)
        return 0;
    ssize_t n = emlfs_os_pread_full(fd, head.data, EMLFS_MBOX_WINDOW_BYTES, 0);
    head.len = n > 0 ? (size_t)n : 0;
    struct emlfs_mbox_from from = emlfs_mbox_from_parse(emlfs_buf_view(&head));
    const char *dot = strrchr(path, '.');
    bool eml = dot && strcasecmp(dot, ".eml") == 0;
    if (has_mbox_suffix(path))
        return from.form != EMLFS_MBOX_NONE || st.st_size == 0 ? 95 : 60;
    if (from.form == EMLFS_MBOX_NONE || from.form == EMLFS_MBOX_OTHER)
        return 0;
    return !eml && emlfs_mbox_holds_several(emlfs_buf_view(&head)) ? 90 : 40;
}

static void mbox_base_folder(const char *path, char *ret_name, size_t size)
{
    emlfs_import_base_name(path, ret_name, size);
    if (has_mbox_suffix(ret_name) && ret_name[0] != '.')
        *strrchr(ret_name, '.') = 0;
}

const struct emlfs_importer emlfs_importer_mbox = {
    .name = "mbox",
    .summary = "mbox files: mboxo, mboxrd, mboxcl and mboxcl2 are told apart",
    .probe = mbox_probe,
    .base_folder = mbox_base_folder,
    .run = mbox_run,
};

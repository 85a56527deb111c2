/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages as files: a directory tree of .eml files, one flat directory, a Maildir++, mboxes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mkmail.h"

#define MBOX_FOLDERS_MAX 900u

struct mk_writer {
    const struct mk_options *options;
    const struct mk_corpus *corpus;
    char **prefixes; /* per folder, made when first used */
    FILE **mboxes;   /* likewise */
    struct mk_out path;
};

static void directory_make(const char *path)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        mk_fail(path);
}

static void directories_make(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        directory_make(path);
        *slash = '/';
    }
}

/* ---- modified UTF-7, RFC 3501 5.1.3 */

static uint32_t character_next(const char **at)
{
    const uint8_t *p = (const uint8_t *)*at;
    unsigned more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
    uint32_t c = more == 0 ? *p : *p & (0x3fu >> more);
    for (unsigned i = 1; i <= more; i++)
        c = c << 6 | (p[i] & 0x3fu);
    *at += more + 1;
    return c;
}

static void utf7_run(struct mk_out *out, const char **at)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
    uint32_t bits = 0;
    unsigned held = 0;
    mk_putc(out, '&');
    while (**at & 0x80) { /* the folder names stay below U+10000 */
        bits = bits << 16 | (character_next(at) & 0xffff);
        for (held += 16; held >= 6; held -= 6)
            mk_putc(out, digits[bits >> (held - 6) & 63]);
    }
    if (held)
        mk_putc(out, digits[bits << (6 - held) & 63]);
    mk_putc(out, '-');
}

/* "Kunden/Straße & Größe" becomes ".Kunden.Stra&AN8-e &- Gr&APYA3w-e"; Inbox is the top. */
static void maildir_name(struct mk_out *out, const char *folder)
{
    if (strcmp(folder, "Inbox") == 0)
        return;
    mk_putc(out, '.');
    while (*folder)
        if (*folder & 0x80) {
            utf7_run(out, &folder);
        } else {
            char c = *folder++;
            mk_puts(out, c == '&' ? "&-" : c == '/' ? "." : (char[2]){c, 0});
        }
    mk_putc(out, '/');
}

static void maildir_make(struct mk_out *path)
{
    static const char *const parts[] = {"new", "tmp", "cur"};
    size_t len = path->len;
    for (unsigned i = 0; i < 3; i++) {
        path->len = len;
        mk_puts(path, parts[i]);
        mk_put(path, "/", 2);
        directories_make(path->data);
    }
    path->len--;
}

/* ---- folders */

static char *prefix_make(const struct mk_writer *writer, uint32_t folder)
{
    struct mk_out path = {0};
    const char *name = mk_corpus_folder(writer->corpus, folder);
    mk_format(&path, "%s/", writer->options->out);
    if (writer->options->layout == MK_MAILDIR) {
        maildir_name(&path, name);
        maildir_make(&path);
    } else if (writer->options->layout != MK_FLAT) {
        mk_format(&path, "%s%s", name, writer->options->layout == MK_MBOX ? ".mbox" : "/");
    }
    mk_putc(&path, 0);
    directories_make(path.data);
    return path.data;
}

static const char *folder_prefix(struct mk_writer *writer, uint32_t folder)
{
    if (!writer->prefixes[folder])
        writer->prefixes[folder] = prefix_make(writer, folder);
    return writer->prefixes[folder];
}

/* ---- messages */

static void file_write(const char *path, const struct mk_message *message)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        mk_fail(path);
    for (size_t done = 0; done < message->raw.len;) {
        ssize_t n = write(fd, message->raw.data + done, message->raw.len - done);
        if (n < 0)
            mk_fail(path);
        done += (size_t)n;
    }
    struct timespec times[2] = {{.tv_sec = message->date_sec}, {.tv_sec = message->date_sec}};
    futimens(fd, times);
    if (close(fd) != 0)
        mk_fail(path);
}

static void file_put(struct mk_writer *writer, const struct mk_message *message)
{
    struct mk_out *path = &writer->path;
    path->len = 0;
    mk_puts(path, folder_prefix(writer, message->folder));
    if (writer->options->layout == MK_MAILDIR)
        mk_format(path, "%lld.M%06lluP1.host,S=%zu:2,%s%s%s", (long long)message->date_sec,
                  (unsigned long long)message->number, message->raw.len,
                  message->flagged ? "F" : "", message->answered ? "R" : "",
                  message->seen ? "S" : "");
    else
        mk_format(path, "%07llu.eml", (unsigned long long)message->number);
    mk_putc(path, 0);
    file_write(path->data, message);
}

static FILE *mbox_of(struct mk_writer *writer, uint32_t folder)
{
    if (!writer->mboxes[folder]) {
        const char *path = folder_prefix(writer, folder);
        writer->mboxes[folder] = fopen(path, "wb");
        if (!writer->mboxes[folder])
            mk_fail(path);
        setvbuf(writer->mboxes[folder], NULL, _IOFBF, 1u << 18);
    }
    return writer->mboxes[folder];
}

static bool line_needs_quoting(const char *line, size_t len)
{
    while (len && *line == '>') {
        line++;
        len--;
    }
    return len >= 5 && memcmp(line, "From ", 5) == 0;
}

/* mboxrd: lines of >*From get one '>' more. */
static void mbox_put(struct mk_writer *writer, const struct mk_message *message)
{
    FILE *file = mbox_of(writer, message->folder);
    char date[48];
    mk_date(date, message->date_sec, 0);
    /* "Thu, 1 Jan 2015 00:00:00 +0000" in the form of asctime */
    int day = 0, year = 0;
    char month[4] = "", clock[9] = "";
    sscanf(date + 5, "%d %3s %d %8s", &day, month, &year, clock);
    fprintf(file, "From %s %.3s %s %2d %s %d\n", message->from->address, date, month, day, clock,
            year);
    const char *at = message->raw.data, *end = at + message->raw.len;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t len = line_end ? (size_t)(line_end - at) + 1 : (size_t)(end - at);
        if (line_needs_quoting(at, len))
            putc_unlocked('>', file);
        fwrite_unlocked(at, 1, len, file);
        at += len;
    }
    putc_unlocked('\n', file);
    if (ferror(file))
        mk_fail(folder_prefix(writer, message->folder));
}

void mk_writer_put(struct mk_writer *writer, const struct mk_message *message)
{
    if (writer->options->layout == MK_MBOX)
        mbox_put(writer, message);
    else
        file_put(writer, message);
}

struct mk_writer *mk_writer_new(const struct mk_options *options, const struct mk_corpus *corpus)
{
    struct mk_writer *writer = mk_calloc(1, sizeof *writer);
    writer->options = options;
    writer->corpus = corpus;
    if (options->layout == MK_MBOX && options->folders > MBOX_FOLDERS_MAX) {
        errno = EMFILE;
        mk_fail("--folders: an mbox for each");
    }
    writer->prefixes = mk_calloc(options->folders, sizeof *writer->prefixes);
    writer->mboxes = mk_calloc(options->folders, sizeof *writer->mboxes);
    directory_make(options->out);
    if (options->layout == MK_MAILDIR) {
        struct mk_out top = {0};
        mk_format(&top, "%s/", options->out);
        maildir_make(&top);
        mk_out_free(&top);
    }
    return writer;
}

void mk_writer_close(struct mk_writer *writer)
{
    for (unsigned i = 0; i < writer->options->folders; i++) {
        if (writer->mboxes[i] && fclose(writer->mboxes[i]) != 0)
            mk_fail(writer->prefixes[i]);
        free(writer->prefixes[i]);
    }
    free(writer->prefixes);
    free(writer->mboxes);
    mk_out_free(&writer->path);
    free(writer);
}
